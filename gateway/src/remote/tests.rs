//! A gateway that runs, with meters on sockets and the time driven, and somebody who gives it orders through a broker.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use broker::{Broker, Limits};
use daemon::Clock;
use ids::{IdSource, Slug};
use jiff::{SignedDuration, Timestamp};
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use serde_json::{Map, Value, json};
use simulator::{DrivenClock, Faults, Grid, Load, Meter, TcpServer};
use tempfile::TempDir;
use tokio::time::timeout;
use wire::{
    Ack, Channel, Envelope, Frame, GatewayEvent, GatewayPath, GatewayState, Message,
    command::{COMMAND_SCHEMA, to_hex},
};

use super::*;
use crate::{serve::serve, setup::SigningKey};

const PATIENCE: Duration = Duration::from_secs(20);

fn at(minutes: i64) -> Timestamp {
    "2025-06-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn path() -> GatewayPath {
    let slug = |text| Slug::parse(text).unwrap();
    GatewayPath { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw-1") }
}

/// What came out of the gateway.
#[derive(Debug, Default)]
struct Heard {
    frames: BTreeMap<u64, Frame>,
    replies: Vec<Reply>,
    events: Vec<GatewayEvent>,
    states: Vec<GatewayState>,
}

/// A collector and an operator in one: confirms what it has, and remembers what was said.
async fn listen(mut events: rumqttc::v5::EventLoop, client: AsyncClient, heard: Arc<Mutex<Heard>>) {
    let mut due = Instant::now();
    let mut spool = None;
    loop {
        if let Ok(Ok(Event::Incoming(Packet::Publish(publish)))) = timeout(Duration::from_millis(20), events.poll()).await {
            let topic = std::str::from_utf8(&publish.topic).unwrap();
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            match wire::topic::parse(topic).unwrap().1 {
                Channel::Data => {
                    let envelope = Envelope::decode(&publish.payload[..]).unwrap();
                    let frame = Frame::decode(&envelope.frame[..]).unwrap();
                    let before = heard.frames.insert(envelope.seq, frame.clone());
                    assert!(before.is_none_or(|before| before == frame), "frame {} came with two contents", envelope.seq);
                    spool = Some(envelope.spool_id);
                }
                Channel::Reply => heard.replies.push(serde_json::from_slice(&publish.payload).unwrap()),
                Channel::Event => heard.events.push(serde_json::from_slice(&publish.payload).unwrap()),
                Channel::State => heard.states.push(serde_json::from_slice(&publish.payload).unwrap()),
                _ => {}
            }
        }
        if let Some(spool_id) = spool.clone().filter(|_| Instant::now() >= due) {
            due = Instant::now() + Duration::from_millis(50);
            let frames = &heard.lock().unwrap_or_else(PoisonError::into_inner).frames;
            let contiguous_seq = (1..).take_while(|seq| frames.contains_key(seq)).last().unwrap_or(0);
            let ack = Ack { schema: wire::SCHEMA, spool_id, contiguous_seq, holes: Vec::new() };
            client.try_publish(path().topic(&Channel::Ack), QoS::AtLeastOnce, false, ack.encode_to_vec()).unwrap_or_default();
        }
    }
}

struct Site {
    folder: TempDir,
    broker: Broker,
    clock: DrivenClock,
    server: TcpServer,
    meter: Arc<Meter>,
    key: SigningKey,
    client: AsyncClient,
    heard: Arc<Mutex<Heard>>,
    status: Arc<Status>,
    running: Option<(CancellationToken, tokio::task::JoinHandle<Result<(), crate::ServeError>>)>,
    commands: std::cell::Cell<u32>,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
        let clock = DrivenClock::new(at(0), at(0));
        let load = Load::hourly(&(0..24 * 8).map(|hour| (at(60 * hour), 40_000 + 90 * hour)).collect::<Vec<_>>()).unwrap();
        let profile = devices::find("eastron-sdm630").unwrap();
        let meter = Arc::new(Meter::electrical(profile, &load, Grid::EUROPE, 3, 5_000, Arc::new(clock.clone())));
        let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
        let mut options = MqttOptions::new("operator", broker.addr().ip().to_string(), broker.addr().port());
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, events) = AsyncClient::new(options, 64);
        for topic in [wire::topic::ALL_DATA, wire::topic::ALL_STATE, wire::topic::ALL_EVENTS, wire::topic::ALL_REPLIES] {
            client.try_subscribe(topic, QoS::AtLeastOnce).unwrap();
        }
        let heard = Arc::new(Mutex::new(Heard::default()));
        tokio::spawn(listen(events, client.clone(), Arc::clone(&heard)));
        let key = SigningKey::create(&folder.path().join("ops.pem")).unwrap();
        let status = Arc::new(Status::default());
        Self { folder, broker, clock, server, meter, key, client, heard, status, running: None, commands: std::cell::Cell::default() }
    }

    fn toml(&self, points: &str, meter: SocketAddr) -> String {
        format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n\
             [broker]\nurl = \"mqtt://{}\"\nspread = \"0s\"\nack_timeout = \"300ms\"\n[spool]\ncommit_interval = \"10ms\"\n\
             [commands]\nkeys = [\"ed25519:{}\"]\nconfirm_within = \"60s\"\n\
             allow = [\"ping\", \"status\", \"identify\", \"replay\", \"probe\", \"reload\", \"config\", \"restart\"]\n\
             [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"{meter}\"\n\
             [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"eastron-sdm630\"\npoints = [{points}]\n",
            self.folder.path().join("data").display(),
            self.broker.addr(),
            to_hex(self.key.public()),
        )
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// Starts the gateway with its file, with the next seed, half a minute after it was stopped.
    fn start(&mut self, seed: u64) {
        if seed > 1 {
            self.clock.advance_to(self.clock.now() + SignedDuration::from_secs(30));
        }
        let config = Config::load(&self.file()).unwrap_or_else(|faults| panic!("{faults}"));
        let stop = CancellationToken::new();
        let serving = serve(config, Arc::new(self.clock.clone()), IdSource::seeded(seed), Arc::clone(&self.status), stop.clone());
        self.running = Some((stop, tokio::spawn(serving)));
    }

    async fn stop(&mut self) {
        let (stop, serving) = self.running.take().unwrap();
        stop.cancel();
        serving.await.unwrap().unwrap();
    }

    fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Heard) -> bool) {
        let begin = Instant::now();
        while !self.heard(&holds) {
            assert!(
                begin.elapsed() < PATIENCE,
                "it never came to this: {what}\n{:?}\n{:?}",
                self.status.snapshot(),
                self.heard(|heard| { (heard.frames.len(), heard.replies.clone(), heard.events.clone(), heard.states.last().cloned()) })
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn command(&self, verb: &str, args: &Value) -> Command {
        let now_ms = self.clock.now().as_millisecond();
        self.commands.set(self.commands.get() + 1);
        Command {
            schema: COMMAND_SCHEMA.to_owned(),
            id: format!("order-{}", self.commands.get()),
            to: path().to_string(),
            verb: verb.to_owned(),
            issued_ms: now_ms,
            expires_ms: now_ms + VALID_MAX_MS,
            key: to_hex(self.key.public()),
            args: args.as_object().cloned().unwrap_or_else(Map::new),
        }
    }

    fn sign(&self, command: &Command) -> String {
        let signature = <[u8; 64]>::try_from(self.key.sign(&command.signed_bytes().unwrap())).unwrap();
        command.message(&signature).unwrap()
    }

    /// Sends a message and gives the answer to it.
    async fn send(&self, id: &str, verb: &str, message: String) -> Reply {
        let before = self.heard(|heard| heard.replies.len());
        let topic = path().topic(&Channel::Command(Slug::parse(verb).unwrap()));
        self.client.publish(topic, QoS::AtLeastOnce, false, message).await.unwrap();
        self.until(&format!("an answer to {verb}"), |heard| heard.replies.len() > before).await;
        let reply = self.heard(|heard| heard.replies.last().cloned().unwrap());
        assert_eq!((reply.id.as_str(), reply.verb.as_str()), (id, verb));
        reply
    }

    async fn order(&self, verb: &str, args: Value) -> Reply {
        let command = self.command(verb, &args);
        self.send(&command.id, verb, self.sign(&command)).await
    }

    /// Lets the time pass, and waits until everything polled by then has arrived.
    async fn pass(&self, minutes: i64) {
        self.clock.set_limit(at(minutes));
        timeout(PATIENCE, self.clock.reached_limit()).await.unwrap();
        let frames = usize::try_from(minutes + 1).unwrap();
        self.until(&format!("all of {frames} minutes"), |heard| heard.frames.len() >= frames).await;
    }

    /// Checks that every minute was polled once, and gives the points of each.
    fn minutes(&self, count: i64) -> Vec<String> {
        self.heard(|heard| {
            let ticks: Vec<i64> = heard.frames.values().map(|frame| frame.tick_ms).collect();
            assert_eq!(ticks, (0..=count).map(|minute| at(minute).as_millisecond()).collect::<Vec<_>>());
            let points = |frame: &Frame| frame.devices[0].points.iter().map(|point| point.point.clone()).collect::<Vec<_>>().join(",");
            heard.frames.values().map(points).collect()
        })
    }

    async fn on_trial(&self) {
        let begin = Instant::now();
        while !self.status.snapshot().config_trial {
            assert!(begin.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn connected(&self) {
        self.until("the gateway is online", |heard| heard.states.last().is_some_and(|state| state.online)).await;
    }
}

fn code(reply: &Reply) -> (Outcome, &str) {
    (reply.outcome, reply.problem.as_ref().map_or("", |problem| problem.code.as_str()))
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

async fn site() -> Site {
    site_with("60s").await
}

/// A gateway that gives a configuration so long to prove itself.
async fn site_with(confirm_within: &str) -> Site {
    let mut site = Site::new().await;
    let toml = site.toml("\"v1\"", site.server.address()).replace("60s", confirm_within);
    std::fs::write(site.file(), toml).unwrap();
    site.start(1);
    site.connected().await;
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_comes_by_command_is_proven_and_stays() {
    let mut site = site().await;
    site.pass(10).await;
    let toml = site.toml("\"v1\", \"p\"", site.server.address());
    let reply = site.order("config", json!({ "version": 4, "toml": toml })).await;
    assert_eq!(reply.outcome, Outcome::Done, "{reply:?}");
    site.until("it is on trial", |heard| heard.states.last().unwrap().facts.as_ref().unwrap().config.trial).await;
    site.pass(20).await;
    site.until("it has proven itself", |heard| heard.events.iter().any(|event| event.kind == "config_applied")).await;
    let again = site.order("config", json!({ "version": 4, "toml": toml })).await;
    assert_eq!(code(&again), (Outcome::Refused, "old_version"));
    // After a start it is still the one that counts.
    site.stop().await;
    site.start(2);
    site.pass(30).await;
    let minutes = site.minutes(30);
    assert!(minutes[..=10].iter().all(|points| points == "v1") && minutes[11..].iter().all(|points| points == "v1,p"), "{minutes:?}");
    let facts = site.heard(|heard| heard.states.last().cloned().unwrap().facts.unwrap());
    assert_eq!((facts.config.version, facts.config.trial, facts.config.last.unwrap().applied), (4, false, true));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_without_a_value_or_a_broker_goes_back_by_itself() {
    let mut site = site_with("4s").await;
    site.pass(5).await;
    // A meter that is not there.
    let reply = site.order("config", json!({ "version": 1, "toml": site.toml("\"v1\", \"p\"", nowhere()) })).await;
    assert_eq!(reply.outcome, Outcome::Done, "{reply:?}");
    site.on_trial().await;
    site.pass(8).await;
    let busy = site.order("config", json!({ "version": 2, "toml": site.toml("\"v1\"", nowhere()) })).await;
    assert_eq!(code(&busy), (Outcome::Refused, "busy"));
    site.until("it went", |heard| heard.events.iter().any(|event| event.kind == "config_rolled_back")).await;
    let detail = site.heard(|heard| heard.events.iter().find(|event| event.kind == "config_rolled_back").unwrap().detail.clone());
    assert!(detail.contains("version 1 goes") && detail.contains("no device gave a value"), "{detail}");
    site.pass(12).await;
    // A broker that is not there: the gateway comes back without anybody's help.
    let elsewhere = site.toml("\"v1\", \"f\"", site.server.address()).replace(&site.broker.addr().to_string(), "127.0.0.1:1");
    assert_eq!(site.order("config", json!({ "version": 3, "toml": elsewhere })).await.outcome, Outcome::Done);
    site.on_trial().await;
    site.clock.set_limit(at(15));
    site.until("it went too", |heard| heard.events.iter().filter(|event| event.kind == "config_rolled_back").count() == 2).await;
    site.pass(20).await;
    let minutes = site.minutes(20);
    assert_eq!((minutes[5].as_str(), minutes[6].as_str(), minutes[9].as_str()), ("v1", "v1,p", "v1"));
    assert_eq!((minutes[13].as_str(), minutes[16].as_str()), ("v1,f", "v1"));
    let last = site.heard(|heard| heard.states.last().cloned().unwrap().facts.unwrap().config);
    assert_eq!((last.version, last.last.as_ref().unwrap().version, last.last.as_ref().unwrap().applied), (0, 3, false));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_in_the_middle_of_a_trial_goes_back() {
    let mut site = site().await;
    site.pass(5).await;
    let patient = site.toml("\"p\"", nowhere());
    assert_eq!(site.order("config", json!({ "version": 7, "toml": patient })).await.outcome, Outcome::Done);
    site.on_trial().await;
    site.pass(7).await;
    site.stop().await;
    site.start(2);
    site.pass(10).await;
    site.until("it is told", |heard| heard.events.iter().any(|event| event.detail.contains("while this configuration was on trial"))).await;
    assert_eq!(site.minutes(10)[5..], ["v1", "p", "p", "v1", "v1", "v1"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_read_again_and_again_while_time_flies_loses_no_minute_and_polls_none_twice() {
    const MINUTES: i64 = 7 * 24 * 60;
    let mut site = site().await;
    site.clock.set_limit(at(MINUTES));
    for round in 0..12 {
        let points = if round % 2 == 0 { "\"v1\", \"p\"" } else { "\"v1\"" };
        std::fs::write(site.file(), site.toml(points, site.server.address())).unwrap();
        assert_eq!(site.order("reload", json!({})).await.outcome, Outcome::Done);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A file with faults changes nothing, and all its faults are told.
    std::fs::write(site.file(), site.toml("\"v9\", \"w\"", site.server.address())).unwrap();
    let refused = site.order("reload", json!({})).await;
    assert_eq!(code(&refused), (Outcome::Refused, "configuration"));
    assert!(refused.problem.unwrap().detail.contains("2 faults"));
    let polled_during = site.status.snapshot().sweeps;
    timeout(PATIENCE, site.clock.reached_limit()).await.unwrap();
    site.until("a week", |heard| heard.frames.len() > usize::try_from(MINUTES).unwrap()).await;
    let minutes = site.minutes(MINUTES);
    let changes = minutes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    println!("{changes} changes of the configuration in the frames of a week, {polled_during} sweeps while it was read again");
    assert!((1..=12).contains(&changes), "{changes}");
    assert_eq!((site.status.snapshot().sweeps_missed, site.status.snapshot().points_failed), (0, 0));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spool_follows_a_file_that_is_read_again_and_a_command() {
    const MIB: u64 = 1 << 20;
    let mut site = site().await;
    let toml = |max: &str| site.toml("\"v1\"", site.server.address()).replace("[spool]", &format!("[spool]\nmax = \"{max}\""));
    std::fs::write(site.file(), toml("9MiB")).unwrap();
    assert_eq!(site.order("reload", json!({})).await.outcome, Outcome::Done);
    let allowed = async |minutes: i64, mib: u64| {
        let begin = Instant::now();
        let mut minute = minutes;
        while site.status.snapshot().spool_bytes_max != mib * MIB {
            assert!(begin.elapsed() < PATIENCE, "{:?}", site.status.snapshot());
            tokio::time::sleep(Duration::from_millis(100)).await;
            // The next frame tells.
            site.clock.set_limit(at(minute));
            minute += 1;
        }
    };
    allowed(1, 9).await;
    let reply = site.order("config", json!({ "version": 1, "toml": toml("5MiB") })).await;
    assert_eq!(reply.outcome, Outcome::Done, "{reply:?}");
    allowed(300, 5).await;
    assert!(!site.status.snapshot().config_trial, "a smaller allowance counts when the configuration has proven itself");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_order_is_obeyed_and_only_once() {
    let mut site = site().await;
    let pong = site.order("ping", json!({})).await;
    assert_eq!((pong.outcome, pong.result["version"].as_str()), (Outcome::Done, Some(env!("CARGO_PKG_VERSION"))));
    let refusal = async |verb: &str, change: &dyn Fn(&mut Command)| {
        let mut command = site.command(verb, &json!({}));
        change(&mut command);
        let reply = site.send(&command.id, verb, site.sign(&command)).await;
        assert_eq!(reply.outcome, Outcome::Refused);
        reply.problem.unwrap().code
    };
    assert_eq!(refusal("ping", &|command| command.to = "acme/hall/gw-2".into()).await, "wrong_gateway");
    assert_eq!(refusal("ping", &|command| command.expires_ms = command.issued_ms).await, "expired");
    assert_eq!(refusal("ping", &|command| command.issued_ms += 3_600_000).await, "valid_too_long");
    assert_eq!(refusal("ping", &|command| command.key = "00".repeat(32)).await, "unknown_key");
    assert_eq!(refusal("level", &|_| ()).await, "not_allowed");
    assert_eq!(refusal("format-disk", &|_| ()).await, "unknown_verb");
    // One byte of what was signed, or of the signature.
    let command = site.command("replay", &json!({ "from": 1, "to": 1 }));
    let forged = site.sign(&command).replace("\"to\":1}", "\"to\":2}");
    assert_eq!(code(&site.send(&command.id, "replay", forged).await), (Outcome::Refused, "bad_signature"));
    // The same message under another verb's topic, and twice.
    let command = site.command("ping", &json!({}));
    let message = site.sign(&command);
    let topic = path().topic(&Channel::Command(Slug::parse("restart").unwrap()));
    let before = site.heard(|heard| heard.replies.len());
    site.client.publish(topic, QoS::AtLeastOnce, false, message.clone()).await.unwrap();
    site.until("an answer", |heard| heard.replies.len() > before).await;
    assert_eq!(code(&site.heard(|heard| heard.replies.last().cloned().unwrap())), (Outcome::Refused, "wrong_topic"));
    assert_eq!(site.send(&command.id, "ping", message.clone()).await.outcome, Outcome::Done);
    assert_eq!(code(&site.send(&command.id, "ping", message.clone()).await), (Outcome::Refused, "given_before"));
    // Also after a restart, which is itself an order.
    let boot = site.heard(|heard| heard.states.last().unwrap().boot_id);
    assert_eq!(site.order("restart", json!({})).await.outcome, Outcome::Done);
    site.until("it is back", |heard| heard.states.last().is_some_and(|state| state.online && state.boot_id != boot)).await;
    assert_eq!(code(&site.send(&command.id, "ping", message).await), (Outcome::Refused, "given_before"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_read_devices_and_send_frames_again() {
    let mut site = site().await;
    site.pass(5).await;
    let probed = site.order("probe", json!({ "device": "main" })).await;
    let shown = site.meter.truth("v1", site.clock.now()).unwrap().decimal_text();
    assert_eq!(probed.result["points"], json!([{ "id": "v1", "value": shown, "unit": "V", "quality": "good" }]));
    assert_eq!(code(&site.order("probe", json!({ "device": "nobody" })).await), (Outcome::Refused, "unknown_device"));
    let begin = Instant::now();
    while site.status.snapshot().acknowledged_seq < 6 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = site.status.snapshot().frames_resent;
    assert_eq!(site.order("replay", json!({ "from": 2, "to": 4 })).await.result["frames"], 3);
    let begin = Instant::now();
    while site.status.snapshot().frames_resent < sent + 3 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Of what is not here, or not delivered, nothing: the answer says how much is left of the wish.
    let clamped = site.order("replay", json!({ "from": 4, "to": u64::MAX })).await;
    assert_eq!(clamped.result, json!({ "first": 4, "last": 6, "frames": 3, "whole": false }));
    for (from, to) in [(99, 120), (0, 3), (4, 3)] {
        assert_eq!(code(&site.order("replay", json!({ "from": from, "to": to })).await), (Outcome::Refused, "range"));
    }
    let status = site.order("status", json!({})).await;
    assert_eq!((status.result["counters"]["sweeps"].as_u64(), status.result["facts"]["devices"].as_u64()), (Some(6), Some(1)));
    let who = site.order("identify", json!({})).await;
    assert_eq!((who.result["gateway"].as_str(), &who.result["buses"][0]["devices"][0]["id"]), (Some("acme/hall/gw-1"), &json!("main")));
    site.pass(6).await;
    site.minutes(6);
    // Someone else's identity, or nobody's command any more.
    let stranger = site.toml("\"v1\"", site.server.address()).replace("gw-1", "gw-2");
    assert_eq!(code(&site.order("config", json!({ "version": 1, "toml": stranger })).await), (Outcome::Refused, "fixed"));
    let deaf = site.toml("\"v1\"", site.server.address()).replace("\"config\", ", "");
    assert_eq!(code(&site.order("config", json!({ "version": 1, "toml": deaf })).await), (Outcome::Refused, "lock_out"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_lingers_does_not_hold_up_a_restart() {
    use tokio::io::AsyncWriteExt as _;
    let mut site = Site::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = site.toml("\"v1\"", site.server.address());
    std::fs::write(site.file(), format!("{toml}[http]\nlisten = \"{free}\"\n")).unwrap();
    site.start(1);
    site.until("it is there", |heard| heard.states.last().is_some_and(|state| state.online)).await;
    let mut lingering = tokio::net::TcpStream::connect(free).await.unwrap();
    lingering.write_all(b"GET /livez HTTP/1.1\r\nHost: gw-1\r\n").await.unwrap();
    let boot = site.heard(|heard| heard.states.last().unwrap().boot_id);
    assert_eq!(site.order("restart", json!({})).await.outcome, Outcome::Done);
    site.until("it is back", |heard| heard.states.last().is_some_and(|state| state.online && state.boot_id != boot)).await;
    tokio::net::TcpStream::connect(free).await.unwrap();
    site.stop().await;
}
