//! The interval of an hourly model: weeks of residuals drawn again and again, and a check on the sums of days.
//!
//! Hours of one day resemble each other in ways that no autoregression of hours describes. Weeks of the baseline's
//! residuals keep all of that. A model that is linear in what it was fitted to needs no new fit for a draw: its error is
//! `Σ w·r` with `w` the weight of each baseline hour in the predicted total, so each (place, week) pair is multiplied out
//! once and a draw is a sum of look-ups. What one week hands on to the next is put back by the correlation of their sums;
//! what lasts longer is not, therefore the autoregression of daily sums is computed beside it and the wider of the two is
//! the interval.

use serde::{Deserialize, Serialize};

use super::draw::Draws;
use super::interval::{corrected_for, covariance};
use super::student;

/// Hours of a week, which is a block.
const WEEK: usize = 168;
/// Hours of a day.
const DAY: usize = 24;
/// Draws that invoices use.
pub const DRAWS: u32 = 2_000;
/// What a week hands on to the next one is believed up to this correlation; beyond it the daily sums see more.
const HANDED_ON_MAX: f64 = 0.5;
/// Weeks with fewer hours than this share are not drawn.
const PRESENT_MIN: f64 = 0.5;
/// Student's t is never taken at fewer degrees of freedom.
const DEGREES_MIN: f64 = 3.0;

/// What an hourly model leaves, and how its total depends on it.
#[derive(Clone, Copy, Debug)]
pub struct HourlyResiduals<'a> {
    /// Use minus prediction, hour by hour from the baseline's first to its last, Wh; `None` where it was not fitted.
    pub residuals_wh: &'a [Option<f64>],
    /// The weight of each of these hours in the predicted total of the reporting period (`w = X(XᵀX)⁻¹g`).
    pub weights: &'a [f64],
    /// Compared hours of the reporting period.
    pub reporting_hours: usize,
    /// Fitted quantities that move the sum of a week: the level and each slope, but not the pattern of hours. Months with a
    /// model of their own count each of theirs by the share of its weight.
    pub levels: f64,
    /// Those that move the sum of a day: levels of weekdays besides.
    pub day_levels: f64,
}

/// Residuals that give no interval.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BootstrapError {
    /// Not one weight for each hour.
    #[error("{residuals} residuals have {weights} weights; give one for each hour")]
    Lengths {
        /// Residuals.
        residuals: usize,
        /// Weights.
        weights: usize,
    },
    /// Too little to draw from.
    #[error("{weeks} weeks have half of their hours; a block bootstrap needs at least {needed}")]
    FewWeeks {
        /// Weeks to draw from.
        weeks: usize,
        /// Weeks that are needed.
        needed: usize,
    },
    /// A residual or a weight is NaN or infinite.
    #[error("hour {hour} of the residuals or their weights is not a finite number")]
    NotFinite {
        /// Its place, from zero.
        hour: usize,
    },
}

/// A symmetric interval around an hourly model's total, with both ways it was computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourlyInterval {
    /// The probability that the true amount lies inside.
    pub confidence: f64,
    /// Half of its width, Wh: the wider of the two below.
    pub half_width_wh: f64,
    /// Half of the width that the drawn weeks give.
    pub bootstrap_wh: f64,
    /// Half of the width that the autoregression of daily sums gives.
    pub daily_wh: f64,
    /// Correlation of the sums of neighbouring days, corrected for small samples.
    pub daily_autocorrelation: f64,
    /// Weeks that were drawn from.
    pub weeks: u32,
    /// How many totals were drawn.
    pub draws: u32,
    /// Where the draws began.
    pub seed: u64,
}

/// The interval of an hourly model's total avoided energy.
///
/// * Shape: hours in order of time without gaps in the sequence; at least eight weeks more than `levels`.
/// * Units: Wh.
/// * Errors: [`BootstrapError`].
/// * Determinism: the draws follow from `seed`, which the caller takes from the hash of its inputs.
pub fn hourly_interval(given: &HourlyResiduals<'_>, draws: u32, seed: u64, confidence: f64) -> Result<HourlyInterval, BootstrapError> {
    let (residuals, weights) = (given.residuals_wh, given.weights);
    if residuals.len() != weights.len() {
        return Err(BootstrapError::Lengths { residuals: residuals.len(), weights: weights.len() });
    }
    let mut hours = residuals.iter().zip(weights);
    if let Some(hour) = hours.position(|(residual, weight)| !weight.is_finite() || residual.is_some_and(|wh| !wh.is_finite())) {
        return Err(BootstrapError::NotFinite { hour });
    }
    let (numbers, weeks): (Vec<i64>, Vec<Vec<f64>>) =
        (0_i64..).zip(residuals.chunks_exact(WEEK)).filter_map(|(number, hours)| Some((number, week(hours)?))).unzip();
    let count = weeks.len() as f64;
    if count < given.levels + 8.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive count")]
        let needed = (given.levels + 8.0).max(8.0).ceil() as usize;
        return Err(BootstrapError::FewWeeks { weeks: weeks.len(), needed });
    }
    // What one week hands on to the next is cut by drawing them apart.
    let sums: Vec<f64> = weeks.iter().map(|week| week.iter().sum()).collect();
    let handed_on = corrected_for(crate::model::neighbour_correlation(&numbers, &sums), count, given.levels).min(HANDED_ON_MAX);
    // And fitted levels took their part of the weeks' sums out of the residuals.
    let inflation = ((1.0 + 2.0 * handed_on) * count / (count - given.levels)).sqrt();
    let bootstrap_wh = inflation * drawn(&weeks, weights, given, draws, seed, confidence);
    let (daily_wh, daily_autocorrelation) = daily(given, confidence);
    Ok(HourlyInterval {
        confidence,
        half_width_wh: bootstrap_wh.max(daily_wh),
        bootstrap_wh,
        daily_wh,
        daily_autocorrelation,
        weeks: u32::try_from(weeks.len()).unwrap_or(u32::MAX),
        draws,
        seed,
    })
}

/// A week of residuals with absent hours at zero and the others larger for it; `None` when too many are absent.
fn week(hours: &[Option<f64>]) -> Option<Vec<f64>> {
    let present = hours.iter().flatten().count() as f64 / hours.len() as f64;
    let scale = 1.0 / present.max(PRESENT_MIN).sqrt();
    (present >= PRESENT_MIN).then(|| hours.iter().map(|hour| hour.map_or(0.0, |wh| wh * scale)).collect())
}

/// The absolute error that a drawn total stays below with this confidence.
fn drawn(weeks: &[Vec<f64>], weights: &[f64], given: &HourlyResiduals<'_>, draws: u32, seed: u64, confidence: f64) -> f64 {
    // What each week adds to the model's error in each place, and to the noise of a reporting week.
    let places: Vec<Vec<f64>> = weights
        .chunks(WEEK)
        .map(|place| weeks.iter().map(|week| place.iter().zip(week).map(|(weight, wh)| weight * wh).sum()).collect())
        .collect();
    let noise: Vec<f64> = weeks.iter().map(|week| week.iter().sum()).collect();
    let (whole, rest) = (given.reporting_hours / WEEK, given.reporting_hours % WEEK);
    let rest: Vec<f64> = weeks.iter().map(|week| week.iter().take(rest).sum()).collect();

    let mut stream = Draws::new(seed);
    let mut errors: Vec<f64> = (0..draws)
        .map(|_| {
            let mut error = 0.0;
            for place in &places {
                error += place[stream.below(weeks.len())];
            }
            for _ in 0..whole {
                error -= noise[stream.below(weeks.len())];
            }
            (error - rest[stream.below(weeks.len())]).abs()
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    let position = (confidence * errors.len() as f64).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank between 0 and the number of draws")]
    let rank = (position as usize).clamp(1, errors.len().max(1));
    errors.get(rank - 1).copied().unwrap_or(0.0)
}

/// The half-width from an autoregression of daily sums, and its correlation.
fn daily(given: &HourlyResiduals<'_>, confidence: f64) -> (f64, f64) {
    let mut sums = Vec::new();
    let mut weights = Vec::new();
    let mut numbers = Vec::new();
    for (number, (hours, weight)) in (0_i64..).zip(given.residuals_wh.chunks(DAY).zip(given.weights.chunks(DAY))) {
        let present = hours.iter().flatten().count();
        if 2 * present > hours.len() {
            sums.push(hours.iter().flatten().sum::<f64>() * hours.len() as f64 / present as f64);
            weights.push(weight.iter().sum::<f64>() / weight.len() as f64);
            numbers.push(number);
        }
    }
    let n = sums.len() as f64;
    let rho = corrected_for(crate::model::neighbour_correlation(&numbers, &sums), n, given.day_levels);
    let sigma_squared = sums.iter().map(|wh| wh * wh).sum::<f64>() / (n - given.day_levels).max(1.0);
    let reporting: Vec<i64> = (0_i64..).take(given.reporting_hours.div_ceil(DAY)).collect();
    let variance = sigma_squared * (covariance(&weights, &numbers, rho) + covariance(&vec![1.0; reporting.len()], &reporting, rho));
    let degrees = (n * (1.0 - rho) / (1.0 + rho) - given.day_levels).max(DEGREES_MIN);
    (student::quantile(f64::midpoint(1.0, confidence), degrees) * variance.max(0.0).sqrt(), rho)
}

#[cfg(test)]
#[path = "bootstrap_tests.rs"]
mod tests;
