//! A segment read from its first series to its last.
//!
//! Whoever reads one series unpacks the pages that it lies in, and with short series that is the same page again and again.

use std::ops::Range;

use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::{Ahead, Segment};
use crate::row::Sample;

/// Rows of a group that is unpacked as a whole: of none that we write are there more where several series share it.
const ROWS_MAX: u64 = 72_000;

fn is_in(rows: &Range<u64>, group: &Range<u64>) -> bool {
    group.start <= rows.start && rows.end <= group.end
}

/// The row group that the rows of a series lie in, if it shares it with others.
pub(super) fn group_of<R: ChunkReader + Ahead + 'static>(segment: &Segment<R>, rows: &Range<u64>) -> Option<Range<u64>> {
    let length = |range: &Range<u64>| range.end.saturating_sub(range.start);
    segment.groups().find(|group| is_in(rows, group)).filter(|group| length(group) <= ROWS_MAX && 2 * length(rows) <= length(group))
}

/// Readings of series after series; each row group of short ones is unpacked once.
#[derive(Debug)]
pub(crate) struct Sweep<'a, R: ChunkReader> {
    segment: &'a Segment<R>,
    /// The rows that `samples` are.
    unpacked: Range<u64>,
    samples: Vec<Sample>,
}

impl<'a, R: ChunkReader + Ahead + 'static> Sweep<'a, R> {
    pub(crate) fn new(segment: &'a Segment<R>) -> Self {
        Self { segment, unpacked: 0..0, samples: Vec::new() }
    }

    /// Adds the readings of these rows to `found`; with a range, those in it. They are of one series.
    ///
    /// * Errors: the file is damaged.
    pub(crate) fn append(&mut self, rows: Range<u64>, range: Option<&Range<i64>>, found: &mut Vec<Sample>) -> Result<(), ParquetError> {
        if !is_in(&rows, &self.unpacked) {
            match group_of(self.segment, &rows) {
                None => return self.segment.samples(rows, range, |sample| found.push(sample)),
                Some(group) => self.unpack(group)?,
            }
        }
        let place = |row: u64| usize::try_from(row.saturating_sub(self.unpacked.start)).unwrap_or(usize::MAX);
        let samples = self.samples.get(place(rows.start)..place(rows.end));
        let samples = samples.ok_or_else(|| ParquetError::General("has fewer rows than it says".to_owned()))?;
        match range {
            None => found.extend_from_slice(samples),
            Some(range) => found.extend(samples.iter().filter(|sample| range.contains(&sample.ts_ms))),
        }
        Ok(())
    }

    fn unpack(&mut self, group: Range<u64>) -> Result<(), ParquetError> {
        self.unpacked = 0..0;
        self.samples.clear();
        self.segment.samples(group.clone(), None, |sample| self.samples.push(sample))?;
        self.unpacked = group;
        Ok(())
    }
}
