//! Changes that somebody answers for: amended readings and sealed ranges. Nothing is overwritten here either.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use ids::Slug;
use sha2::{Digest as _, Sha256};

use crate::archive::{Archive, FlushError};
use crate::audit::{Account, Action, AuditEntry};
use crate::flushed::SegmentError;
use crate::head::Slot;
use crate::intake::CommitError;
use crate::row::{Row, Sample};
use crate::series::{Catalogue, SeriesId};
use crate::shared::Inner;
use crate::wal::{RecordWriter, WalError};

/// Readings that somebody or some method puts in the place of others, or where there are none.
///
/// Each becomes the newest version of its time, as it is given: the quality has to say `edited`, `estimated` or
/// `substituted`, so that it is never taken for what a meter said. Only a version that is stored can be put back as it is,
/// which is how a change is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    pub tenant: Slug,
    pub facility: Slug,
    pub rows: Vec<Row>,
    pub account: Account,
}

/// A range of a facility that has been billed.
///
/// What a gateway sends for it from now on is kept, and not read by [`crate::Reader::scan`]: only an amendment with an
/// approval changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub tenant: Slug,
    pub facility: Slug,
    /// Half-open, UTC milliseconds: the month of the facility's zone.
    pub from_ms: i64,
    pub to_ms: i64,
    pub account: Account,
}

/// What somebody has brought in from files, and answers for: written when its batches are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub tenant: Slug,
    pub facility: Slug,
    /// Half-open, UTC milliseconds: from its first reading to behind its last one.
    pub from_ms: i64,
    pub to_ms: i64,
    pub rows: u64,
    /// SHA-256 over what the files say.
    pub digest: [u8; 32],
    pub account: Account,
}

/// Why nothing was amended, sealed or attested.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    #[error("a change needs an actor and a reason")]
    Unaccounted,
    #[error("there is nothing to change")]
    Nothing,
    #[error("there is no series `{device}/{point}` in `{unit}` with this exponent: only what a meter has reported can be amended")]
    UnknownSeries { device: Slug, point: String, unit: &'static str },
    #[error("the quality of `{device}/{point}` does not say that it is edited, estimated or substituted")]
    Unmarked { device: Slug, point: String },
    #[error("{ts_ms} ms lies in a range that was billed (audit entry {entry}): name who approved the change")]
    Sealed { ts_ms: i64, entry: u64 },
    #[error("{ts_ms} ms lies in a range whose readings were dropped (audit entry {entry}): bring them back from the archive first")]
    Dropped { ts_ms: i64, entry: u64 },
    #[error("a part of this range is sealed already (audit entry {entry}): what follows from it is amended with an approval")]
    AlreadySealed { entry: u64 },
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// What was sealed must be in segments first, so that it can be asked for as it was.
    #[error("readings could not be moved to segments")]
    Flush(#[from] FlushError),
}

impl From<WalError> for AmendError {
    fn from(err: WalError) -> Self {
        Self::Commit(err.into())
    }
}

impl From<SegmentError> for AmendError {
    fn from(err: SegmentError) -> Self {
        Self::Commit(err.into())
    }
}

/// A sealed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRange {
    pub from_ms: i64,
    pub to_ms: i64,
    /// Its entry in the audit log.
    pub entry: u64,
    /// The last entry of the write-ahead log that it covers: what [`crate::Reader::as_of`] takes.
    pub lsn: u64,
}

impl SealedRange {
    /// Whether a reading is kept out of it: it came after the seal, and nobody has approved it.
    pub(crate) fn holds_back(&self, sample: &Sample) -> bool {
        (self.from_ms..self.to_ms).contains(&sample.ts_ms) && sample.lsn > self.lsn && sample.seq != 0
    }
}

impl Inner {
    pub(crate) fn amend(&mut self, amendment: &Amendment) -> Result<AuditEntry, AmendError> {
        let Amendment { tenant, facility, rows, account } = amendment;
        check(account)?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in rows {
            ids.push(self.amendable(tenant, facility, row, account)?);
        }
        self.refuse_unmarked(rows, &ids)?;
        let (first, last) = (rows.iter().map(|row| row.ts_ms).min(), rows.iter().map(|row| row.ts_ms).max());
        let (Some(from_ms), Some(last_ms)) = (first, last) else { return Err(AmendError::Nothing) };
        let bytes = RecordWriter::ROW_BYTES_MAX * rows.len() + AuditEntry::BYTES_MAX + account_bytes(account);
        if bytes > crate::wal::PAYLOAD_BYTES_MAX {
            return Err(CommitError::TooLarge { bytes }.into());
        }
        self.wal.reserve(bytes)?;
        let mut writer = RecordWriter::reuse(std::mem::take(&mut self.buffers));
        let lsn = self.wal.next_lsn();
        for (row, id) in rows.iter().zip(ids) {
            let Row { ts_ms, raw, quality, words, .. } = *row;
            let sample = Sample { ts_ms, raw, quality, words, seq: 0, version: self.next_version(id, ts_ms), lsn };
            self.archive.state.head.put(id, &sample);
            writer.row(id, &sample);
        }
        let entry = self.archive.state.next_entry(AuditEntry {
            number: 0,
            action: Action::Amend,
            account: account.clone(),
            tenant: tenant.clone(),
            facility: facility.clone(),
            from_ms,
            to_ms: last_ms.saturating_add(1),
            rows: rows.len() as u64,
            digest: writer.rows_digest(),
            sealed_lsn: 0,
            before: [0; 32],
        });
        writer.audit(&entry);
        writer.amended();
        self.append_entry(writer, &entry)?;
        Ok(entry)
    }

    /// Whether a range may be sealed.
    pub(crate) fn sealable(&self, seal: &Seal) -> Result<(), AmendError> {
        let Seal { tenant, facility, from_ms, to_ms, account } = seal;
        check(account)?;
        if from_ms >= to_ms {
            return Err(AmendError::Nothing);
        }
        let sealed = self.archive.state.seals(tenant, facility).iter().find(|seal| seal.from_ms < *to_ms && seal.to_ms > *from_ms);
        sealed.map_or(Ok(()), |seal| Err(AmendError::AlreadySealed { entry: seal.entry }))
    }

    /// Seals a range of what is in segments: the caller has made sure that this is everything.
    pub(crate) fn seal(&mut self, seal: &Seal) -> Result<AuditEntry, AmendError> {
        let Seal { tenant, facility, from_ms, to_ms, account } = seal;
        let (rows, digest) = self.archive.digest(tenant, facility, *from_ms, *to_ms)?;
        self.reserve_entry(account)?;
        let entry = self.archive.state.next_entry(AuditEntry {
            number: 0,
            action: Action::Seal,
            account: account.clone(),
            tenant: tenant.clone(),
            facility: facility.clone(),
            from_ms: *from_ms,
            to_ms: *to_ms,
            rows,
            digest,
            sealed_lsn: self.wal.last_lsn(),
            before: [0; 32],
        });
        let mut writer = RecordWriter::reuse(std::mem::take(&mut self.buffers));
        writer.audit(&entry);
        self.append_entry(writer, &entry)?;
        Ok(entry)
    }

    pub(crate) fn attest(&mut self, imported: &Imported) -> Result<AuditEntry, AmendError> {
        let Imported { tenant, facility, from_ms, to_ms, rows, digest, account } = imported.clone();
        check(&account)?;
        if from_ms >= to_ms {
            return Err(AmendError::Nothing);
        }
        self.reserve_entry(&account)?;
        let (number, action, sealed_lsn, before) = (0, Action::Import, 0, [0; 32]);
        let entry = AuditEntry { number, action, account, tenant, facility, from_ms, to_ms, rows, digest, sealed_lsn, before };
        let entry = self.archive.state.next_entry(entry);
        let mut writer = RecordWriter::reuse(std::mem::take(&mut self.buffers));
        writer.audit(&entry);
        self.append_entry(writer, &entry)?;
        Ok(entry)
    }

    /// Makes room in the log for an entry of the audit log.
    pub(crate) fn reserve_entry(&mut self, account: &Account) -> Result<(), WalError> {
        self.wal.reserve(AuditEntry::BYTES_MAX + account_bytes(account))
    }

    /// Nothing fails before the log is written, and after it has failed the store is stopped.
    pub(crate) fn append_entry(&mut self, writer: RecordWriter, entry: &AuditEntry) -> Result<(), WalError> {
        self.archive.state.add_entry(entry.clone());
        let (mut frame, rows) = writer.into_buffers();
        self.wal.append(&mut frame)?;
        self.buffers = (frame, rows);
        Ok(())
    }

    /// The series of a row that may be amended, with everything loaded that says which version it becomes.
    fn amendable(&mut self, tenant: &Slug, facility: &Slug, row: &Row, account: &Account) -> Result<SeriesId, AmendError> {
        let Row { device, point, .. } = row;
        let Archive { state, flushed, .. } = &mut self.archive;
        let devices = state.catalogue.facility(tenant, facility);
        let id = devices.and_then(|devices| Catalogue::find(devices, device, point, row.unit, row.exponent));
        let id =
            id.ok_or_else(|| AmendError::UnknownSeries { device: device.clone(), point: point.to_string(), unit: row.unit.symbol() })?;
        if jiff::Timestamp::from_millisecond(row.ts_ms).is_err() {
            return Err(CommitError::Time { ts_ms: row.ts_ms }.into());
        }
        let sealed = state.seals(tenant, facility).iter().find(|seal| (seal.from_ms..seal.to_ms).contains(&row.ts_ms));
        if let Some(seal) = sealed.filter(|_| account.approval.is_empty()) {
            return Err(AmendError::Sealed { ts_ms: row.ts_ms, entry: seal.entry });
        }
        if let Some(entry) = state.dropped_by(tenant, facility, &(row.ts_ms..row.ts_ms.saturating_add(1))) {
            return Err(AmendError::Dropped { ts_ms: row.ts_ms, entry });
        }
        if flushed.may_have(id, row.ts_ms) {
            flushed.load(id, row.ts_ms)?;
        }
        Ok(id)
    }

    /// Refuses a row that could be taken for what a meter said, unless it is a version that is stored.
    fn refuse_unmarked(&self, rows: &[Row], ids: &[SeriesId]) -> Result<(), AmendError> {
        let mut spans: BTreeMap<SeriesId, Range<i64>> = BTreeMap::new();
        let unmarked = || rows.iter().zip(ids).filter(|(row, _)| row.quality.is_measured());
        for (row, id) in unmarked() {
            let span = spans.entry(*id).or_insert(row.ts_ms..row.ts_ms);
            *span = span.start.min(row.ts_ms)..span.end.max(row.ts_ms.saturating_add(1));
        }
        let mut stored = HashSet::new();
        for (id, span) in &spans {
            let in_memory = self.archive.state.head.unflushed(*id).into_iter().filter(|sample| span.contains(&sample.ts_ms));
            let samples = self.archive.flushed.scan(*id, span)?.into_iter().chain(in_memory);
            stored.extend(samples.map(|sample| (*id, sample.ts_ms, sample.raw, sample.quality.bits(), sample.words)));
        }
        match unmarked().find(|(row, id)| !stored.contains(&(**id, row.ts_ms, row.raw, row.quality.bits(), row.words))) {
            Some((row, _)) => Err(AmendError::Unmarked { device: row.device.clone(), point: row.point.to_string() }),
            None => Ok(()),
        }
    }

    fn next_version(&self, id: SeriesId, ts_ms: i64) -> u16 {
        let mut next = 0_u16;
        let mut visit = |_, version: u16| next = next.max(version.saturating_add(1));
        if self.archive.state.head.slot(id, ts_ms) != Slot::Free {
            self.archive.state.head.versions(id, ts_ms, &mut visit);
            self.archive.flushed.versions(id, ts_ms, &mut visit);
        }
        next
    }
}

impl Archive {
    /// How many readings a range of a facility has in segments, and SHA-256 over them.
    fn digest(&self, tenant: &Slug, facility: &Slug, from_ms: i64, to_ms: i64) -> Result<(u64, [u8; 32]), SegmentError> {
        let mut digest = Digest::default();
        for (id, _) in self.state.catalogue.iter().filter(|(_, key)| key.tenant == *tenant && key.facility == *facility) {
            let mut samples = self.flushed.scan(id, &(from_ms..to_ms))?;
            samples.sort_by_key(|sample| (sample.ts_ms, sample.version));
            crate::complete::newest(&mut samples);
            digest.add(id, &samples);
        }
        Ok(digest.finish())
    }
}

/// What a seal covers: the newest version of each time.
///
/// * Shape: of each series that has any, by number: the number, then time, whether there is a value, value, quality of
///   each reading; all as eight big-endian bytes.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    rows: u64,
    hasher: Sha256,
}

impl Digest {
    pub(crate) fn add(&mut self, id: SeriesId, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        self.rows += samples.len() as u64;
        self.hasher.update(u64::from(id.0).to_be_bytes());
        for sample in samples {
            self.hasher.update(sample.ts_ms.to_be_bytes());
            self.hasher.update(u64::from(sample.raw.is_some()).to_be_bytes());
            self.hasher.update(sample.raw.unwrap_or(0).to_be_bytes());
            self.hasher.update(u64::from(sample.quality.bits()).to_be_bytes());
        }
    }

    pub(crate) fn finish(self) -> (u64, [u8; 32]) {
        (self.rows, self.hasher.finalize().into())
    }
}

pub(crate) fn check(account: &Account) -> Result<(), AmendError> {
    if account.actor.trim().is_empty() || account.reason.trim().is_empty() {
        return Err(AmendError::Unaccounted);
    }
    Ok(())
}

fn account_bytes(account: &Account) -> usize {
    account.actor.len() + account.reason.len() + account.document.len() + account.approval.len()
}
