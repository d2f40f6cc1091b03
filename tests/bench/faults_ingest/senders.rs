//! Who offers: gateways that keep what is not acknowledged, and a client that writes until it is answered with 204.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ids::IdSource;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use wire::{Ack, Message as _};

use super::Result;
use super::field::{Bodies, Gateway, below, index};
use super::rig::{TOKEN, http};

/// A round of sending: then a gateway connects anew, and sends what is not acknowledged.
const ROUND: Duration = Duration::from_millis(700);
/// In a storm, each frame is sent so often.
const STORM: usize = 10;

/// Says when a run is over, whatever its senders still wait for.
#[derive(Debug, Default)]
pub(crate) struct Over(AtomicBool);

impl Over {
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends until everything is acknowledged, in an order and as often as the seed says.
pub(crate) fn gateway(gateway: &Gateway, broker: SocketAddr, seed: u64, over: &Over) -> Result<bool> {
    let random = IdSource::seeded(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let goal = u64::try_from(gateway.messages.len())?;
    let mut acknowledged = 0;
    let mut round = 0_u64;
    while acknowledged < goal && !over.is() {
        round += 1;
        let client_id = format!("{}-{round}", gateway.name);
        let sending = send(gateway, broker, client_id, &random, &mut acknowledged);
        // A round that was cut off is followed by the next.
        let _cut: std::result::Result<Result<()>, _> = runtime.block_on(async { tokio::time::timeout(ROUND, sending).await });
        if acknowledged < goal {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(acknowledged >= goal)
}

async fn send(gateway: &Gateway, broker: SocketAddr, client_id: String, random: &IdSource, acknowledged: &mut u64) -> Result<()> {
    let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
    options.set_clean_start(true);
    let (client, mut events) = AsyncClient::new(options, 4_096);
    let topic = |channel: &str| format!("nw/1/acme/hall/{}/{channel}", gateway.name);
    client.try_subscribe(topic("ack"), QoS::AtLeastOnce)?;
    let first = usize::try_from(*acknowledged)?;
    let mut left: Vec<&Vec<u8>> = gateway.messages.iter().skip(first).collect();
    // Half a day apart or a minute: in any order.
    if below(random, 3) == 0 {
        for at in (1..left.len()).rev() {
            left.swap(at, index(random, at + 1));
        }
    }
    let times = if below(random, 6) == 0 { STORM } else { 1 };
    for message in left.into_iter().flat_map(|message| std::iter::repeat_n(message, times)) {
        client.try_publish(topic("data"), QoS::AtLeastOnce, false, message.clone())?;
    }
    if below(random, 4) == 0 {
        client.try_publish(topic("data"), QoS::AtLeastOnce, false, random.next_u64().to_be_bytes().to_vec())?;
    }
    let goal = u64::try_from(gateway.messages.len())?;
    while *acknowledged < goal {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await? {
            let ack = Ack::decode(publish.payload)?;
            if ack.spool_id == gateway.spool_id {
                *acknowledged = ack.contiguous_seq.max(*acknowledged);
            }
        }
    }
    Ok(())
}

/// Writes each body until it is answered with 204, and some of them again.
pub(crate) fn lines(bodies: &Bodies, admin: SocketAddr, seed: u64, over: &Over) -> Result<bool> {
    let random = IdSource::seeded(seed);
    let head = format!("POST /api/v2/write?org=acme&bucket=hall&precision=ms HTTP/1.1\r\nAuthorization: Token {TOKEN}");
    for body in &bodies.0 {
        let mut times = 1 + below(&random, 2);
        while times > 0 {
            if over.is() {
                return Ok(false);
            }
            match http(admin, &head, body) {
                Ok((204, _)) => times -= 1,
                Ok((code, text)) if code < 429 => return Err(format!("a good body was answered with {code}: {text}").into()),
                // Nobody is there, or it cannot be stored now.
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        std::thread::sleep(Duration::from_millis(below(&random, 40)));
    }
    Ok(true)
}

/// Takes the collector's name at the broker, and its session with it.
pub(crate) fn steal_session(broker: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut options = MqttOptions::new("negawatt-collector", broker.ip().to_string(), broker.port());
    options.set_clean_start(true);
    let (_client, mut events) = AsyncClient::new(options, 10);
    let stolen = async { while !matches!(events.poll().await, Ok(Event::Incoming(Packet::ConnAck(_))) | Err(_)) {} };
    // The broker may be gone at this moment: then there is nothing to steal.
    let _late: std::result::Result<(), _> = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(500), stolen).await });
    Ok(())
}
