//! How well a model fits, each number with its variant stated, because the references disagree about denominators.
//!
//! `n` observations, `c` slopes, `q` all fitted quantities with the balance points, residual `r = y − ŷ`.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::lanes::{product, sum, sums};
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

/// The statistics of days in order of time.
///
/// * Shape: the use and the residual of each of the days, once more.
pub(super) fn metrics(use_wh: &[f64], residuals_wh: &[f64], days: &[FittedDay], shape: Shape) -> Metrics {
    statistics(use_wh, residuals_wh, &gaps(days), shape.slopes().into(), shape.fitted_quantities().into())
}

/// The statistics of days in order of time.
pub(super) fn metrics_of_days(days: &[FittedDay], slopes: u16, fitted: u16) -> Metrics {
    let use_wh: Vec<f64> = days.iter().map(|day| day.use_wh).collect();
    let residuals_wh: Vec<f64> = days.iter().map(|day| day.residual_wh).collect();
    statistics(&use_wh, &residuals_wh, &gaps(days), slopes, fitted)
}

/// The days that are not the next after the one before, but for the first.
fn gaps(days: &[FittedDay]) -> Vec<usize> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Vec::new() };
    // As many days as there are from the first to the last are all of them.
    if day_number(last.date) - day_number(first.date) + 1 == i64::try_from(days.len()).unwrap_or(0) {
        return Vec::new();
    }
    (1..days.len()).filter(|index| !is_next(days[index - 1].date, days[*index].date)).collect()
}

/// Whether a day is the one after another.
fn is_next(before: Date, date: Date) -> bool {
    if (before.year(), before.month()) == (date.year(), date.month()) {
        return date.day() == before.day() + 1;
    }
    day_number(date) - day_number(before) == 1
}

/// One observation and what the model leaves of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    pub(super) observed: f64,
    pub(super) residual: f64,
    /// Whether the row before is its neighbour in time.
    pub(super) follows: bool,
}

/// Observations in order of time, column by column.
#[derive(Clone, Debug, Default)]
pub(super) struct Residuals {
    observed: Vec<f64>,
    residual: Vec<f64>,
    /// The rows whose neighbour is not the row before, but for the first.
    gaps: Vec<usize>,
}

impl Residuals {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { observed: Vec::with_capacity(rows), residual: Vec::with_capacity(rows), gaps: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Residual) {
        if !row.follows && !self.observed.is_empty() {
            self.gaps.push(self.observed.len());
        }
        self.observed.push(row.observed);
        self.residual.push(row.residual);
    }

    /// Σ r².
    pub(super) fn squares(&self) -> f64 {
        product(&self.residual, &self.residual)
    }
}

impl FromIterator<Residual> for Residuals {
    fn from_iter<T: IntoIterator<Item = Residual>>(rows: T) -> Self {
        let mut all = Self::default();
        rows.into_iter().for_each(|row| all.push(row));
        all
    }
}

/// The statistics of rows in order of time, for a model of `slopes` variables and `fitted` quantities.
pub(super) fn metrics_of(rows: &Residuals, slopes: u16, fitted: u16) -> Metrics {
    statistics(&rows.observed, &rows.residual, &rows.gaps, slopes, fitted)
}

fn statistics(observed: &[f64], residual: &[f64], gaps: &[usize], slopes: u16, fitted: u16) -> Metrics {
    let n = observed.len() as f64;
    // Quantities of a model may be more than its rows; statistics relative to what is left stay numbers.
    let (c, q) = (f64::from(slopes), f64::from(fitted));
    let total = sum([observed], |[observed]| observed);
    let mean = total / n;
    let spread = sum([observed], |[observed]| (observed - mean) * (observed - mean));
    let unexplained = product(residual, residual);
    let [bias, distance, relative] = sums([residual, observed], |[residual, observed]| {
        [residual, residual.abs(), if observed == 0.0 { 0.0 } else { (residual / observed).abs() }]
    });
    let nonzero = observed.iter().filter(|observed| **observed != 0.0).count();
    let r_squared = if spread > 0.0 { 1.0 - unexplained / spread } else { 0.0 };
    let of_rows = Neighbours::of_all(residual);
    // Where no row is missing, both are one.
    let neighbours = if gaps.is_empty() { of_rows } else { Neighbours::within(residual, gaps) };
    let (rho, rho_of_rows) = (neighbours.correlation, of_rows.correlation);
    Metrics {
        observations: u32::try_from(observed.len()).unwrap_or(u32::MAX),
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
        mape: if nonzero == 0 { 0.0 } else { relative / nonzero as f64 },
        nmae: distance / total,
        autocorrelation: rho,
        effective_observations: effective(n, rho).min(n),
        durbin_watson: if unexplained > 0.0 { neighbours.steps / unexplained } else { 2.0 },
        reference: ReferenceMetrics { autocorrelation: rho_of_rows, effective_observations: effective(n, rho_of_rows) },
    }
}

/// How the residuals of rows resemble those of the rows before them.
#[derive(Clone, Copy, Debug)]
struct Neighbours {
    correlation: f64,
    /// Σ (r_t − r_{t−1})².
    steps: f64,
}

impl Neighbours {
    fn of(before: &[f64], after: &[f64]) -> Self {
        Self { correlation: correlation(before, after), steps: sum([before, after], |[before, after]| (after - before) * (after - before)) }
    }

    /// Of every row and the one before it.
    fn of_all(residual: &[f64]) -> Self {
        let before = residual.split_last().map_or(residual, |(_, before)| before);
        Self::of(before, residual.get(1..).unwrap_or(&[]))
    }

    /// Of the rows whose neighbour is the one before them.
    fn within(residual: &[f64], gaps: &[usize]) -> Self {
        let (mut before, mut after) = (Vec::with_capacity(residual.len()), Vec::with_capacity(residual.len()));
        let ends = gaps.iter().copied().chain([residual.len()]);
        let mut from = 0;
        for to in ends {
            before.extend_from_slice(&residual[from..to - 1]);
            after.extend_from_slice(&residual[from + 1..to]);
            from = to;
        }
        Self::of(&before, &after)
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

/// Predictions that vary by less than this share of what was observed, both squared, vary by rounding alone.
const ROUNDING: f64 = 1e-30;

/// The squared correlation of what was observed with what was predicted; zero when either never varies.
pub(super) fn squared_correlation(rows: &Residuals) -> f64 {
    let predicted: Vec<f64> = rows.observed.iter().zip(&rows.residual).map(|(observed, residual)| observed - residual).collect();
    let [total, observed] = sums([&predicted, &rows.observed], |[predicted, observed]| [predicted, observed * observed]);
    let mean = total / predicted.len() as f64;
    if sum([&predicted], |[predicted]| (predicted - mean) * (predicted - mean)) <= ROUNDING * observed {
        return 0.0;
    }
    let correlation = correlation(&rows.observed, &predicted);
    correlation * correlation
}

/// n(1−ρ)/(1+ρ); where every residual is the opposite of the one before, a number too, because evidence knows no infinity.
fn effective(n: f64, rho: f64) -> f64 {
    n * (1.0 - rho) / (1.0 + rho).max(f64::EPSILON)
}

/// The correlation of values of neighbouring days; days on both sides of a gap are no neighbours.
pub(crate) fn neighbour_correlation(numbers: &[i64], values: &[f64]) -> f64 {
    let pairs = values.windows(2).zip(numbers.windows(2)).filter(|(_, days)| days[1] - days[0] == 1);
    let (before, after): (Vec<f64>, Vec<f64>) = pairs.map(|(pair, _)| (pair[0], pair[1])).unzip();
    correlation(&before, &after)
}

/// The Pearson correlation of the rows of two columns; zero when either never varies.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    if one.is_empty() {
        return 0.0;
    }
    let count = one.len() as f64;
    let [mean_one, mean_other] = sums([one, other], |values| values).map(|sum| sum / count);
    let [both, first, second] = sums([one, other], |[one, other]| {
        let (one, other) = (one - mean_one, other - mean_other);
        [one * other, one * one, other * other]
    });
    let scale = (first * second).sqrt();
    if scale > 0.0 { (both / scale).clamp(-1.0, 1.0) } else { 0.0 }
}
