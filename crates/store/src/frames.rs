//! Readings as a polars frame: the segments by polars' own reader, and what is still in memory behind them.

mod summary;
mod wide;

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use ids::Slug;
use polars::prelude::{
    BooleanChunked, Column, DataFrame, NamedFrom, ParquetReader, PolarsError, PolarsResult, SerReader, Series, SortMultipleOptions,
};

use crate::flushed::SegmentError;
use crate::reader::Reader;
use crate::row::{Sample, Words};
use crate::segment::COLUMNS;
use crate::series::SeriesId;

pub use summary::{Summary, Values};

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("could not read {} into a frame", path.display())]
    Segment {
        path: PathBuf,
        #[source]
        err: PolarsError,
    },
    #[error("could not write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        err: PolarsError,
    },
    #[error(transparent)]
    Read(#[from] SegmentError),
    #[error("{rows} rows are more than a frame can have: ask for a shorter range or a longer interval")]
    TooLong { rows: i64 },
    #[error("could not put the frame together")]
    Frame(#[from] PolarsError),
}

impl Reader {
    /// The readings of a facility, or of one of its devices, with `range.start <= ts_ms < range.end`.
    ///
    /// * Columns: `series` (i32, as in [`Reader::series`]), `ts_ms` (i64), `raw` (i64, null when there is no value),
    ///   `quality` (i32, its bits), `words` (binary, null), `seq` (i64), `version` (i32).
    /// * Order: by series and time; of each time the newest version.
    pub fn frame(&self, tenant: &Slug, facility: &Slug, device: Option<&Slug>, range: Range<i64>) -> Result<DataFrame, FrameError> {
        let wanted: HashSet<SeriesId> = self
            .series(tenant, facility)
            .into_iter()
            .filter(|info| device.is_none_or(|device| info.key.device == *device))
            .map(|info| info.id)
            .collect();
        if self.any_held_back(tenant, facility) {
            let mut samples = Vec::new();
            let mut ids: Vec<SeriesId> = wanted.into_iter().collect();
            ids.sort();
            for id in ids {
                samples.extend(self.scan(id, range.clone())?.into_iter().map(|sample| (id, sample)));
            }
            return Ok(of_samples(&samples)?);
        }
        let mut frame = self.tail(&wanted, &range)?;
        for segment in self.flushed().segments() {
            let touches =
                |span: &crate::segment::Span| wanted.contains(&span.series) && span.min_ts < range.end && span.max_ts >= range.start;
            if segment.spans.iter().any(touches) {
                let path = self.flushed().path(segment);
                let part = part(&path, &wanted, &range).map_err(|err| FrameError::Segment { path, err })?;
                frame.vstack_mut(&part)?;
            }
        }
        Ok(newest(&frame)?)
    }

    /// Whether anything may have come for what was sealed.
    fn any_held_back(&self, tenant: &Slug, facility: &Slug) -> bool {
        let of_facility =
            |segment: &&crate::manifest::SegmentRow| segment.tenant == tenant.as_str() && segment.facility == facility.as_str();
        let newest = self.flushed().segments().iter().filter(of_facility).map(|segment| segment.max_lsn).max();
        self.seals(tenant, facility).iter().any(|seal| self.head().rows() > 0 || newest.is_some_and(|newest| newest > seal.lsn))
    }

    /// What is not in a segment yet.
    fn tail(&self, wanted: &HashSet<SeriesId>, range: &Range<i64>) -> PolarsResult<DataFrame> {
        let mut samples: Vec<(SeriesId, Sample)> = Vec::new();
        for id in self.head().ids().filter(|id| wanted.contains(id)) {
            samples.extend(self.head().sorted(id).into_iter().filter(|sample| range.contains(&sample.ts_ms)).map(|sample| (id, sample)));
        }
        of_samples(&samples)
    }
}

/// Readings as columns.
fn of_samples(samples: &[(SeriesId, Sample)]) -> PolarsResult<DataFrame> {
    let [series, ts_ms, raw, quality, words, seq, version, _] = COLUMNS;
    let bytes = |sample: &Sample| sample.words.as_ref().map(|words| Words::as_slice(words).to_vec());
    let words_column: Vec<Option<Vec<u8>>> = samples.iter().map(|(_, sample)| bytes(sample)).collect();
    let words_column: Vec<Option<&[u8]>> = words_column.iter().map(Option::as_deref).collect();
    let columns: Vec<Column> = [
        Series::new(series.into(), samples.iter().map(|(id, _)| id.0.cast_signed()).collect::<Vec<_>>()),
        Series::new(ts_ms.into(), samples.iter().map(|(_, sample)| sample.ts_ms).collect::<Vec<_>>()),
        Series::new(raw.into(), samples.iter().map(|(_, sample)| sample.raw).collect::<Vec<_>>()),
        Series::new(quality.into(), samples.iter().map(|(_, sample)| i32::from(sample.quality.bits())).collect::<Vec<_>>()),
        Series::new(words.into(), words_column),
        Series::new(seq.into(), samples.iter().map(|(_, sample)| sample.seq.cast_signed()).collect::<Vec<_>>()),
        Series::new(version.into(), samples.iter().map(|(_, sample)| i32::from(sample.version)).collect::<Vec<_>>()),
    ]
    .into_iter()
    .map(Column::from)
    .collect();
    DataFrame::new(samples.len(), columns)
}

/// The wanted rows of one segment.
fn part(path: &PathBuf, wanted: &HashSet<SeriesId>, range: &Range<i64>) -> PolarsResult<DataFrame> {
    let columns = COLUMNS.iter().take(7).map(|name| (*name).to_owned()).collect();
    let frame = ParquetReader::new(File::open(path)?).with_columns(Some(columns)).finish()?;
    let keys = keys(&frame)?;
    let mask: BooleanChunked = keys.iter().map(|(series, ts_ms)| wanted.contains(series) && range.contains(ts_ms)).collect();
    frame.filter(&mask)
}

/// In order, without the versions that were replaced.
fn newest(frame: &DataFrame) -> PolarsResult<DataFrame> {
    let [series, ts_ms, _, _, _, _, version, _] = COLUMNS;
    let sorted = frame.sort([series, ts_ms, version], SortMultipleOptions::default())?;
    let keys = keys(&sorted)?;
    let next = keys.iter().skip(1).map(Some).chain([None]);
    let mask: BooleanChunked = keys.iter().zip(next).map(|(key, next)| next != Some(key)).collect();
    sorted.filter(&mask)
}

fn keys(frame: &DataFrame) -> PolarsResult<Vec<(SeriesId, i64)>> {
    let [series, ts_ms, ..] = COLUMNS;
    let (series, ts_ms) = (frame.column(series)?.i32()?, frame.column(ts_ms)?.i64()?);
    Ok(series.iter().flatten().map(|id| SeriesId(id.cast_unsigned())).zip(ts_ms.iter().flatten()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{batch, folder, open, row, slug};

    #[test]
    fn a_frame_holds_what_a_scan_finds() {
        let dir = folder();
        let store = open(dir.path());
        let rows = |from: i64, to: i64, value: i64| {
            let minutes = from..to;
            minutes.flat_map(|minute| ["d0", "d1"].map(|device| row(device, minute * 60_000, minute + value))).collect::<Vec<_>>()
        };
        store.commit(&[batch(1, rows(0, 50, 0))]).unwrap();
        store.flush().unwrap();
        // Contradicts ten of the first, and goes on.
        store.commit(&[batch(2, rows(40, 90, 7))]).unwrap();
        store.flush().unwrap();
        store.commit(&[batch(3, rows(85, 120, 9))]).unwrap();
        let mut silent = row("d1", 120 * 60_000, 0);
        (silent.raw, silent.words) = (None, None);
        store.commit(&[batch(4, vec![silent])]).unwrap();

        let reader = Reader::open(dir.path()).unwrap();
        let range = 5 * 60_000..121 * 60_000;
        for (device, series) in [(None, vec![1, 2]), (Some(slug("d1")), vec![2])] {
            let frame = reader.frame(&slug("acme"), &slug("hall"), device.as_ref(), range.clone()).unwrap();
            let expected: Vec<(u32, Sample)> = series
                .iter()
                .flat_map(|id| reader.scan(SeriesId(*id), range.clone()).unwrap().into_iter().map(|sample| (*id, sample)))
                .collect();
            let column = |name: &str| frame.column(name).unwrap().clone();
            let found: Vec<(u32, i64)> = keys(&frame).unwrap().into_iter().map(|(id, ts_ms)| (id.0, ts_ms)).collect();
            assert_eq!(found, expected.iter().map(|(id, sample)| (*id, sample.ts_ms)).collect::<Vec<_>>());
            assert!(column("raw").i64().unwrap().iter().eq(expected.iter().map(|(_, sample)| sample.raw)));
            assert!(column("quality").i32().unwrap().iter().eq(expected.iter().map(|(_, sample)| Some(i32::from(sample.quality.bits())))));
            assert!(column("version").i32().unwrap().iter().eq(expected.iter().map(|(_, sample)| Some(i32::from(sample.version)))));
            assert!(
                column("words").binary().unwrap().iter().eq(expected.iter().map(|(_, sample)| sample.words.as_ref().map(Words::as_slice)))
            );
        }
        assert_eq!(reader.frame(&slug("acme"), &slug("other"), None, range).unwrap().height(), 0);
    }
}
