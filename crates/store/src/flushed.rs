//! Where flushed readings lie, and their values when a late reading must be compared with them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::manifest::SegmentRow;
use crate::row::Sample;
use crate::segment::{self, Span};
use crate::series::SeriesId;

/// A segment could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {}", path.display())]
pub struct SegmentError {
    pub path: PathBuf,
    #[source]
    pub err: ParquetError,
}

/// Where a series lies in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: i64,
    pub(crate) span: Span,
}

impl Place {
    fn covers(&self, ts_ms: i64) -> bool {
        (self.span.min_ts..=self.span.max_ts).contains(&ts_ms)
    }
}

/// The segments of the store, by series.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    dir: PathBuf,
    segments: Vec<SegmentRow>,
    paths: HashMap<i64, PathBuf>,
    places: HashMap<SeriesId, Vec<Place>>,
    newest: HashMap<SeriesId, i64>,
    loaded: HashMap<(i64, SeriesId), Vec<Sample>>,
    loaded_rows: usize,
}

impl Flushed {
    /// Loaded readings kept for comparison: about 100 MB.
    const LOADED_ROWS_MAX: usize = 2_000_000;

    pub(crate) fn new(dir: &Path, segments: Vec<SegmentRow>) -> Self {
        let mut flushed = Self { dir: dir.to_owned(), ..Self::default() };
        flushed.change(segments, &HashSet::new());
        flushed
    }

    /// Adds segments and removes others.
    pub(crate) fn change(&mut self, added: Vec<SegmentRow>, removed: &HashSet<i64>) {
        if !removed.is_empty() {
            let kept = std::mem::take(&mut self.segments).into_iter().filter(|segment| !removed.contains(&segment.id)).collect();
            *self = Self { dir: std::mem::take(&mut self.dir), ..Self::default() };
            self.change(kept, &HashSet::new());
        }
        for segment in added {
            self.paths.insert(segment.id, self.dir.join(&segment.path));
            for span in &segment.spans {
                self.places.entry(span.series).or_default().push(Place { segment: segment.id, span: *span });
                let newest = self.newest.entry(span.series).or_insert(i64::MIN);
                *newest = span.max_ts.max(*newest);
            }
            self.segments.push(segment);
        }
    }

    pub(crate) fn segments(&self) -> &[SegmentRow] {
        &self.segments
    }

    pub(crate) fn path(&self, segment: &SegmentRow) -> PathBuf {
        self.dir.join(&segment.path)
    }

    /// Whether any segment may have this time of this series.
    pub(crate) fn may_have(&self, series: SeriesId, ts_ms: i64) -> bool {
        self.newest.get(&series).is_some_and(|newest| ts_ms <= *newest) && self.covering(series, ts_ms).next().is_some()
    }

    fn covering(&self, series: SeriesId, ts_ms: i64) -> impl Iterator<Item = &Place> {
        self.places.get(&series).into_iter().flatten().filter(move |place| place.covers(ts_ms))
    }

    /// Makes [`Self::versions`] of this time possible.
    pub(crate) fn load(&mut self, series: SeriesId, ts_ms: i64) -> Result<(), SegmentError> {
        let missing: Vec<Place> =
            self.covering(series, ts_ms).filter(|place| !self.loaded.contains_key(&(place.segment, series))).copied().collect();
        for place in missing {
            let samples = self.read(&place)?;
            self.loaded_rows += samples.len();
            self.loaded.insert((place.segment, series), samples);
        }
        Ok(())
    }

    /// Forgets loaded readings when they have become many.
    pub(crate) fn bound_memory(&mut self) {
        if self.loaded_rows > Self::LOADED_ROWS_MAX {
            self.loaded.clear();
            self.loaded_rows = 0;
        }
    }

    /// Calls `visit` with each version at this time, of what [`Self::load`] has loaded.
    pub(crate) fn versions(&self, series: SeriesId, ts_ms: i64, mut visit: impl FnMut(&Sample)) {
        for place in self.covering(series, ts_ms) {
            let samples = self.loaded.get(&(place.segment, series)).map(Vec::as_slice).unwrap_or_default();
            let from = samples.partition_point(|sample| sample.ts_ms < ts_ms);
            samples.iter().skip(from).take_while(|sample| sample.ts_ms == ts_ms).for_each(&mut visit);
        }
    }

    /// Every version of a series whose segment touches the range.
    pub(crate) fn scan(&self, series: SeriesId, range: &std::ops::Range<i64>) -> Result<Vec<Sample>, SegmentError> {
        let mut found = Vec::new();
        for place in self.places.get(&series).into_iter().flatten() {
            if place.span.min_ts < range.end && place.span.max_ts >= range.start {
                found.extend(self.read(place)?.into_iter().filter(|sample| range.contains(&sample.ts_ms)));
            }
        }
        Ok(found)
    }

    fn read(&self, place: &Place) -> Result<Vec<Sample>, SegmentError> {
        let path = self.paths.get(&place.segment).cloned().unwrap_or_default();
        let rows = segment::read(&path, place.span.first_row, place.span.rows).map_err(|err| SegmentError { path, err })?;
        Ok(rows.into_iter().map(|(_, sample)| sample).collect())
    }
}
