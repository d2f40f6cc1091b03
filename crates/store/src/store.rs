//! The one process that writes: what others may ask of it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use crate::amend::{AmendError, Amendment, Imported, Seal};
use crate::archive::{Archive, FlushError, apply};
use crate::audit::AuditEntry;
use crate::compact::Eagerness;
use crate::intake::{CommitError, bytes_max, fitting, letter_bytes_max};
use crate::keeper::Keeper;
use crate::manifest::ManifestError;
use crate::retention::{Dropped, Letting, RetentionError};
use crate::row::{Batch, Committed, Counters, DeadLetter, Origin};
use crate::seq::AckState;
use crate::shared::{Inner, Shared};
use crate::upkeep::Upkeep;
use crate::wal::{Reading, RecordWriter, Wal, WalError, replay};

/// How a store is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Readings in memory before they are written to segments: about 50 bytes each.
    pub flush_rows: usize,
    /// Preallocated bytes of a log file.
    pub wal_file_bytes: u64,
    /// Readings of a series in a month, on average, from which on the quarters of the month are kept as a file. To go through fewer takes
    /// no longer than to read their quarters, and the file would be as large as they are.
    pub quarters_from: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { flush_rows: 250_000, wal_file_bytes: 16 << 20, quarters_from: 1_000 }
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

/// Takes a store for oneself, as long as the file is open.
pub(crate) fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let failed = |what| {
        let path = path.clone();
        move |err| OpenError::Folder { what, path, err }
    };
    let lock = File::create(&path).map_err(failed("create"))?;
    lock.try_lock().map_err(|err| match err {
        TryLockError::WouldBlock => OpenError::InUse { dir: dir.to_owned() },
        TryLockError::Error(err) => failed("lock")(err),
    })?;
    Ok(lock)
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
    keeper: Keeper,
    dir: PathBuf,
    _lock: File,
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
        for path in [dir, &wal_dir, &dir.join("segments"), &dir.join("derived")] {
            std::fs::create_dir_all(path).map_err(folder("create", path))?;
        }
        let lock = take_lock(dir)?;
        let (mut archive, mut published) = Archive::open(dir)?;
        let (after, rows_max) = (archive.flushed_lsn, options.flush_rows.saturating_mul(Inner::BEHIND));
        let tail = replay(&wal_dir, after, Reading::Owner, |lsn, payload| {
            let follows = apply(&mut archive.state, lsn, payload);
            // However long the log is, no more of it than this is in memory.
            if follows && archive.state.head.rows() >= rows_max {
                archive.write_out(&mut published, lsn).map_err(|err| OpenError::Flush { dir: dir.to_owned(), err })?;
            }
            Ok::<_, OpenError>(follows)
        })?;
        archive.state.applied();
        let wal = Wal::resume(&wal_dir, tail, options.wal_file_bytes)?;
        archive.remove_strangers(&mut published)?;
        let lost = archive.forget_lost(&mut published)?;
        let shared = Arc::new(Shared::new(Inner::new(options, archive, wal), published));
        let keeper = Keeper::new(shared.clone());
        if lost {
            keeper.merge_beside();
        }
        Ok(Self { keeper, shared, dir: dir.to_owned(), _lock: lock })
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
        let mut committed = Vec::with_capacity(batches.len());
        let (mut batches, mut letters) = (batches, letters);
        while !(batches.is_empty() && letters.is_empty()) {
            let (of_batches, bytes) = fitting(batches.iter().map(bytes_max), 0)?;
            let (of_letters, _) = fitting(letters.iter().map(letter_bytes_max), bytes)?;
            let ((now, later), (letters_now, letters_later)) = (batches.split_at(of_batches), letters.split_at(of_letters));
            let mut inner = self.shared.ready()?;
            committed.extend(inner.commit(now, letters_now)?);
            let due = inner.is_flush_due();
            drop(inner);
            (batches, letters) = (later, letters_later);
            if due {
                self.keeper.flush_beside();
            }
        }
        Ok(committed)
    }

    /// Puts readings in the place of others, as newer versions, with who answers for it. Durable when this returns.
    pub fn amend(&self, amendment: &Amendment) -> Result<AuditEntry, AmendError> {
        self.shared.ready()?.amend(amendment)
    }

    /// Seals a range of a facility: it was billed, and changes only with an approval from now on.
    pub fn seal(&self, seal: &Seal) -> Result<AuditEntry, AmendError> {
        self.shared.seal(seal)
    }

    /// Says in the audit log what was brought in from files. Durable when this returns; the readings are committed before.
    pub fn attest(&self, imported: &Imported) -> Result<AuditEntry, AmendError> {
        self.lock().attest(imported)
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

    /// Whether a write has failed in whatever thread: nothing more is taken until a restart has read back what there is.
    pub fn has_stopped(&self) -> bool {
        self.lock().wal.stopped()
    }

    /// Moves what is in memory to segments.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.shared.flush()?;
        self.shared.merge(Eagerness::WhenDue)
    }

    /// Merges the segments of each facility and month into one, brings the files of quarters up to date, and removes what
    /// an earlier call replaced.
    pub fn compact(&self) -> Result<(), FlushError> {
        self.shared.flush()?;
        self.shared.merge(Eagerness::Whole)?;
        Ok(self.shared.published().manifest.settle()?)
    }

    /// Drops months of a facility that are older than what is kept. Their quarters of an hour stay.
    ///
    /// * Errors: a month needs an archive, and none is named; nothing of it is dropped then, nor of the others.
    pub fn let_go_of(&self, letting: &Letting) -> Result<Dropped, RetentionError> {
        self.shared.let_go_of(letting)
    }

    /// The conservation law, since the store was made.
    pub fn counters(&self) -> Counters {
        self.lock().archive.state.counters
    }

    /// The last entry of the log: what everybody who follows the store comes to.
    pub fn last_lsn(&self) -> u64 {
        self.lock().wal.last_lsn()
    }

    /// Readings in memory, that a restart would read from the log.
    pub fn head_rows(&self) -> usize {
        self.lock().archive.state.head.rows()
    }

    /// Bytes of log that a restart would read.
    pub fn wal_bytes(&self) -> u64 {
        self.lock().wal.bytes()
    }

    /// The number of segments of each level: from memory, of several flushes, of a whole month.
    pub fn segments(&self) -> [usize; 3] {
        let mut levels = [0; 3];
        for segment in self.lock().archive.flushed.segments() {
            if let Some(level) = levels.get_mut(usize::from(segment.level)) {
                *level += 1;
            }
        }
        levels
    }

    /// What was done beside the commits since the store was opened.
    pub fn upkeep(&self) -> Upkeep {
        self.lock().upkeep
    }

    /// The latest dead letters, newest first.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, ManifestError> {
        let mut published = self.shared.published();
        let mut letters: Vec<DeadLetter> = self.lock().archive.state.letters().rev().cloned().collect();
        letters.extend(published.manifest.letters(limit)?);
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
    /// A reader beside may be the last to leave the manifest, and readers do not put away SQLite's log.
    fn drop(&mut self) {
        self.shared.stop();
        self.keeper.wait();
        self.shared.settle();
    }
}

#[cfg(test)]
impl Store {
    /// Waits for what goes on beside.
    pub(crate) fn settle(&self) {
        self.keeper.wait();
    }

    /// As long as this is held, no flush comes to its end.
    pub(crate) fn hold_manifest(&self) -> MutexGuard<'_, crate::archive::Published> {
        self.shared.published()
    }
}
