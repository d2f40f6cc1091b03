//! From many segments to few.
//!
//! A flush writes level 0. [`FANOUT`] of them of one facility and month become one of level 1, and as many of level 1
//! with all the rest of the month become its one segment of level 2. What comes late is a segment of level 0 like any
//! other: readers see it at once, and the month is merged again when enough of it has come.
//!
//! A merge is planned under the lock of the store, and done and published without it: commits go on meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::archive::{Archive, FlushError, Published, remove_files};
use crate::flush::{Place, discard, sync_segments, write};
use crate::flushed::SegmentError;
use crate::manifest::{Publication, SegmentRow};
use crate::row::Sample;
use crate::segment::{Encoder, Packing, Segment, Sweep};
use crate::series::{SeriesId, SeriesKey};

/// So many segments of a level become one of the next.
const FANOUT: usize = 8;
/// All of a month.
const LAST_LEVEL: u8 = 2;

/// How eagerly segments are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eagerness {
    /// When there are [`FANOUT`] of a level.
    WhenDue,
    /// Whatever can be one segment becomes one.
    Whole,
}

/// Segments that are to become one.
#[derive(Debug)]
pub(crate) struct Merge {
    id: i64,
    place: Place,
    level: u8,
    inputs: Vec<SegmentRow>,
    keys: HashMap<SeriesId, SeriesKey>,
}

impl Archive {
    /// The next merge, if any is due.
    pub(crate) fn next_merge(&mut self, eagerness: Eagerness) -> Option<Merge> {
        let mut places: BTreeMap<(&str, &str, &str), Vec<&SegmentRow>> = BTreeMap::new();
        for segment in self.flushed.segments() {
            let SegmentRow { tenant, facility, month, .. } = segment;
            places.entry((tenant, facility, month)).or_default().push(segment);
        }
        let ((tenant, facility, month), level, inputs) =
            places.into_iter().find_map(|(place, segments)| due(&segments, eagerness).map(|(level, inputs)| (place, level, inputs)))?;
        let place = Place { tenant: tenant.to_owned(), facility: facility.to_owned(), month: month.to_owned() };
        let ids: BTreeSet<SeriesId> = inputs.iter().flat_map(|segment| segment.spans.iter().map(|span| span.series)).collect();
        let keys = ids.into_iter().filter_map(|id| Some((id, self.state.catalogue.get(id)?.clone()))).collect();
        let id = self.next_segment;
        self.next_segment += 1;
        Some(Merge { id, place, level, inputs, keys })
    }
}

impl Published {
    /// Says that the merged segment is in the place of those it was made of.
    pub(crate) fn merge(&mut self, dir: &Path, merge: &Merge, row: &SegmentRow, next_segment: i64) -> Result<(), FlushError> {
        let publication = Publication {
            flushed_lsn: self.flushed_lsn,
            next_segment,
            counters: self.counters,
            added: vec![row],
            removed: merge.removed().collect(),
            ..Publication::default()
        };
        self.manifest.publish(&publication).map_err(|err| self.not_published(dir, std::slice::from_ref(row), err))
    }

    /// Removes files of segments that were replaced. A reader that opened before then has lost them.
    pub(crate) fn remove_retired(&mut self, dir: &Path, paths: &[String]) -> Result<(), FlushError> {
        remove_files(dir, paths).map_err(|(path, err)| FlushError::Segment { what: "remove", path, err })?;
        Ok(self.manifest.forget_retired(paths)?)
    }
}

/// The level and the inputs of a merge that the segments of one place need.
fn due(segments: &[&SegmentRow], eagerness: Eagerness) -> Option<(u8, Vec<SegmentRow>)> {
    let owned = |segments: &[&SegmentRow]| segments.iter().map(|segment| (*segment).clone()).collect();
    if eagerness == Eagerness::Whole {
        // One alone may be of those that are packed in haste.
        let is_final = matches!(segments, [only] if only.level >= LAST_LEVEL);
        return (!is_final).then(|| (LAST_LEVEL, owned(segments)));
    }
    let of_level = |level: u8| segments.iter().filter(|segment| segment.level == level).copied().collect::<Vec<_>>();
    let (flushed, merged) = (of_level(0), of_level(1));
    if merged.len() >= FANOUT {
        Some((LAST_LEVEL, owned(segments)))
    } else if flushed.len() >= FANOUT {
        Some((1, owned(&flushed)))
    } else {
        None
    }
}

impl Merge {
    /// The numbers of the segments that it replaces.
    pub(crate) fn removed(&self) -> impl Iterator<Item = i64> {
        self.inputs.iter().map(|segment| segment.id)
    }

    /// Writes the merged segment. Needs nothing of the store but its folder.
    pub(crate) fn run(&self, dir: &Path) -> Result<SegmentRow, FlushError> {
        let lsns = |of: fn(&SegmentRow) -> u64| self.inputs.iter().map(of);
        let range = (lsns(|row| row.min_lsn).min().unwrap_or(0), lsns(|row| row.max_lsn).max().unwrap_or(0));
        let written = self
            .encode(dir)
            .and_then(|encoder| write(dir, self.id, &self.place, self.level, range, encoder))
            .and_then(|row| sync_segments(dir, true).map(|()| row));
        if written.is_err() {
            discard(dir, self.id..self.id + 1);
        }
        written
    }

    /// One series in memory at a time, or a row group of each input; the files themselves are small.
    fn encode(&self, dir: &Path) -> Result<Encoder, FlushError> {
        let segments = self.inputs.iter().map(|row| open(dir, row)).collect::<Result<Vec<_>, _>>()?;
        let mut inputs: Vec<_> = self.inputs.iter().zip(segments.iter().map(Sweep::new)).collect();
        let ids: BTreeSet<SeriesId> = self.keys.keys().copied().collect();
        let failed = |err| FlushError::Encode { path: dir.join("segments"), err };
        let packing = if self.level < LAST_LEVEL { Packing::Fast } else { Packing::Small };
        let mut encoder = Encoder::new(None, packing).map_err(failed)?;
        let mut samples: Vec<Sample> = Vec::new();
        for id in ids {
            let Some(key) = self.keys.get(&id) else { continue };
            samples.clear();
            for (row, sweep) in &mut inputs {
                let Some(span) = row.span(id) else { continue };
                sweep.append(span.rows(), None, &mut samples).map_err(|err| SegmentError { path: dir.join(&row.path), err })?;
            }
            // Already in order, unless something came late.
            samples.sort_by_key(|sample| (sample.ts_ms, sample.version));
            encoder.push(id, key, &samples).map_err(failed)?;
        }
        Ok(encoder)
    }
}

/// A segment whose bytes are those that were written: what is merged anew gets a new hash, and a damage that nobody
/// noticed would become the truth.
pub(crate) fn open(dir: &Path, row: &SegmentRow) -> Result<Segment<bytes::Bytes>, FlushError> {
    let path = dir.join(&row.path);
    let bytes = std::fs::read(&path).map_err(|err| FlushError::Segment { what: "read", path: path.clone(), err })?;
    if hex::encode(Sha256::digest(&bytes)) != row.sha256 {
        return Err(FlushError::Damaged { path });
    }
    Segment::open(bytes::Bytes::from(bytes)).map_err(|err| SegmentError { path, err }.into())
}
