//! Normalised savings: what two models use in the same weather, the one of before and the one of after.
//!
//! The weather is a normal year (a typical meteorological year, or the year that the contract names). Neither model is asked
//! about its own weather, so a mild winter is no saving.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Serialize};

use super::comparison::ComparisonError;
use super::rounding::Running;
use crate::baseline::{Day, Hour};
use crate::model::{Conditions, Fitted};
use crate::uncertainty::{Cadence, bands, bands_of};

/// Hours of a normal year; it has no 29 February.
const HOURS: usize = 8_760;

/// What two models use in one weather.
///
/// * Units: Wh, integers; `savings_wh = baseline_wh − reporting_wh`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalYear {
    /// The model of before.
    pub baseline_wh: i64,
    /// The model of after.
    pub reporting_wh: i64,
    /// The difference; negative when more is used.
    pub savings_wh: i64,
    /// The part of the savings in the base load; base, heating and cooling sum to `savings_wh`.
    pub base_wh: i64,
    /// The part in heating.
    pub heating_wh: i64,
    /// The part in cooling.
    pub cooling_wh: i64,
    /// Rows that were asked about.
    pub rows_total: u32,
    /// Rows for which both models have an expectation.
    pub rows_compared: u32,
    /// Both totals before rounding, Wh: before and after.
    pub exact_wh: (f64, f64),
    /// The bands of the reference, where it has them: for CalTRACK on days and bills.
    pub reference: Option<NormalYearBands>,
}

/// Half-widths of the reference, Wh; the variances of the two models add.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalYearBands {
    /// Of the model of before.
    pub baseline_wh: f64,
    /// Of the model of after.
    pub reporting_wh: f64,
    /// Of the difference.
    pub savings_wh: f64,
}

/// Compares two models in the same weather.
///
/// * Shape: rows of the normal year; their energy is not looked at.
/// * Source: CalTRACK 2.0, 4.3 (normalised savings); eemeter 2.10 `modeled_savings` for the bands.
pub fn normal_year(baseline: &Fitted, reporting: &Fitted, weather: Conditions<'_>, confidence: f64) -> Result<NormalYear, ComparisonError> {
    let (before, after) = (baseline.predict(weather)?, reporting.predict(weather)?);
    let (mut first, mut second, mut heating, mut cooling) =
        (Running::default(), Running::default(), Running::default(), Running::default());
    let mut compared = 0_u32;
    for (index, pair) in before.iter().zip(&after).enumerate() {
        let (Some(before), Some(after)) = pair else { continue };
        let row = index + 1;
        if !(before.total_wh().is_finite() && after.total_wh().is_finite()) {
            return Err(ComparisonError::NotFinite { row });
        }
        let overflow = || ComparisonError::Overflow { row };
        first.add(before.total_wh()).ok_or_else(overflow)?;
        second.add(after.total_wh()).ok_or_else(overflow)?;
        heating.add(before.heating_wh - after.heating_wh).ok_or_else(overflow)?;
        cooling.add(before.cooling_wh - after.cooling_wh).ok_or_else(overflow)?;
        compared += 1;
    }
    if compared == 0 {
        return Err(ComparisonError::NothingToCompare { rows: before.len() });
    }
    let savings_wh = first.whole() - second.whole();
    let days = match weather {
        Conditions::Days(_) | Conditions::Driven(_) => f64::from(compared),
        Conditions::Bills(bills) => bills.iter().map(crate::baseline::Bill::days).sum(),
        Conditions::Hours(_) => f64::from(compared) / 24.0,
    };
    let reference =
        band(baseline, compared, days, confidence).zip(band(reporting, compared, days, confidence)).map(|(baseline_wh, reporting_wh)| {
            NormalYearBands { baseline_wh, reporting_wh, savings_wh: (baseline_wh * baseline_wh + reporting_wh * reporting_wh).sqrt() }
        });
    Ok(NormalYear {
        baseline_wh: first.whole(),
        reporting_wh: second.whole(),
        savings_wh,
        base_wh: savings_wh - heating.whole() - cooling.whole(),
        heating_wh: heating.whole(),
        cooling_wh: cooling.whole(),
        rows_total: u32::try_from(before.len()).unwrap_or(u32::MAX),
        rows_compared: compared,
        exact_wh: (first.exact(), second.exact()),
        reference,
    })
}

/// The reference's band of one model's total.
fn band(fitted: &Fitted, rows: u32, days: f64, confidence: f64) -> Option<f64> {
    let metrics = fitted.metrics();
    let mean = metrics.observed_mean_wh;
    match fitted {
        Fitted::CaltrackDaily(_) => Some(bands(metrics, rows, mean, confidence).fsu_wh),
        Fitted::CaltrackBilling(_) => {
            Some(bands_of(Cadence::Billing, &metrics.into(), (days / 30.0).round_ties_even(), mean, confidence).fsu_wh)
        }
        _ => None,
    }
}

/// A normal year that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NormalYearError {
    /// It has another number of hours.
    #[error("a normal year has 8760 hours of local standard time, this one has {found}")]
    Hours {
        /// How many there are.
        found: usize,
    },
    /// A temperature is NaN or infinite.
    #[error("the temperature of hour {hour} of the normal year is not a finite number (the first hour is 1)")]
    NotFinite {
        /// Which hour.
        hour: usize,
    },
    /// The year is outside the calendar.
    #[error("the year {year} is outside the calendar")]
    Year {
        /// The year as given.
        year: i16,
    },
}

/// The days of a calendar year with normal weather; 29 February has the weather of the 28th.
///
/// * Shape: 8,760 hours from the first of January, local standard time. Units: °F.
pub fn normal_days(hourly_f: &[f64], year: i16) -> Result<Vec<Day>, NormalYearError> {
    check(hourly_f)?;
    let days = dates(year)?.into_iter().map(|(date, normal)| {
        let hours = &hourly_f[24 * normal..24 * (normal + 1)];
        Day { date, minutes: 1_440, use_wh: None, temperature_f: Some(hours.iter().sum::<f64>() / 24.0) }
    });
    Ok(days.collect())
}

/// The hours of a calendar year with normal weather; weekdays are those of that year.
///
/// * Shape: as [`normal_days`]; `standard` is the offset of local standard time, which the whole year keeps.
pub fn normal_hours(hourly_f: &[f64], year: i16, standard: Offset) -> Result<Vec<Hour>, NormalYearError> {
    check(hourly_f)?;
    let zone = standard.to_time_zone();
    let mut hours = Vec::with_capacity(HOURS + 24);
    for (date, normal) in dates(year)? {
        let midnight = date.to_zoned(zone.clone()).map_err(|_| NormalYearError::Year { year })?.timestamp();
        let weekday = u8::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        for hour in 0..24_u8 {
            hours.push(Hour {
                start: midnight + SignedDuration::from_hours(hour.into()),
                month: u8::try_from(date.month()).unwrap_or(1),
                hour_of_week: weekday * 24 + hour,
                use_wh: None,
                temperature_f: Some(hourly_f[24 * normal + usize::from(hour)]),
            });
        }
    }
    Ok(hours)
}

fn check(hourly_f: &[f64]) -> Result<(), NormalYearError> {
    if hourly_f.len() != HOURS {
        return Err(NormalYearError::Hours { found: hourly_f.len() });
    }
    match hourly_f.iter().position(|degrees| !degrees.is_finite()) {
        Some(hour) => Err(NormalYearError::NotFinite { hour: hour + 1 }),
        None => Ok(()),
    }
}

/// The dates of a year with the day of the normal year that each takes its weather from.
fn dates(year: i16) -> Result<Vec<(Date, usize)>, NormalYearError> {
    let first = Date::new(year, 1, 1).map_err(|_| NormalYearError::Year { year })?;
    let mut normal = 0;
    let dates = first.series(Span::new().days(1)).take_while(|date| date.year() == year).map(|date| {
        let leap_day = date.month() == 2 && date.day() == 29;
        let own = if leap_day { normal - 1 } else { normal };
        normal += usize::from(!leap_day);
        (date, own)
    });
    Ok(dates.collect())
}

#[cfg(test)]
#[path = "normal_year_tests.rs"]
mod tests;
