//! How well a model fits, each number with its variant stated, because the references disagree about denominators.
//!
//! `n` observations, `c` slopes, `q` all fitted quantities with the balance points, residual `r = y − ŷ`.

use serde::{Deserialize, Serialize};

use super::select::FittedDay;
use super::shape::Shape;
use crate::baseline::day_number;

/// Goodness of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Fitted days, `n`.
    pub observations: u32,
    /// Slopes, `c`.
    pub slopes: u16,
    /// Fitted quantities with intercept and balance points, `q`.
    pub fitted_quantities: u16,
    /// Mean use ȳ, Wh per day.
    pub observed_mean_wh: f64,
    /// Population variance of use, Wh².
    pub observed_variance: f64,
    /// 1 − Σr²/Σ(y−ȳ)².
    pub r_squared: f64,
    /// 1 − (1−R²)(n−1)/(n−c−1).
    pub r_squared_adj: f64,
    /// √(Σr²/n), Wh per day.
    pub rmse_wh: f64,
    /// √(Σr²/(n−c)), the reference's adjustment, Wh per day.
    pub rmse_adj_wh: f64,
    /// √(Σr²/n)/ȳ.
    pub cv_rmse: f64,
    /// √(Σr²/(n−c))/ȳ, as eemeter reports it.
    pub cv_rmse_adj: f64,
    /// √(Σr²/(n−q))/ȳ, the strictest: balance points count as fitted; n−q is at least one.
    pub cv_rmse_strict: f64,
    /// Σr/Σy (eemeter with the other sign); zero up to rounding for least squares with an intercept.
    pub nmbe: f64,
    /// Σr/(n−q)/ȳ (ASHRAE Guideline 14).
    pub nmbe_g14: f64,
    /// Mean of |r/y|, days of zero use left out.
    pub mape: f64,
    /// Σ|r|/Σy.
    pub nmae: f64,
    /// Correlation of residuals of neighbouring days; days on both sides of a gap are no neighbours.
    pub autocorrelation: f64,
    /// n(1−ρ)/(1+ρ), never more than n.
    pub effective_observations: f64,
    /// Σ(r_t − r_{t−1})²/Σr² over neighbouring days.
    pub durbin_watson: f64,
    /// The two that eemeter computes otherwise.
    pub reference: ReferenceMetrics,
}

/// Statistics as eemeter 2.10 defines them, for comparison with published results.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceMetrics {
    /// Correlation of residuals in row order, gaps ignored.
    pub autocorrelation: f64,
    /// n(1−ρ)/(1+ρ), which exceeds n when ρ is negative.
    pub effective_observations: f64,
}

pub(super) fn metrics(days: &[FittedDay], shape: Shape) -> Metrics {
    metrics_of_days(days, shape.slopes().into(), shape.fitted_quantities().into())
}

/// The statistics of days in order of time.
pub(super) fn metrics_of_days(days: &[FittedDay], slopes: u16, fitted: u16) -> Metrics {
    let before = std::iter::once(None).chain(days.iter().map(|day| Some(day_number(day.date))));
    let rows: Vec<Residual> = days
        .iter()
        .zip(before)
        .map(|(day, before)| Residual {
            observed: day.use_wh,
            residual: day.residual_wh,
            follows: before == Some(day_number(day.date) - 1),
        })
        .collect();
    metrics_of(&rows, slopes, fitted)
}

/// One observation and what the model leaves of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    pub(super) observed: f64,
    pub(super) residual: f64,
    /// Whether the row before is its neighbour in time.
    pub(super) follows: bool,
}

/// The statistics of rows in order of time, for a model of `slopes` variables and `fitted` quantities.
pub(super) fn metrics_of(rows: &[Residual], slopes: u16, fitted: u16) -> Metrics {
    let n = rows.len() as f64;
    // Quantities of a model may be more than its rows; statistics relative to what is left stay numbers.
    let (c, q) = (f64::from(slopes), f64::from(fitted));
    let sum = |value: &dyn Fn(&Residual) -> f64| rows.iter().map(value).sum::<f64>();
    let total = sum(&|row| row.observed);
    let mean = total / n;
    let spread = sum(&|row| (row.observed - mean) * (row.observed - mean));
    let unexplained = sum(&|row| row.residual * row.residual);
    let bias = sum(&|row| row.residual);
    let r_squared = if spread > 0.0 { 1.0 - unexplained / spread } else { 0.0 };
    let nonzero: Vec<f64> = rows.iter().filter(|row| row.observed != 0.0).map(|row| (row.residual / row.observed).abs()).collect();
    let pairs: Vec<(f64, f64)> = rows.windows(2).map(|pair| (pair[0].residual, pair[1].residual)).collect();
    let neighbours: Vec<(f64, f64)> = rows.windows(2).zip(&pairs).filter(|(rows, _)| rows[1].follows).map(|(_, pair)| *pair).collect();
    let (rho, rho_of_rows) = (correlation(&neighbours), correlation(&pairs));
    let steps: f64 = neighbours.iter().map(|(before, after)| (after - before) * (after - before)).sum();
    Metrics {
        observations: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        slopes,
        fitted_quantities: fitted,
        observed_mean_wh: mean,
        observed_variance: spread / n,
        r_squared,
        r_squared_adj: 1.0 - (1.0 - r_squared) * (n - 1.0) / (n - c - 1.0).max(1.0),
        rmse_wh: (unexplained / n).sqrt(),
        rmse_adj_wh: (unexplained / (n - c).max(1.0)).sqrt(),
        cv_rmse: (unexplained / n).sqrt() / mean,
        cv_rmse_adj: (unexplained / (n - c).max(1.0)).sqrt() / mean,
        cv_rmse_strict: (unexplained / (n - q).max(1.0)).sqrt() / mean,
        nmbe: bias / total,
        nmbe_g14: bias / (n - q).max(1.0) / mean,
        mape: if nonzero.is_empty() { 0.0 } else { nonzero.iter().sum::<f64>() / nonzero.len() as f64 },
        nmae: sum(&|row| row.residual.abs()) / total,
        autocorrelation: rho,
        effective_observations: effective(n, rho).min(n),
        durbin_watson: if unexplained > 0.0 { steps / unexplained } else { 2.0 },
        reference: ReferenceMetrics { autocorrelation: rho_of_rows, effective_observations: effective(n, rho_of_rows) },
    }
}

impl Metrics {
    /// Takes another R², where the reference defines it as a squared correlation.
    pub(super) fn set_r_squared(&mut self, r_squared: f64) {
        let (n, c) = (f64::from(self.observations), f64::from(self.slopes));
        self.r_squared = r_squared;
        self.r_squared_adj = 1.0 - (1.0 - r_squared) * (n - 1.0) / (n - c - 1.0).max(1.0);
    }
}

/// The squared correlation of what was observed with what was predicted; zero when either never varies.
pub(super) fn squared_correlation(rows: &[Residual]) -> f64 {
    let pairs: Vec<(f64, f64)> = rows.iter().map(|row| (row.observed, row.observed - row.residual)).collect();
    let correlation = correlation(&pairs);
    correlation * correlation
}

/// n(1−ρ)/(1+ρ); where every residual is the opposite of the one before, a number too, because evidence knows no infinity.
fn effective(n: f64, rho: f64) -> f64 {
    n * (1.0 - rho) / (1.0 + rho).max(f64::EPSILON)
}

/// The correlation of values of neighbouring days; days on both sides of a gap are no neighbours.
pub(crate) fn neighbour_correlation(numbers: &[i64], values: &[f64]) -> f64 {
    correlation(&neighbours(numbers, values))
}

fn neighbours(numbers: &[i64], values: &[f64]) -> Vec<(f64, f64)> {
    let pairs = values.windows(2).zip(numbers.windows(2));
    pairs.filter(|(_, days)| days[1] - days[0] == 1).map(|(pair, _)| (pair[0], pair[1])).collect()
}

/// The Pearson correlation of pairs; zero when nothing varies.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    if pairs.is_empty() {
        return 0.0;
    }
    let count = pairs.len() as f64;
    let before = pairs.iter().map(|(before, _)| before).sum::<f64>() / count;
    let after = pairs.iter().map(|(_, after)| after).sum::<f64>() / count;
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        both += (x - before) * (y - after);
        first += (x - before) * (x - before);
        second += (y - after) * (y - after);
    }
    let scale = (first * second).sqrt();
    if scale > 0.0 { (both / scale).clamp(-1.0, 1.0) } else { 0.0 }
}
