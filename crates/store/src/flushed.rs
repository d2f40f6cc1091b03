//! Where flushed readings lie, and their values when a late reading must be compared with them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;

use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::manifest::SegmentRow;
use crate::row::Sample;
use crate::segment::{Decoded, Neighbours, Segment, Source, Span, Unpacked};
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

    fn touches(&self, range: &Range<i64>) -> bool {
        self.span.min_ts < range.end && self.span.max_ts >= range.start
    }
}

#[derive(Clone, Debug)]
struct OfSeries {
    places: Vec<Place>,
    newest: i64,
}

/// Time, value and version.
type Known = (i64, Option<i64>, u16);

/// The segments of the store, by series.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    dir: PathBuf,
    segments: Vec<SegmentRow>,
    paths: HashMap<i64, PathBuf>,
    series: Vec<Option<OfSeries>>,
    loaded: HashMap<(i64, SeriesId), Vec<Known>>,
    loaded_rows: usize,
    footers: Footers,
    neighbours: Neighbours,
}

/// Places in two parts: who has the first also puts all readings together, which takes as long as to decode most of them.
/// `None` when there is one place, or one core.
fn shares<'a, 'b>(places: &'a [&'b Place], rows: u64) -> Option<(&'a [&'b Place], &'a [&'b Place])> {
    if places.len() < 2 || thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let mut seen = 0;
    let before = places.iter().take_while(|place| {
        seen += place.span.rows;
        seen <= rows / 4
    });
    let at = before.count().clamp(1, places.len() - 1);
    places.split_at_checked(at)
}

/// What a segment has of a series in a range of time.
#[derive(Debug)]
enum Piece {
    Unpacked(Unpacked),
    Decoded(Vec<Decoded>),
}

impl Piece {
    /// Adds it to `found`, and says whether each reading is later than the one before it.
    fn append(&self, range: &Range<i64>, found: &mut Vec<Sample>) -> Result<bool, ParquetError> {
        match self {
            Self::Unpacked(unpacked) => Ok(unpacked.append(range, found)),
            Self::Decoded(parts) => parts.iter().try_fold(true, |so_far, part| Ok(part.append(found)? && so_far)),
        }
    }
}

/// Footers of the segments that were read last. A segment never changes, and its footer is the same for every series.
#[derive(Debug, Default)]
struct Footers(Mutex<HashMap<i64, Arc<ParquetMetaData>>>);

impl Footers {
    /// About 10 MB, of segments of 50 series each.
    const MAX: usize = 64;

    fn get(&self, segment: i64) -> Option<Arc<ParquetMetaData>> {
        self.lock().get(&segment).cloned()
    }

    fn put(&self, segment: i64, footer: &Arc<ParquetMetaData>) {
        let mut footers = self.lock();
        if footers.len() >= Self::MAX && !footers.contains_key(&segment) {
            footers.clear();
        }
        footers.insert(segment, footer.clone());
    }

    fn forget(&self, removed: &HashSet<i64>) {
        self.lock().retain(|segment, _| !removed.contains(segment));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<ParquetMetaData>>> {
        self.0.lock().expect("no thread panics while it holds the footers")
    }
}

impl Flushed {
    /// Fewer readings are sooner decoded than given to two threads.
    const SHARED_ROWS_MIN: u64 = 100_000;
    /// Pieces that wait to be put together: who decodes waits then, so that a long range is not in memory twice.
    const PIECES_MAX: usize = 4;
    /// Loaded readings kept for comparison: about 130 MB.
    const LOADED_ROWS_MAX: usize = 4_000_000;

    pub(crate) fn new(dir: &Path, segments: Vec<SegmentRow>) -> Self {
        let mut flushed = Self { dir: dir.to_owned(), ..Self::default() };
        flushed.change(segments, &HashSet::new());
        flushed
    }

    /// Adds segments and removes others.
    pub(crate) fn change(&mut self, added: Vec<SegmentRow>, removed: &HashSet<i64>) {
        if !removed.is_empty() {
            self.remove(removed);
        }
        for segment in added {
            self.paths.insert(segment.id, self.dir.join(&segment.path));
            for span in &segment.spans {
                if self.series.len() <= span.series.index() {
                    self.series.resize(span.series.index() + 1, None);
                }
                let Some(series) = self.series.get_mut(span.series.index()) else { continue };
                let series = series.get_or_insert_with(|| OfSeries { places: Vec::new(), newest: i64::MIN });
                series.places.push(Place { segment: segment.id, span: *span });
                series.newest = span.max_ts.max(series.newest);
            }
            self.segments.push(segment);
        }
    }

    /// Commits wait meanwhile: only the series of these segments are touched.
    fn remove(&mut self, removed: &HashSet<i64>) {
        for segment in self.segments.extract_if(.., |segment| removed.contains(&segment.id)) {
            self.paths.remove(&segment.id);
            for span in &segment.spans {
                let Some(place) = self.series.get_mut(span.series.index()) else { continue };
                let Some(series) = place else { continue };
                series.places.retain(|place| place.segment != segment.id);
                match series.places.iter().map(|place| place.span.max_ts).max() {
                    Some(newest) => series.newest = newest,
                    None => *place = None,
                }
                if let Some(known) = self.loaded.remove(&(segment.id, span.series)) {
                    self.loaded_rows -= known.len();
                }
            }
        }
        self.footers.forget(removed);
        self.neighbours.forget(removed);
    }

    pub(crate) fn segments(&self) -> &[SegmentRow] {
        &self.segments
    }

    #[cfg(feature = "frames")]
    pub(crate) fn path(&self, segment: &SegmentRow) -> PathBuf {
        self.dir.join(&segment.path)
    }

    fn places(&self, series: SeriesId) -> &[Place] {
        self.series.get(series.index()).and_then(Option::as_ref).map(|series| series.places.as_slice()).unwrap_or_default()
    }

    /// The last entry of the log that a segment came from.
    #[cfg(feature = "frames")]
    pub(crate) fn max_lsn(&self, segment: i64) -> u64 {
        self.segments.iter().find(|row| row.id == segment).map_or(0, |row| row.max_lsn)
    }

    /// Whether the segments have this time of this series, or a later one.
    pub(crate) fn reaches(&self, series: SeriesId, ts_ms: i64) -> bool {
        self.series.get(series.index()).and_then(Option::as_ref).is_some_and(|series| ts_ms <= series.newest)
    }

    /// Whether any segment may have this time of this series.
    pub(crate) fn may_have(&self, series: SeriesId, ts_ms: i64) -> bool {
        self.reaches(series, ts_ms) && self.covering(series, ts_ms).next().is_some()
    }

    fn covering(&self, series: SeriesId, ts_ms: i64) -> impl Iterator<Item = &Place> {
        self.places(series).iter().filter(move |place| place.covers(ts_ms))
    }

    /// The times in a range, in the order of the segments.
    pub(crate) fn times(&self, series: SeriesId, range: &Range<i64>) -> Result<Vec<i64>, SegmentError> {
        let mut found = Vec::new();
        for place in self.places(series).iter().filter(|place| place.touches(range)) {
            let times = self.read(place, |segment| segment.times(place.span.rows()))?;
            found.extend(times.into_iter().filter(|ts_ms| range.contains(ts_ms)));
        }
        Ok(found)
    }

    /// Makes [`Self::versions`] of this time possible.
    pub(crate) fn load(&mut self, series: SeriesId, ts_ms: i64) -> Result<(), SegmentError> {
        let missing: Vec<Place> =
            self.covering(series, ts_ms).filter(|place| !self.loaded.contains_key(&(place.segment, series))).copied().collect();
        for place in missing {
            let known = self.read(&place, |segment| segment.known(place.span.rows()))?;
            self.loaded_rows += known.len();
            self.loaded.insert((place.segment, series), known);
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

    /// Calls `visit` with the value and the version of each reading at this time, of what [`Self::load`] has loaded.
    pub(crate) fn versions(&self, series: SeriesId, ts_ms: i64, mut visit: impl FnMut(Option<i64>, u16)) {
        for place in self.covering(series, ts_ms) {
            let known = self.loaded.get(&(place.segment, series)).map(Vec::as_slice).unwrap_or_default();
            let from = known.partition_point(|(at, ..)| *at < ts_ms);
            known.iter().skip(from).take_while(|(at, ..)| *at == ts_ms).for_each(|(_, raw, version)| visit(*raw, *version));
        }
    }

    /// Every version of a series in the range, in the order of the segments.
    pub(crate) fn scan(&self, series: SeriesId, range: &Range<i64>) -> Result<Vec<Sample>, SegmentError> {
        Ok(self.scan_ascending(series, range)?.0)
    }

    /// As [`Self::scan`], the segments in order of time, and whether each reading is later than the one before it: then
    /// there is nothing to sort, and no version to choose. A year is too long to be looked through again for that.
    pub(crate) fn scan_ascending(&self, series: SeriesId, range: &Range<i64>) -> Result<(Vec<Sample>, bool), SegmentError> {
        let mut places: Vec<&Place> = self.places(series).iter().filter(|place| place.touches(range)).collect();
        places.sort_by_key(|place| place.span.min_ts);
        let whole = places.iter().filter(|place| range.start <= place.span.min_ts && place.span.max_ts < range.end);
        let rows: u64 = whole.map(|place| place.span.rows).sum();
        let found = Vec::with_capacity(usize::try_from(rows).unwrap_or(0));
        let shares = shares(&places, rows);
        let (Some((first, second)), true) = (shares, rows >= Self::SHARED_ROWS_MIN) else { return self.append_all(&places, range, found) };
        // Most of a year is decoding, and there is more than one core.
        thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel(Self::PIECES_MAX);
            scope.spawn(move || second.iter().try_for_each(|place| send.send(self.piece(place, range))));
            let (mut found, mut ascending) = self.append_all(first, range, found)?;
            for place in second {
                let piece = receive.recv().expect("no thread panics while it reads a segment")?;
                ascending &= self.put_together(place, &piece, range, &mut found)?;
            }
            Ok((found, ascending))
        })
    }

    fn append_all(&self, places: &[&Place], range: &Range<i64>, mut found: Vec<Sample>) -> Result<(Vec<Sample>, bool), SegmentError> {
        let mut ascending = true;
        for place in places {
            ascending &= self.put_together(place, &self.piece(place, range)?, range, &mut found)?;
        }
        Ok((found, ascending))
    }

    fn piece(&self, place: &Place, range: &Range<i64>) -> Result<Piece, SegmentError> {
        let rows = place.span.rows();
        if let Some(unpacked) = self.neighbours.known(place.segment, &rows) {
            return Ok(Piece::Unpacked(unpacked));
        }
        self.read(place, |segment| match self.neighbours.ask(place.segment, segment, &rows)? {
            Some(unpacked) => Ok(Piece::Unpacked(unpacked)),
            None => Ok(Piece::Decoded(segment.decode(rows.clone(), range)?)),
        })
    }

    fn put_together(&self, place: &Place, piece: &Piece, range: &Range<i64>, found: &mut Vec<Sample>) -> Result<bool, SegmentError> {
        let path = || self.paths.get(&place.segment).cloned().unwrap_or_default();
        piece.append(range, found).map_err(|err| SegmentError { path: path(), err })
    }

    /// Every version of a series in the segments that have anything after an entry of the log.
    pub(crate) fn scan_since(&self, series: SeriesId, lsn: u64) -> Result<Vec<Sample>, SegmentError> {
        // Those of the first versions do not say which entries they came from, and nor do their readings.
        let older: HashSet<i64> = self.segments.iter().filter(|row| row.max_lsn <= lsn && lsn > 0).map(|row| row.id).collect();
        let mut found = Vec::new();
        for place in self.places(series).iter().filter(|place| !older.contains(&place.segment)) {
            self.read(place, |segment| segment.samples(place.span.rows(), None, |sample| found.push(sample)))?;
        }
        Ok(found)
    }

    /// A time in each segment that has the series: a segment is of one month.
    pub(crate) fn first_times(&self, series: SeriesId) -> impl Iterator<Item = i64> {
        self.places(series).iter().map(|place| place.span.min_ts)
    }

    /// Calls `visit` with the time of each reading in the range that came after an entry of the log.
    pub(crate) fn times_since(
        &self,
        series: SeriesId,
        range: &Range<i64>,
        lsn: u64,
        mut visit: impl FnMut(i64),
    ) -> Result<(), SegmentError> {
        let newer: HashSet<i64> = self.segments.iter().filter(|row| row.max_lsn > lsn).map(|row| row.id).collect();
        for place in self.places(series).iter().filter(|place| newer.contains(&place.segment) && place.touches(range)) {
            self.read(place, |segment| {
                segment.samples(place.span.rows(), Some(range), |sample| {
                    if sample.lsn > lsn {
                        visit(sample.ts_ms);
                    }
                })
            })?;
        }
        Ok(())
    }

    #[cfg(feature = "frames")]
    /// The series of these segments that lie in the range, by segment.
    pub(crate) fn places_in(&self, series: SeriesId, range: &Range<i64>) -> impl Iterator<Item = &Place> {
        self.places(series).iter().filter(move |place| place.touches(range))
    }

    #[cfg(feature = "frames")]
    pub(crate) fn path_of(&self, segment: i64) -> PathBuf {
        self.paths.get(&segment).cloned().unwrap_or_default()
    }

    fn read<T>(&self, place: &Place, read: impl FnOnce(&Segment<Source>) -> Result<T, ParquetError>) -> Result<T, SegmentError> {
        let path = self.paths.get(&place.segment).cloned().unwrap_or_default();
        let opened = Segment::file(&path, self.footers.get(place.segment));
        let opened = opened.inspect(|segment| self.footers.put(place.segment, segment.footer()));
        opened.and_then(|segment| read(&segment)).map_err(|err| SegmentError { path, err })
    }
}
