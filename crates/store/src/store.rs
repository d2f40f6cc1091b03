//! The one process that writes.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use crate::amend::{AmendError, Amendment, Seal};
use crate::archive::{Archive, FlushError, apply};
use crate::audit::AuditEntry;
use crate::compact::Eagerness;
use crate::fault::{self, Step};
use crate::intake::{CommitError, bytes_max, fitting, letter_bytes_max};
use crate::manifest::ManifestError;
use crate::row::{Batch, Committed, Counters, DeadLetter, Origin};
use crate::seq::AckState;
use crate::wal::{Reading, RecordWriter, Wal, WalError, replay};

/// How a store is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Readings in memory before they are written to segments: about 50 bytes each.
    pub flush_rows: usize,
    /// Preallocated bytes of a log file.
    pub wal_file_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { flush_rows: 250_000, wal_file_bytes: 16 << 20 }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not {what} {}", path.display())]
    Folder {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("the store in {} is in use by another process", dir.display())]
    InUse { dir: PathBuf },
    #[error("there is no store in {}", dir.display())]
    Absent { dir: PathBuf },
    #[error("the manifest of {} contradicts itself: restore it from a copy", dir.display())]
    Contradiction { dir: PathBuf },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The log is longer than what may be in memory, and cannot be moved to segments.
    #[error("the log of {} is too long to be kept in memory, and cannot be moved to segments", dir.display())]
    Flush {
        dir: PathBuf,
        #[source]
        err: FlushError,
    },
}

/// What is known of one spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolState {
    pub origin: Origin,
    pub spool_id: [u8; 16],
    pub ack: AckState,
}

/// A store, open for writing by this process alone.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    /// Merges what automatic flushes have made due.
    keeper: Mutex<Option<JoinHandle<()>>>,
    dir: PathBuf,
    _lock: File,
}

/// What the thread that merges needs too.
#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Held by who merges segments.
    merging: Mutex<()>,
    stopping: AtomicBool,
    dir: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Inner {
    options: Options,
    pub(crate) archive: Archive,
    pub(crate) wal: Wal,
    /// After a flush that failed: what must wait in memory or in the log before the next one is tried.
    flush_again: Waiting,
    pub(crate) buffers: (Vec<u8>, Vec<u8>),
}

/// What a flush would take away.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    rows: usize,
    log_files: usize,
}

impl Store {
    /// Opens a store, or makes one, and replays its log.
    ///
    /// * Errors: another process has it; damage before the last entry of the log; a full or read-only disk.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let folder = |what, path: &Path| {
            let path = path.to_owned();
            move |err| OpenError::Folder { what, path, err }
        };
        let wal_dir = dir.join("wal");
        for path in [dir, &wal_dir, &dir.join("segments")] {
            std::fs::create_dir_all(path).map_err(folder("create", path))?;
        }
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(folder("create", &lock_path))?;
        lock.try_lock().map_err(|err| match err {
            TryLockError::WouldBlock => OpenError::InUse { dir: dir.to_owned() },
            TryLockError::Error(err) => folder("lock", &lock_path)(err),
        })?;
        let mut archive = Archive::open(dir)?;
        let (after, rows_max) = (archive.flushed_lsn, options.flush_rows.saturating_mul(Inner::BEHIND));
        let tail = replay(&wal_dir, after, Reading::Owner, |lsn, payload| {
            let follows = apply(&mut archive.state, lsn, payload);
            // However long the log is, no more of it than this is in memory.
            if follows && archive.state.head.rows() >= rows_max {
                archive.write_out(lsn).map_err(|err| OpenError::Flush { dir: dir.to_owned(), err })?;
            }
            Ok::<_, OpenError>(follows)
        })?;
        let wal = Wal::resume(&wal_dir, tail, options.wal_file_bytes)?;
        archive.remove_strangers()?;
        let inner = Inner { options, archive, wal, flush_again: Waiting::default(), buffers: (Vec::new(), Vec::new()) };
        let shared = Shared { inner: Mutex::new(inner), merging: Mutex::new(()), stopping: AtomicBool::new(false), dir: dir.to_owned() };
        Ok(Self { shared: Arc::new(shared), keeper: Mutex::new(None), dir: dir.to_owned(), _lock: lock })
    }

    /// Commits batches: when this returns, they are on the disk.
    ///
    /// The answers are in the order of the batches. A batch whose `(origin, spool, seq)` was committed before is a
    /// duplicate as a whole; otherwise each row is compared with what is stored at its time, of whatever age.
    pub fn commit(&self, batches: &[Batch]) -> Result<Vec<Committed>, CommitError> {
        self.commit_with(batches, &[])
    }

    /// Commits batches and dead letters together. More than one frame can hold is committed in several.
    ///
    /// * Errors: none of them may be acknowledged; those of a frame before the one that failed are known when they come
    ///   again.
    pub fn commit_with(&self, batches: &[Batch], letters: &[DeadLetter]) -> Result<Vec<Committed>, CommitError> {
        let mut inner = self.lock();
        let mut committed = Vec::with_capacity(batches.len());
        let (mut batches, mut letters, mut flushed) = (batches, letters, false);
        while !(batches.is_empty() && letters.is_empty()) {
            let (of_batches, bytes) = fitting(batches.iter().map(bytes_max), 0)?;
            let (of_letters, _) = fitting(letters.iter().map(letter_bytes_max), bytes)?;
            let ((now, later), (letters_now, letters_later)) = (batches.split_at(of_batches), letters.split_at(of_letters));
            committed.extend(inner.commit(now, letters_now)?);
            (batches, letters) = (later, letters_later);
            flushed = inner.flush_when_due() || flushed;
        }
        drop(inner);
        if flushed {
            self.merge_beside();
        }
        Ok(committed)
    }

    /// Puts readings in the place of others, as newer versions, with who answers for it. Durable when this returns.
    pub fn amend(&self, amendment: &Amendment) -> Result<AuditEntry, AmendError> {
        self.lock().amend(amendment)
    }

    /// Seals a range of a facility: it was billed, and changes only with an approval from now on.
    pub fn seal(&self, seal: &Seal) -> Result<AuditEntry, AmendError> {
        self.lock().seal(seal)
    }

    /// What may be acknowledged to a gateway. Nothing is, after a write has failed.
    pub fn ack_state(&self, origin: &Origin, spool_id: [u8; 16]) -> AckState {
        let inner = self.lock();
        let received = inner.archive.state.origin_id(origin).and_then(|id| inner.archive.state.received(id, spool_id));
        received.filter(|_| !inner.wal.stopped()).map(crate::seq::SeqSet::ack_state).unwrap_or_default()
    }

    /// Every spool that anything was ever received of.
    pub fn spools(&self) -> Vec<SpoolState> {
        let inner = self.lock();
        if inner.wal.stopped() {
            return Vec::new();
        }
        let spools = inner.archive.state.spools();
        spools.map(|(origin, spool_id, set)| SpoolState { origin: origin.clone(), spool_id, ack: set.ack_state() }).collect()
    }

    /// Moves what is in memory to segments.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.lock().flush()?;
        self.merge(Eagerness::WhenDue)
    }

    /// Merges the segments of each facility and month into one, and removes what an earlier call replaced.
    pub fn compact(&self) -> Result<(), FlushError> {
        self.lock().flush()?;
        self.merge(Eagerness::Whole)
    }

    fn merge(&self, eagerness: Eagerness) -> Result<(), FlushError> {
        self.shared.merge(eagerness)
    }

    /// Merges in a thread of its own, unless one is at it.
    fn merge_beside(&self) {
        let mut keeper = self.keeper.lock().expect("no thread panics while it holds its handle");
        if keeper.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let shared = self.shared.clone();
        let work = move || {
            if let Err(err) = shared.merge(Eagerness::WhenDue) {
                let error: &(dyn std::error::Error + 'static) = &err;
                tracing::warn!(error, "segments stay many: they cannot be merged");
            }
        };
        match thread::Builder::new().name("store-merge".to_owned()).spawn(work) {
            Ok(thread) => *keeper = Some(thread),
            Err(error) => tracing::warn!(%error, "segments stay many: there is no thread to merge them"),
        }
    }

    /// The conservation law, since the store was made.
    pub fn counters(&self) -> Counters {
        self.lock().archive.state.counters
    }

    /// Readings in memory, that a restart would read from the log.
    pub fn head_rows(&self) -> usize {
        self.lock().archive.state.head.rows()
    }

    /// Bytes of log that a restart would read.
    pub fn wal_bytes(&self) -> u64 {
        self.lock().wal.bytes()
    }

    /// The number of segments.
    pub fn segments(&self) -> usize {
        self.lock().archive.flushed.segments().len()
    }

    /// The latest dead letters, newest first.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, ManifestError> {
        let mut inner = self.lock();
        let mut letters: Vec<DeadLetter> = inner.archive.state.letters.iter().rev().cloned().collect();
        letters.extend(inner.archive.manifest.letters(limit)?);
        letters.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(letters)
    }

    /// Writes an entry, syncs it and reads it back.
    pub fn probe(&self) -> Result<(), WalError> {
        let mut inner = self.lock();
        let mut writer = RecordWriter::reuse(std::mem::take(&mut inner.buffers));
        writer.probe();
        let (mut frame, rows) = writer.into_buffers();
        inner.wal.append(&mut frame)?;
        let same = inner.wal.read_back(&frame)?;
        inner.buffers = (frame, rows);
        if same {
            Ok(())
        } else {
            let err = std::io::Error::other("what was written is not what is read");
            Err(WalError::Io { what: "read back", path: inner.wal.dir().to_owned(), err })
        }
    }

    /// Where the store lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }
}

impl Drop for Store {
    /// Waits for the merge that runs: it is the folder's, and the lock of the folder goes with the store.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let keeper = self.keeper.lock().ok().and_then(|mut keeper| keeper.take());
        if keeper.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that merges segments has panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics while it holds the store")
    }

    /// Merges until nothing is due. Commits go on meanwhile.
    fn merge(&self, eagerness: Eagerness) -> Result<(), FlushError> {
        let _one = self.merging.lock().expect("no thread panics while it merges");
        let mut replaced_before = None;
        while !self.stopping.load(Ordering::Relaxed) {
            let Some(merge) = self.lock().archive.next_merge(eagerness) else { break };
            if replaced_before.is_none() {
                replaced_before = Some(self.lock().archive.manifest.retired()?);
            }
            let merged = merge.run(&self.dir)?;
            self.lock().archive.publish_merge(&merge, merged)?;
        }
        // A reader that opened before this round still has the files that it replaced, and not those of an earlier one.
        self.lock().archive.remove_retired(&replaced_before.unwrap_or_default())?;
        Ok(())
    }
}

impl Inner {
    /// Commits refuse when this many times the flush limit waits in memory.
    const BEHIND: usize = 4;
    /// A flush is due when so many files of log wait, even without readings: dead letters and repeats fill it too.
    const LOG_FILES_MAX: usize = 16;

    /// Moves what is in memory to segments, and lets go of the log.
    pub(crate) fn flush(&mut self) -> Result<(), FlushError> {
        if self.wal.stopped() {
            return Err(WalError::Stopped { path: self.wal.dir().to_owned() }.into());
        }
        if self.archive.state.is_saved() && self.wal.sealed_files() == 0 {
            return Ok(());
        }
        let lsn = self.wal.last_lsn();
        self.archive.write_out(lsn)?;
        // What is sealed goes first: on a full disk the new file needs its space.
        self.wal.trim(lsn)?;
        if !self.wal.is_fresh() {
            self.wal.roll(0)?;
            self.wal.trim(lsn)?;
        }
        fault::hit(Step::LogTrimmed).map_err(WalError::io("trim", self.wal.dir()))?;
        Ok(())
    }

    /// Refuses when too much is waiting in memory and cannot be written to segments.
    pub(crate) fn refuse_when_behind(&mut self) -> Result<(), CommitError> {
        let rows = self.archive.state.head.rows();
        if rows >= self.options.flush_rows.saturating_mul(Self::BEHIND) {
            self.flush().map_err(|err| CommitError::Behind { rows, err })?;
        }
        Ok(())
    }

    /// Flushes when enough waits, and says whether it did. One that fails is tried again when another eighth has come, and not at every commit:
    /// each attempt encodes everything anew.
    fn flush_when_due(&mut self) -> bool {
        let waits = Waiting { rows: self.archive.state.head.rows(), log_files: self.wal.sealed_files() };
        let Waiting { rows, log_files } = self.flush_again;
        if waits.rows < self.options.flush_rows.max(rows) && waits.log_files < Self::LOG_FILES_MAX.max(log_files) {
            return false;
        }
        self.flush_again = Waiting::default();
        let flushed = self.flush();
        if let Err(err) = &flushed {
            let error: &(dyn std::error::Error + 'static) = err;
            tracing::warn!(error, rows = waits.rows, "readings stay in the log: segments cannot be written");
            let rows = waits.rows + (self.options.flush_rows / 8).max(1);
            self.flush_again = Waiting { rows, log_files: waits.log_files + Self::LOG_FILES_MAX / 8 };
        }
        flushed.is_ok()
    }
}
