//! Our interval: the variance of a total when residuals of neighbouring days resemble each other.
//!
//! The avoided energy is `g'β̂ − Σ y` with `g` the sum of the reporting days' variables. Its error has three parts: the
//! model's (`w = X(XᵀX)⁻¹g` says how each baseline residual enters it), the reporting days' own noise, and what the two
//! share when the periods lie close together. Residuals follow a first-order autoregression over calendar days, gaps
//! included. Balance points count as fitted: their derivatives are columns of `X` (delta method).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::student;
use crate::baseline::day_number;
use crate::degree_days;
use crate::model::{Fit, Model, Orthogonal, Term};

/// Correlations above this are not told from a random walk.
const CORRELATION_MAX: f64 = 0.99;
/// Student's t is never taken at fewer degrees of freedom.
const DEGREES_MIN: f64 = 3.0;

/// A symmetric interval around an amount of avoided energy, with what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The probability that the true amount lies inside.
    pub confidence: f64,
    /// Half of its width, Wh.
    pub half_width_wh: f64,
    /// Correlation of neighbouring days, corrected for small samples, between 0 and 0.99.
    pub autocorrelation: f64,
    /// Standard deviation of one day's residual, Wh.
    pub sigma_wh: f64,
    /// Observations that would carry as much if they were independent.
    pub effective_observations: f64,
    /// Degrees of freedom of t.
    pub degrees_of_freedom: f64,
    /// Student's t.
    pub t: f64,
    /// Variance of the model's total in units of σ².
    pub model_share: f64,
    /// Variance of the reporting days' noise in units of σ².
    pub noise_share: f64,
    /// What both share, in units of σ²; it is subtracted twice.
    pub shared: f64,
}

/// A linear model of days as its interval needs it; [`interval`] makes it of a [`Fit`].
///
/// * Shape: `columns` are the design's, one value a baseline day, derivatives by balance points among them; `totals` has
///   the sum of each column over the reporting days. Days in order of time, all reporting days after the baseline.
#[derive(Clone, Copy, Debug)]
pub struct Design<'a> {
    /// The baseline days.
    pub dates: &'a [Date],
    /// What the model leaves of each baseline day, Wh.
    pub residuals_wh: &'a [f64],
    /// The variables of the baseline days, one column each.
    pub columns: &'a [Vec<f64>],
    /// The sums of the same variables over the reporting days.
    pub totals: &'a [f64],
    /// The reporting days.
    pub reporting: &'a [Date],
    /// Everything that was fitted, balance points included.
    pub fitted_quantities: f64,
    /// Correlation of the residuals of neighbouring days, as measured.
    pub autocorrelation: f64,
}

/// The interval of the total avoided energy of these reporting days.
///
/// * Shape: days in order of time, all after the baseline, as (date, mean °F, length in days).
/// * Units: Wh.
/// * Source: generalised prediction variance with AR(1) residuals; ρ̂ + (1+3ρ̂)/n; σ² = Σr²/(n − tr HΣ); t at n′ − q, at least 3.
pub fn interval(fit: &Fit, reporting: &[(Date, f64, f64)], confidence: f64) -> Interval {
    let weather: Vec<(f64, f64)> = reporting.iter().map(|(_, mean_f, length)| (*mean_f, *length)).collect();
    let totals: Vec<f64> = columns(&fit.model, &weather).iter().map(|column| column.iter().sum()).collect();
    let design = Design {
        dates: &fit.days.iter().map(|day| day.date).collect::<Vec<_>>(),
        residuals_wh: &fit.days.iter().map(|day| day.residual_wh).collect::<Vec<_>>(),
        columns: &columns(&fit.model, &fit.days.iter().map(|day| (day.temperature_f, 1.0)).collect::<Vec<_>>()),
        totals: &totals,
        reporting: &reporting.iter().map(|(date, ..)| *date).collect::<Vec<_>>(),
        fitted_quantities: f64::from(fit.metrics.fitted_quantities),
        autocorrelation: fit.metrics.autocorrelation,
    };
    interval_of(&design, confidence)
}

/// As [`interval`], for any model that is linear in what was fitted.
pub fn interval_of(given: &Design<'_>, confidence: f64) -> Interval {
    let n = given.dates.len() as f64;
    let rho = corrected(given.autocorrelation, n);
    let dates: Vec<i64> = given.dates.iter().map(|date| day_number(*date)).collect();
    let design = Orthogonal::new(given.columns);
    let weights = design.weights(given.totals, given.dates.len());

    let unexplained: f64 = given.residuals_wh.iter().map(|residual| residual * residual).sum();
    let powers = Powers::up_to(rho, dates.first().zip(dates.last()).map_or(0, |(first, last)| last - first));
    let columns: Vec<&[f64]> = design.basis().iter().chain([&weights]).map(Vec::as_slice).collect();
    let mut shares = covariances(&columns, &dates, &powers);
    let model_share = shares.pop().unwrap_or(0.0);
    let trace: f64 = shares.iter().sum();
    let sigma_squared = unexplained / (n - trace).max(1.0);
    let effective_observations = n * (1.0 - rho) / (1.0 + rho);
    let degrees_of_freedom = (effective_observations - given.fitted_quantities).max(DEGREES_MIN);
    let t = student::quantile(f64::midpoint(1.0, confidence), degrees_of_freedom);

    let reporting_dates: Vec<i64> = given.reporting.iter().map(|date| day_number(*date)).collect();
    let noise_share = covariance(&vec![1.0; reporting_dates.len()], &reporting_dates, rho);
    let shared = shared(&weights, &dates, &reporting_dates, &powers);
    let variance = (sigma_squared * (model_share + noise_share - 2.0 * shared)).max(0.0);
    Interval {
        confidence,
        half_width_wh: t * variance.sqrt(),
        autocorrelation: rho,
        sigma_wh: sigma_squared.sqrt(),
        effective_observations,
        degrees_of_freedom,
        t,
        model_share,
        noise_share,
        shared,
    }
}

/// The correlation of neighbours, corrected for the bias of a small sample and kept between 0 and 0.99.
fn corrected(measured: f64, observations: f64) -> f64 {
    (measured + (1.0 + 3.0 * measured) / observations).clamp(0.0, CORRELATION_MAX)
}

/// As [`corrected`], where so many levels were fitted: each takes as much of the correlation out of the residuals as one mean.
pub(super) fn corrected_for(measured: f64, observations: f64, levels: f64) -> f64 {
    corrected(with_levels(measured, observations, levels), observations)
}

/// The correlation that one mean would have left, where so many levels were fitted.
pub(super) fn with_levels(measured: f64, observations: f64, levels: f64) -> f64 {
    measured + (levels - 1.0).max(0.0) * (1.0 + measured) / observations
}

/// Standard errors of a total that do not come from the model or from the noise of the days, Wh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherErrors {
    /// Of the non-routine adjustments in the total.
    pub adjustments_wh: f64,
    /// Of the meter, as its class and its calibration give it.
    pub meter_wh: f64,
    /// Of the weather source against the weather at the facility.
    pub weather_wh: f64,
}

impl Interval {
    /// The standard error of the total, Wh.
    pub fn standard_error_wh(&self) -> f64 {
        self.half_width_wh / self.t
    }

    /// Half of the interval when other errors, independent of the days' own, are added.
    pub fn half_width_with(&self, others: &OtherErrors) -> f64 {
        let errors = [self.standard_error_wh(), others.adjustments_wh, others.meter_wh, others.weather_wh];
        self.t * errors.iter().map(|error| error * error).sum::<f64>().sqrt()
    }
}

/// The model's variables and the derivatives by its balance points, one column each.
///
/// * Shape: of each day its mean, °F, and its length in days.
fn columns(model: &Model, days: &[(f64, f64)]) -> Vec<Vec<f64>> {
    let column = |value: &dyn Fn(f64) -> f64| days.iter().map(|(mean_f, _)| value(*mean_f)).collect::<Vec<f64>>();
    let mut columns = vec![days.iter().map(|(_, length)| *length).collect()];
    if let Some(Term { balance_f, beta }) = model.hdd {
        columns.push(column(&|mean_f| degree_days::heating(balance_f, mean_f)));
        columns.push(column(&|mean_f| if mean_f < balance_f { beta } else { 0.0 }));
    }
    if let Some(Term { balance_f, beta }) = model.cdd {
        columns.push(column(&|mean_f| degree_days::cooling(balance_f, mean_f)));
        columns.push(column(&|mean_f| if mean_f > balance_f { -beta } else { 0.0 }));
    }
    columns
}

/// Σᵢⱼ wᵢ wⱼ ρ^|dᵢ−dⱼ| in one pass.
pub(crate) fn covariance(weights: &[f64], dates: &[i64], rho: f64) -> f64 {
    let [covariance] = together([weights], dates, &Powers::up_to(rho, 1));
    covariance
}

/// As [`covariance`], of each of some columns.
fn covariances(columns: &[&[f64]], dates: &[i64], powers: &Powers) -> Vec<f64> {
    let mut found = Vec::with_capacity(columns.len());
    for group in columns.chunks(4) {
        match *group {
            [one, two, three, four] => found.extend(together([one, two, three, four], dates, powers)),
            [one, two, three] => found.extend(together([one, two, three], dates, powers)),
            [one, two] => found.extend(together([one, two], dates, powers)),
            [one] => found.extend(together([one], dates, powers)),
            _ => {}
        }
    }
    found
}

/// The columns do not wait for each other.
fn together<const N: usize>(columns: [&[f64]; N], dates: &[i64], powers: &Powers) -> [f64; N] {
    let (mut totals, mut carried, mut last) = ([0.0; N], [0.0; N], None);
    for (row, date) in dates.iter().enumerate() {
        let share = last.map_or(1.0, |last| powers.of(date - last));
        for ((total, carried), column) in totals.iter_mut().zip(&mut carried).zip(columns) {
            let weight = column[row];
            *carried *= share;
            *total += weight * (weight + 2.0 * *carried);
            *carried += weight;
        }
        last = Some(*date);
    }
    totals
}

/// Σᵢⱼ wᵢ ρ^(dⱼ−dᵢ) over baseline days i and reporting days j, all of which come later.
fn shared(weights: &[f64], dates: &[i64], reporting: &[i64], powers: &Powers) -> f64 {
    let (Some(last), Some(first)) = (dates.last(), reporting.first()) else { return 0.0 };
    let before: f64 = weights.iter().zip(dates).map(|(weight, date)| weight * powers.of(last - date)).sum();
    let after: f64 = reporting.iter().map(|date| powers.of(date - first)).sum();
    before * powers.of(first - last) * after
}

/// ρ to the whole powers that are asked again and again, each as [`power`] makes it.
struct Powers {
    rho: f64,
    known: Vec<f64>,
}

impl Powers {
    /// No table is longer, however far days lie apart.
    const KNOWN_MAX: usize = 2_048;

    fn up_to(rho: f64, exponent: i64) -> Self {
        let wanted = usize::try_from(exponent).unwrap_or(0).saturating_add(1).min(Self::KNOWN_MAX);
        let mut known = Vec::with_capacity(wanted);
        known.push(1.0);
        // A power is that of its exponent without the highest bit, times that bit's.
        let (mut base, mut bit) = (rho, 1);
        while known.len() < wanted {
            if known.len() == 2 * bit {
                (base, bit) = (base * base, 2 * bit);
            }
            known.push(known[known.len() - bit] * base);
        }
        Self { rho, known }
    }

    fn of(&self, exponent: i64) -> f64 {
        let known = usize::try_from(exponent.max(0)).ok().and_then(|exponent| self.known.get(exponent));
        known.copied().unwrap_or_else(|| power(self.rho, exponent))
    }
}

/// ρ to a whole power by squaring, so that every machine gets the same bits.
pub(crate) fn power(rho: f64, mut exponent: i64) -> f64 {
    let (mut base, mut result) = (rho, 1.0);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result *= base;
        }
        base *= base;
        exponent /= 2;
    }
    result
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
