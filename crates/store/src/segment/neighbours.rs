//! Series that lie beside each other in a segment.
//!
//! Whoever looks at a facility asks for one of its series after the other, and short ones share their pages. The second
//! question about a row group of such unpacks all of it, for those that follow; the first does not, since it may stay the only one.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::sweep::group_of;
use super::{Ahead, Segment};
use crate::row::Sample;

/// A group of fewer series is not worth unpacking for one of them.
const SERIES_MIN: u64 = 8;

/// The row group that was asked about last.
#[derive(Debug, Default)]
pub(crate) struct Neighbours(Mutex<Option<Group>>);

#[derive(Debug)]
struct Group {
    segment: i64,
    rows: Range<u64>,
    /// All of it, from the second question on: a few megabytes.
    samples: Option<Arc<Vec<Sample>>>,
}

/// The readings of one series, in time.
#[derive(Debug)]
pub(crate) struct Unpacked {
    samples: Arc<Vec<Sample>>,
    rows: Range<usize>,
}

impl Neighbours {
    /// The readings of these rows, if their group is unpacked.
    pub(crate) fn known(&self, segment: i64, rows: &Range<u64>) -> Option<Unpacked> {
        let last = self.lock();
        let group =
            last.as_ref().filter(|group| group.segment == segment && group.rows.start <= rows.start && rows.end <= group.rows.end)?;
        group.unpacked(rows)
    }

    /// As [`Self::known`], and unpacks their group if it was asked about before.
    pub(crate) fn ask<R: ChunkReader + Ahead + 'static>(
        &self,
        id: i64,
        segment: &Segment<R>,
        rows: &Range<u64>,
    ) -> Result<Option<Unpacked>, ParquetError> {
        let is_shared = |group: &Range<u64>| (group.end - group.start) / (rows.end - rows.start).max(1) >= SERIES_MIN;
        let Some(group) = group_of(segment, rows).filter(is_shared) else { return Ok(None) };
        let asked_before = self.lock().as_ref().is_some_and(|last| last.segment == id && last.rows == group);
        let mut samples = None;
        if asked_before {
            let mut all = Vec::with_capacity(usize::try_from(group.end - group.start).unwrap_or(0));
            segment.samples(group.clone(), None, |sample| all.push(sample))?;
            samples = Some(Arc::new(all));
        }
        let group = Group { segment: id, rows: group, samples };
        let unpacked = group.unpacked(rows);
        *self.lock() = Some(group);
        Ok(unpacked)
    }

    /// Those of segments that are gone.
    pub(crate) fn forget(&self, removed: &HashSet<i64>) {
        self.lock().take_if(|group| removed.contains(&group.segment));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Group>> {
        self.0.lock().expect("no thread panics while it holds a row group")
    }
}

impl Group {
    fn unpacked(&self, rows: &Range<u64>) -> Option<Unpacked> {
        let samples = self.samples.clone()?;
        let place = |row: u64| usize::try_from(row.saturating_sub(self.rows.start)).ok();
        Some(Unpacked { rows: place(rows.start)?..place(rows.end)?.min(samples.len()), samples })
    }
}

impl Unpacked {
    /// Adds those in a range to `found`, and says whether each is later than the one before it.
    pub(crate) fn append(&self, range: &Range<i64>, found: &mut Vec<Sample>) -> bool {
        let of_series = self.samples.get(self.rows.clone()).unwrap_or_default();
        let (_, rest) = of_series.split_at(of_series.partition_point(|sample| sample.ts_ms < range.start));
        let (inside, _) = rest.split_at(rest.partition_point(|sample| sample.ts_ms < range.end));
        let follows = found.last().zip(inside.first()).is_none_or(|(last, first)| last.ts_ms < first.ts_ms);
        found.extend_from_slice(inside);
        follows && inside.is_sorted_by(|one, next| one.ts_ms < next.ts_ms)
    }
}
