//! What stands around the collector.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::{Broker, Limits};
use daemon::SystemClock;
use negawatt_collector::{Config, Served, WriteConfig, WriteToken, start};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream as AsyncStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use wire::{Ack, DeviceReading, Envelope, Frame, Message as _, PointReading};

pub(crate) const POINTS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(30);
static CLIENTS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn tick_ms(seq: u64) -> i64 {
    1_700_000_040_000 + i64::try_from(seq).unwrap() * 60_000
}

pub(crate) fn raw(seq: u64, point: &str) -> i64 {
    let seq = i64::try_from(seq).unwrap();
    match point {
        "v1" => 2_300 + seq,
        "p" => seq * 17 % 1_000,
        _ => 1_000_000 + seq * 3,
    }
}

pub(crate) fn frame(seq: u64) -> Frame {
    let point = |point: &str, exponent, unit: units::Unit| PointReading {
        point: point.to_owned(),
        raw: Some(raw(seq, point)),
        exponent,
        unit: unit.code().into(),
        quality: 0,
        words: Vec::new(),
    };
    let device = DeviceReading {
        device: "main".to_owned(),
        profile: "eastron-sdm630".to_owned(),
        profile_hash: vec![1; 32],
        points: vec![point("v1", -1, units::Unit::Volt), point("p", 0, units::Unit::Watt), point("e_imp", -2, units::Unit::KilowattHour)],
        ..DeviceReading::default()
    };
    Frame { schema: wire::SCHEMA, tick_ms: tick_ms(seq), clock_synced: true, devices: vec![device], ..Frame::default() }
}

pub(crate) fn envelope(seq: u64, frame: &Frame) -> Vec<u8> {
    Envelope { schema: wire::SCHEMA, spool_id: vec![9; 16], seq, frame: frame.encode_to_vec() }.encode_to_vec()
}

/// A broker, a folder, and a wire between the broker and the collector that can be cut.
pub(crate) struct Field {
    broker: Broker,
    folder: TempDir,
    runtime: Runtime,
    wire: SocketAddr,
    cut: Arc<std::sync::Mutex<CancellationToken>>,
    refuse: Arc<AtomicBool>,
}

impl Field {
    pub(crate) fn new() -> Self {
        let broker = Broker::start("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let wire = listener.local_addr().unwrap();
        let cut = Arc::new(std::sync::Mutex::new(CancellationToken::new()));
        let refuse = Arc::new(AtomicBool::new(false));
        let (to, cuts, refuses) = (broker.addr(), cut.clone(), refuse.clone());
        runtime.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let cut = cuts.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut far = AsyncStream::connect(to).await.unwrap();
                    tokio::select! {
                        () = cut.cancelled() => {}
                        ended = tokio::io::copy_bidirectional(&mut near, &mut far) => drop(ended),
                    }
                });
            }
        });
        Self { broker, folder: tempfile::tempdir().unwrap(), runtime, wire, cut, refuse }
    }

    pub(crate) fn store(&self) -> &Path {
        self.folder.path()
    }

    /// Cuts every connection of the collector. New ones are let through.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }

    pub(crate) fn refuse(&self, refuse: bool) {
        self.refuse.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn collector(&self) -> Running {
        self.collector_with(Vec::new())
    }

    pub(crate) fn collector_with(&self, sinks: Vec<sinks::SinkConfig>) -> Running {
        let broker = ("127.0.0.1".to_owned(), self.wire.port());
        let mut config = Config {
            ack_interval: Duration::from_millis(20),
            receive_maximum: 100,
            flush_rows: 200,
            ..Config::new(self.store().to_owned(), "127.0.0.1:0".parse().unwrap(), broker)
        };
        config.write = writers();
        config.sinks = sinks;
        // One look, when it starts: what is told does not depend on how long a test takes.
        config.vee.every = Duration::from_secs(3_600);
        let runtime = Runtime::new().unwrap();
        let stop = CancellationToken::new();
        let started = Instant::now();
        loop {
            // A killed one may hold the lock until its last write is done.
            match runtime.block_on(start(config.clone(), Arc::new(SystemClock), stop.clone())) {
                Ok(served) => return Running { addr: served.addr(), runtime, stop, served },
                Err(err) => assert!(started.elapsed() < PATIENCE, "{}", daemon::chain(&err)),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Who may write over HTTP: one as much as it likes, one in one facility, one little.
fn writers() -> WriteConfig {
    let token = |token: &str, facilities: &[&str], points_per_second| WriteToken {
        token: config::Secret::new(token),
        tenant: ids::Slug::parse("acme").unwrap(),
        facilities: facilities.iter().map(|name| ids::Slug::parse(name).unwrap()).collect(),
        gateway: ids::Slug::parse("telegraf").unwrap(),
        points_per_second,
    };
    let tokens = vec![token("any", &[], None), token("hall-only", &["hall"], None), token("slow", &[], Some(1))];
    WriteConfig { tokens, body_bytes_max: 100_000, ..WriteConfig::default() }
}

/// A collector in a runtime of its own.
pub(crate) struct Running {
    addr: SocketAddr,
    runtime: Runtime,
    stop: CancellationToken,
    served: Served,
}

impl Running {
    /// Drops every task where it stands.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }

    pub(crate) fn stop(self) {
        self.stop.cancel();
        self.runtime.block_on(self.served.ended()).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.ask("POST", path, body)
    }

    /// Asks with headers of its own. Gives the code, the head and the body of the answer.
    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n").unwrap();
        // A server that refuses does not wait for the whole body.
        let _gone: std::io::Result<()> = stream.write_all(body);
        let mut answer = Vec::new();
        let _reset: std::io::Result<usize> = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A stream of events, from where `last` says. It is read with a deadline.
    pub(crate) fn watch(&self, path: &str, last: &str) -> std::io::BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last}\r\n\r\n").unwrap();
        std::io::BufReader::new(stream)
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/v1/status").1).unwrap()
    }

    pub(crate) fn wait_for(&self, holds: impl Fn(&serde_json::Value) -> bool) {
        let started = Instant::now();
        while !holds(&self.status()) {
            assert!(started.elapsed() < PATIENCE, "it never came to that: {}", self.status());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the page of metrics says all of this at once: a message that is repeated is still on its way for a moment.
    pub(crate) fn says(&self, lines: &[&str]) {
        let started = Instant::now();
        loop {
            let page = self.get("/metrics").1;
            let Some(missing) = lines.iter().find(|line| !page.lines().any(|found| found == **line)) else { return };
            assert!(started.elapsed() < PATIENCE, "no `{missing}` in\n{page}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A gateway that keeps what is not acknowledged, and sends it again.
pub(crate) struct TestGateway {
    name: String,
    frames: Vec<Vec<u8>>,
    acknowledged: u64,
}

impl TestGateway {
    pub(crate) fn new(_field: &Field, name: &str, frames: u64) -> Self {
        Self { name: name.to_owned(), frames: (1..=frames).map(|seq| envelope(seq, &frame(seq))).collect(), acknowledged: 0 }
    }

    pub(crate) fn replace(&mut self, seq: u64, frame: Frame) {
        self.frames[usize::try_from(seq).unwrap() - 1] = envelope(seq, &frame);
    }

    /// Sends frames until this many are acknowledged.
    pub(crate) fn deliver_until(&mut self, field: &Field, goal: u64) {
        let delivered = async {
            while self.acknowledged < goal {
                // Each round is a new connection that sends everything that is not acknowledged.
                let round = self.round(field, goal);
                let _gave_up: Result<_, _> = tokio::time::timeout(Duration::from_millis(400), round).await;
            }
        };
        field.runtime.block_on(async { tokio::time::timeout(PATIENCE, delivered).await }).expect("the gateway is acknowledged");
    }

    async fn round(&mut self, field: &Field, goal: u64) {
        let (client, mut events) = client(field);
        client.subscribe(format!("nw/1/acme/hall/{}/ack", self.name), QoS::AtLeastOnce).await.unwrap();
        let first = usize::try_from(self.acknowledged).unwrap();
        for frame in &self.frames[first..usize::try_from(goal).unwrap()] {
            client.publish(format!("nw/1/acme/hall/{}/data", self.name), QoS::AtLeastOnce, false, frame.clone()).await.unwrap();
        }
        while self.acknowledged < goal {
            if let Ok(Event::Incoming(Packet::Publish(publish))) = events.poll().await {
                let ack = Ack::decode(publish.payload).unwrap();
                assert!(ack.contiguous_seq >= self.acknowledged, "what was durable stays durable");
                self.acknowledged = ack.contiguous_seq;
            }
        }
    }
}

fn client(field: &Field) -> (AsyncClient, rumqttc::v5::EventLoop) {
    let id = format!("client-{}", CLIENTS.fetch_add(1, Ordering::SeqCst));
    let mut options = MqttOptions::new(id, "127.0.0.1", field.broker.addr().port());
    options.set_clean_start(true);
    AsyncClient::new(options, 1_000)
}

/// Publishes messages and waits until the broker has them.
pub(crate) fn messages(field: &Field, messages: &[(String, Vec<u8>)]) {
    publish(field, false, messages);
}

/// As [`messages`]; `retain`: who subscribes later is told too.
pub(crate) fn publish(field: &Field, retain: bool, messages: &[(String, Vec<u8>)]) {
    field.runtime.block_on(async {
        let (client, mut events) = client(field);
        for (topic, payload) in messages {
            client.publish(topic, QoS::AtLeastOnce, retain, payload.clone()).await.unwrap();
        }
        let mut left = messages.len();
        while left > 0 {
            left -= usize::from(matches!(events.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))));
        }
    });
}
