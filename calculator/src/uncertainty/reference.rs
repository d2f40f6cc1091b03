//! The two bands of the reference implementation, for comparison with published results.

use serde::{Deserialize, Serialize};

use super::student;
use crate::model::Metrics;

/// Half-widths of the reference's bands of total avoided energy, Wh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// Fractional savings uncertainty in the form of Sun and Baltazar.
    pub fsu_wh: f64,
    /// Least squares: √(model² + noise²).
    pub ols_wh: f64,
    /// The part that comes from not knowing the model.
    pub ols_model_wh: f64,
    /// The part that comes from the noise of the reporting days.
    pub ols_noise_wh: f64,
}

/// The bands of `reporting_days` days with this mean observed use.
///
/// Comparable with published results for a reporting period about as long as the baseline; for a single month the first
/// band is far too wide, because it scales with the energy of the whole baseline.
///
/// * Source: eemeter 2.10 `metered_savings`, daily: t at n − c, months = days/30, baseline energy ȳ·n as the scale, and an
///   effective n that may exceed n. A model of no slopes has the same formulas with c = 0.
pub fn bands(metrics: &Metrics, reporting_days: u32, reporting_mean_wh: f64, confidence: f64) -> Bands {
    let n = f64::from(metrics.observations);
    let m = f64::from(reporting_days);
    let n_prime = metrics.reference.effective_observations;
    let t = student::quantile(f64::midpoint(1.0, confidence), n - f64::from(metrics.slopes));
    let months = m / 30.0;
    let polynomial = -0.000_24 * months * months + 0.035_35 * months + 1.002_86;
    let fsu_wh = metrics.observed_mean_wh * n * t * polynomial * metrics.cv_rmse_adj * (n / n_prime * (1.0 + 2.0 / n_prime) / m).sqrt();
    let shift = metrics.observed_mean_wh - reporting_mean_wh;
    let leverage = if metrics.observed_variance > 0.0 { shift * shift / metrics.observed_variance } else { 0.0 };
    let ols_model_wh = t * metrics.rmse_adj_wh * m / n.sqrt() * (1.0 + leverage).sqrt();
    let ols_noise_wh = t * metrics.rmse_adj_wh * (m * n / n_prime).sqrt();
    Bands { fsu_wh, ols_wh: (ols_model_wh * ols_model_wh + ols_noise_wh * ols_noise_wh).sqrt(), ols_model_wh, ols_noise_wh }
}
