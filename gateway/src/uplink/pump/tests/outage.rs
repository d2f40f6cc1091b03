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

/// What arrived, by number and time.
#[derive(Clone, Debug, Default)]
struct Shore(Arc<Mutex<Arrived>>);

#[derive(Debug, Default)]
struct Arrived {
    seen: BTreeSet<u64>,
    contiguous: u64,
    bytes: u64,
    live: BTreeMap<u64, Instant>,
    live_from: u64,
}

impl Arrived {
    fn take(&mut self, seq: u64, bytes: usize) {
        self.bytes += bytes as u64;
        if seq >= self.live_from {
            self.live.entry(seq).or_insert_with(Instant::now);
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
    told: mpsc::Sender<LinkEvent>,
    taken: mpsc::Receiver<LinkEvent>,
    in_flight: usize,
    ack_due: Instant,
}

impl Uplink for Shore {
    type Link = Boat;

    async fn connect(&mut self, _config: &Config, _will: String) -> Result<Boat, LinkError> {
        let (told, taken) = mpsc::channel(128);
        Ok(Boat { shore: self.clone(), told, taken, in_flight: 0, ack_due: Instant::now() + ACK_EACH })
    }
}

impl Link for Boat {
    fn has_room(&self, _what: Sent) -> bool {
        self.in_flight < 64
    }

    fn send(&mut self, what: Sent, _channel: &Channel, payload: Vec<u8>) -> Result<(), LinkError> {
        if what == Sent::Frame {
            let envelope = Envelope::decode(&payload[..]).unwrap();
            assert_eq!(envelope.frame, fleet::frame(envelope.seq, DEVICES), "frame {}", envelope.seq);
            self.shore.0.lock().unwrap().take(envelope.seq, payload.len());
        }
        self.in_flight += 1;
        self.told.try_send(LinkEvent::Taken { what, heard: true }).unwrap();
        Ok(())
    }

    async fn event(&mut self) -> Result<LinkEvent, LinkError> {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.ack_due) => {
                self.ack_due = Instant::now() + ACK_EACH;
                Ok(LinkEvent::Ack(self.shore.0.lock().unwrap().ack()))
            }
            Some(event) = self.taken.recv() => {
                self.in_flight -= 1;
                Ok(event)
            }
        }
    }

    async fn close(self, _state: String) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_the_backlog_drains_and_live_frames_do_not_wait() {
    let minutes = asked("NEGAWATT_OUTAGE_MINUTES").map_or(MINUTES, |minutes| minutes.parse().expect("a number of minutes"));
    let folder = tempdir().unwrap();
    let spool = Spool::open(folder.path(), SpoolOptions::within(1 << 30), || SpoolId::from_bytes([7; 16])).unwrap();
    let spool = SharedSpool::new(spool);
    let began = Instant::now();
    let mut frame_bytes = 0;
    for seq in 1..=minutes {
        let frame = fleet::frame(seq, DEVICES);
        frame_bytes += frame.len() as u64;
        let mut spool = spool.lock();
        spool.append(&frame).unwrap();
        spool.commit().unwrap();
    }
    let filled = began.elapsed();
    let full = spool.lock().counters();
    assert_eq!((full.committed, full.dropped, full.points_left_out), (minutes, 0, 0));
    let month_bytes = full.bytes as f64 / minutes as f64 * MINUTES_OF_A_MONTH;
    assert!(month_bytes < (1_u64 << 30) as f64, "a month takes {:.0} MiB", month_bytes / 1_048_576.0);

    let shore = Shore::default();
    shore.0.lock().unwrap().live_from = minutes + 1;
    let status = Arc::new(Status::default());
    let (committed, delivered) = watch::channel(minutes);
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
    let started = Instant::now();
    let task = tokio::spawn(pump(shore.clone(), delivery, followed, delivered, stop.clone()));
    let mut read_at = BTreeMap::new();
    let mut live = minutes;
    while shore.0.lock().unwrap().contiguous < minutes {
        live += 1;
        let frame = fleet::frame(live, DEVICES);
        let last = spool
            .with(move |spool| {
                spool.append(&frame).unwrap();
                spool.commit().unwrap()
            })
            .await;
        read_at.insert(last, Instant::now());
        committed.send_replace(last);
        sleep(LIVE_EACH).await;
        assert!(started.elapsed().as_secs_f64() < DRAIN_SECONDS_MAX, "{:?}", status.snapshot());
    }
    let drained = started.elapsed();
    // What was read last may be under way.
    sleep(LIVE_DELAY_MAX).await;
    stop.cancel();
    task.await.unwrap();
    let arrived = shore.0.lock().unwrap();
    let delays: Vec<Duration> = read_at.iter().map(|(seq, read)| arrived.live[seq].saturating_duration_since(*read)).collect();
    let longest = delays.iter().max().copied().unwrap();
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
        "live_delay_max_ms": longest.as_millis() as u64,
        "frames_sent_twice": status.snapshot().frames_resent,
    }));
}
