//! The task that makes frames durable: as many as wait, with one `fdatasync`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::Clock;
use tokio::{
    sync::{mpsc, watch},
    task,
    time::{Instant, timeout, timeout_at},
};
use wire::SeqRange;

use super::{Spool, SpoolCounters, SpoolError, SpoolEvent, SpoolOptions};
use crate::{config::SpoolConfig, poll::Encoded, remote::Active, status::Status};

/// Most frames made durable at once.
const GROUP_FRAMES_MAX: usize = 1024;
/// Bytes of frames from which on they are made durable without waiting for more.
const GROUP_BYTES_MAX: usize = 64 << 10;
/// How soon a refused write is tried again when no frame comes.
const RETRY: Duration = Duration::from_secs(1);

/// A spool that the writer and the uplink share. Its disk work never runs on an async thread.
#[derive(Clone, Debug)]
pub(crate) struct SharedSpool(Arc<Mutex<Spool>>);

impl SharedSpool {
    pub(crate) fn new(spool: Spool) -> Self {
        Self(Arc::new(Mutex::new(spool)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Spool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the spool where blocking is allowed.
    pub(crate) async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Spool) -> T + Send + 'static) -> T {
        let shared = self.clone();
        match task::spawn_blocking(move || work(&mut shared.lock())).await {
            Ok(done) => done,
            Err(err) => std::panic::resume_unwind(err.into_panic()),
        }
    }
}

/// What a group of frames came to.
struct Outcome {
    /// Numbers, points and bytes.
    appended: Vec<(u64, u64, usize)>,
    refused: Option<SpoolError>,
    refused_frames: u64,
    commit: Result<u64, SpoolError>,
    counters: SpoolCounters,
    events: Vec<SpoolEvent>,
    requests: Vec<SeqRange>,
}

/// Writes frames until their sender is gone. `committed` tells the uplink how far it may read.
///
/// A disk that refuses costs nothing at first: frames wait in memory and every group tries again. It is told once when
/// it begins and once when it ends. Another configuration is followed within a second.
pub(crate) async fn write(
    spool: SharedSpool,
    mut frames: mpsc::Receiver<Encoded>,
    mut configs: watch::Receiver<Arc<Active>>,
    status: Arc<Status>,
    clock: Arc<dyn Clock>,
    committed: watch::Sender<u64>,
) {
    let mut settings = configs.borrow_and_update().config.spool;
    let mut open = true;
    while open {
        if configs.has_changed().unwrap_or(false) {
            let active = Arc::clone(&configs.borrow_and_update());
            settings = follow(&spool, settings, &active).await;
        }
        let commit_interval = settings.commit_interval;
        let mut group = Vec::new();
        match timeout(RETRY, frames.recv()).await {
            Ok(Some(frame)) => group.push(frame),
            Ok(None) => open = false,
            Err(_elapsed) if status.snapshot().spool_fault.is_none() => {
                send_again(&status, spool.with(Spool::take_requests).await);
                continue;
            }
            Err(_elapsed) => {}
        }
        if open && !group.is_empty() {
            open = gather(&mut frames, &mut group, commit_interval).await;
        }
        let mut outcome = spool.with(move |spool| commit(spool, group)).await;
        status.spool_happened(&std::mem::take(&mut outcome.events), clock.now());
        send_again(&status, std::mem::take(&mut outcome.requests));
        report(&status, outcome, &committed);
    }
    let lost = spool.lock().counters().waiting;
    if lost > 0 {
        tracing::error!(frames = lost, "stopped while the disk refused these frames: they are gone");
    }
}

/// Follows another configuration. Gives the settings that hold now.
///
/// A smaller allowance may cost frames, so one that is on trial waits until it has proven itself: what is gone could not
/// be brought back.
async fn follow(spool: &SharedSpool, before: SpoolConfig, active: &Active) -> SpoolConfig {
    let wanted = active.config.spool;
    if wanted.bytes_max == before.bytes_max {
        return wanted;
    }
    let (data_dir, trial) = (active.config.data_dir.clone(), active.facts.trial);
    let followed = spool.with(move |spool| {
        let bytes_max = SpoolOptions::on_disk(&data_dir, wanted.bytes_max).bytes_max;
        if trial && bytes_max < spool.counters().bytes_max { None } else { Some(spool.allow(bytes_max)) }
    });
    match followed.await {
        None => return SpoolConfig { bytes_max: before.bytes_max, ..wanted },
        Some(Ok(())) => {}
        Some(Err(err)) => tracing::warn!(error = daemon::chain(&err), "the spool could not be made smaller; the next segment tries again"),
    }
    wanted
}

/// Adds what else waits, or comes within the interval. Says whether more may come.
async fn gather(frames: &mut mpsc::Receiver<Encoded>, group: &mut Vec<Encoded>, commit_interval: Duration) -> bool {
    let due = Instant::now() + commit_interval;
    let mut bytes = group.iter().map(|frame| frame.bytes.len()).sum::<usize>();
    while group.len() < GROUP_FRAMES_MAX && bytes < GROUP_BYTES_MAX {
        let known = group.len();
        match frames.try_recv() {
            Ok(frame) => group.push(frame),
            Err(mpsc::error::TryRecvError::Disconnected) => return false,
            Err(mpsc::error::TryRecvError::Empty) if commit_interval.is_zero() => break,
            Err(mpsc::error::TryRecvError::Empty) => match timeout_at(due, frames.recv()).await {
                Ok(Some(frame)) => group.push(frame),
                Ok(None) => return false,
                Err(_elapsed) => break,
            },
        }
        bytes += group.iter().skip(known).map(|frame| frame.bytes.len()).sum::<usize>();
    }
    true
}

fn commit(spool: &mut Spool, group: Vec<Encoded>) -> Outcome {
    let mut outcome = Outcome {
        appended: Vec::new(),
        refused: None,
        refused_frames: 0,
        commit: Ok(0),
        counters: SpoolCounters::default(),
        events: Vec::new(),
        requests: Vec::new(),
    };
    for frame in group {
        match spool.append(&frame.bytes) {
            Ok(seq) => outcome.appended.push((seq, frame.points, frame.bytes.len())),
            Err(err) => {
                outcome.refused_frames += 1;
                outcome.refused.get_or_insert(err);
            }
        }
    }
    outcome.commit = spool.commit();
    outcome.counters = spool.counters();
    outcome.events = spool.take_events();
    outcome.requests = spool.take_requests();
    outcome
}

/// Hands on what somebody at the gateway wants to be sent again.
fn send_again(status: &Status, requests: Vec<SeqRange>) {
    for range in requests {
        if status.outbox().replay(range) {
            tracing::info!(first = range.first, last = range.last, "frames are sent again, as was asked here");
        } else {
            tracing::warn!(first = range.first, last = range.last, "too many ranges wait to be sent again; this one is left out");
        }
    }
}

fn report(status: &Status, outcome: Outcome, committed: &watch::Sender<u64>) {
    for &(seq, points, bytes) in &outcome.appended {
        status.appended(seq, points, bytes);
    }
    for _ in 0..outcome.refused_frames {
        status.refused();
    }
    let before = status.snapshot().last_seq;
    status.committed(outcome.counters.committed.saturating_sub(before), outcome.counters);
    let fault = outcome.refused.as_ref().or(outcome.commit.as_ref().err()).map(|err| daemon::chain(err));
    match (status.spool_fault(fault.clone()), fault) {
        (true, Some(error)) => {
            tracing::error!(
                error,
                "readings are not durable: free space on the disk, or give the spool another with gateway.data_dir; polling goes on"
            );
        }
        (true, None) => tracing::info!("readings are durable again"),
        (false, _) => {}
    }
    committed.send_replace(outcome.counters.deliverable);
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        path::Path,
        sync::atomic::{AtomicBool, Ordering},
    };

    use daemon::SystemClock;
    use ids::SpoolId;
    use tokio::time::sleep;

    use super::*;
    use crate::{config::Config, spool::disk::memory::MemoryDisk};

    /// A configuration with this in its table `[spool]`.
    fn active(spool: &str, trial: bool) -> Arc<Active> {
        let text = format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\n\
             [broker]\nurl = \"mqtt://memory\"\n[spool]\n{spool}\n\
             [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n\
             [[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\n"
        );
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap_or_else(|faults| panic!("{faults}"));
        let facts = wire::ConfigFacts { version: 0, hash: String::new(), trial, last: None };
        Arc::new(Active { config, generation: 1, facts })
    }

    fn open(disk: &MemoryDisk, bytes_max: u64) -> SharedSpool {
        let options = SpoolOptions::within(bytes_max);
        SharedSpool::new(Spool::open_on(Arc::new(disk.clone()), Path::new("spool"), options, || SpoolId::from_bytes([7; 16])).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn another_configuration_is_followed_and_one_on_trial_takes_nothing_away() {
        const MIB: u64 = 1 << 20;
        let spool = open(&MemoryDisk::default(), 8 * MIB);
        let (frames, taken) = mpsc::channel(4);
        let (configs, followed) = watch::channel(active("max = \"8MiB\"", false));
        let (committed, mut durable) = watch::channel(0);
        let writing = tokio::spawn(write(spool.clone(), taken, followed, Arc::new(Status::default()), Arc::new(SystemClock), committed));
        let mut allowed = Vec::new();
        sleep(RETRY).await;
        for (max, trial) in [("16MiB", true), ("4MiB", true), ("4MiB", false), ("12MiB", false)] {
            configs.send_replace(active(&format!("max = \"{max}\""), trial));
            sleep(2 * RETRY).await;
            allowed.push(spool.lock().counters().bytes_max / MIB);
        }
        assert_eq!(allowed, [16, 16, 4, 12]);
        // Frames are grouped for as long as it says now.
        configs.send_replace(active("commit_interval = \"20s\"", false));
        sleep(2 * RETRY).await;
        let before = Instant::now();
        frames.send(Encoded { bytes: vec![1; 300], points: 3 }).await.unwrap();
        durable.wait_for(|seq| *seq == 1).await.unwrap();
        assert_eq!(before.elapsed().as_secs(), 20);
        drop(frames);
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_everything_is_written_when_it_has_room_again() {
        let disk = MemoryDisk::default();
        let (at, options) = (Path::new("spool"), SpoolOptions::within(8 << 20));
        let spool = Spool::open_on(Arc::new(disk.clone()), at, options, || SpoolId::from_bytes([7; 16])).unwrap();
        let full = Arc::new(AtomicBool::new(true));
        let refuse = Arc::clone(&full);
        disk.before(move |_, _| if refuse.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) });
        let (frames, taken) = mpsc::channel(4);
        let (committed, mut durable) = watch::channel(0);
        let (_configs, followed) = watch::channel(active("", false));
        let status = Arc::new(Status::default());
        let writing = tokio::spawn(write(SharedSpool::new(spool), taken, followed, Arc::clone(&status), Arc::new(SystemClock), committed));
        // More than the channel holds: whoever polls is not held up by the disk.
        for _ in 0..40 {
            frames.send(Encoded { bytes: vec![1; 300], points: 3 }).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let told = status.snapshot();
        assert_eq!((told.frames_committed, *durable.borrow_and_update()), (0, 0));
        assert!(told.spool_fault.unwrap().contains("no storage space"));
        full.store(false, Ordering::SeqCst);
        // Nothing new comes; the waiting frames are tried again all the same.
        timeout(Duration::from_secs(5), durable.wait_for(|seq| *seq == 40)).await.expect("written").unwrap();
        let told = status.snapshot();
        assert_eq!((told.frames_committed, told.last_seq, told.spool_fault), (40, 40, None));
        drop(frames);
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn what_happens_to_the_spool_is_said_and_what_is_asked_for_is_passed_on() {
        let disk = MemoryDisk::default();
        let (at, options) = (Path::new("spool"), SpoolOptions { bytes_max: 4 << 12, segment_bytes: 1 << 12 });
        let spool = Spool::open_on(Arc::new(disk.clone()), at, options, || SpoolId::from_bytes([7; 16])).unwrap();
        let spool = SharedSpool::new(spool);
        let (frames, taken) = mpsc::channel(4);
        let (committed, _durable) = watch::channel(0);
        let (_configs, followed) = watch::channel(active("", false));
        let status = Arc::new(Status::default());
        let clock = Arc::new(SystemClock);
        let writing = tokio::spawn(write(spool.clone(), taken, followed, Arc::clone(&status), clock, committed));
        for number in 0..40_u8 {
            frames.send(Encoded { bytes: (0..200).map(|at| at ^ number).collect(), points: 3 }).await.unwrap();
        }
        spool.with(|spool| spool.acknowledge(10)).await.unwrap();
        disk.harm(&at.join("replay/1.json"), Some(br#"{"schema":"negawatt.replay/1","first":3,"last":30}"#.to_vec()));
        drop(frames);
        writing.await.unwrap();
        let (_, channel, event) = status.outbox().next(Instant::now()).expect("an event waits");
        let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
        assert_eq!((channel, event["kind"].as_str()), (wire::Channel::Event, Some("spool_filled")), "{event}");
        assert!(status.snapshot().spool_alarm >= 50);
    }

    #[tokio::test]
    async fn a_request_that_is_left_here_is_handed_to_the_uplink() {
        let disk = MemoryDisk::default();
        let at = Path::new("spool");
        let mut spool = Spool::open_on(Arc::new(disk.clone()), at, SpoolOptions::within(8 << 20), || SpoolId::from_bytes([7; 16])).unwrap();
        for number in 0..20_u8 {
            spool.append(&[number; 100]).unwrap();
        }
        spool.commit().unwrap();
        spool.acknowledge(10).unwrap();
        disk.harm(&at.join("replay/1.json"), Some(br#"{"schema":"negawatt.replay/1","first":3,"last":30}"#.to_vec()));
        let (frames, taken) = mpsc::channel(4);
        let (committed, _durable) = watch::channel(0);
        let (_configs, followed) = watch::channel(active("", false));
        let status = Arc::new(Status::default());
        let writing = tokio::spawn(write(SharedSpool::new(spool), taken, followed, Arc::clone(&status), Arc::new(SystemClock), committed));
        frames.send(Encoded { bytes: vec![1; 300], points: 3 }).await.unwrap();
        drop(frames);
        writing.await.unwrap();
        assert_eq!(status.outbox().next_replay(), Some(SeqRange { first: 3, last: 10 }));
        assert_eq!(status.outbox().next_replay(), None);
    }
}
