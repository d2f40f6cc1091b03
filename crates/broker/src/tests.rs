//! What the module documentation says of rumqttd.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::time::timeout;

use super::*;

fn broker() -> Broker {
    Broker::start("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap()
}

fn client(broker: &Broker, id: &str, clean: bool) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, broker.addr().ip().to_string(), broker.addr().port());
    options.set_clean_start(clean);
    options.set_connect_properties(ConnectProperties { session_expiry_interval: Some(60), ..ConnectProperties::new() });
    AsyncClient::new(options, 50)
}

/// Drives a client until a packet says what is looked for.
async fn until<T>(events: &mut EventLoop, mut found: impl FnMut(Packet) -> Option<T>) -> T {
    let look = async {
        loop {
            if let Event::Incoming(packet) = events.poll().await.unwrap()
                && let Some(found) = found(packet)
            {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(10), look).await.expect("the broker answers")
}

fn payload(packet: Packet) -> Option<Vec<u8>> {
    if let Packet::Publish(publish) = packet { Some(publish.payload.to_vec()) } else { None }
}

fn granted(packet: Packet) -> Option<()> {
    matches!(packet, Packet::SubAck(_)).then_some(())
}

async fn publish(broker: &Broker, topic: &str, retain: bool, payloads: &[&str]) {
    let (client, mut events) = client(broker, &format!("publisher-{}", payloads.len()), true);
    for payload in payloads {
        client.publish(topic, QoS::AtLeastOnce, retain, payload.as_bytes().to_vec()).await.unwrap();
    }
    let mut left = payloads.len();
    until(&mut events, |packet| {
        left -= usize::from(matches!(packet, Packet::PubAck(_)));
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn retained_messages_wait_for_a_subscriber() {
    let broker = broker();
    publish(&broker, "nw/1/a/b/c/state", true, &["online"]).await;
    let (client, mut events) = client(&broker, "late", true);
    client.subscribe("nw/1/+/+/+/state", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(until(&mut events, payload).await, b"online");
}

#[tokio::test]
async fn a_session_outlives_its_connection() {
    let broker = broker();
    let (subscriber, mut events) = client(&broker, "keeper", false);
    subscriber.subscribe("data", QoS::AtLeastOnce).await.unwrap();
    until(&mut events, granted).await;
    drop((subscriber, events));
    publish(&broker, "data", false, &["while you were away"]).await;
    let (_subscriber, mut events) = client(&broker, "keeper", false);
    assert_eq!(until(&mut events, payload).await, b"while you were away");
}

#[tokio::test]
async fn shared_subscribers_divide_the_messages() {
    let broker = broker();
    let (first, mut first_events) = client(&broker, "one", true);
    let (second, mut second_events) = client(&broker, "two", true);
    for (subscriber, events) in [(&first, &mut first_events), (&second, &mut second_events)] {
        subscriber.subscribe("$share/collect/data", QoS::AtLeastOnce).await.unwrap();
        until(events, granted).await;
    }
    publish(&broker, "data", false, &["1", "2", "3", "4"]).await;
    let take_two = async |events: &mut EventLoop| [until(events, payload).await, until(events, payload).await];
    let mut all = [take_two(&mut first_events).await, take_two(&mut second_events).await].concat();
    all.sort();
    assert_eq!(all, [b"1", b"2", b"3", b"4"]);
}

#[test]
fn a_port_in_use_is_told() {
    let first = broker();
    let err = Broker::start(first.addr(), Limits::default()).unwrap_err();
    assert!(matches!(err, BrokerError::Listen { .. }));
    assert!(first.is_alive());
}
