//! The interval of a total, whatever method made its model.
//!
//! Days and bills: the autoregressive covariance, with the derivatives by balance points as variables. Hours: drawn weeks
//! beside the autoregression of daily sums. What differs between methods is only which variables a row has.

use jiff::SignedDuration;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::bootstrap::{BootstrapError, DRAWS, HourlyInterval, HourlyResiduals, hourly_interval};
use super::interval::{Design, Interval, interval, interval_of, with_levels};
use crate::baseline::{Bill, Commodity, Day, Hour, day_number};
use crate::degree_days;
use crate::model::cea::{CeaDay, CeaFit};
use crate::model::{BillingFit, Conditions, Fitted, HourlyInfluence, neighbour_correlation};

/// The interval of a total, with how it was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum TotalInterval {
    /// Of days or bills.
    Rows(Interval),
    /// Of hours.
    Hours(HourlyInterval),
}

impl TotalInterval {
    /// Half of its width, Wh.
    pub const fn half_width_wh(&self) -> f64 {
        match self {
            Self::Rows(interval) => interval.half_width_wh,
            Self::Hours(interval) => interval.half_width_wh,
        }
    }
}

/// A total without an interval.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum IntervalError {
    /// Rows of another length than the model's.
    #[error("the model was not made of these rows, so they say nothing of its error; give it the rows of its baseline")]
    Rows,
    /// Hours that cannot be drawn from.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
}

/// The interval of the total avoided energy of reporting rows, by the way that suits the model.
///
/// * Shape: the rows that the model was fitted to, and the reporting rows that were compared, all later; each in order of time.
/// * Units: Wh.
/// * Errors: [`IntervalError`].
/// * Determinism: draws follow from `seed`, which the caller takes from the hash of its inputs; only hours are drawn.
pub fn interval_by(
    fitted: &Fitted,
    baseline: Conditions<'_>,
    compared: Conditions<'_>,
    seed: u64,
    confidence: f64,
) -> Result<TotalInterval, IntervalError> {
    let hourly = |influence: HourlyInfluence, hours: &[Hour]| -> Result<TotalInterval, IntervalError> {
        let given = HourlyResiduals {
            residuals_wh: &influence.residuals_wh,
            weights: &influence.weights,
            reporting_hours: hours.len(),
            levels: influence.week_levels,
            day_levels: influence.day_levels,
        };
        Ok(TotalInterval::Hours(hourly_interval(&given, DRAWS, seed, confidence)?))
    };
    match (fitted, baseline, compared) {
        (Fitted::CaltrackDaily(fit), _, Conditions::Days(days)) => {
            let weather: Vec<(Date, f64, f64)> = days.iter().filter_map(|day| Some((day.date, day.temperature_f?, day.length()))).collect();
            Ok(TotalInterval::Rows(interval(fit, &weather, confidence)))
        }
        (Fitted::CaltrackBilling(fit), Conditions::Bills(before), Conditions::Bills(after)) => {
            Ok(TotalInterval::Rows(of_bills(fit, before, after, confidence)))
        }
        (Fitted::CaltrackHourly(fit), Conditions::Hours(before), Conditions::Hours(after)) => hourly(fit.influence(before, after), after),
        (Fitted::Towt(fit), Conditions::Hours(before), Conditions::Hours(after)) => hourly(fit.influence(before, after), after),
        (Fitted::Cea(fit), Conditions::Driven(before), Conditions::Driven(after)) => {
            Ok(TotalInterval::Rows(interval_driven(fit, before, after, confidence)))
        }
        (_, Conditions::Days(before), Conditions::Days(after)) => of_days(fitted, before, after, confidence),
        _ => Err(IntervalError::Rows),
    }
}

/// Rows side by side: when each is, what is left of it, and its variables.
#[derive(Default)]
struct Rows {
    dates: Vec<Date>,
    residuals_wh: Vec<f64>,
    columns: Vec<Vec<f64>>,
}

impl Rows {
    fn admit(&mut self, date: Date, residual_wh: f64, variables: &[f64]) {
        self.dates.push(date);
        self.residuals_wh.push(residual_wh);
        self.columns.resize_with(variables.len(), Vec::new);
        for (column, value) in self.columns.iter_mut().zip(variables) {
            column.push(*value);
        }
    }

    /// The interval of the total of later rows.
    fn interval(&self, after: &Self, autocorrelation: f64, fitted_quantities: f64, confidence: f64) -> Interval {
        // No later rows add up to nothing of everything.
        let mut totals = vec![0.0; self.columns.len()];
        totals.iter_mut().zip(&after.columns).for_each(|(total, column)| *total = column.iter().sum());
        let design = Design {
            dates: &self.dates,
            residuals_wh: &self.residuals_wh,
            columns: &self.columns,
            totals: &totals,
            reporting: &after.dates,
            fitted_quantities,
            autocorrelation,
        };
        interval_of(&design, confidence)
    }

    /// The correlation of neighbouring days, as one mean would have left it.
    fn autocorrelation(&self) -> f64 {
        let numbers: Vec<i64> = self.dates.iter().map(|date| day_number(*date)).collect();
        let measured = neighbour_correlation(&numbers, &self.residuals_wh);
        with_levels(measured, self.dates.len() as f64, self.columns.len() as f64)
    }
}

/// Change-points, weekdays and seasons.
fn of_days(fitted: &Fitted, before: &[Day], after: &[Day], confidence: f64) -> Result<TotalInterval, IntervalError> {
    let mut rows = Rows::default();
    let expected = fitted.predict(Conditions::Days(before)).map_err(|_rows| IntervalError::Rows)?;
    for (day, load) in before.iter().zip(expected) {
        let (Some(mean_f), Some(use_wh), Some(load)) = (day.temperature_f, day.use_wh, load) else { continue };
        let variables = fitted.day_variables(day.date, mean_f, 1.0).ok_or(IntervalError::Rows)?;
        rows.admit(day.date, (use_wh - load.total_wh()) / day.length(), &variables);
    }
    let mut reporting = Rows::default();
    for day in after {
        let Some(mean_f) = day.temperature_f else { continue };
        reporting.admit(day.date, 0.0, &fitted.day_variables(day.date, mean_f, day.length()).ok_or(IntervalError::Rows)?);
    }
    let quantities = f64::from(fitted.metrics().fitted_quantities);
    Ok(TotalInterval::Rows(rows.interval(&reporting, rows.autocorrelation(), quantities, confidence)))
}

/// A controlled environment: the declared variables beside the weather's.
pub(crate) fn interval_driven(fit: &CeaFit, before: &[CeaDay], after: &[CeaDay], confidence: f64) -> Interval {
    let gather = |days: &[CeaDay], length: &dyn Fn(&Day) -> f64| {
        let mut rows = Rows::default();
        for day in days {
            let (Some(variables), Some(use_wh), Some(load)) = (fit.variables_of(day, length(&day.day)), day.day.use_wh, fit.expected(day))
            else {
                continue;
            };
            rows.admit(day.day.date, (use_wh - load.total_wh()) / day.day.length(), &variables);
        }
        rows
    };
    let rows = gather(before, &|_| 1.0);
    let quantities = f64::from(fit.metrics.fitted_quantities);
    rows.interval(&gather(after, &Day::length), rows.autocorrelation(), quantities, confidence)
}

/// As that of days, with a bill in the place of a day, so that neighbours are bills.
fn of_bills(fit: &BillingFit, before: &[Bill], after: &[Bill], confidence: f64) -> Interval {
    let commodity = fit.commodity;
    let used = |bill: &&Bill| !bill.days_f.is_empty() && bill.use_wh.is_some_and(|wh| wh != 0.0 || commodity == Commodity::Gas);
    let (before, after): (Vec<&Bill>, Vec<&Bill>) = (before.iter().filter(used).collect(), after.iter().filter(used).collect());
    let turn = |index: usize| {
        let days = i64::try_from(index).unwrap_or(0) * 24;
        Date::constant(2000, 1, 1).checked_add(SignedDuration::from_hours(days)).unwrap_or(Date::constant(2000, 1, 1))
    };
    let mut rows = Rows::default();
    for (index, bill) in before.iter().enumerate() {
        let residual_wh = fit.bills.get(index).map_or(0.0, |bill| bill.residual_wh);
        rows.admit(turn(index), residual_wh, &bill_variables(fit, bill));
    }
    let mut reporting = Rows::default();
    for (index, bill) in after.iter().enumerate() {
        reporting.admit(turn(before.len() + 1 + index), 0.0, &bill_variables(fit, bill));
    }
    rows.interval(&reporting, fit.metrics.autocorrelation, f64::from(fit.metrics.fitted_quantities), confidence)
}

fn bill_variables(fit: &BillingFit, bill: &Bill) -> Vec<f64> {
    let of = |value: &dyn Fn(f64) -> f64| bill.days_f.iter().map(|degrees| value(*degrees)).sum::<f64>() / bill.kept_days() * bill.days();
    let mut row = vec![bill.days()];
    if let Some(term) = fit.model.hdd {
        row.push(of(&|degrees| degree_days::heating(term.balance_f, degrees)));
        row.push(of(&|degrees| if degrees < term.balance_f { term.beta } else { 0.0 }));
    }
    if let Some(term) = fit.model.cdd {
        row.push(of(&|degrees| degree_days::cooling(term.balance_f, degrees)));
        row.push(of(&|degrees| if degrees > term.balance_f { -term.beta } else { 0.0 }));
    }
    row
}
