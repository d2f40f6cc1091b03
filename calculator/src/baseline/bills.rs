//! Bills: periods of a month or two, with the mean temperature of each of their days.
//!
//! A bill has one energy and many days of weather. Its degree days are the mean over the days that have enough hours, and
//! they count for all of its days; a bill with too little weather has none and takes no part.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use units::FacilityCalendar;

use super::days::{DaysError, Reading, distinct, mean_of_hours, minutes_between, one_unit, split};
use super::limits::{COVERAGE, HALF_DAY_HOURS};
use super::rows::{EnergyRow, TemperatureRow};
use crate::degree_days;

const DAY_SECONDS: f64 = 86_400.0;

/// One billing period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// When it begins: the instant of the reading that opens it.
    pub start: Timestamp,
    /// When it ends, which is when the next one begins.
    pub end: Timestamp,
    /// The energy of the whole period, Wh.
    pub use_wh: Option<f64>,
    /// The mean temperature of every day that has enough hours, °F; empty when too much of the period lacks weather.
    pub days_f: Vec<f64>,
    /// Days of weather the period has, those without enough hours included.
    pub days_total: u32,
}

impl Bill {
    /// The length in days of 24 hours; a month with a day of 25 hours is an hour longer.
    pub fn days(&self) -> f64 {
        self.end.duration_since(self.start).as_secs_f64() / DAY_SECONDS
    }

    /// Days whose weather counts: the weight of the bill in a fit.
    pub fn kept_days(&self) -> f64 {
        self.days_f.len() as f64
    }

    /// Mean heating degree days per day, °F; `None` without weather.
    pub fn heating_f(&self, balance_f: f64) -> Option<f64> {
        self.mean(|mean_f| degree_days::heating(balance_f, mean_f))
    }

    /// Mean cooling degree days per day, °F; `None` without weather.
    pub fn cooling_f(&self, balance_f: f64) -> Option<f64> {
        self.mean(|mean_f| degree_days::cooling(balance_f, mean_f))
    }

    /// This bill and the next as one; what one of them lacks the whole lacks.
    #[must_use]
    pub fn joined(mut self, next: &Self) -> Self {
        if self.days_f.is_empty() || next.days_f.is_empty() {
            self.days_f.clear();
        } else {
            self.days_f.extend_from_slice(&next.days_f);
        }
        Self {
            end: next.end,
            use_wh: self.use_wh.zip(next.use_wh).map(|(one, other)| one + other),
            days_total: self.days_total + next.days_total,
            ..self
        }
    }

    fn mean(&self, value: impl Fn(f64) -> f64) -> Option<f64> {
        (!self.days_f.is_empty()).then(|| self.days_f.iter().map(|mean_f| value(*mean_f)).sum::<f64>() / self.kept_days())
    }
}

/// How the time of a bill is cut into days of weather.
#[derive(Clone, Debug)]
pub enum Cut {
    /// Blocks of 24 hours from the reading on, as the reference has it.
    FromStart,
    /// Civil days of this zone: each has one mean temperature, however long it is.
    CivilDays(TimeZone),
}

/// Puts the weather into the billing periods of a meter.
///
/// * Shape: `reads` in any order, one per period; each ends where the next begins, and the last only closes the one before.
/// * Units: as the rows say, all the same. Wh and °F out.
/// * Errors: NaN, contradicting duplicates, mixed units.
/// * Source: CalTRACK 2.0, 2.2.2.3, 2.2.3.2, 3.3.1; estimated and short reads are the business of cleaning, before this.
pub fn bills(reads: &[EnergyRow], temperatures: &[TemperatureRow], cut: &Cut) -> Result<Vec<Bill>, DaysError> {
    let mut reads: Vec<&EnergyRow> = reads.iter().collect();
    reads.sort_by_key(|row| row.start);
    one_unit(reads.iter().map(|row| (row.start, row.unit.symbol())))?;
    let energy = distinct(reads.iter().map(|row| (row.start, row.value.map(|value| row.unit.to_wh(value)))))?;
    let mut weather: Vec<&TemperatureRow> = temperatures.iter().collect();
    weather.sort_by_key(|row| row.at);
    one_unit(weather.iter().map(|row| (row.at, row.unit.symbol())))?;
    let weather = distinct(weather.iter().map(|row| (row.at, row.value.map(|value| row.unit.to_fahrenheit(value)))))?;

    energy
        .windows(2)
        .map(|pair| {
            let ((start, use_wh), (end, _)) = (pair[0], pair[1]);
            let (days_f, days_total) = days_of_weather(&weather, start, end, cut)?;
            Ok(Bill { start, end, use_wh, days_f, days_total })
        })
        .collect()
}

/// The bills that end by `end` and come closest to beginning `days` days before it.
///
/// * Source: CalTRACK 2.0, 2.2.1.1 and issue 126 there: the boundary nearest to 365 days, because bills do not end on demand.
pub fn bills_before(bills: &[Bill], end: Timestamp, days: u16) -> &[Bill] {
    let (bills, _) = bills.split_at(bills.partition_point(|bill| bill.end <= end));
    let wanted = end - SignedDuration::from_hours(24 * i64::from(days));
    let nearest = bills.iter().enumerate().min_by_key(|(_, bill)| bill.start.duration_since(wanted).abs());
    nearest.map_or(&[], |(index, _)| &bills[index..])
}

/// The bills that begin at `start` or later and come closest to ending `days` days after it.
pub fn bills_after(bills: &[Bill], start: Timestamp, days: u16) -> &[Bill] {
    let (_, bills) = bills.split_at(bills.partition_point(|bill| bill.start < start));
    let wanted = start + SignedDuration::from_hours(24 * i64::from(days));
    let nearest = bills.iter().enumerate().min_by_key(|(_, bill)| bill.end.duration_since(wanted).abs());
    nearest.map_or(&[], |(index, _)| &bills[..=index])
}

/// The means of the days of `start..end` that have enough hours, and how many days there are.
fn days_of_weather(weather: &[Reading], start: Timestamp, end: Timestamp, cut: &Cut) -> Result<(Vec<f64>, u32), DaysError> {
    let mut days_f = Vec::new();
    let (mut days_total, mut hours) = (0_u32, 0_u32);
    for (from, to) in blocks(start, end, cut)? {
        let (inside, _) = split(weather, from, to);
        let (mean_f, present) = mean_of_hours(inside, from);
        hours += present;
        days_total += 1;
        days_f.extend(mean_f.filter(|_| present > HALF_DAY_HOURS));
    }
    let hours_total = f64::from(i32::try_from(end.duration_since(start).as_mins()).unwrap_or(i32::MAX)) / 60.0;
    if f64::from(hours) < COVERAGE * hours_total {
        days_f.clear();
    }
    Ok((days_f, days_total))
}

/// The days of a bill as pairs of instants.
fn blocks(start: Timestamp, end: Timestamp, cut: &Cut) -> Result<Vec<(Timestamp, Timestamp)>, DaysError> {
    let mut blocks = Vec::with_capacity(70);
    match cut {
        Cut::FromStart => {
            let mut from = start;
            while from < end {
                let to = from + SignedDuration::from_hours(24);
                blocks.push((from, to.min(end)));
                from = to;
            }
        }
        Cut::CivilDays(zone) => {
            let calendar = FacilityCalendar::new(zone.clone());
            let first = start.to_zoned(zone.clone()).date();
            for date in first.series(jiff::Span::new().days(1)) {
                let bounds = calendar.bounds(date).map_err(|err| DaysError::Zone { date, err })?;
                if bounds.start >= end {
                    break;
                }
                // A bill read in the morning owns the day whose larger part it covers.
                let owned = minutes_between(bounds.start.max(start), bounds.end.min(end));
                if 2 * u32::from(owned) > u32::from(minutes_between(bounds.start, bounds.end)) {
                    blocks.push((bounds.start, bounds.end));
                }
            }
        }
    }
    Ok(blocks)
}

#[cfg(test)]
#[path = "bills_tests.rs"]
mod tests;
