//! Interval rows folded into civil days of the facility's zone.
//!
//! A civil day has 23, 24 or 25 hours and the zone database says which; the day keeps its length in minutes. A day needs
//! more than half of its intervals; the rest is filled with the day's own mean, which is the sum divided by the coverage.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use units::FacilityCalendar;

use super::Period;
use super::rows::{Commodity, EnergyRow, TemperatureRow};

/// A value of an instant, in the unit that days are made of.
pub(super) type Reading = (Timestamp, Option<f64>);

/// Minutes of a day without a change of clocks.
pub(crate) const USUAL_MINUTES: u16 = 1_440;

/// The energy of one civil day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnergyDay {
    /// The civil day in the facility's zone.
    pub date: Date,
    /// How long the day lasted: 1,440, or 1,380 and 1,500 where the clocks change.
    pub minutes: u16,
    /// The energy of the day, Wh; `None` when too little of it was measured.
    pub wh: Option<f64>,
    /// Intervals with a value.
    pub present: u32,
    /// Intervals the day has.
    pub expected: u32,
}

impl EnergyDay {
    /// A day of 24 hours that the source already totalled.
    pub const fn whole(date: Date, wh: Option<f64>) -> Self {
        Self { date, minutes: USUAL_MINUTES, wh, present: if wh.is_some() { 1 } else { 0 }, expected: 1 }
    }
}

/// The mean outdoor temperature of one civil day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemperatureDay {
    /// The civil day in the facility's zone.
    pub date: Date,
    /// Mean of the hours present, °F; `None` when half of the hours or more are missing.
    pub mean_f: Option<f64>,
    /// Hours with a value.
    pub present: u32,
    /// Hours the day has.
    pub expected: u32,
}

impl TemperatureDay {
    /// A daily mean that the source already made.
    pub const fn whole(date: Date, mean_f: Option<f64>) -> Self {
        Self { date, mean_f, present: if mean_f.is_some() { 24 } else { 0 }, expected: 24 }
    }
}

/// Energy and weather of one civil day, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// The civil day in the facility's zone.
    pub date: Date,
    /// How long the day lasted.
    pub minutes: u16,
    /// The energy of the day, Wh.
    pub use_wh: Option<f64>,
    /// The mean outdoor temperature, °F.
    pub temperature_f: Option<f64>,
}

impl Day {
    /// The day's length in days of 24 hours: 1, or 23/24 and 25/24 where the clocks change.
    pub fn length(&self) -> f64 {
        f64::from(self.minutes) / f64::from(USUAL_MINUTES)
    }
}

/// Rows that cannot be folded into days.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DaysError {
    /// A value is NaN or infinite.
    #[error("the value at {at} is not a finite number")]
    NotFinite {
        /// When the row begins.
        at: Timestamp,
    },
    /// Two rows of one instant disagree.
    #[error("two rows at {at} disagree: {first} and {second}")]
    Conflict {
        /// When the rows begin.
        at: Timestamp,
        /// One value.
        first: String,
        /// The other.
        second: String,
    },
    /// The series changes its unit.
    #[error("the series mixes units: {first} until {at}, then {second}")]
    MixedUnits {
        /// The first row of the other unit.
        at: Timestamp,
        /// The unit before.
        first: &'static str,
        /// The unit from there on.
        second: &'static str,
    },
    /// Intervals of no length, or longer than a day.
    #[error("an interval of {minutes} minutes cannot be folded into days; allowed: 1 to 1440")]
    Interval {
        /// The interval as given.
        minutes: u16,
    },
    /// A row begins inside an interval.
    #[error("the row at {at} does not begin on a whole interval of {minutes} minutes")]
    OffGrid {
        /// When the row begins.
        at: Timestamp,
        /// The interval.
        minutes: u16,
    },
    /// Two intervals cover the same time: two series in one, or an interval that is not theirs.
    #[error(
        "the interval of {minutes} minutes at {first} is not over when the one at {second} begins; give one series, or its true interval"
    )]
    Overlap {
        /// When the one begins.
        first: Timestamp,
        /// When the other begins.
        second: Timestamp,
        /// The interval.
        minutes: u16,
    },
    /// One civil day appears twice.
    #[error("the day {date} appears twice")]
    DuplicateDay {
        /// The day.
        date: Date,
    },
    /// The zone cannot say when a day begins.
    #[error("the zone cannot say when {date} begins")]
    Zone {
        /// The day.
        date: Date,
        /// Why.
        #[source]
        err: jiff::Error,
    },
}

/// Folds meter intervals into the civil days of a period, one entry per day, missing days included.
///
/// * Shape: `rows` in any order; rows outside the period are not used (CalTRACK 2.2.5); identical duplicates count once. A
///   row belongs to the day in which it begins, and a day without gaps has exactly the energy of its rows.
/// * Units: as each row says; all the same. Wh out.
/// * Errors: NaN, contradicting duplicates, mixed units, rows that do not begin on a whole interval or that overlap.
/// * Source: CalTRACK 2.0, 2.2.2.1 (more than half of the intervals present, as the reference code has it), 2.2.1.4
///   (zero electricity is missing; intervals shorter than an hour may be zero, because a counter has a resolution).
pub fn energy_days(
    rows: &[EnergyRow],
    interval_minutes: u16,
    zone: &TimeZone,
    period: Period,
    commodity: Commodity,
) -> Result<Vec<EnergyDay>, DaysError> {
    if interval_minutes == 0 || interval_minutes > USUAL_MINUTES {
        return Err(DaysError::Interval { minutes: interval_minutes });
    }
    let zero_is_missing = commodity == Commodity::Electricity && interval_minutes >= 60;
    let mut sorted: Vec<&EnergyRow> = rows.iter().collect();
    sorted.sort_by_key(|row| row.start);
    one_unit(sorted.iter().map(|row| (row.start, row.unit.symbol())))?;
    let readings = sorted
        .iter()
        .map(|row| (row.start, row.value.filter(|value| *value != 0.0 || !zero_is_missing).map(|value| row.unit.to_wh(value))));
    let readings = distinct(readings)?;

    let mut days = Vec::with_capacity(period.len());
    let mut rest = readings.as_slice();
    for date in period.dates() {
        let (start, end) = bounds(zone, date)?;
        let minutes = minutes_between(start, end);
        let (inside, later) = split(rest, start, end);
        rest = later;
        let expected = intervals_of(minutes, interval_minutes);
        let (mut sum, mut present) = (0.0, 0_u32);
        let mut last: Option<Timestamp> = None;
        for (at, value) in inside {
            let step = i64::from(interval_minutes) * 60;
            if at.duration_since(start).as_secs() % step != 0 && at.as_second() % step != 0 {
                return Err(DaysError::OffGrid { at: *at, minutes: interval_minutes });
            }
            if let Some(value) = value {
                if let Some(first) = last.filter(|last| at.duration_since(*last).as_secs() < step) {
                    return Err(DaysError::Overlap { first, second: *at, minutes: interval_minutes });
                }
                last = Some(*at);
                sum += value;
                present += 1;
            }
        }
        let enough = u64::from(present) * 2 > u64::from(expected);
        let whole = || if present < expected { sum * f64::from(expected) / f64::from(present) } else { sum };
        let wh = enough.then(whole).filter(|wh| *wh != 0.0 || commodity == Commodity::Gas);
        days.push(EnergyDay { date, minutes, wh, present, expected });
    }
    Ok(days)
}

/// Folds temperatures into daily means of a period, one entry per day, missing days included.
///
/// * Shape: `rows` in any order, hourly or finer; finer rows are first averaged within their hour.
/// * Units: as each row says; all the same. °F out, because the balance points are whole degrees Fahrenheit.
/// * Errors: as [`energy_days`], but any instant is allowed.
/// * Source: CalTRACK 2.0, 2.2.2.3 (more than half of the hours present), 2.3.4 (finer than hourly).
pub fn temperature_days(rows: &[TemperatureRow], zone: &TimeZone, period: Period) -> Result<Vec<TemperatureDay>, DaysError> {
    let mut sorted: Vec<&TemperatureRow> = rows.iter().collect();
    sorted.sort_by_key(|row| row.at);
    one_unit(sorted.iter().map(|row| (row.at, row.unit.symbol())))?;
    let readings = distinct(sorted.iter().map(|row| (row.at, row.value.map(|value| row.unit.to_fahrenheit(value)))))?;

    let mut days = Vec::with_capacity(period.len());
    let mut rest = readings.as_slice();
    for date in period.dates() {
        let (start, end) = bounds(zone, date)?;
        let (inside, later) = split(rest, start, end);
        rest = later;
        let expected = u32::from(minutes_between(start, end)).div_ceil(60);
        let (mean_f, present) = mean_of_hours(inside, start);
        let enough = u64::from(present) * 2 > u64::from(expected);
        days.push(TemperatureDay { date, mean_f: mean_f.filter(|_| enough), present, expected });
    }
    Ok(days)
}

/// Puts the energy and the weather of each day side by side, in order of days.
///
/// Every day that either side names is in the result; what the other side lacks is `None`.
///
/// * Errors: [`DaysError::DuplicateDay`] when one side names a day twice.
pub fn join(energy: &[EnergyDay], weather: &[TemperatureDay]) -> Result<Vec<Day>, DaysError> {
    let mut temperatures = BTreeMap::new();
    for day in weather {
        if temperatures.insert(day.date, day.mean_f).is_some() {
            return Err(DaysError::DuplicateDay { date: day.date });
        }
    }
    let mut days = BTreeMap::new();
    for day in energy {
        let joined = Day { date: day.date, minutes: day.minutes, use_wh: day.wh, temperature_f: temperatures.remove(&day.date).flatten() };
        if days.insert(day.date, joined).is_some() {
            return Err(DaysError::DuplicateDay { date: day.date });
        }
    }
    for (date, temperature_f) in temperatures {
        days.entry(date).or_insert(Day { date, minutes: USUAL_MINUTES, use_wh: None, temperature_f });
    }
    Ok(days.into_values().collect())
}

/// Refuses rows in order of time that change their unit.
pub(super) fn one_unit(rows: impl Iterator<Item = (Timestamp, &'static str)>) -> Result<(), DaysError> {
    let mut unit: Option<&'static str> = None;
    for (at, second) in rows {
        match unit {
            Some(first) if first != second => return Err(DaysError::MixedUnits { at, first, second }),
            _ => unit = Some(second),
        }
    }
    Ok(())
}

/// Sorted readings without repetitions; a value wins over a missing one of the same instant.
pub(super) fn distinct(readings: impl Iterator<Item = (Timestamp, Option<f64>)>) -> Result<Vec<Reading>, DaysError> {
    let mut kept: Vec<Reading> = Vec::with_capacity(readings.size_hint().0);
    for (at, value) in readings {
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(DaysError::NotFinite { at });
        }
        match kept.last_mut() {
            Some(last) if last.0 == at => match (last.1, value) {
                (_, None) => {}
                (None, Some(_)) => last.1 = value,
                (Some(first), Some(second)) if first.total_cmp(&second).is_eq() => {}
                (Some(first), Some(second)) => {
                    return Err(DaysError::Conflict { at, first: first.to_string(), second: second.to_string() });
                }
            },
            _ => kept.push((at, value)),
        }
    }
    Ok(kept)
}

/// The readings inside `start..end` and those after; readings before are dropped.
pub(super) fn split(readings: &[Reading], start: Timestamp, end: Timestamp) -> (&[Reading], &[Reading]) {
    let (_, from_start) = readings.split_at(readings.partition_point(|(at, _)| *at < start));
    from_start.split_at(from_start.partition_point(|(at, _)| *at < end))
}

/// The mean over the hours of a day that have at least one value, and how many they are.
pub(super) fn mean_of_hours(readings: &[Reading], start: Timestamp) -> (Option<f64>, u32) {
    let mut hours: Vec<(i64, f64, u32)> = Vec::with_capacity(25);
    for (at, value) in readings {
        let Some(value) = value else { continue };
        let hour = at.duration_since(start).as_hours();
        match hours.last_mut() {
            Some(last) if last.0 == hour => {
                last.1 += value;
                last.2 += 1;
            }
            _ => hours.push((hour, *value, 1)),
        }
    }
    let present = u32::try_from(hours.len()).unwrap_or(u32::MAX);
    let sum: f64 = hours.iter().map(|(_, sum, count)| sum / f64::from(*count)).sum();
    ((present > 0).then(|| sum / f64::from(present)), present)
}

/// How many intervals a day has: the nearest whole number, at least one.
///
/// A day's total is one interval, also on the day of 25 hours; of half an interval more or less nobody can say to which
/// day it belongs, so that it is not missed.
fn intervals_of(minutes: u16, interval_minutes: u16) -> u32 {
    let (minutes, interval) = (u32::from(minutes), u32::from(interval_minutes));
    (2 * minutes).saturating_sub(interval).div_ceil(2 * interval).max(1)
}

fn bounds(zone: &TimeZone, date: Date) -> Result<(Timestamp, Timestamp), DaysError> {
    let bounds = FacilityCalendar::new(zone.clone()).bounds(date).map_err(|err| DaysError::Zone { date, err })?;
    Ok((bounds.start, bounds.end))
}

pub(super) fn minutes_between(start: Timestamp, end: Timestamp) -> u16 {
    let length: SignedDuration = end.duration_since(start);
    u16::try_from(length.as_mins()).unwrap_or(USUAL_MINUTES)
}

#[cfg(test)]
#[path = "days_tests.rs"]
mod tests;
