//! Asking for quarters, hours and days.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use units::{FacilityCalendar, Measured, Quality, Unit};

use super::build::renew;
use super::passing::{Passed, passed};
use super::quarter::{QUARTER_MS, Quarter, Worst, quarter_of, quarters};
use super::table::quarters_of;
use super::{month_of, month_range};
use crate::counter::{Exchange, Nameplate, is_counter};
use crate::flushed::SegmentError;
use crate::grid::Grid;
use crate::reader::Reader;
use crate::series::{SeriesId, SeriesKey};

const HOUR_MS: i64 = 3_600_000;
/// No local day is longer, not even where the clocks change by two hours.
const DAY_MS_MAX: i64 = 26 * HOUR_MS;
/// What a counter says of a month depends on its readings before and behind it.
const MARGIN_MS: i64 = 32 * 24 * HOUR_MS;

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A quarter of an hour of UTC, which is one of every facility.
    QuarterHour,
    /// An hour of UTC.
    Hour,
    /// A day of the facility: 23, 24 or 25 hours.
    Day,
}

impl Resolution {
    const ALL: [(Self, &'static str); 3] = [(Self::QuarterHour, "15m"), (Self::Hour, "1h"), (Self::Day, "1d")];

    /// `15m`, `1h`, `1d`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// The resolution of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(resolution, _)| *resolution)
    }
}

/// What the readings of a series come to in a stretch of time. Values are scaled as the readings of the series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Half-open, UTC milliseconds.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Readings that there should be, by the commonest step of the month; none when that cannot be told.
    pub expected: Option<u64>,
    /// Times that were read, those without a usable value included.
    pub readings: u64,
    /// Of these, with a value of good quality, and with one of uncertain quality.
    pub good: u64,
    pub uncertain: u64,
    /// Of the usable: put in the place of a reading by a method, and by a person.
    pub estimated: u64,
    pub edited: u64,
    /// The worst severity of any reading, and every reason.
    pub quality: Quality,
    /// Over the usable values; time and value.
    pub smallest: Option<i64>,
    pub largest: Option<i64>,
    pub first: Option<(i64, i64)>,
    pub last: Option<(i64, i64)>,
    pub sum: i128,
    /// Of a counter alone.
    pub passing: Option<Passing>,
    /// The first and the last entry of the log that a reading of it came with: what it was made of is
    /// [`Reader::as_of`] `lsn_to`.
    pub lsn_from: u64,
    pub lsn_to: u64,
}

/// What a counter says has passed from the first reading of a bucket on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passing {
    /// None where the counter does not say: it was set back, or another meter is in its place.
    pub raw: Option<i64>,
    pub from_ms: i64,
    /// The next reading behind the bucket, or the last one in it when there is none yet.
    pub to_ms: i64,
    /// How often the counter did not simply go on.
    pub breaks: u64,
}

impl Bucket {
    /// Readings whose value may be used.
    #[must_use]
    pub const fn usable(&self) -> u64 {
        self.good + self.uncertain
    }

    /// The mean of the usable values, to three more digits, rounded half away from zero.
    #[must_use]
    pub fn mean(&self, unit: Unit, exponent: i8) -> Option<Measured> {
        let count = i128::from(self.usable());
        let scaled = self.sum.checked_mul(1_000).filter(|_| count > 0)?;
        let half = if scaled < 0 { -count } else { count };
        let raw = i64::try_from((scaled.checked_mul(2)?.checked_add(half)?) / (2 * count)).ok()?;
        Some(Measured { raw, exponent: exponent.checked_sub(3)?, unit })
    }

    fn new((from_ms, to_ms): (i64, i64)) -> Self {
        Self {
            from_ms,
            to_ms,
            expected: None,
            readings: 0,
            good: 0,
            uncertain: 0,
            estimated: 0,
            edited: 0,
            quality: Quality::GOOD,
            smallest: None,
            largest: None,
            first: None,
            last: None,
            sum: 0,
            passing: None,
            lsn_from: u64::MAX,
            lsn_to: 0,
        }
    }

    fn add(&mut self, quarter: &Quarter, passed: Option<Passed>) {
        self.readings += u64::from(quarter.readings);
        self.good += u64::from(quarter.good);
        self.uncertain += u64::from(quarter.uncertain);
        self.estimated += u64::from(quarter.estimated);
        self.edited += u64::from(quarter.edited);
        let mut worst = Worst::default();
        worst.add(self.quality);
        worst.add(quarter.quality);
        self.quality = worst.quality();
        self.lsn_from = self.lsn_from.min(quarter.lsn_from);
        self.lsn_to = self.lsn_to.max(quarter.lsn_to);
        let Some(figures) = quarter.figures else { return };
        self.smallest = Some(self.smallest.map_or(figures.smallest, |smallest| smallest.min(figures.smallest)));
        self.largest = Some(self.largest.map_or(figures.largest, |largest| largest.max(figures.largest)));
        self.sum += figures.sum;
        self.first = self.first.or(Some(figures.first));
        self.last = Some(figures.last);
        if let Some(Passed { raw, to_ms, breaks }) = passed {
            let (before, from_ms, breaks_before) =
                self.passing.map_or((Some(0), figures.first.0, 0), |before| (before.raw, before.from_ms, before.breaks));
            let raw = before.zip(raw).and_then(|(sum, more)| i64::checked_add(sum, more));
            self.passing = Some(Passing { raw, from_ms, to_ms, breaks: breaks_before + u64::from(breaks) });
        }
    }
}

/// Where the quarters come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The files, and the readings that came since.
    Files,
    /// The readings alone, as if there were no files: what the laws compare with.
    #[cfg(test)]
    Readings,
}

impl Reader {
    /// The buckets of a series that begin in `range` (UTC milliseconds, half-open), in order; one without any reading is
    /// not there. They are as true as the readings are now, whatever files there are.
    ///
    /// * `calendar`: whose days they are, where they are days. They are cut by quarters of an hour, as every zone of today
    ///   allows.
    /// * Of a counter: what its device's profiles say of another meter is known; [`Self::buckets_of`] knows more.
    pub fn buckets(
        &self,
        series: SeriesId,
        range: Range<i64>,
        resolution: Resolution,
        calendar: &FacilityCalendar,
    ) -> Result<Vec<Bucket>, SegmentError> {
        let nameplate = self.key(series).map(|key| self.nameplate(key)).unwrap_or_default();
        self.buckets_of(series, range, resolution, calendar, &nameplate)
    }

    /// As [`Self::buckets`], with what is known of a counter besides its readings.
    pub fn buckets_of(
        &self,
        series: SeriesId,
        range: Range<i64>,
        resolution: Resolution,
        calendar: &FacilityCalendar,
        nameplate: &Nameplate,
    ) -> Result<Vec<Bucket>, SegmentError> {
        self.buckets_by(By::Files, series, range, resolution, calendar, nameplate)
    }

    /// When another meter was put in the place of a device's, by the profiles it was decoded by.
    #[must_use]
    pub fn nameplate(&self, key: &SeriesKey) -> Nameplate {
        let profiles = self.profiles(&key.tenant, &key.facility, &key.device);
        let changed = profiles.windows(2).filter_map(|pair| match pair {
            [one, next] if one.profile_hash != next.profile_hash => Some(Exchange { at_ms: next.from_ms, displays: None }),
            _ => None,
        });
        Nameplate { per_hour_max: None, exchanged: changed.collect() }
    }

    pub(crate) fn buckets_by(
        &self,
        by: By,
        series: SeriesId,
        range: Range<i64>,
        resolution: Resolution,
        calendar: &FacilityCalendar,
        nameplate: &Nameplate,
    ) -> Result<Vec<Bucket>, SegmentError> {
        let Some(key) = self.key(series) else { return Ok(Vec::new()) };
        let counter = is_counter(&key.point, key.unit);
        let margin = if counter { MARGIN_MS } else { 0 };
        let wide = range.start.saturating_sub(margin)..range.end.saturating_add(DAY_MS_MAX + margin);
        let mut months: Vec<(Range<i64>, Option<Grid>)> = Vec::new();
        let mut found: Vec<Quarter> = Vec::new();
        for (month, of_month) in self.months(series, key, &wide) {
            let quarters = self.quarters(by, series, key, &month, of_month.clone())?;
            months.push((of_month, Grid::of_quarters(&quarters)));
            found.extend(quarters);
        }
        let passed = if counter { passed(&found, nameplate, |range| self.scan(series, range))? } else { vec![None; found.len()] };
        let mut buckets: Vec<Bucket> = Vec::new();
        for (quarter, passed) in found.iter().zip(passed) {
            let here = match buckets.last_mut() {
                Some(last) if quarter.start_ms < last.to_ms => last,
                _ => {
                    buckets.push(Bucket::new(bounds(quarter.start_ms, resolution, calendar)));
                    let Some(last) = buckets.last_mut() else { continue };
                    last
                }
            };
            here.add(quarter, passed);
        }
        buckets.retain(|bucket| range.contains(&bucket.from_ms));
        let all = Grid::of_quarters(&found);
        for bucket in &mut buckets {
            let month = months.iter().find(|(of_month, _)| of_month.end > bucket.from_ms);
            let slots = month.and_then(|(_, grid)| *grid).or(all).map(|grid| grid.slots(&(bucket.from_ms..bucket.to_ms)));
            bucket.expected = slots.and_then(|slots| u64::try_from(slots.end - slots.start).ok());
        }
        Ok(buckets)
    }

    /// The months of UTC in which a series may have anything, of those that a range touches.
    fn months(&self, series: SeriesId, key: &SeriesKey, range: &Range<i64>) -> Vec<(String, Range<i64>)> {
        let mut names: BTreeSet<String> = self.flushed().first_times(series).map(month_of).collect();
        let of_facility = |row: &&super::DerivedRow| row.tenant == key.tenant.as_str() && row.facility == key.facility.as_str();
        names.extend(self.derived().iter().filter(of_facility).map(|row| row.month.clone()));
        let mut last = None;
        for sample in self.head().sorted(series) {
            let quarter = quarter_of(sample.ts_ms);
            if last != Some(quarter) {
                names.insert(month_of(quarter));
                last = Some(quarter);
            }
        }
        let mut months: Vec<(String, Range<i64>)> =
            names.into_iter().filter_map(|name| month_range(&name).map(|of_month| (name, of_month))).collect();
        months.retain(|(_, of_month)| of_month.start < range.end && of_month.end > range.start);
        // Years of fewer or more than four digits do not sort as they follow each other.
        months.sort_by_key(|(_, of_month)| of_month.start);
        months
    }

    /// The quarters of a series in a month of UTC.
    fn quarters(&self, by: By, series: SeriesId, key: &SeriesKey, month: &str, range: Range<i64>) -> Result<Vec<Quarter>, SegmentError> {
        let row = self.derived().iter().find(|row| row.is_of(key.tenant.as_str(), key.facility.as_str(), month));
        let dropped_lsn = self.dropped_lsn(key, &range);
        let Some(row) = row.filter(|_| by == By::Files || dropped_lsn > 0) else { return Ok(quarters(&self.scan(series, range)?)) };
        let path = self.dir().join(&row.path);
        let old = match quarters_of(&path, &row.sha256, series) {
            Ok(old) => old,
            Err(err) if dropped_lsn > 0 => return Err(SegmentError { path, err }),
            // The readings are there, and say it again.
            Err(_) => return Ok(quarters(&self.scan(series, range)?)),
        };
        let mut touched: BTreeSet<i64> = BTreeSet::new();
        self.flushed().times_since(series, &range, row.through_lsn, |ts_ms| {
            touched.insert(quarter_of(ts_ms));
        })?;
        touched.extend(self.head().sorted(series).iter().filter(|sample| range.contains(&sample.ts_ms)).map(|one| quarter_of(one.ts_ms)));
        renew(old, &touched, dropped_lsn, |range| self.scan(series, range))
    }
}

/// From the first moment of a bucket to the first of the next.
fn bounds(start_ms: i64, resolution: Resolution, calendar: &FacilityCalendar) -> (i64, i64) {
    let quarter = (start_ms, start_ms.saturating_add(QUARTER_MS));
    match resolution {
        Resolution::QuarterHour => quarter,
        Resolution::Hour => (start_ms - start_ms.rem_euclid(HOUR_MS), start_ms - start_ms.rem_euclid(HOUR_MS) + HOUR_MS),
        Resolution::Day => {
            let day = Timestamp::from_millisecond(start_ms).ok().and_then(|at| calendar.bounds(calendar.day_of(at)).ok());
            // Beyond the calendar there are no days.
            day.map_or(quarter, |day| (day.start.as_millisecond(), day.end.as_millisecond()))
        }
    }
}
