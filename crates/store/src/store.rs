//! The one process that writes.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use units::{Quality, Reason, Severity};

use crate::flushed::{Flushed, SegmentError};
use crate::manifest::{Manifest, ManifestError, ProfileRow};
use crate::row::{Batch, Committed, Counters, DeadLetter, Origin, Row, Sample};
use crate::seq::AckState;
use crate::series::{Catalogue, SeriesId, SeriesKey};
use crate::state::State;
use crate::wal::{Reading, Record, RecordWriter, RowsRecord, Wal, WalError, replay};

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
}

/// Why batches were not committed. None of them is durable then, and none may be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Wal(#[from] WalError),
    /// A late reading cannot be compared with what is stored.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// Too much is waiting in memory, and cannot be written to segments.
    #[error("{rows} readings wait to be written to segments, and that fails")]
    Behind {
        rows: usize,
        #[source]
        err: FlushError,
    },
    #[error("{bytes} bytes are too much for one commit")]
    TooLarge { bytes: usize },
    #[error("the time {ts_ms} ms is outside of the calendar")]
    Time { ts_ms: i64 },
}

impl CommitError {
    /// Whether the same commit may succeed later in this process.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Wal(WalError::Full { .. }) | Self::Behind { .. } | Self::Segment(_))
    }
}

/// Why readings could not be moved to segments. They stay durable in the log.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("could not {what} {}", path.display())]
    Segment {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("could not encode {}", path.display())]
    Encode {
        path: PathBuf,
        #[source]
        err: parquet::errors::ParquetError,
    },
    #[error("{} is not what was written: restore it from a copy", path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Read(#[from] SegmentError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Wal(#[from] WalError),
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
    inner: Mutex<Inner>,
    dir: PathBuf,
    _lock: File,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) state: State,
    pub(crate) flushed: Flushed,
    pub(crate) manifest: Manifest,
    pub(crate) wal: Wal,
    pub(crate) next_segment: i64,
    /// After a flush that failed: what must wait in memory or in the log before the next one is tried.
    flush_again: Waiting,
    buffer: Vec<u8>,
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
        let mut manifest = Manifest::open(&dir.join("manifest.sqlite"))?;
        let mut snapshot = manifest.load()?;
        let mut state = State::from_manifest(&mut snapshot).ok_or_else(|| OpenError::Contradiction { dir: dir.to_owned() })?;
        let tail = replay(&wal_dir, snapshot.flushed_lsn, Reading::Owner, |payload| apply(&mut state, payload))?;
        let wal = Wal::resume(&wal_dir, tail, options.wal_file_bytes)?;
        let flushed = Flushed::new(dir, std::mem::take(&mut snapshot.segments));
        let dir = dir.to_owned();
        let mut inner = Inner {
            dir: dir.clone(),
            options,
            state,
            flushed,
            manifest,
            wal,
            next_segment: snapshot.next_segment,
            flush_again: Waiting::default(),
            buffer: Vec::new(),
        };
        inner.remove_strangers()?;
        Ok(Self { inner: Mutex::new(inner), dir, _lock: lock })
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
        let (mut batches, mut letters) = (batches, letters);
        while !(batches.is_empty() && letters.is_empty()) {
            let (of_batches, bytes) = fitting(batches.iter().map(bytes_max), 0)?;
            let (of_letters, _) = fitting(letters.iter().map(letter_bytes_max), bytes)?;
            let ((now, later), (letters_now, letters_later)) = (batches.split_at(of_batches), letters.split_at(of_letters));
            committed.extend(inner.commit(now, letters_now)?);
            (batches, letters) = (later, letters_later);
            inner.flush_when_due();
        }
        Ok(committed)
    }

    /// What may be acknowledged to a gateway. Nothing is, after a write has failed.
    pub fn ack_state(&self, origin: &Origin, spool_id: [u8; 16]) -> AckState {
        let inner = self.lock();
        let received = inner.state.origin_id(origin).and_then(|id| inner.state.received(id, spool_id));
        received.filter(|_| !inner.wal.stopped()).map(crate::seq::SeqSet::ack_state).unwrap_or_default()
    }

    /// Every spool that anything was ever received of.
    pub fn spools(&self) -> Vec<SpoolState> {
        let inner = self.lock();
        if inner.wal.stopped() {
            return Vec::new();
        }
        let spools = inner.state.spools();
        spools.map(|(origin, spool_id, set)| SpoolState { origin: origin.clone(), spool_id, ack: set.ack_state() }).collect()
    }

    /// Moves what is in memory to segments.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.lock().flush()
    }

    /// Merges the segments of each facility and month into one, and removes what an earlier call replaced.
    pub fn compact(&self) -> Result<(), FlushError> {
        self.lock().compact()
    }

    /// The conservation law, since the store was made.
    pub fn counters(&self) -> Counters {
        self.lock().state.counters
    }

    /// Readings in memory, that a restart would read from the log.
    pub fn head_rows(&self) -> usize {
        self.lock().state.head.rows()
    }

    /// Bytes of log that a restart would read.
    pub fn wal_bytes(&self) -> u64 {
        self.lock().wal.bytes()
    }

    /// The number of segments.
    pub fn segments(&self) -> usize {
        self.lock().flushed.segments().len()
    }

    /// The latest dead letters, newest first.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, ManifestError> {
        let mut inner = self.lock();
        let mut letters: Vec<DeadLetter> = inner.state.letters.iter().rev().cloned().collect();
        letters.extend(inner.manifest.letters(limit)?);
        letters.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(letters)
    }

    /// Writes an entry, syncs it and reads it back.
    pub fn probe(&self) -> Result<(), WalError> {
        let mut inner = self.lock();
        let mut writer = RecordWriter::reuse(std::mem::take(&mut inner.buffer));
        writer.probe();
        let mut buffer = writer.into_buffer();
        inner.wal.append(&mut buffer)?;
        let same = inner.wal.read_back(&buffer)?;
        inner.buffer = buffer;
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
        self.inner.lock().expect("no thread panics while it holds the store")
    }
}

/// Applies the records of one frame.
pub(crate) fn apply(state: &mut State, payload: &[u8]) -> bool {
    let mut follows = true;
    Record::decode_all(payload, |record| follows = follows && state.apply(record)).is_some() && follows
}

impl Inner {
    /// Commits refuse when this many times the flush limit waits in memory.
    const BEHIND: usize = 4;
    /// A flush is due when so many files of log wait, even without readings: dead letters and repeats fill it too.
    const LOG_FILES_MAX: usize = 16;

    /// Flushes when enough waits. One that fails is tried again when another eighth has come, and not at every commit:
    /// each attempt encodes everything anew.
    fn flush_when_due(&mut self) {
        let waits = Waiting { rows: self.state.head.rows(), log_files: self.wal.sealed_files() };
        let Waiting { rows, log_files } = self.flush_again;
        if waits.rows < self.options.flush_rows.max(rows) && waits.log_files < Self::LOG_FILES_MAX.max(log_files) {
            return;
        }
        self.flush_again = Waiting::default();
        if let Err(err) = self.flush() {
            let error: &(dyn std::error::Error + 'static) = &err;
            tracing::warn!(error, rows = waits.rows, "readings stay in the log: segments cannot be written");
            let rows = waits.rows + (self.options.flush_rows / 8).max(1);
            self.flush_again = Waiting { rows, log_files: waits.log_files + Self::LOG_FILES_MAX / 8 };
        }
    }

    fn commit(&mut self, batches: &[Batch], letters: &[DeadLetter]) -> Result<Vec<Committed>, CommitError> {
        let rows = self.state.head.rows();
        if rows >= self.options.flush_rows.saturating_mul(Self::BEHIND) {
            self.flush().map_err(|err| CommitError::Behind { rows, err })?;
        }
        // Everything that may fail comes first: from the first change in memory on there is no way back.
        let resolved = batches.iter().map(|batch| self.resolve(batch)).collect::<Result<Vec<_>, _>>()?;
        let bytes = batches.iter().map(bytes_max).chain(letters.iter().map(letter_bytes_max)).sum();
        self.wal.reserve(bytes)?;
        let mut writer = RecordWriter::reuse(std::mem::take(&mut self.buffer));
        let committed = batches.iter().zip(resolved).map(|(batch, ids)| self.take(batch, &ids, &mut writer)).collect();
        for letter in letters {
            writer.letter(letter);
            self.state.add_letter(letter.clone());
        }
        let empty = writer.is_empty();
        let mut buffer = writer.into_buffer();
        if !empty {
            self.wal.append(&mut buffer)?;
        }
        self.buffer = buffer;
        self.flushed.bound_memory();
        Ok(committed)
    }

    /// Finds the series of each row, and loads the stored readings that it must be compared with.
    fn resolve(&mut self, batch: &Batch) -> Result<Vec<Option<SeriesId>>, CommitError> {
        if self.is_repeat(batch) {
            return Ok(Vec::new());
        }
        let mut ids = Vec::with_capacity(batch.rows.len());
        let devices = self.state.catalogue.facility(&batch.origin.tenant, &batch.origin.facility);
        for row in &batch.rows {
            if jiff::Timestamp::from_millisecond(row.ts_ms).is_err() {
                return Err(CommitError::Time { ts_ms: row.ts_ms });
            }
            let id = devices.and_then(|devices| Catalogue::find(devices, &row.device, &row.point, row.unit, row.exponent));
            if let Some(id) = id
                && self.flushed.may_have(id, row.ts_ms)
            {
                self.flushed.load(id, row.ts_ms)?;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    fn is_repeat(&self, batch: &Batch) -> bool {
        let origin = self.state.origin_id(&batch.origin);
        origin.and_then(|id| self.state.received(id, batch.spool_id)).is_some_and(|set| set.contains(batch.seq))
    }

    /// Takes a batch into memory and writes down the outcome. Never fails.
    fn take(&mut self, batch: &Batch, ids: &[Option<SeriesId>], writer: &mut RecordWriter) -> Committed {
        if self.is_repeat(batch) {
            let duplicate = batch.rows.len() as u64 + batch.letter.as_ref().map_or(0, |letter| letter.points);
            self.state.count_repeat(duplicate);
            writer.repeat(duplicate);
            return Committed { accepted: 0, duplicate, conflict: 0 };
        }
        let origin = self.origin(&batch.origin, writer);
        self.take_profiles(batch, writer);
        let mut record = RowsRecord { origin, spool_id: batch.spool_id, seq: batch.seq, ..RowsRecord::default() };
        record.rows.reserve(batch.rows.len());
        for (index, row) in batch.rows.iter().enumerate() {
            let id = ids.get(index).copied().flatten().unwrap_or_else(|| self.series(&batch.origin, row, writer));
            match self.version_of(id, row) {
                None => record.duplicate += 1,
                Some(version) => {
                    record.conflict += u64::from(version > 0);
                    let quality = if version > 0 { contradicted(row.quality) } else { row.quality };
                    let Row { ts_ms, raw, words, .. } = *row;
                    let sample = Sample { ts_ms, raw, quality, words, seq: batch.seq, version };
                    self.state.head.put(id, sample);
                    record.rows.push((id, sample));
                }
            }
        }
        self.state.count(&record);
        writer.rows(&record);
        if let Some(letter) = &batch.letter {
            writer.letter(letter);
            self.state.add_letter(letter.clone());
        }
        Committed { accepted: record.rows.len() as u64, duplicate: record.duplicate, conflict: record.conflict }
    }

    /// The version that this row becomes, or `None` when its value is stored already.
    fn version_of(&self, id: SeriesId, row: &Row) -> Option<u16> {
        let flushed = self.flushed.may_have(id, row.ts_ms);
        if !flushed && self.state.head.is_newest(id, row.ts_ms) {
            return Some(0);
        }
        let (mut known, mut next) = (false, 0_u16);
        let mut visit = |sample: &Sample| {
            known = known || sample.raw == row.raw;
            next = next.max(sample.version.saturating_add(1));
        };
        self.state.head.versions(id, row.ts_ms, &mut visit);
        if flushed {
            self.flushed.versions(id, row.ts_ms, &mut visit);
        }
        (!known).then_some(next)
    }

    fn origin(&mut self, origin: &Origin, writer: &mut RecordWriter) -> u32 {
        self.state.origin_id(origin).unwrap_or_else(|| {
            let id = self.state.next_origin_id();
            writer.origin(id, origin);
            self.state.add_origin(id, origin.clone());
            id
        })
    }

    fn series(&mut self, origin: &Origin, row: &Row, writer: &mut RecordWriter) -> SeriesId {
        let Origin { tenant, facility, .. } = origin.clone();
        let devices = self.state.catalogue.facility(&tenant, &facility);
        let known = devices.and_then(|devices| Catalogue::find(devices, &row.device, &row.point, row.unit, row.exponent));
        known.unwrap_or_else(|| {
            let Row { device, point, unit, exponent, .. } = row.clone();
            let (id, key) = (self.state.catalogue.next_id(), SeriesKey { tenant, facility, device, point, unit, exponent });
            writer.series(id, &key);
            self.state.catalogue.add(id, key);
            id
        })
    }

    fn take_profiles(&mut self, batch: &Batch, writer: &mut RecordWriter) {
        let Some(from_ms) = batch.rows.first().map(|row| row.ts_ms) else { return };
        for seen in &batch.profiles {
            if let Some(period) = self.state.new_period(&batch.origin, seen, from_ms) {
                let Origin { tenant, facility, .. } = batch.origin.clone();
                writer.profile(&tenant, &facility, &seen.device, &period);
                self.state.add_profile(ProfileRow { tenant, facility, device: seen.device.clone(), period });
            }
        }
    }
}

/// Never good: two values claim the same time.
fn contradicted(quality: Quality) -> Quality {
    match quality.severity() {
        Severity::Good => Quality::from_bits(quality.bits() | Quality::uncertain(Reason::Conflict).bits()),
        _ => quality.with(Reason::Conflict),
    }
}

/// How many of the first fit into one frame in which `taken` bytes are taken, and the bytes taken then.
///
/// * Errors: the first does not fit into any frame.
fn fitting(sizes: impl Iterator<Item = usize>, taken: usize) -> Result<(usize, usize), CommitError> {
    let (mut count, mut bytes) = (0, taken);
    for size in sizes {
        if size > crate::wal::PAYLOAD_BYTES_MAX {
            // Whatever stands before it is committed first.
            return if count + taken == 0 { Err(CommitError::TooLarge { bytes: size }) } else { Ok((count, bytes)) };
        }
        if bytes + size > crate::wal::PAYLOAD_BYTES_MAX {
            break;
        }
        (count, bytes) = (count + 1, bytes + size);
    }
    Ok((count, bytes))
}

/// What a batch can take in the log at most, with every one of its rows a new series.
fn bytes_max(batch: &Batch) -> usize {
    let names = batch.origin.tenant.as_str().len() + batch.origin.facility.as_str().len() + 24;
    let row = |row: &Row| RecordWriter::ROW_BYTES_MAX + names + row.device.as_str().len() + row.point.len();
    let profile = |seen: &crate::ProfileSeen| {
        2 * names + seen.device.as_str().len() + seen.profile.len() + seen.profile_hash.len() + seen.config_hash.len()
    };
    let letter = batch.letter.as_ref().map_or(0, letter_bytes_max);
    RecordWriter::BATCH_BYTES_MAX + letter + batch.rows.iter().map(row).sum::<usize>() + batch.profiles.iter().map(profile).sum::<usize>()
}

fn letter_bytes_max(letter: &DeadLetter) -> usize {
    64 + letter.topic.len() + letter.reason.len() + letter.payload.len()
}
