//! The way back after an outage: everything is delivered, and what is read meanwhile does not wait.
//!
//! The stand-in for broker and collector takes everything and acknowledges once a second, as a collector does. An ordinary
//! run has hours of a hundred meters; `NEGAWATT_OUTAGE_MINUTES=43200` asks for the month.

use super::*;
use crate::spool::tests::{asked, fleet, report};

const DEVICES: u64 = 100;
const MINUTES: u64 = 8 * 60;
const MINUTES_OF_A_MONTH: f64 = 43_200.0;
const DRAIN_SECONDS_MAX: f64 = 600.0;
/// How often a frame is read meanwhile: far more often than each minute, to see many.
const LIVE_EACH: Duration = Duration::from_millis(150);
const LIVE_DELAY_MAX: Duration = Duration::from_secs(1);
const ACK_EACH: Duration = Duration::from_secs(1);

/// A broker that always takes, and a collector that says how far it is at regular intervals.
#[derive(Clone, Debug)]
struct Shore {
    arrived: Arc<Mutex<Arrived>>,
    devices: u64,
    ack_each: Duration,
    /// How fast the way there is, unless nothing is to be waited for.
    bytes_per_second: Option<f64>,
}

/// What arrived, and of the frames that were read meanwhile when, and after how many others.
#[derive(Debug, Default)]
struct Arrived {
    seen: BTreeSet<u64>,
    contiguous: u64,
    frames: u64,
    live: BTreeMap<u64, (Instant, u64)>,
    live_from: u64,
}

impl Shore {
    fn new(devices: u64, backlog: u64, ack_each: Duration) -> Self {
        let arrived = Arrived { live_from: backlog + 1, ..Arrived::default() };
        Self { arrived: Arc::new(Mutex::new(arrived)), devices, ack_each, bytes_per_second: None }
    }

    fn arrived(&self) -> std::sync::MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap()
    }
}

impl Arrived {
    fn take(&mut self, seq: u64) {
        self.frames += 1;
        if seq >= self.live_from {
            self.live.entry(seq).or_insert((Instant::now(), self.frames));
        }
        if seq > self.contiguous {
            self.seen.insert(seq);
        }
        while self.seen.remove(&(self.contiguous + 1)) {
            self.contiguous += 1;
        }
    }

    fn ack(&self) -> Ack {
        let mut holes: Vec<SeqRange> = Vec::new();
        let mut next = self.contiguous + 1;
        for &seq in &self.seen {
            if seq > next {
                holes.push(SeqRange { first: next, last: seq - 1 });
            }
            next = seq + 1;
        }
        Ack { schema: wire::SCHEMA, spool_id: vec![7; 16], contiguous_seq: self.contiguous, holes }
    }
}

struct Boat {
    shore: Shore,
    /// What crosses, a frame by its number, and when it is there.
    crossing: VecDeque<(Instant, Sent, Option<u64>)>,
    ack_due: Instant,
}

impl Uplink for Shore {
    type Link = Boat;

    async fn connect(&mut self, _config: &Config, _will: String) -> Result<Boat, LinkError> {
        Ok(Boat { shore: self.clone(), crossing: VecDeque::new(), ack_due: Instant::now() + self.ack_each })
    }
}

impl Link for Boat {
    fn has_room(&self, _what: Sent) -> bool {
        self.crossing.len() < 64
    }

    fn send(&mut self, what: Sent, _channel: &Channel, payload: Vec<u8>) -> Result<(), LinkError> {
        let seq = (what == Sent::Frame).then(|| {
            let envelope = Envelope::decode(&payload[..]).unwrap();
            assert_eq!(envelope.frame, fleet::frame(envelope.seq, self.shore.devices), "frame {}", envelope.seq);
            envelope.seq
        });
        let free = self.crossing.back().map_or_else(Instant::now, |(there, ..)| (*there).max(Instant::now()));
        let takes = self.shore.bytes_per_second.map_or(0.0, |rate| payload.len() as f64 / rate);
        self.crossing.push_back((free + Duration::from_secs_f64(takes), what, seq));
        Ok(())
    }

    async fn event(&mut self) -> Result<LinkEvent, LinkError> {
        loop {
            let now = Instant::now();
            if now >= self.ack_due {
                self.ack_due = now + self.shore.ack_each;
                return Ok(LinkEvent::Ack(self.shore.arrived().ack()));
            }
            let there = self.crossing.front().map(|(there, ..)| *there);
            if there.is_some_and(|there| there <= now) {
                let (_, what, seq) = self.crossing.pop_front().unwrap();
                if let Some(seq) = seq {
                    self.shore.arrived().take(seq);
                }
                return Ok(LinkEvent::Taken { what, heard: true });
            }
            tokio::time::sleep_until(there.map_or(self.ack_due, |there| there.min(self.ack_due))).await;
        }
    }

    async fn close(self, _state: String) {}
}

/// What a pump works with that delivers a spool to a shore.
struct Crossing {
    spool: SharedSpool,
    status: Arc<Status>,
    committed: watch::Sender<u64>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _configs: watch::Sender<Arc<Active>>,
    _orders: mpsc::Receiver<Received>,
}

impl Crossing {
    fn begin(shore: &Shore, spool: Spool) -> Self {
        let (spool, status) = (SharedSpool::new(spool), Arc::new(Status::default()));
        let (committed, delivered) = watch::channel(spool.lock().counters().deliverable);
        let stop = CancellationToken::new();
        let (commands, _orders) = mpsc::channel(4);
        let clock = Arc::new(DrivenClock::new(jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::UNIX_EPOCH));
        let delivery = Pump {
            identity: Identity { spool_id: SpoolId::from_bytes([7; 16]), boot_id: 1 },
            spool: spool.clone(),
            clock,
            status: Arc::clone(&status),
            outbox: status.outbox().clone(),
            commands,
        };
        let mut config = config();
        config.broker.ack_timeout = Duration::from_secs(5);
        config.broker.window_bytes = 16 << 20;
        let (_configs, followed) = watch::channel(active(1, config));
        let task = tokio::spawn(pump(shore.clone(), delivery, followed, delivered, stop.clone()));
        Self { spool, status, committed, stop, task, _configs, _orders }
    }

    /// A frame is read and made durable. Gives its number, and when that was.
    async fn live(&self, frame: Vec<u8>) -> (u64, Instant) {
        let append = move |spool: &mut Spool| {
            spool.append(&frame).unwrap();
            spool.commit().unwrap()
        };
        let seq = self.spool.with(append).await;
        let durable = Instant::now();
        self.committed.send_replace(seq);
        (seq, durable)
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn filled(folder: &std::path::Path, frames: u64, devices: u64) -> (Spool, u64) {
    let mut spool = Spool::open(folder, SpoolOptions::within(1 << 30), || SpoolId::from_bytes([7; 16])).unwrap();
    let mut bytes = 0;
    for seq in 1..=frames {
        let frame = fleet::frame(seq, devices);
        bytes += frame.len() as u64;
        spool.append(&frame).unwrap();
        spool.commit().unwrap();
    }
    (spool, bytes)
}

/// A broker that is never busy and a collector that never falls behind: there is always a next frame of the backlog.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_that_never_pauses_does_not_hold_up_what_is_read_meanwhile() {
    const BACKLOG: u64 = 6_000;
    let folder = tempdir().unwrap();
    let shore = Shore::new(1, BACKLOG, Duration::from_millis(1));
    let crossing = Crossing::begin(&shore, filled(folder.path(), BACKLOG, 1).0);
    let mut overtaken = Vec::new();
    // What is read before the first connection is backlog, too.
    while shore.arrived().frames == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    while shore.arrived().contiguous < BACKLOG {
        let (live, _) = crossing.live(fleet::frame(BACKLOG + 1 + overtaken.len() as u64, 1)).await;
        overtaken.push((live, shore.arrived().frames));
        sleep(Duration::from_millis(20)).await;
    }
    while shore.arrived().contiguous < overtaken.last().unwrap().0 {
        sleep(Duration::from_millis(2)).await;
    }
    crossing.end().await;
    let arrived = shore.arrived();
    let waited: Vec<u64> = overtaken.iter().map(|(seq, before)| arrived.live[seq].1.saturating_sub(*before)).collect();
    assert!(waited.iter().all(|frames| *frames < 500), "so many frames went first: {waited:?}");
}

/// A mobile connection: a frame of a hundred meters takes a good part of a second, and a backlog of hours many minutes.
#[tokio::test(start_paused = true)]
async fn on_a_slow_way_what_is_read_now_does_not_queue_behind_the_backlog() {
    const BACKLOG: u64 = 400;
    let folder = tempdir().unwrap();
    let (spool, bytes) = filled(folder.path(), BACKLOG, DEVICES);
    let rate = bytes as f64 / BACKLOG as f64 * 8.0;
    let shore = Shore { bytes_per_second: Some(rate), ..Shore::new(DEVICES, BACKLOG, ACK_EACH) };
    let (began, crossing) = (Instant::now(), Crossing::begin(&shore, spool));
    let mut read_at = BTreeMap::new();
    while shore.arrived().contiguous < BACKLOG {
        let (seq, durable) = crossing.live(fleet::frame(BACKLOG + 1 + read_at.len() as u64, DEVICES)).await;
        read_at.insert(seq, durable);
        sleep(Duration::from_secs(3)).await;
    }
    let drained = began.elapsed();
    sleep(LIVE_DELAY_MAX).await;
    crossing.end().await;
    let arrived = shore.arrived();
    let delays: Vec<Duration> = read_at.iter().map(|(seq, read)| arrived.live[seq].0.saturating_duration_since(*read)).collect();
    assert!(delays.iter().all(|delay| *delay < LIVE_DELAY_MAX), "{delays:?}");
    // And the way is used: eight frames a second are what it can.
    let frames = (BACKLOG + delays.len() as u64) as f64;
    assert!(drained.as_secs_f64() < frames / 8.0 * 1.2, "{frames} frames took {drained:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_the_backlog_drains_and_live_frames_do_not_wait() {
    let minutes = asked("NEGAWATT_OUTAGE_MINUTES").map_or(MINUTES, |minutes| minutes.parse().expect("a number of minutes"));
    let folder = tempdir().unwrap();
    let began = Instant::now();
    let (spool, frame_bytes) = filled(folder.path(), minutes, DEVICES);
    let filled = began.elapsed();
    let full = spool.counters();
    assert_eq!((full.committed, full.dropped, full.points_left_out), (minutes, 0, 0));
    let month_bytes = full.bytes as f64 / minutes as f64 * MINUTES_OF_A_MONTH;
    assert!(month_bytes < (1_u64 << 30) as f64, "a month takes {:.0} MiB", month_bytes / 1_048_576.0);

    let shore = Shore::new(DEVICES, minutes, ACK_EACH);
    let started = Instant::now();
    let crossing = Crossing::begin(&shore, spool);
    let mut read_at = BTreeMap::new();
    while shore.arrived().contiguous < minutes {
        let (seq, durable) = crossing.live(fleet::frame(minutes + 1 + read_at.len() as u64, DEVICES)).await;
        read_at.insert(seq, durable);
        sleep(LIVE_EACH).await;
        assert!(started.elapsed().as_secs_f64() < DRAIN_SECONDS_MAX, "{:?}", crossing.status.snapshot());
    }
    let drained = started.elapsed();
    // What was read last may be under way.
    sleep(LIVE_DELAY_MAX).await;
    let status = Arc::clone(&crossing.status);
    crossing.end().await;
    let arrived = shore.arrived();
    let mut delays: Vec<Duration> = read_at.iter().map(|(seq, read)| arrived.live[seq].0.saturating_duration_since(*read)).collect();
    delays.sort_unstable();
    let longest = *delays.last().unwrap();
    let month_seconds = drained.as_secs_f64() / minutes as f64 * MINUTES_OF_A_MONTH;
    assert!(longest < LIVE_DELAY_MAX, "{longest:?}");
    assert!(month_seconds < DRAIN_SECONDS_MAX, "{minutes} frames in {drained:?}");
    report(&serde_json::json!({
        "schema": "negawatt.bench.outage/1",
        "devices": DEVICES,
        "points_each_minute": fleet::points(DEVICES),
        "minutes": minutes,
        "frame_bytes": frame_bytes / minutes,
        "spool_bytes": full.bytes,
        "frames_dropped": full.dropped,
        "points_left_out": full.points_left_out,
        "fill_seconds": filled.as_secs_f64(),
        "drain_seconds": drained.as_secs_f64(),
        "live_frames": delays.len(),
        "live_delay_p50_ms": millis(delays[delays.len() / 2]),
        "live_delay_max_ms": millis(longest),
        "frames_sent_twice": status.snapshot().frames_resent,
    }));
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}
