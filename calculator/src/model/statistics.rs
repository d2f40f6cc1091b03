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
    pub slopes: u8,
    /// Fitted quantities with intercept and balance points, `q`.
    pub fitted_quantities: u8,
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
    /// √(Σr²/(n−q))/ȳ, the strictest: balance points count as fitted.
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
    let n = days.len() as f64;
    let (c, q) = (f64::from(shape.slopes()), f64::from(shape.fitted_quantities()));
    let sum = |value: &dyn Fn(&FittedDay) -> f64| days.iter().map(value).sum::<f64>();
    let total = sum(&|day| day.use_wh);
    let mean = total / n;
    let spread = sum(&|day| (day.use_wh - mean) * (day.use_wh - mean));
    let unexplained = sum(&|day| day.residual_wh * day.residual_wh);
    let bias = sum(&|day| day.residual_wh);
    let r_squared = if spread > 0.0 { 1.0 - unexplained / spread } else { 0.0 };
    let nonzero: Vec<f64> = days.iter().filter(|day| day.use_wh != 0.0).map(|day| (day.residual_wh / day.use_wh).abs()).collect();
    let rows: Vec<(f64, f64)> = days.windows(2).map(|pair| (pair[0].residual_wh, pair[1].residual_wh)).collect();
    let numbers: Vec<i64> = days.iter().map(|day| day_number(day.date)).collect();
    let residuals: Vec<f64> = days.iter().map(|day| day.residual_wh).collect();
    let neighbours = neighbours(&numbers, &residuals);
    let (rho, rho_of_rows) = (correlation(&neighbours), correlation(&rows));
    let steps: f64 = neighbours.iter().map(|(before, after)| (after - before) * (after - before)).sum();
    Metrics {
        observations: u32::try_from(days.len()).unwrap_or(u32::MAX),
        slopes: shape.slopes(),
        fitted_quantities: shape.fitted_quantities(),
        observed_mean_wh: mean,
        observed_variance: spread / n,
        r_squared,
        r_squared_adj: 1.0 - (1.0 - r_squared) * (n - 1.0) / (n - c - 1.0),
        rmse_wh: (unexplained / n).sqrt(),
        rmse_adj_wh: (unexplained / (n - c)).sqrt(),
        cv_rmse: (unexplained / n).sqrt() / mean,
        cv_rmse_adj: (unexplained / (n - c)).sqrt() / mean,
        cv_rmse_strict: (unexplained / (n - q)).sqrt() / mean,
        nmbe: bias / total,
        nmbe_g14: bias / (n - q) / mean,
        mape: if nonzero.is_empty() { 0.0 } else { nonzero.iter().sum::<f64>() / nonzero.len() as f64 },
        nmae: sum(&|day| day.residual_wh.abs()) / total,
        autocorrelation: rho,
        effective_observations: effective(n, rho).min(n),
        durbin_watson: if unexplained > 0.0 { steps / unexplained } else { 2.0 },
        reference: ReferenceMetrics { autocorrelation: rho_of_rows, effective_observations: effective(n, rho_of_rows) },
    }
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
