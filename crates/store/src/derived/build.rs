//! Making a file of quarters, and making it anew where readings have come since.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::quarter::{QUARTER_MS, Quarter, quarter_of, quarters};
use super::table::{Table, TableWriter};
use super::{DerivedRow, month_range};
use crate::amend::SealedRange;
use crate::archive::{Archive, FlushError, Published};
use crate::compact::{Eagerness, open};
use crate::complete::newest;
use crate::fault::{self, Step};
use crate::flush::Place;
use crate::flushed::SegmentError;
use crate::manifest::{ManifestError, Publication, SegmentRow};
use crate::row::Sample;
use crate::segment::Sweep;
use crate::series::{SeriesId, SeriesKey};

/// A file that lacks fewer readings is left as it is: they are soon looked through.
const DUE_ROWS_MIN: u64 = 4_096;
/// A file is made anew when it lacks this part of what it has, so that each reading is gone through a few times at most.
const DUE_PART: u64 = 8;
/// More runs of quarters than these are read as one.
const RUNS_MAX: usize = 32;

/// A file of quarters that is to be made.
#[derive(Debug)]
pub(crate) struct Derivation {
    id: i64,
    pub(crate) place: Place,
    old: Option<DerivedRow>,
    /// Everything up to this entry of the log is in the inputs.
    through_lsn: u64,
    /// Readings up to this entry may have been dropped: what the old file says of them stays.
    dropped_lsn: u64,
    inputs: Vec<SegmentRow>,
    keys: HashMap<SeriesId, SeriesKey>,
    seals: Vec<SealedRange>,
}

impl Archive {
    /// The next file that is due, if any is.
    ///
    /// * `quarters_from`: readings of a series in a month, on average, from which on it has one.
    /// * `given_up`: those of which an attempt has failed.
    pub(crate) fn next_derivation(&mut self, eagerness: Eagerness, quarters_from: u64, given_up: &HashSet<Place>) -> Option<Derivation> {
        let mut places: BTreeMap<(&str, &str, &str), Vec<&SegmentRow>> = BTreeMap::new();
        for segment in self.flushed.segments() {
            places.entry((&segment.tenant, &segment.facility, &segment.month)).or_default().push(segment);
        }
        let files: HashMap<(&str, &str, &str), &DerivedRow> =
            self.derived.iter().map(|row| ((row.tenant.as_str(), row.facility.as_str(), row.month.as_str()), row)).collect();
        let place = places.into_iter().find_map(|(place, inputs)| {
            let old = files.get(&place).copied();
            let (tenant, facility, month) = (place.0.to_owned(), place.1.to_owned(), place.2.to_owned());
            let place = Place { tenant, facility, month };
            let is_due = is_due(&inputs, old, eagerness) && (old.is_some() || pays(&inputs, quarters_from));
            (is_due && !given_up.contains(&place)).then_some(place)
        })?;
        Some(self.derivation(place))
    }

    /// The file of a month, unless it is up to date.
    pub(crate) fn derivation_of(&mut self, place: Place) -> Option<Derivation> {
        let old = self.derived.iter().find(|row| row.is_of(&place.tenant, &place.facility, &place.month));
        let inputs: Vec<&SegmentRow> = self.flushed.segments().iter().filter(|row| row.is_of(&place)).collect();
        is_due(&inputs, old, Eagerness::Whole).then(|| self.derivation(place))
    }

    fn derivation(&mut self, place: Place) -> Derivation {
        let old = self.derived.iter().find(|row| row.is_of(&place.tenant, &place.facility, &place.month)).cloned();
        let inputs: Vec<SegmentRow> = self.flushed.segments().iter().filter(|row| row.is_of(&place)).cloned().collect();
        let ids: BTreeSet<SeriesId> = inputs.iter().flat_map(|segment| segment.spans.iter().map(|span| span.series)).collect();
        let catalogue = &self.state.catalogue;
        let of_place = |key: &SeriesKey| key.tenant.as_str() == place.tenant && key.facility.as_str() == place.facility;
        let keys: HashMap<SeriesId, SeriesKey> =
            catalogue.iter().filter(|(_, key)| of_place(key)).map(|(id, key)| (id, key.clone())).collect();
        let one = ids.first().and_then(|id| keys.get(id));
        let seals = one.map(|key| self.state.seals(&key.tenant, &key.facility).to_vec()).unwrap_or_default();
        let dropped_lsn = one.zip(month_range(&place.month)).map_or(0, |(key, range)| self.state.dropped_lsn(key, &range));
        let id = self.next_segment;
        self.next_segment += 1;
        Derivation { id, place, old, through_lsn: self.flushed_lsn, dropped_lsn, inputs, keys, seals }
    }

    /// The manifest has the file.
    pub(crate) fn derived(&mut self, row: DerivedRow) {
        self.derived.retain(|old| !old.is_of(&row.tenant, &row.facility, &row.month));
        self.derived.push(row);
    }

    /// Forgets files that are not there and can be made anew, and says whether there were any.
    pub(crate) fn forget_lost(&mut self, published: &mut Published) -> Result<bool, ManifestError> {
        let (dir, audit) = (&self.dir, self.state.audit());
        let is_lost = |row: &DerivedRow| {
            let there = dir.join(&row.path).metadata().is_ok_and(|found| found.len() == row.bytes);
            !there && !row.is_all_there_is(audit)
        };
        let (lost, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.derived).into_iter().partition(is_lost);
        self.derived = kept;
        if lost.is_empty() {
            return Ok(false);
        }
        let (flushed_lsn, next_segment, counters) = (published.flushed_lsn, self.next_segment, published.counters);
        let underived = lost.iter().map(|row| row.path.as_str()).collect();
        published.manifest.publish(&Publication { flushed_lsn, next_segment, counters, underived, ..Publication::default() })?;
        Ok(true)
    }
}

impl Published {
    /// Says that the file is in the place of the one before it.
    pub(crate) fn derive(&mut self, dir: &Path, row: &DerivedRow, next_segment: i64) -> Result<(), FlushError> {
        let publication = Publication {
            flushed_lsn: self.flushed_lsn,
            next_segment,
            counters: self.counters,
            derived: vec![row],
            ..Publication::default()
        };
        if let Err(err) = self.manifest.publish(&publication) {
            // It may be there all the same; a file that the manifest does not have only takes room.
            if matches!(self.manifest.has_derived(&row.path), Ok(false)) {
                discard(&dir.join(&row.path));
            }
            return Err(err.into());
        }
        Ok(fault::hit(Step::DerivedPublished).map_err(crate::wal::WalError::io("publish", dir))?)
    }
}

/// Whether a file is worth its room: its series have at least so many readings, on average. They are those of the segment that has most:
/// commits wait while this is asked of each month again, and almost every segment of a facility has all of its series.
fn pays(inputs: &[&SegmentRow], quarters_from: u64) -> bool {
    let series = inputs.iter().map(|segment| segment.spans.len()).max().unwrap_or(0) as u64;
    inputs.iter().map(|segment| segment.rows).sum::<u64>() >= quarters_from.saturating_mul(series)
}

fn is_due(inputs: &[&SegmentRow], old: Option<&DerivedRow>, eagerness: Eagerness) -> bool {
    let through = old.map_or(0, |old| old.through_lsn);
    let (mut has, mut lacks) = (0, 0);
    for segment in inputs {
        if old.is_some() && segment.max_lsn <= through { has += segment.rows } else { lacks += segment.rows }
    }
    match eagerness {
        Eagerness::Whole => lacks > 0,
        Eagerness::WhenDue => lacks >= DUE_ROWS_MIN.max(has / DUE_PART),
    }
}

/// The segments of the month, whole and in memory.
type Inputs<'a> = Vec<(&'a SegmentRow, Sweep<'a, bytes::Bytes>)>;

impl Derivation {
    pub(crate) fn through_lsn(&self) -> u64 {
        self.through_lsn
    }

    /// Writes the file. Needs nothing of the store but its folder.
    pub(crate) fn run(&self, dir: &Path) -> Result<DerivedRow, FlushError> {
        let segments = self.inputs.iter().map(|row| open(dir, row)).collect::<Result<Vec<_>, _>>()?;
        let mut inputs: Inputs<'_> = self.inputs.iter().zip(segments.iter().map(Sweep::new)).collect();
        let old = self.old(dir)?;
        let path = format!("derived/{:010}.parquet", self.id);
        let failed = |err| FlushError::Encode { path: dir.join(&path), err };
        let mut writer = TableWriter::new().map_err(failed)?;
        let mut ids: BTreeSet<SeriesId> = self.inputs.iter().flat_map(|row| row.spans.iter().map(|span| span.series)).collect();
        ids.extend(old.iter().flat_map(Table::ids));
        for id in ids {
            let Some(key) = self.keys.get(&id) else { continue };
            let quarters = match &old {
                Some(table) => self.renewed(dir, &mut inputs, id, table.quarters(id).map_err(failed)?)?,
                None => quarters(&self.readings(dir, &mut inputs, id, &(i64::MIN..i64::MAX))?),
            };
            writer.push(id, key, &quarters).map_err(failed)?;
        }
        let rows = writer.rows();
        let Place { tenant, facility, month } = self.place.clone();
        let about = json!({ "resolution": "15m", "month": month, "through_lsn": self.through_lsn });
        let bytes = writer.finish(&about).map_err(failed)?;
        write(dir, &path, &bytes).inspect_err(|_| discard(&dir.join(&path)))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(DerivedRow { path, tenant, facility, month, through_lsn: self.through_lsn, rows, bytes: bytes.len() as u64, sha256 })
    }

    /// The old file, when it is what was written. Readings that are still there make another one.
    fn old(&self, dir: &Path) -> Result<Option<Table<Bytes>>, FlushError> {
        let Some(row) = &self.old else { return Ok(None) };
        let path = dir.join(&row.path);
        match Table::open(&path, &row.sha256) {
            Ok(table) => Ok(Some(table)),
            Err(_) if self.dropped_lsn > 0 => Err(FlushError::Damaged { path }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a file of quarters is made anew of the readings");
                Ok(None)
            }
        }
    }

    fn renewed(&self, dir: &Path, inputs: &mut Inputs<'_>, id: SeriesId, old: Vec<Quarter>) -> Result<Vec<Quarter>, FlushError> {
        let through = self.old.as_ref().map_or(0, |old| old.through_lsn);
        let mut samples = Vec::new();
        for (row, sweep) in inputs.iter_mut().filter(|(row, _)| row.max_lsn > through) {
            let Some(span) = row.span(id) else { continue };
            sweep.append(span.rows(), None, &mut samples).map_err(|err| SegmentError { path: dir.join(&row.path), err })?;
        }
        let touched = samples.iter().filter(|sample| sample.lsn > through).map(|sample| quarter_of(sample.ts_ms)).collect();
        renew(old, &touched, self.dropped_lsn, |range| self.readings(dir, inputs, id, &range))
    }

    /// The readings of a series as whoever reads the store finds them.
    fn readings(&self, dir: &Path, inputs: &mut Inputs<'_>, id: SeriesId, range: &Range<i64>) -> Result<Vec<Sample>, FlushError> {
        let mut samples = Vec::new();
        for (row, sweep) in inputs {
            let Some(span) = row.span(id) else { continue };
            if span.min_ts < range.end && span.max_ts >= range.start {
                let read = sweep.append(span.rows(), Some(range), &mut samples);
                read.map_err(|err| SegmentError { path: dir.join(&row.path), err })?;
            }
        }
        samples.retain(|sample| !self.seals.iter().any(|seal| seal.holds_back(sample)));
        samples.sort_by_key(|sample| (sample.ts_ms, sample.version));
        newest(&mut samples);
        Ok(samples)
    }
}

/// Quarters with those that were touched made anew of their readings.
///
/// * `dropped_lsn`: a quarter whose readings came up to this entry of the log stays as it is: they are not there any more.
pub(super) fn renew<E>(
    old: Vec<Quarter>,
    touched: &BTreeSet<i64>,
    dropped_lsn: u64,
    mut readings: impl FnMut(Range<i64>) -> Result<Vec<Sample>, E>,
) -> Result<Vec<Quarter>, E> {
    if touched.is_empty() {
        return Ok(old);
    }
    let mut found: BTreeMap<i64, Quarter> = old.into_iter().map(|quarter| (quarter.start_ms, quarter)).collect();
    found.retain(|start_ms, quarter| quarter.was_dropped(dropped_lsn) || !touched.contains(start_ms));
    for run in runs(touched) {
        for quarter in quarters(&readings(run)?) {
            if touched.contains(&quarter.start_ms) {
                found.entry(quarter.start_ms).or_insert(quarter);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Times that hold them, neighbours together.
fn runs(touched: &BTreeSet<i64>) -> Vec<Range<i64>> {
    let mut runs: Vec<Range<i64>> = Vec::new();
    for start_ms in touched {
        let end_ms = start_ms.saturating_add(QUARTER_MS);
        match runs.last_mut() {
            Some(run) if run.end == *start_ms => run.end = end_ms,
            _ => runs.push(*start_ms..end_ms),
        }
    }
    if runs.len() > RUNS_MAX
        && let Some(end_ms) = runs.last().map(|last| last.end)
    {
        runs.truncate(1);
        runs.iter_mut().for_each(|all| all.end = end_ms);
    }
    runs
}

fn write(dir: &Path, path: &str, bytes: &[u8]) -> Result<(), FlushError> {
    let path = dir.join(path);
    let failed = |what| {
        let path = path.clone();
        move |err| FlushError::Segment { what, path, err }
    };
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary).map_err(failed("create"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fault::hit(Step::DerivedWritten).map_err(failed("rename"))?;
    std::fs::rename(&temporary, &path).map_err(failed("rename"))?;
    File::open(dir.join("derived")).and_then(|dir| dir.sync_all()).map_err(failed("sync"))
}

/// Removes a file that the manifest does not have. What cannot be removed is a stranger to the next start.
fn discard(path: &Path) {
    for path in [path.with_extension("tmp"), path.to_owned()] {
        match std::fs::remove_file(&path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), error = %err, "a derived file that was not finished could not be removed");
            }
            _ => {}
        }
    }
}
