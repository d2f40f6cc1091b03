//! A facility as a table: a row for each interval, a column for each series.
//!
//! It is made from the segments themselves, on every core: reading three columns of integers is as fast as reading a
//! projection of them would be, and nothing has to be kept true beside them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use ids::Slug;
use parquet::errors::ParquetError;
use polars::prelude::{Column, DataFrame, Int64Chunked, IntoColumn, NewChunkedArray, PlSmallStr};
use units::Quality;

use super::FrameError;
use crate::complete::intervals;
use crate::flushed::{Place, SegmentError};
use crate::reader::Reader;
use crate::segment::{Column as Times, Columns, Segment, Sparse};
use crate::series::{SeriesId, SeriesInfo};

/// A year of seconds is the longest table that is made.
const ROWS_MAX: i64 = 32_000_000;

impl Reader {
    /// The usable values of a facility, `range.start <= ts_ms < range.end`.
    ///
    /// * Rows: one for each interval of `interval_ms`, counted from `range.start`; column `ts_ms` (i64) is where it begins.
    /// * Columns: `device/point unit exponent` (i64, scaled) for each series: the last usable value of the interval, the
    ///   newest version of each time; null where there is none.
    /// * Errors: a segment that cannot be read; a table longer than a year of seconds.
    pub fn wide(&self, tenant: &Slug, facility: &Slug, range: Range<i64>, interval_ms: i64) -> Result<DataFrame, FrameError> {
        let interval_ms = interval_ms.max(1);
        let rows = intervals(&range, interval_ms);
        let height = usize::try_from(rows).ok().filter(|_| rows <= ROWS_MAX).ok_or(FrameError::TooLong { rows })?;
        let grid = Grid { range, interval_ms, height };
        let series = self.series(tenant, facility);
        let columns = self.columns(&series, &grid)?;
        let times: Vec<i64> = (0..height).map(|row| grid.time(row)).collect();
        let mut frame = vec![Int64Chunked::from_vec(PlSmallStr::from_static("ts_ms"), times).into_column()];
        for (info, values) in series.iter().zip(columns) {
            frame.push(values.column(info));
        }
        Ok(DataFrame::new(height, frame)?)
    }

    /// The column of each series, each core taking the next series that nobody has.
    fn columns(&self, series: &[SeriesInfo], grid: &Grid) -> Result<Vec<Values>, FrameError> {
        let mut segments = HashMap::new();
        for place in series.iter().flat_map(|info| self.flushed().places_in(info.id, &grid.range)) {
            if let std::collections::hash_map::Entry::Vacant(entry) = segments.entry(place.segment) {
                let path = self.flushed().path_of(place.segment);
                // In memory: threads that read one open file move each other's place in it.
                let opened = std::fs::read(&path).map_err(ParquetError::from).and_then(|bytes| Segment::open(Bytes::from(bytes)));
                entry.insert(opened.map_err(|err| SegmentError { path, err })?);
            }
        }
        let (next, segments) = (AtomicUsize::new(0), &segments);
        let work = || {
            let mut done = Vec::new();
            while let Some((at, info)) = next_of(&next, series) {
                done.push((at, self.values(info.id, grid, segments)?));
            }
            Ok::<_, FrameError>(done)
        };
        let workers = thread::available_parallelism().map_or(1, usize::from).min(series.len().max(1));
        let done = thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect::<Result<Vec<_>, _>>()
        })?;
        let mut done: Vec<(usize, Values)> = done.into_iter().flatten().collect();
        done.sort_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, values)| values).collect())
    }

    fn values(&self, id: SeriesId, grid: &Grid, segments: &HashMap<i64, Segment<Bytes>>) -> Result<Values, FrameError> {
        let mut values = Values::new(grid.height);
        let mut places: Vec<&Place> = self.flushed().places_in(id, &grid.range).collect();
        places.sort_by_key(|place| place.span.min_ts);
        let apart = places.windows(2).all(|pair| matches!(pair, [one, next] if one.span.max_ts < next.span.min_ts));
        let held_back = self.seals_of(id).iter().any(|seal| places.iter().any(|place| self.flushed().max_lsn(place.segment) > seal.lsn));
        if !apart || held_back || self.head().has_any(id) {
            // Versions of one time may lie in several places, or came after a seal.
            for sample in self.scan(id, grid.range.clone())? {
                values.put(grid, sample.ts_ms, sample.raw.filter(|_| sample.quality.is_usable()));
            }
            return Ok(values);
        }
        for place in places {
            let Some(segment) = segments.get(&place.segment) else { continue };
            let mut last = None;
            let read = segment.columns(place.span.rows(), |columns| values.take(grid, columns, &mut last));
            read.map_err(|err| SegmentError { path: self.flushed().path_of(place.segment), err })?;
        }
        Ok(values)
    }
}

fn next_of<'a>(next: &AtomicUsize, series: &'a [SeriesInfo]) -> Option<(usize, &'a SeriesInfo)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    series.get(at).map(|info| (at, info))
}

fn is_usable(quality: i64) -> bool {
    quality == 0 || u16::try_from(quality).is_ok_and(|bits| Quality::from_bits(bits).is_usable())
}

/// The rows of the table.
#[derive(Clone, Debug)]
struct Grid {
    range: Range<i64>,
    interval_ms: i64,
    height: usize,
}

impl Grid {
    fn time(&self, row: usize) -> i64 {
        self.range.start + i64::try_from(row).unwrap_or(0) * self.interval_ms
    }

    fn row(&self, ts_ms: i64) -> Option<usize> {
        if !self.range.contains(&ts_ms) {
            return None;
        }
        usize::try_from((ts_ms - self.range.start) / self.interval_ms).ok()
    }
}

/// One column in the making. Readings come in order of time.
#[derive(Debug)]
struct Values {
    values: Vec<i64>,
    present: Vec<bool>,
    absent: usize,
    /// Where the last reading went, where that interval ends, and what was there before.
    row: usize,
    end_ms: i64,
    before: Option<i64>,
}

impl Values {
    fn new(height: usize) -> Self {
        Self { values: vec![0; height], present: vec![false; height], absent: height, row: 0, end_ms: i64::MIN, before: None }
    }

    fn put(&mut self, grid: &Grid, ts_ms: i64, value: Option<i64>) {
        // The next interval is the usual case, and needs no division.
        if ts_ms >= self.end_ms {
            let next = self.row + 1;
            let row = if self.end_ms != i64::MIN && ts_ms - self.end_ms < grid.interval_ms { Some(next) } else { grid.row(ts_ms) };
            let Some(row) = row.filter(|_| grid.range.contains(&ts_ms)) else { return };
            (self.row, self.end_ms) = (row, grid.time(row) + grid.interval_ms);
        } else if !grid.range.contains(&ts_ms) {
            return;
        }
        self.before = self.get();
        if value.is_some() {
            self.set(value);
        }
    }

    /// Puts the readings of a row group in. `last` is the time before.
    fn take(&mut self, grid: &Grid, columns: &Columns, last: &mut Option<i64>) -> Option<()> {
        if self.take_each_interval(grid, columns) {
            *last = columns.ts_ms.at(columns.rows.checked_sub(1)?);
            return Some(());
        }
        let mut raws = columns.raw.rows();
        for row in 0..columns.rows {
            let (ts_ms, quality, raw) = (columns.ts_ms.at(row)?, columns.quality.at(row)?, raws.next());
            // A later version takes the place of the one before it.
            if *last == Some(ts_ms) {
                self.take_back(grid, ts_ms);
            }
            *last = Some(ts_ms);
            self.put(grid, ts_ms, raw.filter(|_| is_usable(quality)));
        }
        Some(())
    }

    /// Copies what is one usable value in each interval, as almost every day is, and says whether it was so.
    fn take_each_interval(&mut self, grid: &Grid, columns: &Columns) -> bool {
        let (Times::Each(times), Sparse::Everywhere(raws), Times::Same(quality)) = (&columns.ts_ms, &columns.raw, &columns.quality) else {
            return false;
        };
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return false };
        let Some(row) = grid.row(*first).filter(|_| grid.range.contains(last) && *first >= self.end_ms && is_usable(*quality)) else {
            return false;
        };
        let mut expected = *first;
        let steady = times.iter().fold(true, |steady, ts_ms| {
            let same = *ts_ms == expected;
            expected = expected.wrapping_add(grid.interval_ms);
            steady & same
        });
        let end = row + times.len();
        let (Some(places), Some(present)) = (self.values.get_mut(row..end), self.present.get_mut(row..end)) else { return false };
        if !steady || raws.len() != places.len() {
            return false;
        }
        places.copy_from_slice(raws);
        present.fill(true);
        self.absent -= times.len();
        (self.row, self.end_ms, self.before) = (end - 1, grid.time(end - 1) + grid.interval_ms, None);
        true
    }

    /// Forgets the reading that was put last: it was replaced.
    fn take_back(&mut self, grid: &Grid, ts_ms: i64) {
        if grid.range.contains(&ts_ms) {
            self.set(self.before);
        }
    }

    fn get(&self) -> Option<i64> {
        self.present.get(self.row).filter(|present| **present).and(self.values.get(self.row)).copied()
    }

    fn set(&mut self, value: Option<i64>) {
        if let (Some(place), Some(present)) = (self.values.get_mut(self.row), self.present.get_mut(self.row)) {
            self.absent = self.absent + usize::from(*present) - usize::from(value.is_some());
            (*place, *present) = (value.unwrap_or(0), value.is_some());
        }
    }

    fn column(self, info: &SeriesInfo) -> Column {
        let key = &info.key;
        let name = PlSmallStr::from(format!("{}/{} {} {}", key.device, key.point, key.unit.symbol(), key.exponent));
        if self.absent == 0 {
            return Int64Chunked::from_vec(name, self.values).into_column();
        }
        let values = self.values.iter().zip(&self.present).map(|(value, present)| present.then_some(*value));
        Int64Chunked::from_iter_options(name, values).into_column()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{batch, folder, open, row, slug};

    #[test]
    fn every_core_reads_its_own_series() {
        let dir = folder();
        let store = open(dir.path());
        let devices: Vec<String> = (0..40).map(|device| format!("d{device:02}")).collect();
        let rows = (0..3_000).flat_map(|minute| devices.iter().map(move |device| row(device, minute * 60_000, minute)));
        store.commit(&[batch(1, rows.collect())]).unwrap();
        store.compact().unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        for _time in 0..5 {
            let frame = reader.wide(&slug("acme"), &slug("hall"), 0..3_000 * 60_000, 60_000).unwrap();
            for column in frame.columns().iter().skip(1) {
                assert!(column.i64().unwrap().iter().eq((0..3_000).map(Some)), "{}", column.name());
            }
        }
    }

    #[test]
    fn a_table_says_what_a_scan_says() {
        let dir = folder();
        let store = open(dir.path());
        let minutes = |from: i64, to: i64, value: i64| {
            let rows = (from..to).flat_map(|minute| ["d0", "d1"].map(|device| row(device, minute * 60_000 + 7_000, minute + value)));
            rows.collect::<Vec<_>>()
        };
        store.commit(&[batch(1, minutes(0, 50, 0))]).unwrap();
        store.flush().unwrap();
        // Contradicts some, leaves a gap, and one has no value.
        let mut rows = minutes(40, 45, 7);
        rows.extend(minutes(60, 100, 0));
        let mut silent = row("d1", 100 * 60_000, 0);
        (silent.raw, silent.words, silent.quality) = (None, None, Quality::SILENT);
        rows.push(silent);
        store.commit(&[batch(2, rows)]).unwrap();
        for compacted in [false, true] {
            if compacted {
                store.compact().unwrap();
            }
            let reader = Reader::open(dir.path()).unwrap();
            for (range, interval_ms) in [(0..120 * 60_000, 60_000), (30 * 60_000..95 * 60_000, 60_000), (0..100 * 60_000, 900_000)] {
                let frame = reader.wide(&slug("acme"), &slug("hall"), range.clone(), interval_ms).unwrap();
                assert_eq!((frame.width(), i64::try_from(frame.height()).unwrap()), (3, intervals(&range, interval_ms)));
                for info in reader.series(&slug("acme"), &slug("hall")) {
                    let mut expected = vec![None; frame.height()];
                    for sample in reader.scan(info.id, range.clone()).unwrap() {
                        let row = usize::try_from((sample.ts_ms - range.start) / interval_ms).unwrap();
                        expected[row] = sample.raw.or(expected[row]);
                    }
                    let name = format!("{}/e_imp kWh -2", info.key.device);
                    let found: Vec<_> = frame.column(&name).unwrap().i64().unwrap().iter().collect();
                    assert_eq!(found, expected, "{name} of {range:?}, compacted: {compacted}");
                }
            }
        }
        let reader = Reader::open(dir.path()).unwrap();
        let err = reader.wide(&slug("acme"), &slug("hall"), 0..i64::MAX, 1).unwrap_err();
        assert!(err.to_string().contains("shorter range"), "{err}");
    }
}
