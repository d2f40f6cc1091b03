//! Takes an import back: what it brought is covered by amendments. Nothing of it is removed, and what came after it stays.

use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use store::{Account, AmendError, Amendment, FlushError, OpenError, Reader, Row, Sample, SegmentError, SeriesInfo, Store};
use units::{Quality, Reason};

use super::commit::RETURNED;
use super::compare::is_undone;
use super::history::Document;
use crate::import::series::{BATCH_ROWS, GATEWAY, numbers};

/// Who takes it back, and why.
#[derive(Clone, Debug)]
pub(crate) struct UndoOptions {
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) approval: String,
    pub(crate) now: Timestamp,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Undone {
    pub(crate) id: String,
    /// Readings that have no value any more.
    pub(crate) taken_back: u64,
    /// Readings that have the value again that was there before.
    pub(crate) restored: u64,
    /// Readings that somebody has changed since: they stay as they are.
    pub(crate) changed_since: u64,
    /// Entries of the audit log, from and to.
    pub(crate) audit_entries: Option<(u64, u64)>,
}

/// Why an import was not undone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    #[error("there is no import `{id}`: `negawatt import list` shows all there are")]
    Unknown { id: String },
    #[error("`{id}` is the beginning of {count} imports: write more of it")]
    Several { id: String, count: usize },
    #[error("the import {id} was made by an earlier version, which did not number its readings: correct them by amendments")]
    Unnumbered { id: String },
    #[error("the import {other} came back after {id} over the same time: undo it first")]
    Later { id: String, other: String },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("could not read what is stored")]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Amend(#[from] AmendError),
    #[error(transparent)]
    Flush(#[from] FlushError),
}

/// An import, found by the beginning of its identity.
struct Target {
    id: String,
    tenant: Slug,
    facility: Slug,
    numbers: std::ops::Range<u64>,
    /// From its first reading to behind its last one; all times where the audit log does not say.
    times: std::ops::Range<i64>,
    /// Ranges over which values of it were brought back.
    returned: Vec<std::ops::Range<i64>>,
}

/// What becomes of a reading.
enum Step {
    Restore(Row),
    TakeBack(Row),
    ChangedSince,
}

/// Undoes an import. Undone again, it changes nothing.
pub(crate) fn undo(store: &Store, wanted: &str, options: &UndoOptions) -> Result<Undone, UndoError> {
    let reader = Reader::open(store.dir())?;
    let target = find(&reader, wanted)?;
    let mut undone = Undone { id: target.id.clone(), taken_back: 0, restored: 0, changed_since: 0, audit_entries: None };
    for info in reader.series(&target.tenant, &target.facility) {
        let history = reader.history(info.id, target.times.clone())?;
        let mut rows = Vec::new();
        for versions in history.chunk_by(|one, other| one.ts_ms == other.ts_ms) {
            match step(&info, versions, &target) {
                None => {}
                Some(Step::ChangedSince) => undone.changed_since += 1,
                Some(Step::Restore(row)) => {
                    undone.restored += 1;
                    rows.push(row);
                }
                Some(Step::TakeBack(row)) => {
                    undone.taken_back += 1;
                    rows.push(row);
                }
            }
        }
        for rows in rows.chunks(BATCH_ROWS) {
            let account = Account {
                actor: options.actor.clone(),
                reason: options.reason.clone(),
                document: Document::Undone { id: target.id.clone() }.text(),
                approval: options.approval.clone(),
                at_ms: options.now.as_millisecond(),
            };
            let (tenant, facility) = (target.tenant.clone(), target.facility.clone());
            let entry = store.amend(&Amendment { tenant, facility, rows: rows.to_vec(), account })?;
            let first = undone.audit_entries.map_or(entry.number, |(first, _)| first);
            undone.audit_entries = Some((first, entry.number));
        }
    }
    store.flush()?;
    Ok(undone)
}

fn find(reader: &Reader, wanted: &str) -> Result<Target, UndoError> {
    let spools = reader.spools().into_iter().filter(|spool| spool.origin.gateway.as_str() == GATEWAY);
    let matching: Vec<_> = spools.filter(|spool| wire::command::to_hex(&spool.spool_id).starts_with(wanted)).collect();
    let spool = match matching.as_slice() {
        [] => return Err(UndoError::Unknown { id: wanted.to_owned() }),
        _ if wanted.is_empty() => return Err(UndoError::Unknown { id: wanted.to_owned() }),
        [one] => one,
        several => return Err(UndoError::Several { id: wanted.to_owned(), count: several.len() }),
    };
    let (id, numbers) = (wire::command::to_hex(&spool.spool_id), numbers(&spool.spool_id));
    if !numbers.contains(&spool.ack.highest_seq) {
        return Err(UndoError::Unnumbered { id });
    }
    let (mut returned, mut times): (Vec<std::ops::Range<i64>>, Option<std::ops::Range<i64>>) = (Vec::new(), None);
    for entry in reader.audit().iter().filter(|entry| entry.facility == spool.origin.facility && entry.tenant == spool.origin.tenant) {
        match Document::of(entry) {
            Some(Document::Committed { id: of, .. }) if of == id => {
                let known = times.unwrap_or(entry.from_ms..entry.to_ms);
                times = Some(known.start.min(entry.from_ms)..known.end.max(entry.to_ms));
            }
            Some(Document::Returned { id: of }) if of == id => returned.push(entry.from_ms..entry.to_ms),
            // Brought back by another import since: amendments have no number that would tell the two apart.
            Some(Document::Returned { id: other })
                if returned.iter().any(|range| range.start < entry.to_ms && entry.from_ms < range.end) =>
            {
                return Err(UndoError::Later { id, other });
            }
            _ => {}
        }
    }
    let (tenant, facility) = (spool.origin.tenant.clone(), spool.origin.facility.clone());
    let times = times.unwrap_or(i64::MIN..i64::MAX);
    Ok(Target { id, tenant, facility, numbers, times, returned })
}

impl Target {
    fn brought(&self, sample: &Sample) -> bool {
        let returned = sample.seq == 0 && RETURNED.iter().all(|reason| sample.quality.has(*reason));
        self.numbers.contains(&sample.seq) || (returned && self.returned.iter().any(|range| range.contains(&sample.ts_ms)))
    }
}

/// What becomes of the reading that these versions are of; nothing where the import has no part in it, or was undone.
fn step(info: &SeriesInfo, versions: &[Sample], target: &Target) -> Option<Step> {
    let newest = versions.last()?;
    // The undo of another import may have brought a value of this one to light again.
    let restored = is_restored(newest) && versions.iter().any(|sample| target.brought(sample) && sample.raw == newest.raw);
    if !target.brought(newest) && !restored {
        let changed = versions.iter().any(|sample| target.brought(sample)) && !is_undone(newest) && !is_restored(newest);
        return changed.then_some(Step::ChangedSince);
    }
    // What was there before the import; what an undo has covered by then stays covered.
    let first = versions.iter().position(|sample| target.brought(sample))?;
    let earlier = versions.get(..first)?.last().filter(|sample| !is_undone(sample));
    if earlier.is_none() && newest.raw.is_none() {
        // It never had a value: there is nothing to take back.
        return None;
    }
    let (raw, quality) = match earlier {
        Some(sample) => (sample.raw, sample.quality.with(Reason::Edited)),
        None => (None, Quality::bad(Reason::NoValue).with(Reason::Edited)),
    };
    let key = &info.key;
    let row = Row {
        device: key.device.clone(),
        point: key.point.as_str().into(),
        unit: key.unit,
        exponent: key.exponent,
        ts_ms: newest.ts_ms,
        raw,
        quality,
        words: None,
    };
    Some(if earlier.is_some() { Step::Restore(row) } else { Step::TakeBack(row) })
}

/// Whether an undo has put an earlier value there.
fn is_restored(sample: &Sample) -> bool {
    sample.seq == 0 && sample.quality.has(Reason::Edited) && !sample.quality.has(Reason::Substituted)
}
