//! The task that makes frames durable: as many as wait, with one `fdatasync`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task,
    time::{Instant, timeout, timeout_at},
};

use super::{Spool, SpoolCounters, SpoolError};
use crate::{poll::Encoded, status::Status};

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
    appended: Vec<(u64, u64)>,
    refused: Option<SpoolError>,
    refused_frames: u64,
    commit: Result<u64, SpoolError>,
    counters: SpoolCounters,
}

/// Writes frames until their sender is gone. `committed` tells the uplink how far it may read.
///
/// A disk that refuses costs nothing at first: frames wait in memory and every group tries again. It is told once when
/// it begins and once when it ends.
pub(crate) async fn write(
    spool: SharedSpool,
    mut frames: mpsc::Receiver<Encoded>,
    commit_interval: Duration,
    status: Arc<Status>,
    committed: watch::Sender<u64>,
) {
    let mut open = true;
    while open {
        let mut group = Vec::new();
        match timeout(RETRY, frames.recv()).await {
            Ok(Some(frame)) => group.push(frame),
            Ok(None) => open = false,
            Err(_elapsed) if status.snapshot().spool_fault.is_none() => continue,
            Err(_elapsed) => {}
        }
        if open && !group.is_empty() {
            open = gather(&mut frames, &mut group, commit_interval).await;
        }
        let outcome = spool.with(move |spool| commit(spool, group)).await;
        report(&status, outcome, &committed);
    }
    let lost = spool.lock().counters().waiting;
    if lost > 0 {
        tracing::error!(frames = lost, "stopped while the disk refused these frames: they are gone");
    }
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
    let mut outcome = Outcome { appended: Vec::new(), refused: None, refused_frames: 0, commit: Ok(0), counters: SpoolCounters::default() };
    for frame in group {
        match spool.append(&frame.bytes) {
            Ok(seq) => outcome.appended.push((seq, frame.points)),
            Err(err) => {
                outcome.refused_frames += 1;
                outcome.refused.get_or_insert(err);
            }
        }
    }
    outcome.commit = spool.commit();
    outcome.counters = spool.counters();
    outcome
}

fn report(status: &Status, outcome: Outcome, committed: &watch::Sender<u64>) {
    for &(seq, points) in &outcome.appended {
        status.appended(seq, points);
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

    use ids::SpoolId;
    use tokio::time::sleep;

    use super::*;
    use crate::spool::{SpoolOptions, disk::memory::MemoryDisk};

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
        let status = Arc::new(Status::default());
        let writing = tokio::spawn(write(SharedSpool::new(spool), taken, Duration::ZERO, Arc::clone(&status), committed));
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
}
