//! The store-and-forward log: what was read is on disk before anything else happens to it.
//!
//! Frames are appended to segments of 1 MiB and made durable once per commit, by one `fdatasync`. Each gets the next
//! sequence number, which rises for the life of the spool and is never given twice. A frame leaves only when the
//! collector has said that it is durable there, or when the disk allowance is used up, which is counted and logged.
//! Whatever a power cut or a bad card leaves behind, the spool opens: damaged bytes go to `quarantine/`, their sequence
//! numbers are never reused, and reading them back says [`Stored::payload`] `None` so that the collector learns of it.
//!
//! ```text
//! spool/lock                     held by the one gateway that uses the spool
//! spool/id                       sixteen bytes that name this spool to the collector
//! spool/cursor                   what the collector confirmed (two slots)
//! spool/segments/000…001.seg     records, see `record`
//! spool/quarantine/              damaged bytes
//! ```

mod cursor;
mod disk;
mod record;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use writer::{SharedSpool, write};

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use ids::SpoolId;

use cursor::{Cursor, Mark};
use disk::Disk;
use record::{Entry, Scan};
use segment::Segment;

/// Bytes of a segment.
pub(crate) const SEGMENT_BYTES: usize = 1 << 20;
/// How far the cursor on disk may lag behind what the collector confirmed.
const CURSOR_LAG_MAX: u64 = 4096;
/// Bytes of frames that wait in memory while the disk refuses them.
const PENDING_BYTES_MAX: usize = 4 << 20;
/// Most sequence numbers without a frame that one read reports.
const ABSENT_PER_READ_MAX: usize = 256;

/// How a spool is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpoolOptions {
    /// Disk allowance; the oldest segments go first when it is used up.
    pub(crate) bytes_max: u64,
    /// Bytes of a segment, [`SEGMENT_BYTES`] but in tests.
    pub(crate) segment_bytes: usize,
}

impl SpoolOptions {
    /// The usual spool within a disk allowance.
    pub(crate) fn within(bytes_max: u64) -> Self {
        Self { bytes_max, segment_bytes: SEGMENT_BYTES }
    }
}

/// Why the spool could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process holds the spool.
    #[error("the spool in {} is used by another gateway", path.display())]
    Locked {
        /// The spool's folder.
        path: PathBuf,
    },
    /// The spool could not be opened.
    #[error("could not open the spool in {}", path.display())]
    Open {
        /// The spool's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// Frames could not be made durable; they wait in memory.
    #[error("could not write {frames} frames to the spool in {}", path.display())]
    Write {
        /// The spool's folder.
        path: PathBuf,
        /// How many frames wait.
        frames: usize,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// A stored frame could not be read back.
    #[error("could not read the spool in {}", path.display())]
    Read {
        /// The spool's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// A frame does not fit a segment.
    #[error("a frame of {bytes} bytes does not fit a segment of {segment_bytes}")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes of a segment.
        segment_bytes: usize,
    },
    /// The disk refuses frames and the memory kept for them is used up: this frame was not kept.
    #[error("the disk under {} refuses frames and {waiting} already wait in memory", path.display())]
    Full {
        /// The spool's folder.
        path: PathBuf,
        /// How many frames wait.
        waiting: usize,
    },
}

/// A frame as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its sequence number.
    pub(crate) seq: u64,
    /// The encoded frame; `None` when it was damaged or had to make room.
    pub(crate) payload: Option<Vec<u8>>,
}

/// What a spool counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpoolCounters {
    /// Highest sequence number that is durable here.
    pub(crate) committed: u64,
    /// Every frame up to here is durable at the collector.
    pub(crate) acknowledged: u64,
    /// Frames that made room for newer ones before the collector had them.
    pub(crate) dropped: u64,
    /// Damaged stretches found.
    pub(crate) damaged: u64,
    /// Frames that wait in memory because the disk refuses them, or for the next commit.
    pub(crate) waiting: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Disk allowance.
    pub(crate) bytes_max: u64,
}

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    file: File,
    entries: Vec<Entry>,
    end: usize,
}

/// An older segment, read whole.
#[derive(Debug)]
struct Loaded {
    first: u64,
    bytes: Vec<u8>,
    scan: Scan,
}

/// A record that is not durable yet.
#[derive(Debug)]
struct Pending {
    seq: u64,
    bytes: Vec<u8>,
}

/// The log. Its operations block on the disk: an async caller moves them off its threads.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    id: SpoolId,
    options: SpoolOptions,
    disk: Disk,
    segments: VecDeque<Segment>,
    active: Active,
    loaded: Option<Loaded>,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    next_seq: u64,
    committed: u64,
    acknowledged: u64,
    cursor: Cursor,
    dropped: u64,
    damaged: u64,
    damage_seen: BTreeSet<u64>,
    fill_told: u64,
    _lock: File,
}

impl Spool {
    /// Opens the spool in a folder, creating it when there is none.
    ///
    /// * `new_id` names a spool that is created now.
    pub(crate) fn open(folder: &Path, options: SpoolOptions, new_id: impl FnOnce() -> SpoolId) -> Result<Self, SpoolError> {
        Self::open_on(Disk::default(), folder, options, new_id)
    }

    fn open_on(disk: Disk, folder: &Path, options: SpoolOptions, new_id: impl FnOnce() -> SpoolId) -> Result<Self, SpoolError> {
        let open = |err| SpoolError::Open { path: folder.to_owned(), err };
        fs::create_dir_all(folder.join("segments")).map_err(open)?;
        let lock = File::create(folder.join("lock")).map_err(open)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(err)) => return Err(open(err)),
        }
        Self::recover(disk, folder, options, new_id, lock).map_err(open)
    }

    fn recover(mut disk: Disk, folder: &Path, options: SpoolOptions, new_id: impl FnOnce() -> SpoolId, lock: File) -> io::Result<Self> {
        let segments_folder = folder.join("segments");
        let mut segments = VecDeque::from(Segment::list(&segments_folder)?);
        let known = read_id(folder)?.filter(|_| !segments.is_empty());
        if known.is_none() {
            // A spool is named last, so without a name nothing in it was ever sent under one.
            disk.remove(&folder.join("cursor"))?;
        }
        let cursor = Cursor::open(&mut disk, folder)?;
        let mark = cursor.mark();
        if segments.is_empty() {
            let (segment, _) = Segment::create(&mut disk, &segments_folder, 1, options.segment_bytes)?;
            segments.push_back(segment);
        }
        let id = match known {
            Some(id) => id,
            None => {
                let id = new_id();
                disk.place(folder, "id", id.as_bytes())?;
                id
            }
        };
        let newest = segments.back().cloned().ok_or(io::ErrorKind::NotFound)?;
        let (bytes, scan) = newest.load()?;
        let file = newest.open()?;
        for range in scan.broken.iter().chain(&scan.tail) {
            tracing::warn!(
                segment.first = newest.first,
                offset = range.start,
                bytes = range.len(),
                "found damaged bytes in the spool; kept in quarantine"
            );
            segment::quarantine(&folder.join("quarantine"), &newest, range.start, bytes.get(range.clone()).unwrap_or_default());
        }
        if let Some(tail) = scan.tail.clone() {
            disk.write(&file, &vec![0; tail.len()], tail.start)?;
            disk.sync(&file)?;
        }
        let after_last = scan.entries.last().map_or(newest.first, |entry| entry.seq + 1);
        let next_seq = (after_last + scan.burnt(&bytes)).max(mark.acknowledged + 1);
        let mut spool = Self {
            folder: folder.to_owned(),
            id,
            options,
            disk,
            segments,
            damaged: u64::try_from(scan.broken.len() + usize::from(scan.tail.is_some())).unwrap_or(u64::MAX),
            damage_seen: BTreeSet::from([newest.first]),
            active: Active { file, end: scan.end(), entries: scan.entries },
            loaded: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            next_seq,
            committed: next_seq - 1,
            acknowledged: mark.acknowledged,
            cursor,
            dropped: 0,
            fill_told: 0,
            _lock: lock,
        };
        spool.remove_released()?;
        Ok(spool)
    }

    /// The name of this spool, new when the folder was.
    pub(crate) fn id(&self) -> SpoolId {
        self.id
    }

    /// Takes a frame and gives it the next sequence number. It is durable after the next [`commit`](Self::commit).
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<u64, SpoolError> {
        let too_large = || SpoolError::TooLarge { bytes: payload.len(), segment_bytes: self.options.segment_bytes };
        let bytes =
            record::encode(self.next_seq, payload).filter(|bytes| bytes.len() <= self.options.segment_bytes).ok_or_else(too_large)?;
        if self.pending_bytes + bytes.len() > PENDING_BYTES_MAX {
            return Err(SpoolError::Full { path: self.folder.clone(), waiting: self.pending.len() });
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.pending_bytes += bytes.len();
        self.pending.push_back(Pending { seq, bytes });
        Ok(seq)
    }

    /// Makes every appended frame durable, and says up to which sequence number all are.
    ///
    /// * Errors: what could not be written stays in memory and is tried again by the next commit.
    pub(crate) fn commit(&mut self) -> Result<u64, SpoolError> {
        while !self.pending.is_empty() {
            if let Err(err) = self.commit_some() {
                return Err(SpoolError::Write { path: self.folder.clone(), frames: self.pending.len(), err });
            }
        }
        Ok(self.committed)
    }

    /// Writes as many waiting records as the active segment takes; begins a new segment when it takes none.
    fn commit_some(&mut self) -> io::Result<()> {
        let mut group = Vec::new();
        let mut entries = Vec::new();
        for pending in &self.pending {
            let offset = self.active.end + group.len();
            let end = offset + pending.bytes.len();
            if end > self.options.segment_bytes {
                break;
            }
            group.extend_from_slice(&pending.bytes);
            entries.push(Entry { seq: pending.seq, offset, end });
        }
        let Some(last) = entries.last().copied() else { return self.roll() };
        self.disk.write(&self.active.file, &group, self.active.end)?;
        self.disk.sync(&self.active.file)?;
        self.pending.drain(..entries.len());
        self.pending_bytes -= group.len();
        self.active.entries.extend(entries);
        self.active.end = last.end;
        self.committed = last.seq;
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        self.make_room()?;
        let first = self.pending.front().map_or(self.next_seq, |pending| pending.seq);
        let segments_folder = self.folder.join("segments");
        let mut created = Segment::create(&mut self.disk, &segments_folder, first, self.options.segment_bytes);
        if created.as_ref().is_err_and(|err| err.kind() == io::ErrorKind::StorageFull) && self.release_delivered()? {
            created = Segment::create(&mut self.disk, &segments_folder, first, self.options.segment_bytes);
        }
        let (segment, file) = created?;
        self.segments.push_back(segment);
        self.active = Active { file, entries: Vec::new(), end: 0 };
        Ok(())
    }

    /// Frames from a sequence number on, in order and without gaps, at most about `bytes_max` of them.
    ///
    /// * Shape: `seq` rises by one; a frame that is gone has no payload; empty when nothing newer is durable.
    pub(crate) fn read(&mut self, from: u64, bytes_max: usize) -> Result<Vec<Stored>, SpoolError> {
        let mut read = Vec::new();
        let mut bytes = 0;
        let mut absent = 0;
        let mut seq = from.max(1);
        while seq <= self.committed && bytes < bytes_max && absent < ABSENT_PER_READ_MAX {
            let payload = self.payload(seq).map_err(|err| SpoolError::Read { path: self.folder.clone(), err })?;
            match &payload {
                Some(payload) => bytes += payload.len() + record::HEADER_BYTES,
                None => absent += 1,
            }
            read.push(Stored { seq, payload });
            seq += 1;
        }
        Ok(read)
    }

    fn payload(&mut self, seq: u64) -> io::Result<Option<Vec<u8>>> {
        let after = self.segments.partition_point(|segment| segment.first <= seq);
        let Some(index) = after.checked_sub(1) else { return Ok(None) };
        if after == self.segments.len() {
            return self.payload_of_active(seq);
        }
        let Some(segment) = self.segments.get(index).cloned() else { return Ok(None) };
        if self.loaded.as_ref().is_none_or(|loaded| loaded.first != segment.first) {
            let (bytes, scan) = segment.load()?;
            self.note_damage(&segment, &bytes, &scan);
            self.loaded = Some(Loaded { first: segment.first, bytes, scan });
        }
        let found = self.loaded.as_ref().and_then(|loaded| {
            let entry = find(&loaded.scan.entries, seq)?;
            record::payload(&loaded.bytes, entry)
        });
        Ok(found.map(<[u8]>::to_vec))
    }

    fn payload_of_active(&self, seq: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = find(&self.active.entries, seq) else { return Ok(None) };
        let mut bytes = vec![0; entry.end - entry.offset];
        let offset = u64::try_from(entry.offset).map_err(io::Error::other)?;
        self.active.file.read_exact_at(&mut bytes, offset)?;
        let whole = record::decode(&bytes, 0).filter(|found| found.seq == seq);
        Ok(whole.and_then(|found| record::payload(&bytes, found)).map(<[u8]>::to_vec))
    }

    fn note_damage(&mut self, segment: &Segment, bytes: &[u8], scan: &Scan) {
        for range in scan.broken.iter().chain(&scan.tail) {
            segment::quarantine(&self.folder.join("quarantine"), segment, range.start, bytes.get(range.clone()).unwrap_or_default());
            if !self.damage_seen.contains(&segment.first) {
                self.damaged += 1;
                tracing::warn!(
                    segment.first,
                    offset = range.start,
                    bytes = range.len(),
                    "found damaged bytes in the spool; kept in quarantine"
                );
            }
        }
        self.damage_seen.insert(segment.first);
    }

    /// Notes that every frame up to `seq` is durable at the collector.
    ///
    /// * A confirmation of frames that this spool does not have means that the disk lied about them: the sequence
    ///   continues after them, so that no number is used twice.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Result<(), SpoolError> {
        if seq >= self.next_seq {
            tracing::error!(
                seq,
                spool.next_seq = self.next_seq,
                "the collector has frames that this spool lost; the sequence continues after them"
            );
            self.skip_to(seq + 1);
        }
        self.acknowledged = self.acknowledged.max(seq);
        if self.acknowledged - self.cursor.mark().acknowledged >= CURSOR_LAG_MAX {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Continues the sequence at `next`; frames that wait are numbered anew.
    fn skip_to(&mut self, next: u64) {
        self.next_seq = next;
        self.committed = next - 1;
        for pending in &mut self.pending {
            let renumbered = pending.bytes.get(record::HEADER_BYTES..).and_then(|payload| record::encode(self.next_seq, payload));
            if let Some(bytes) = renumbered {
                *pending = Pending { seq: self.next_seq, bytes };
                self.next_seq += 1;
            }
        }
    }

    /// Leaves out numbers, as damage does.
    #[cfg(test)]
    pub(crate) fn skip_for_test(&mut self, count: u64) {
        self.skip_to(self.next_seq + count);
    }

    /// Makes durable what the collector confirmed.
    pub(crate) fn checkpoint(&mut self) -> Result<(), SpoolError> {
        let mark = Mark { acknowledged: self.acknowledged, ..self.cursor.mark() };
        if mark == self.cursor.mark() {
            return Ok(());
        }
        self.cursor.write(&mut self.disk, mark).map_err(|err| SpoolError::Write { path: self.folder.clone(), frames: 0, err })
    }

    /// Releases the oldest segments until another fits the disk allowance.
    fn make_room(&mut self) -> io::Result<()> {
        let segment_bytes = u64::try_from(self.options.segment_bytes).map_err(io::Error::other)?;
        let segments_max = (self.options.bytes_max / segment_bytes).max(2);
        self.tell_fill(segments_max);
        let count = u64::try_from(self.segments.len()).map_err(io::Error::other)?;
        // The newest segment stays: it carries the sequence.
        for _ in segments_max..=count {
            let Some(next) = self.segments.get(1).map(|segment| segment.first) else { break };
            self.release(next - 1)?;
        }
        Ok(())
    }

    /// Releases every segment that the collector has whole. Says whether there was one.
    fn release_delivered(&mut self) -> io::Result<bool> {
        let before = self.segments.len();
        while let Some(next) = self.segments.get(1).map(|segment| segment.first).filter(|next| next - 1 <= self.acknowledged) {
            self.release(next - 1)?;
        }
        Ok(self.segments.len() < before)
    }

    /// Gives up every segment that ends at `seq` or before: first durably in the cursor, then on disk.
    fn release(&mut self, seq: u64) -> io::Result<()> {
        let oldest = self.segments.front().map_or(1, |segment| segment.first);
        let undelivered = seq.saturating_sub(self.acknowledged.max(oldest - 1));
        self.cursor.write(&mut self.disk, Mark { acknowledged: self.acknowledged, released: seq })?;
        if undelivered > 0 {
            self.dropped += undelivered;
            tracing::error!(
                frames = undelivered,
                spool.bytes_max = self.options.bytes_max,
                "the spool is full: dropped the oldest frames before the collector had them"
            );
        }
        self.remove_released()
    }

    fn remove_released(&mut self) -> io::Result<()> {
        let released = self.cursor.mark().released;
        while self.segments.get(1).is_some_and(|next| next.first <= released + 1) {
            let Some(segment) = self.segments.front() else { break };
            self.disk.remove(&segment.path)?;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Says once that the undelivered part of the spool passed 50, 80 and 95 percent of the allowance.
    fn tell_fill(&mut self, segments_max: u64) {
        let undelivered = self.segments.iter().skip(1).filter(|next| next.first > self.acknowledged + 1).count() + 1;
        let percent = u64::try_from(undelivered).unwrap_or(u64::MAX).saturating_mul(100) / segments_max;
        let level = [95, 80, 50].into_iter().find(|&level| percent >= level).unwrap_or(0);
        if level > self.fill_told {
            tracing::warn!(percent, spool.bytes_max = self.options.bytes_max, "undelivered frames fill more than {level} % of the spool");
        }
        self.fill_told = level;
    }

    /// What this spool counts.
    pub(crate) fn counters(&self) -> SpoolCounters {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        SpoolCounters {
            committed: self.committed,
            acknowledged: self.acknowledged,
            dropped: self.dropped,
            damaged: self.damaged,
            waiting: count(self.pending.len()),
            bytes: count(self.segments.len() * self.options.segment_bytes),
            bytes_max: self.options.bytes_max,
        }
    }
}

fn find(entries: &[Entry], seq: u64) -> Option<Entry> {
    let at = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
    entries.get(at).copied()
}

fn read_id(folder: &Path) -> io::Result<Option<SpoolId>> {
    match fs::read(folder.join("id")) {
        Ok(bytes) => Ok(<[u8; 16]>::try_from(bytes).ok().map(SpoolId::from_bytes)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}
