//! The pump against a broker and a collector that lose things, in memory.

mod outage;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use simulator::DrivenClock;
use tempfile::tempdir;
use tokio::sync::mpsc;
use wire::{Ack, Channel, Envelope, Frame, Message, SeqRange};

use super::*;
use crate::{
    spool::{Spool, SpoolOptions},
    uplink::{LinkEvent, Sent},
};

/// A collector in memory, behind a broker that can be cut and can lose frames.
#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stored: BTreeMap<u64, Vec<u8>>,
    received: u64,
    duplicates: u64,
    connections: u64,
    /// Whether the collector listens; what comes while it does not is lost.
    deaf: bool,
    /// Every so many-th frame is lost on the way.
    loses_each: Option<u64>,
    /// The connection breaks after so many more frames.
    breaks_after: Option<u64>,
    refuses_connections: bool,
    /// Frames handed over, refused or not.
    offered: u64,
    /// The broker refuses every frame, and says why.
    refuses: Option<&'static str>,
    /// The broker has no subscriber for frames.
    nobody_listens: bool,
    /// Sequence numbers as they came.
    order: Vec<u64>,
    /// What came that is no frame.
    said: Vec<(Channel, String)>,
}

impl World {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ack(&self, spool_id: SpoolId) -> Ack {
        let state = self.state();
        let stored: BTreeSet<u64> = state.stored.keys().copied().collect();
        let contiguous = (1..).take_while(|seq| stored.contains(seq)).last().unwrap_or(0);
        let mut holes: Vec<SeqRange> = Vec::new();
        for missing in (contiguous + 1..stored.last().copied().unwrap_or(0)).filter(|seq| !stored.contains(seq)) {
            match holes.last_mut() {
                Some(hole) if hole.last + 1 == missing => hole.last = missing,
                _ => holes.push(SeqRange { first: missing, last: missing }),
            }
        }
        Ack { schema: wire::SCHEMA, spool_id: spool_id.as_bytes().to_vec(), contiguous_seq: contiguous, holes }
    }
}

struct Wire {
    world: World,
    spool_id: SpoolId,
    told: mpsc::Sender<LinkEvent>,
    taken: mpsc::Receiver<LinkEvent>,
    since_ack: u64,
    in_flight: usize,
}

impl Uplink for World {
    type Link = Wire;

    async fn connect(&mut self, _config: &Config, _will: String) -> Result<Wire, LinkError> {
        let mut state = self.state();
        if state.refuses_connections {
            return Err(LinkError::Silent { broker: "memory".into(), seconds: 0 });
        }
        state.connections += 1;
        let (told, taken) = mpsc::channel(64);
        Ok(Wire { world: self.clone(), spool_id: SpoolId::from_bytes([7; 16]), told, taken, since_ack: 0, in_flight: 0 })
    }
}

impl Link for Wire {
    fn has_room(&self, _what: Sent) -> bool {
        self.in_flight < 32
    }

    fn send(&mut self, what: Sent, channel: &Channel, payload: Vec<u8>) -> Result<(), LinkError> {
        let mut state = self.world.state();
        if let Some(left) = &mut state.breaks_after {
            if *left == 0 {
                state.breaks_after = None;
                return Err(LinkError::Ended { broker: "memory".into(), err: None });
            }
            *left -= 1;
        }
        self.in_flight += 1;
        if what != Sent::Frame {
            state.said.push((channel.clone(), String::from_utf8(payload).unwrap()));
            self.told.try_send(LinkEvent::Taken { what, heard: true }).unwrap();
            return Ok(());
        }
        let envelope = Envelope::decode(&payload[..]).unwrap();
        assert_eq!(envelope.validate().unwrap(), self.spool_id);
        state.offered += 1;
        if let Some(reason) = state.refuses {
            self.told.try_send(LinkEvent::Refused { what, reason: reason.to_owned() }).unwrap();
            return Ok(());
        }
        if state.nobody_listens {
            self.told.try_send(LinkEvent::Taken { what, heard: false }).unwrap();
            return Ok(());
        }
        state.received += 1;
        state.order.push(envelope.seq);
        let lost = state.deaf || state.loses_each.is_some_and(|each| state.received.is_multiple_of(each));
        if !lost && state.stored.insert(envelope.seq, envelope.frame.clone()).is_some_and(|before| before == envelope.frame) {
            state.duplicates += 1;
        }
        drop(state);
        self.told.try_send(LinkEvent::Taken { what, heard: true }).unwrap();
        Ok(())
    }

    async fn event(&mut self) -> Result<LinkEvent, LinkError> {
        // An acknowledgement now and then, and when nothing else happens.
        if self.since_ack < 50 {
            let wait = tokio::time::timeout(Duration::from_millis(5), self.taken.recv()).await;
            if let Ok(Some(event)) = wait {
                self.in_flight -= 1;
                self.since_ack += 1;
                return Ok(event);
            }
        }
        self.since_ack = 0;
        let silent = {
            let state = self.world.state();
            state.deaf || state.nobody_listens
        };
        if silent {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(LinkEvent::Ack(self.world.ack(self.spool_id)))
    }

    async fn close(self, state: String) {
        self.world.state().said.push((Channel::State, state));
    }
}

struct Bench {
    world: World,
    spool: SharedSpool,
    status: Arc<Status>,
    committed: watch::Sender<u64>,
    stop: CancellationToken,
    configs: watch::Sender<Arc<Active>>,
    _commands: mpsc::Receiver<Received>,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

const ACK_TIMEOUT: Duration = Duration::from_millis(50);

fn bench(world: &World) -> Bench {
    bench_within(world, ACK_TIMEOUT)
}

/// A pump that waits so long for the collector's word.
fn bench_within(world: &World, ack_timeout: Duration) -> Bench {
    let folder = tempdir().unwrap();
    let spool =
        Spool::open(folder.path(), SpoolOptions { bytes_max: 1 << 30, segment_bytes: 16 << 10 }, || SpoolId::from_bytes([7; 16])).unwrap();
    let spool = SharedSpool::new(spool);
    let status = Arc::new(Status::default());
    let (committed, delivered) = watch::channel(0);
    let stop = CancellationToken::new();
    let clock = Arc::new(DrivenClock::new(jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::UNIX_EPOCH));
    let (commands, _commands) = mpsc::channel(4);
    let delivery = Pump {
        identity: Identity { spool_id: SpoolId::from_bytes([7; 16]), boot_id: 1 },
        spool: spool.clone(),
        clock,
        status: Arc::clone(&status),
        outbox: status.outbox().clone(),
        commands,
    };
    let mut config = config();
    config.broker.ack_timeout = ack_timeout;
    let (configs, followed) = watch::channel(active(1, config));
    let task = tokio::spawn(pump(world.clone(), delivery, followed, delivered, stop.clone()));
    Bench { world: world.clone(), spool, status, committed, stop, configs, _commands, task, _folder: folder }
}

fn config() -> Config {
    let text = "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\n\
                [broker]\nurl = \"mqtt://memory\"\nwindow = \"1MiB\"\nspread = \"0s\"\n\
                [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n\
                [[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\n";
    let mut config = Config::parse(std::path::Path::new("gateway.toml"), text).unwrap();
    config.broker.ack_timeout = ACK_TIMEOUT;
    config
}

fn active(generation: u64, config: Config) -> Arc<Active> {
    let facts = wire::ConfigFacts { version: 0, hash: String::new(), trial: false, last: None };
    Arc::new(Active { config, generation, facts })
}

fn frame(seq: u64) -> Vec<u8> {
    let tick_ms = i64::try_from(seq).unwrap() * 60_000;
    Frame { schema: wire::SCHEMA, boot_id: 1, config_hash: vec![0; 32], tick_ms, clock_synced: true, ..Frame::default() }.encode_to_vec()
}

impl Bench {
    fn append(&self, count: u64) {
        let mut spool = self.spool.lock();
        for _ in 0..count {
            let seq = spool.counters().committed + spool.counters().waiting + 1;
            spool.append(&frame(seq)).unwrap();
        }
        self.committed.send_replace(spool.commit().unwrap());
    }

    async fn delivered(&self, count: u64) {
        let all = async {
            while self.status.snapshot().acknowledged_seq < count {
                sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(15), all).await;
        assert!(waited.is_ok(), "{:?}\n{:?}", self.status.snapshot(), self.world.ack(SpoolId::from_bytes([7; 16])));
        let state = self.world.state();
        for (seq, stored) in (1..=count).zip(state.stored.values()) {
            assert_eq!(stored, &frame(seq));
        }
    }

    async fn end(self) -> (u64, u64) {
        self.stop.cancel();
        self.task.await.unwrap();
        let state = self.world.state();
        (state.received, state.duplicates)
    }
}

#[tokio::test]
async fn frames_arrive_once_when_nothing_goes_wrong() {
    let world = World::default();
    // However busy the machine is, the collector is not silent for so long.
    let bench = bench_within(&world, Duration::from_secs(20));
    for _ in 0..20 {
        bench.append(100);
        sleep(Duration::from_millis(3)).await;
    }
    bench.delivered(2_000).await;
    assert_eq!(bench.status.snapshot().frames_resent, 0);
    assert_eq!(bench.end().await, (2_000, 0));
}

#[tokio::test]
async fn frames_that_the_broker_loses_are_sent_again_and_few_others() {
    let world = World::default();
    world.state().loses_each = Some(97);
    let bench = bench(&world);
    bench.append(3_000);
    bench.delivered(3_000).await;
    let (received, duplicates) = bench.end().await;
    assert!(received < 4_000 && duplicates < 900, "{received} received, {duplicates} twice");
}

#[tokio::test]
async fn a_collector_that_is_gone_for_a_while_costs_a_handful_of_frames_twice() {
    let world = World::default();
    let bench = bench(&world);
    bench.append(500);
    bench.delivered(500).await;
    world.state().deaf = true;
    bench.append(1_000);
    sleep(ACK_TIMEOUT * 12).await;
    world.state().deaf = false;
    bench.delivered(1_500).await;
    let (received, duplicates) = bench.end().await;
    assert!(received < 3_000 && duplicates < 100, "{received} received, {duplicates} twice");
}

#[tokio::test]
async fn a_broker_that_comes_and_goes_loses_nothing() {
    let world = World::default();
    let bench = bench(&world);
    for round in 1..=4 {
        world.state().breaks_after = Some(130);
        bench.append(300);
        bench.delivered(round * 300).await;
    }
    assert!(world.state().connections > 3);
    bench.end().await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_once_it_matters_and_polling_goes_on() {
    let world = World::default();
    world.state().refuses_connections = true;
    let bench = bench(&world);
    bench.append(10);
    while bench.status.snapshot().uplink_fault.is_none() {
        sleep(Duration::from_millis(2)).await;
    }
    assert!(!bench.status.snapshot().connected);
    world.state().refuses_connections = false;
    bench.delivered(10).await;
    assert!(bench.status.snapshot().connected);
    bench.end().await;
}

#[tokio::test]
async fn a_frame_that_is_gone_is_told_and_the_rest_follows() {
    let world = World::default();
    let bench = bench(&world);
    // The disk lost 5 numbers: the sequence goes on behind them.
    bench.append(3);
    bench.spool.lock().skip_for_test(5);
    {
        let mut spool = bench.spool.lock();
        spool.append(&frame(9)).unwrap();
        bench.committed.send_replace(spool.commit().unwrap());
    }
    while bench.status.snapshot().acknowledged_seq < 9 {
        sleep(Duration::from_millis(2)).await;
    }
    let stored = world.state().stored.clone();
    assert_eq!(stored.len(), 9);
    let lost = Frame::decode(&stored[&6][..]).unwrap();
    assert!(lost.devices.is_empty() && lost.validate().is_ok());
    assert_eq!(stored[&9], frame(9));
    bench.end().await;
}

#[tokio::test]
async fn a_broker_that_refuses_is_asked_now_and_then_and_told_of() {
    let world = World::default();
    world.state().refuses = Some("0x87, not authorised");
    let bench = bench(&world);
    bench.append(500);
    sleep(Duration::from_millis(2_500)).await;
    let told = bench.status.snapshot();
    assert!(told.connected && told.uplink_fault.as_ref().is_some_and(|fault| fault.contains("0x87")), "{told:?}");
    assert_eq!(told.acknowledged_seq, 0);
    // What was under way at first, and a single one each time after.
    let offered = world.state().offered;
    assert!((33..40).contains(&offered), "{offered}");
    let alarm = |(channel, text): &(Channel, String)| *channel == Channel::Event && text.contains("publish_refused");
    assert_eq!(world.state().said.iter().filter(|said| alarm(said)).count(), 1);
    world.state().refuses = None;
    bench.delivered(500).await;
    assert_eq!(bench.status.snapshot().uplink_fault, None);
    bench.end().await;
}

#[tokio::test]
async fn a_broker_without_a_collector_gets_no_backlog_and_nothing_is_given_up() {
    let world = World::default();
    world.state().nobody_listens = true;
    let bench = bench(&world);
    bench.append(5_000);
    sleep(ACK_TIMEOUT * 10).await;
    let offered = world.state().offered;
    assert!(offered < 200, "{offered}");
    assert!(bench.status.snapshot().uplink_fault.unwrap().contains("nobody who listens"));
    world.state().nobody_listens = false;
    bench.delivered(5_000).await;
    assert_eq!(bench.status.snapshot().uplink_fault, None);
    bench.end().await;
}

#[tokio::test]
async fn what_is_live_overtakes_a_long_backlog() {
    let world = World::default();
    let bench = bench(&world);
    world.state().deaf = true;
    bench.append(20_000);
    sleep(ACK_TIMEOUT * 4).await;
    world.state().deaf = false;
    while world.state().stored.len() < 3_000 {
        sleep(Duration::from_millis(1)).await;
    }
    bench.append(10);
    bench.delivered(20_010).await;
    let order = world.state().order.clone();
    let at = |seq: u64| order.iter().position(|sent| *sent == seq).unwrap();
    assert!(at(20_010) < at(15_000), "live frames came as number {} of {}", at(20_010), order.len());
    let (received, duplicates) = bench.end().await;
    assert!(duplicates < 2_000, "{duplicates} of {received} came twice");
}

#[tokio::test]
async fn another_broker_in_the_configuration_is_gone_to_and_a_longer_patience_is_not() {
    let world = World::default();
    let bench = bench(&world);
    bench.append(10);
    bench.delivered(10).await;
    let mut other = config();
    other.broker.ack_timeout = ACK_TIMEOUT * 2;
    bench.configs.send_replace(active(2, other.clone()));
    bench.append(10);
    bench.delivered(20).await;
    assert_eq!(world.state().connections, 1);
    other.broker.host = "elsewhere".to_owned();
    bench.configs.send_replace(active(3, other));
    bench.append(10);
    bench.delivered(30).await;
    assert_eq!(world.state().connections, 2);
    let states: Vec<String> =
        world.state().said.iter().filter(|(channel, _)| *channel == Channel::State).map(|(_, text)| text.clone()).collect();
    assert!(states.iter().any(|state| state.contains("\"online\":false")), "{states:?}");
    bench.end().await;
}

#[tokio::test]
async fn frames_that_somebody_wants_again_are_sent_again() {
    let world = World::default();
    let bench = bench(&world);
    bench.append(50);
    bench.delivered(50).await;
    assert!(bench.status.outbox().replay(SeqRange { first: 5, last: 9 }));
    while world.state().duplicates < 5 {
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(world.state().order[50..], [5, 6, 7, 8, 9]);
    bench.end().await;
}
