//! The bands of published programs, for comparison with their results.

use serde::{Deserialize, Serialize};

use super::student;
use crate::model::Metrics;

/// How often the baseline was measured; the published factor depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// One observation a day.
    Daily,
    /// One observation a bill.
    Billing,
}

impl Cadence {
    /// What multiplies CV·t for a reporting period of so many months; 1.26 in the simpler formula.
    ///
    /// * Source: Sun and Baltazar, as the published programs use it.
    pub fn factor(self, months: f64) -> f64 {
        match self {
            Self::Daily => -0.000_24 * months * months + 0.035_35 * months + 1.002_86,
            Self::Billing => -0.000_22 * months * months + 0.033_06 * months + 0.940_54,
        }
    }
}

/// What a published formula needs to know about a fit, with the denominators of the program that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Baseline observations, `n`: days, bills or hours.
    pub observations: f64,
    /// `n′`; equal to `n` where a formula ignores that residuals resemble their neighbours.
    pub effective_observations: f64,
    /// Degrees of freedom of t.
    pub degrees_of_freedom: f64,
    /// CV(RMSE) as the program adjusts it.
    pub cv_rmse: f64,
}

/// What multiplies CV·t.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// 1.26, which ASHRAE Guideline 14 gives for every kind of data.
    Guideline14,
    /// The polynomial of Sun and Baltazar at this many months of reporting.
    SunBaltazar(Cadence, f64),
}

impl Factor {
    fn value(self) -> f64 {
        match self {
            Self::Guideline14 => 1.26,
            Self::SunBaltazar(cadence, months) => cadence.factor(months),
        }
    }
}

/// The half-width of published interval formulas as a share of the energy that the program scales it with.
///
/// * Shape: `reporting` observations of the same kind as the baseline's.
/// * Units: a share; eemeter multiplies it with the energy of the baseline, opendsm with the predicted energy of the
///   reporting period, and nmecr divides it by the savings fraction.
/// * Source: ASHRAE Guideline 14, t·factor·CV·√((n/n′)(1+2/n′)/m).
pub fn share(sample: &Sample, factor: Factor, reporting: f64, confidence: f64) -> f64 {
    let Sample { observations: n, effective_observations: n_prime, degrees_of_freedom, cv_rmse } = *sample;
    let t = student::quantile(f64::midpoint(1.0, confidence), degrees_of_freedom);
    t * factor.value() * cv_rmse * (n / n_prime * (1.0 + 2.0 / n_prime) / reporting).sqrt()
}

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

/// The statistics of a baseline that the reference makes its bands of.
///
/// * Units: Wh a day for daily data, Wh a bill for bills (totals, not averages per day).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandInputs {
    /// Observations, `n`.
    pub observations: f64,
    /// n(1−ρ)/(1+ρ), which may exceed `n`.
    pub effective_observations: f64,
    /// Slopes, `c`.
    pub slopes: f64,
    /// Mean use.
    pub observed_mean_wh: f64,
    /// Population variance of use.
    pub observed_variance: f64,
    /// √(Σr²/(n−c)).
    pub rmse_adj_wh: f64,
    /// The same over the mean use.
    pub cv_rmse_adj: f64,
}

impl From<&Metrics> for BandInputs {
    fn from(metrics: &Metrics) -> Self {
        Self {
            observations: f64::from(metrics.observations),
            effective_observations: metrics.reference.effective_observations,
            slopes: f64::from(metrics.slopes),
            observed_mean_wh: metrics.observed_mean_wh,
            observed_variance: metrics.observed_variance,
            rmse_adj_wh: metrics.rmse_adj_wh,
            cv_rmse_adj: metrics.cv_rmse_adj,
        }
    }
}

/// The bands of `reporting_days` days with this mean observed use.
///
/// Comparable with published results for a reporting period about as long as the baseline; for a single month the first
/// band is far too wide, because it scales with the energy of the whole baseline.
///
/// * Source: eemeter 2.10 `metered_savings`, daily: t at n − c, months = days/30, baseline energy ȳ·n as the scale, and an
///   effective n that may exceed n. A model of no slopes has the same formulas with c = 0.
pub fn bands(metrics: &Metrics, reporting_days: u32, reporting_mean_wh: f64, confidence: f64) -> Bands {
    bands_of(Cadence::Daily, &metrics.into(), f64::from(reporting_days), reporting_mean_wh, confidence)
}

/// As [`bands`], for days or for bills.
///
/// * Shape: `reporting` is the number of days, or for bills the days of the reporting period over 30, rounded, which need
///   not be the number of bills; `reporting_mean_wh` is the mean over the days, or over the bills there are.
/// * Source: eemeter 2.10 `metered_savings`; for bills months = `reporting`.
pub fn bands_of(cadence: Cadence, inputs: &BandInputs, reporting: f64, reporting_mean_wh: f64, confidence: f64) -> Bands {
    let (n, n_prime, m) = (inputs.observations, inputs.effective_observations, reporting);
    let t = student::quantile(f64::midpoint(1.0, confidence), n - inputs.slopes);
    let factor = cadence.factor(match cadence {
        Cadence::Daily => m / 30.0,
        Cadence::Billing => m,
    });
    let fsu_wh = inputs.observed_mean_wh * n * t * factor * inputs.cv_rmse_adj * (n / n_prime * (1.0 + 2.0 / n_prime) / m).sqrt();
    let shift = inputs.observed_mean_wh - reporting_mean_wh;
    let leverage = if inputs.observed_variance > 0.0 { shift * shift / inputs.observed_variance } else { 0.0 };
    let ols_model_wh = t * inputs.rmse_adj_wh * m / n.sqrt() * (1.0 + leverage).sqrt();
    let ols_noise_wh = t * inputs.rmse_adj_wh * (m * n / n_prime).sqrt();
    Bands { fsu_wh, ols_wh: (ols_model_wh * ols_model_wh + ols_noise_wh * ols_noise_wh).sqrt(), ols_model_wh, ols_noise_wh }
}
