//! Readings that were taken aside for a flush. Nothing of them changes, so they are read without a lock.

use super::day::{DayRows, day_of};
use crate::row::Sample;
use crate::series::SeriesId;

/// By series and day.
#[derive(Debug)]
pub(crate) struct FrozenRows {
    days: Vec<(SeriesId, i32, DayRows)>,
    /// As in the head: sequence number and log entry.
    batches: Vec<(u64, u64)>,
    rows: usize,
}

impl FrozenRows {
    pub(super) fn new(batches: Vec<(u64, u64)>) -> Self {
        Self { days: Vec::new(), batches, rows: 0 }
    }

    /// Adds a day that comes after every one that was added.
    pub(super) fn push(&mut self, id: SeriesId, day: i32, rows: DayRows) {
        self.rows += rows.len();
        self.days.push((id, day, rows));
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Calls `visit` with the value and the version of each reading at this time.
    pub(super) fn versions(&self, id: SeriesId, ts_ms: i64, visit: impl FnMut(Option<i64>, u16)) {
        let at = self.days.binary_search_by_key(&(id, day_of(ts_ms)), |(id, day, _)| (*id, *day));
        if let Some((_, _, rows)) = at.ok().and_then(|at| self.days.get(at)) {
            rows.versions(ts_ms, visit);
        }
    }

    /// Adds the readings of a series.
    pub(super) fn append(&self, id: SeriesId, samples: &mut Vec<Sample>) {
        let from = self.days.partition_point(|(other, ..)| *other < id);
        for (_, day, rows) in self.days.iter().skip(from).take_while(|(other, ..)| *other == id) {
            rows.append(*day, &self.batches, samples);
        }
    }

    /// The series that have any, ascending.
    pub(crate) fn ids(&self) -> Vec<SeriesId> {
        let mut ids: Vec<SeriesId> = self.days.iter().map(|(id, ..)| *id).collect();
        ids.dedup();
        ids
    }

    /// Calls `visit` with the readings of each series and day, in order of time and version.
    pub(crate) fn by_day<E>(&self, mut visit: impl FnMut(SeriesId, i32, &[Sample]) -> Result<(), E>) -> Result<(), E> {
        let mut samples = Vec::new();
        for (id, day, rows) in &self.days {
            samples.clear();
            rows.append(*day, &self.batches, &mut samples);
            visit(*id, *day, &samples)?;
        }
        Ok(())
    }
}
