//! How a day's energy lies in its hours: fitted to intervals of the baseline, for models that know days alone.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Profile, Weekday, spread};

/// Fewest days that make a shape of their own; with fewer, those of a wider group are taken.
const DAYS_MIN: usize = 4;

/// Days of one kind in one month, or of one kind, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Month(i8, Kind),
    Kind(Kind),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Working,
    Saturday,
    Sunday,
}

/// The shapes of days, by month and kind of day.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    interval_minutes: u8,
    holidays: Vec<Date>,
    /// The intervals of each day that was fitted.
    days: Vec<Vec<i64>>,
    groups: BTreeMap<Group, Days>,
    error: ShapeFit,
}

/// The days of a group and their sum.
#[derive(Clone, Debug, Default, PartialEq)]
struct Days {
    members: Vec<usize>,
    sum: Vec<i64>,
}

/// How well shapes fit the days they were fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeFit {
    /// Whole days of 24 hours with energy.
    pub days: usize,
    /// Days left out: cut by the ends, with a change of the clocks, or without energy.
    pub days_left_out: usize,
    /// The root mean square of an interval's error over the mean of an interval, each day's total given.
    pub cv_rmse: f64,
}

/// Intervals that show no shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Too few days.
    #[error("the profile has {days} whole days with energy; a shape needs at least {DAYS_MIN}")]
    TooFewDays {
        /// How many it has.
        days: usize,
    },
}

/// The civil days of a profile: each with the intervals it has and the interval of the day that the first of them is.
pub(super) fn days_of(profile: &Profile, zone: &TimeZone) -> Vec<(Date, Range<usize>, Vec<u16>)> {
    let step = i64::from(profile.interval_minutes()) * 60_000;
    let mut days: Vec<(Date, Range<usize>, Vec<u16>)> = Vec::new();
    let mut at_ms = profile.start().as_millisecond();
    for index in 0..profile.wh().len() {
        // A profile's instants were counted when it was laid under bills; beyond the calendar there are none.
        let Ok(at) = Timestamp::from_millisecond(at_ms) else { break };
        let local = zone.to_datetime(at);
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let of_day = minute / u16::from(profile.interval_minutes());
        match days.last_mut() {
            Some((date, range, intervals)) if *date == local.date() => {
                range.end = index + 1;
                intervals.push(of_day);
            }
            _ => days.push((local.date(), index..index + 1, vec![of_day])),
        }
        at_ms += step;
    }
    days
}

impl Shape {
    /// Fits shapes to a profile's whole days; `holidays` are as Sundays.
    ///
    /// * Errors: too few days with energy.
    pub fn fit(profile: &Profile, zone: &TimeZone, holidays: &[Date]) -> Result<Self, ShapeError> {
        let per_day = 24 * 60 / usize::from(profile.interval_minutes());
        let mut holidays = holidays.to_vec();
        holidays.sort_unstable();
        let mut shape = Self {
            interval_minutes: profile.interval_minutes(),
            holidays,
            days: Vec::new(),
            groups: BTreeMap::new(),
            error: ShapeFit { days: 0, days_left_out: 0, cv_rmse: 0.0 },
        };
        let mut dates = Vec::new();
        for (date, range, intervals) in days_of(profile, zone) {
            // With 24 hours on the clock each interval of the day comes once and in order.
            let whole = intervals.len() == per_day && intervals.iter().enumerate().all(|(index, of_day)| usize::from(*of_day) == index);
            let wh: Vec<i64> = profile.wh()[range].iter().map(|wh| (*wh).max(0)).collect();
            if !whole || wh.iter().all(|wh| *wh == 0) {
                shape.error.days_left_out += 1;
                continue;
            }
            for group in shape.groups_of(date) {
                let days = shape.groups.entry(group).or_insert_with(|| Days { members: Vec::new(), sum: vec![0; per_day] });
                days.members.push(shape.days.len());
                days.sum.iter_mut().zip(&wh).for_each(|(sum, wh)| *sum += wh);
            }
            shape.days.push(wh);
            dates.push(date);
        }
        shape.error.days = shape.days.len();
        if shape.days.len() < DAYS_MIN {
            return Err(ShapeError::TooFewDays { days: shape.days.len() });
        }
        shape.error.cv_rmse = shape.cv_rmse(&dates);
        Ok(shape)
    }

    /// How well it fits.
    pub const fn fitted(&self) -> ShapeFit {
        self.error
    }

    /// The length of its intervals.
    pub const fn interval_minutes(&self) -> u8 {
        self.interval_minutes
    }

    /// A day's energy in the intervals of the day, which sum to it exactly.
    ///
    /// * Shape: `intervals` are numbers of the day's intervals, in order; a day with a change of the clocks lacks or repeats some.
    pub fn spread(&self, date: Date, total_wh: i64, intervals: &[u16]) -> Vec<i64> {
        spread_over(total_wh, &self.days_like(date).sum, intervals)
    }

    /// As [`Self::spread`], by the shape of one of the days that were fitted, the `pick`th of its kind.
    pub(super) fn spread_as(&self, date: Date, total_wh: i64, intervals: &[u16], pick: impl FnOnce(usize) -> usize) -> Vec<i64> {
        let members = &self.days_like(date).members;
        match members.get(pick(members.len())).and_then(|day| self.days.get(*day)) {
            Some(day) => spread_over(total_wh, day, intervals),
            None => self.spread(date, total_wh, intervals),
        }
    }

    /// The narrowest group with enough days.
    fn days_like(&self, date: Date) -> &Days {
        static NONE: Days = Days { members: Vec::new(), sum: Vec::new() };
        let groups = self.groups_of(date).map(|group| self.groups.get(&group));
        let enough = groups.into_iter().flatten().find(|days| days.members.len() >= DAYS_MIN);
        enough.or_else(|| self.groups.get(&Group::All)).unwrap_or(&NONE)
    }

    fn groups_of(&self, date: Date) -> [Group; 3] {
        let kind = match Weekday::of(date) {
            _ if self.holidays.binary_search(&date).is_ok() => Kind::Sunday,
            Weekday::Sunday => Kind::Sunday,
            Weekday::Saturday => Kind::Saturday,
            _ => Kind::Working,
        };
        [Group::Month(date.month(), kind), Group::Kind(kind), Group::All]
    }

    #[expect(clippy::cast_precision_loss, reason = "an interval's watt-hours are far below 2^53")]
    fn cv_rmse(&self, dates: &[Date]) -> f64 {
        let all: Vec<u16> = (0..u16::try_from(self.days.first().map_or(0, Vec::len)).unwrap_or(0)).collect();
        let (mut squares, mut sum, mut count) = (0.0, 0.0, 0.0);
        for (date, day) in dates.iter().zip(&self.days) {
            let expected = self.spread(*date, day.iter().sum(), &all);
            for (expected, wh) in expected.iter().zip(day) {
                let error = (wh - expected) as f64;
                squares += error * error;
                sum += *wh as f64;
                count += 1.0;
            }
        }
        libm::sqrt(squares / count) / (sum / count)
    }
}

fn spread_over(total_wh: i64, shape: &[i64], intervals: &[u16]) -> Vec<i64> {
    let weights: Vec<i64> = intervals.iter().map(|interval| shape.get(usize::from(*interval)).copied().unwrap_or(0)).collect();
    spread(total_wh, &weights)
}
