//! Through a real broker: frames out, acknowledgements in, alive and gone.

use std::sync::Arc;

use broker::{Broker, Limits};
use ids::SpoolId;
use tempfile::tempdir;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use wire::{Ack, Envelope};

use super::*;
use crate::{
    remote::Active,
    spool::{SharedSpool, Spool, SpoolOptions},
    status::Status,
    uplink::{Identity, Pump, pump},
};

fn id() -> SpoolId {
    SpoolId::from_bytes([7; 16])
}

/// What a collector saw.
#[derive(Debug, Default)]
struct Seen {
    contiguous: u64,
    frames: u64,
    states: Vec<String>,
}

/// Stores in order and acknowledges at most ten times a second, as long as anybody looks.
async fn collect(address: std::net::SocketAddr, seen: watch::Sender<Seen>) {
    let mut options = MqttOptions::new("collector", address.ip().to_string(), address.port());
    options.set_clean_start(true);
    options.set_connect_properties(ConnectProperties { max_packet_size: Some(MESSAGE_BYTES_MAX), ..ConnectProperties::new() });
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let (client, mut events) = AsyncClient::new(options, 64);
    client.try_subscribe(wire::topic::ALL_DATA, QoS::AtLeastOnce).unwrap();
    client.try_subscribe(wire::topic::ALL_STATE, QoS::AtLeastOnce).unwrap();
    let mut due = Instant::now();
    loop {
        // The keep-alive is long: the last acknowledgement must not wait for it.
        let event = timeout(Duration::from_millis(100), events.poll()).await;
        if let Ok(Event::Incoming(Packet::Publish(publish))) = event.map(Result::unwrap) {
            if publish.topic.ends_with(b"/state") {
                seen.send_modify(|seen| seen.states.push(String::from_utf8(publish.payload.to_vec()).unwrap()));
                continue;
            }
            let envelope = Envelope::decode(&publish.payload[..]).unwrap();
            seen.send_modify(|seen| {
                seen.frames += 1;
                if envelope.seq == seen.contiguous + 1 {
                    seen.contiguous += 1;
                }
            });
        }
        if Instant::now() >= due {
            due = Instant::now() + Duration::from_millis(100);
            let ack = Ack {
                schema: wire::SCHEMA,
                spool_id: id().as_bytes().to_vec(),
                contiguous_seq: seen.borrow().contiguous,
                holes: Vec::new(),
            };
            client.try_publish("nw/1/acme/hall/gw-1/ack", QoS::AtLeastOnce, false, ack.encode_to_vec()).unwrap();
        }
    }
}

fn config(address: std::net::SocketAddr) -> Config {
    let text = format!(
        "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\n\
         [broker]\nurl = \"mqtt://{address}\"\nclient_id = \"gw-1\"\nkeep_alive = \"5s\"\nwindow = \"8MiB\"\n\
         [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n\
         [[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\n"
    );
    Config::parse(std::path::Path::new("gateway.toml"), &text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_of_frames_drains_through_a_broker_in_seconds() {
    const FRAMES: u64 = 45_000;
    let broker = Broker::start("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
    let folder = tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), SpoolOptions::within(1 << 30), id).unwrap();
    let frame = vec![7; 1_200];
    for _ in 0..FRAMES / 1_000 {
        for _ in 0..1_000 {
            spool.append(&frame).unwrap();
        }
        spool.commit().unwrap();
    }
    let (tell, mut seen) = watch::channel(Seen::default());
    let collector = tokio::spawn(collect(broker.addr(), tell));
    // The collector is there first, so that nothing needs to be sent twice.
    sleep(Duration::from_millis(200)).await;

    let status = Arc::new(Status::default());
    let (stop, (_committed, delivered)) = (CancellationToken::new(), watch::channel(FRAMES));
    let (commands, _commands) = mpsc::channel(4);
    let delivery = Pump {
        identity: Identity { spool_id: id(), boot_id: 1 },
        spool: SharedSpool::new(spool),
        clock: Arc::new(daemon::SystemClock),
        status: Arc::clone(&status),
        outbox: status.outbox().clone(),
        commands,
    };
    let facts = wire::ConfigFacts { version: 0, hash: String::new(), trial: false, last: None };
    let (_configs, followed) = watch::channel(Arc::new(Active { config: config(broker.addr()), generation: 1, facts }));
    let began = Instant::now();
    let pumping = tokio::spawn(pump(Mqtt, delivery, followed, delivered, stop.clone()));
    let all = async {
        while status.snapshot().acknowledged_seq < FRAMES {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let done = timeout(Duration::from_secs(18), all).await;
    assert!(done.is_ok(), "{:?}", status.snapshot());
    let told = status.snapshot();
    println!("{FRAMES} frames in {:.1} s, {} sent again", began.elapsed().as_secs_f64(), told.frames_resent);
    assert_eq!((told.backlog, told.connected), (0, true));
    assert!(told.frames_resent < FRAMES / 10, "{told:?}");

    stop.cancel();
    pumping.await.unwrap();
    let gone = seen.wait_for(|seen| seen.states.last().is_some_and(|state| state.contains("\"online\":false")));
    timeout(Duration::from_secs(5), gone).await.expect("the state says that we are gone").unwrap();
    collector.abort();
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let err = Mqtt.connect(&config("127.0.0.1:1".parse().unwrap()), String::new()).await.unwrap_err();
    insta::assert_snapshot!(daemon::chain(&err), @"could not connect to the broker 127.0.0.1:1: I/O: Connection refused (os error 111): Connection refused (os error 111)");
}

#[tokio::test]
async fn something_that_takes_the_connection_and_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(listener.local_addr().unwrap());
    let connecting = timeout(Duration::from_secs(15), Mqtt.connect(&config, String::new())).await.expect("ends by itself");
    assert!(connecting.is_err());
}
