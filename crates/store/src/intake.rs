//! From batches to what is new in them: the one place that decides between new, duplicate and contradicting.

use units::{Quality, Reason, Severity};

use crate::archive::{Archive, FlushError};
use crate::flushed::SegmentError;
use crate::head::{DAY_MS, Slot, day_of};
use crate::manifest::ProfileRow;
use crate::row::{Batch, Committed, DeadLetter, Origin, Row, Sample};
use crate::series::{Catalogue, SeriesId, SeriesKey};
use crate::shared::Inner;
use crate::wal::{RecordWriter, RowsHead, WalError};

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

impl Inner {
    /// Commits what fits into one frame.
    pub(crate) fn commit(&mut self, batches: &[Batch], letters: &[DeadLetter]) -> Result<Vec<Committed>, CommitError> {
        // Everything that may fail comes first: from the first change in memory on there is no way back.
        let resolved = batches.iter().map(|batch| self.resolve(batch)).collect::<Result<Vec<_>, _>>()?;
        let bytes = batches.iter().map(bytes_max).chain(letters.iter().map(letter_bytes_max)).sum();
        self.wal.reserve(bytes)?;
        let mut writer = RecordWriter::reuse(std::mem::take(&mut self.buffers));
        let committed = batches.iter().zip(resolved).map(|(batch, ids)| self.take(batch, &ids, &mut writer)).collect();
        let lsn = self.wal.last_lsn() + 1;
        for letter in letters {
            writer.letter(letter);
            self.archive.state.add_letter(lsn, letter.clone());
        }
        let empty = writer.is_empty();
        let (mut frame, rows) = writer.into_buffers();
        if !empty {
            self.wal.append(&mut frame)?;
        }
        self.buffers = (frame, rows);
        self.archive.flushed.bound_memory();
        self.archive.state.head.bound_memory();
        Ok(committed)
    }

    /// Finds the series of each row, and loads the stored readings that it must be compared with.
    fn resolve(&mut self, batch: &Batch) -> Result<Vec<Option<SeriesId>>, CommitError> {
        if self.is_repeat(batch) {
            return Ok(Vec::new());
        }
        let mut ids = Vec::with_capacity(batch.rows.len());
        let mut before = None;
        let times = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
        for row in &batch.rows {
            if !times.contains(&row.ts_ms) {
                return Err(CommitError::Time { ts_ms: row.ts_ms });
            }
            let id = self.find(&batch.origin, row, before);
            if let Some(id) = id {
                self.load(id, row)?;
            }
            ids.push(id);
            before = id;
        }
        Ok(ids)
    }

    /// The series of a row, if there is one.
    fn find(&mut self, origin: &Origin, row: &Row, before: Option<SeriesId>) -> Option<SeriesId> {
        let catalogue = &mut self.archive.state.catalogue;
        if let Some(id) = before.and_then(|before| catalogue.guess(before, row)) {
            return Some(id);
        }
        let devices = catalogue.facility(&origin.tenant, &origin.facility)?;
        let id = Catalogue::find(devices, &row.device, &row.point, row.unit, row.exponent)?;
        if let Some(before) = before {
            catalogue.follow(before, id);
        }
        Some(id)
    }

    /// Makes sure that the row can be compared with what is stored at its time.
    fn load(&mut self, id: SeriesId, row: &Row) -> Result<(), SegmentError> {
        let Archive { state, flushed, .. } = &mut self.archive;
        if state.head.slot(id, row.ts_ms) == Slot::Unknown && flushed.reaches(id, row.ts_ms) {
            let day = day_of(row.ts_ms);
            let from = i64::from(day) * DAY_MS;
            let times = flushed.times(id, &(from..from + DAY_MS))?;
            state.head.learn(id, day, &times);
        }
        if state.head.slot(id, row.ts_ms) == Slot::Taken && flushed.may_have(id, row.ts_ms) {
            let mut known = false;
            state.head.versions(id, row.ts_ms, |raw, _| known = known || raw == row.raw);
            if !known {
                flushed.load(id, row.ts_ms)?;
            }
        }
        Ok(())
    }

    fn is_repeat(&self, batch: &Batch) -> bool {
        let origin = self.archive.state.origin_id(&batch.origin);
        origin.and_then(|id| self.archive.state.received(id, batch.spool_id)).is_some_and(|set| set.contains(batch.seq))
    }

    /// Takes a batch into memory and writes down the outcome. Never fails.
    fn take(&mut self, batch: &Batch, ids: &[Option<SeriesId>], writer: &mut RecordWriter) -> Committed {
        if self.is_repeat(batch) {
            let duplicate = batch.rows.len() as u64 + batch.letter.as_ref().map_or(0, |letter| letter.points);
            self.archive.state.count_repeat(duplicate);
            writer.repeat(duplicate);
            return Committed { accepted: 0, duplicate, conflict: 0 };
        }
        let origin = self.origin(&batch.origin, writer);
        self.take_profiles(batch, writer);
        self.introduce(batch, ids, writer);
        let (lsn, mut accepted) = (self.wal.next_lsn(), 0);
        let mut head = RowsHead { origin, spool_id: batch.spool_id, seq: batch.seq, ..RowsHead::default() };
        for (index, row) in batch.rows.iter().enumerate() {
            let id = ids.get(index).copied().flatten().unwrap_or_else(|| self.series(&batch.origin, row, writer));
            match self.version_of(id, row) {
                None => head.duplicate += 1,
                Some(version) => {
                    head.conflict += u64::from(version > 0);
                    let quality = if version > 0 { contradicted(row.quality) } else { row.quality };
                    let Row { ts_ms, raw, words, .. } = *row;
                    let sample = Sample { ts_ms, raw, quality, words, seq: batch.seq, version, lsn };
                    self.archive.state.head.put(id, &sample);
                    writer.row(id, &sample);
                    accepted += 1;
                }
            }
        }
        self.archive.state.count(&head, accepted);
        writer.rows(&head);
        if let Some(letter) = &batch.letter {
            writer.letter(letter);
            self.archive.state.add_letter(lsn, letter.clone());
        }
        Committed { accepted, duplicate: head.duplicate, conflict: head.conflict }
    }

    /// The version that this row becomes, or `None` when its value is stored already.
    fn version_of(&self, id: SeriesId, row: &Row) -> Option<u16> {
        let Archive { state, flushed, .. } = &self.archive;
        if state.head.slot(id, row.ts_ms) != Slot::Taken {
            return Some(0);
        }
        let (mut known, mut next) = (false, 0_u16);
        let mut visit = |raw: Option<i64>, version: u16| {
            known = known || raw == row.raw;
            next = next.max(version.saturating_add(1));
        };
        state.head.versions(id, row.ts_ms, &mut visit);
        if flushed.reaches(id, row.ts_ms) {
            flushed.versions(id, row.ts_ms, &mut visit);
        }
        (!known).then_some(next)
    }

    fn origin(&mut self, origin: &Origin, writer: &mut RecordWriter) -> u32 {
        self.archive.state.origin_id(origin).unwrap_or_else(|| {
            let id = self.archive.state.next_origin_id();
            writer.origin(id, origin);
            self.archive.state.add_origin(id, origin.clone());
            id
        })
    }

    /// Numbers the series that are new, those of one point after each other: in a file, where series lie by their numbers, one then
    /// begins near to what the one before it ended with, and the step between them takes little room.
    fn introduce(&mut self, batch: &Batch, ids: &[Option<SeriesId>], writer: &mut RecordWriter) {
        let mut new: Vec<&Row> =
            batch.rows.iter().enumerate().filter(|(index, _)| !matches!(ids.get(*index), Some(Some(_)))).map(|(_, row)| row).collect();
        new.sort_by(|one, other| (&one.point, one.unit, one.exponent).cmp(&(&other.point, other.unit, other.exponent)));
        for row in new {
            self.series(&batch.origin, row, writer);
        }
    }

    fn series(&mut self, origin: &Origin, row: &Row, writer: &mut RecordWriter) -> SeriesId {
        let Origin { tenant, facility, .. } = origin.clone();
        let devices = self.archive.state.catalogue.facility(&tenant, &facility);
        let known = devices.and_then(|devices| Catalogue::find(devices, &row.device, &row.point, row.unit, row.exponent));
        known.unwrap_or_else(|| {
            let Row { device, point, unit, exponent, .. } = row.clone();
            let (id, key) =
                (self.archive.state.catalogue.next_id(), SeriesKey { tenant, facility, device, point: point.to_string(), unit, exponent });
            writer.series(id, &key);
            self.archive.state.catalogue.add(id, key);
            id
        })
    }

    fn take_profiles(&mut self, batch: &Batch, writer: &mut RecordWriter) {
        let Some(from_ms) = batch.rows.first().map(|row| row.ts_ms) else { return };
        for seen in &batch.profiles {
            if let Some(period) = self.archive.state.new_period(&batch.origin, seen, from_ms) {
                let Origin { tenant, facility, .. } = batch.origin.clone();
                writer.profile(&tenant, &facility, &seen.device, &period);
                self.archive.state.add_profile(ProfileRow { tenant, facility, device: seen.device.clone(), period });
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
pub(crate) fn fitting(sizes: impl Iterator<Item = usize>, taken: usize) -> Result<(usize, usize), CommitError> {
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
pub(crate) fn bytes_max(batch: &Batch) -> usize {
    let names = batch.origin.tenant.as_str().len() + batch.origin.facility.as_str().len() + 24;
    let row = |row: &Row| RecordWriter::ROW_BYTES_MAX + names + row.device.as_str().len() + row.point.len();
    let profile = |seen: &crate::ProfileSeen| {
        2 * names + seen.device.as_str().len() + seen.profile.len() + seen.profile_hash.len() + seen.config_hash.len()
    };
    let letter = batch.letter.as_ref().map_or(0, letter_bytes_max);
    RecordWriter::BATCH_BYTES_MAX + letter + batch.rows.iter().map(row).sum::<usize>() + batch.profiles.iter().map(profile).sum::<usize>()
}

pub(crate) fn letter_bytes_max(letter: &DeadLetter) -> usize {
    64 + letter.topic.len() + letter.reason.len() + letter.payload.len()
}
