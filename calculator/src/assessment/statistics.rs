//! Statistics of a fit as eemeter 2.10 defines and names them, for comparison with published results.
//!
//! Residuals are prediction minus observation there. Where its program divides by zero and writes no number, there is none here.

use serde::{Deserialize, Serialize};

use crate::uncertainty::{CONFIDENCE, quantile};

/// What `ModelMetrics` of the published program holds, by its names.
///
/// * Units: means in the unit of the meter, variances in its square; the rest are ratios and counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the published program; its manual says what they are")]
pub struct Statistics {
    pub observed_length: f64,
    pub predicted_length: f64,
    pub merged_length: f64,
    pub num_parameters: f64,
    pub observed_mean: f64,
    pub predicted_mean: f64,
    pub observed_variance: f64,
    pub predicted_variance: f64,
    pub observed_skew: Option<f64>,
    pub predicted_skew: Option<f64>,
    pub observed_kurtosis: Option<f64>,
    pub predicted_kurtosis: Option<f64>,
    pub observed_cvstd: Option<f64>,
    pub predicted_cvstd: Option<f64>,
    pub r_squared: Option<f64>,
    pub r_squared_adj: Option<f64>,
    pub rmse: f64,
    pub rmse_adj: f64,
    pub cvrmse: Option<f64>,
    pub cvrmse_adj: Option<f64>,
    pub mape: Option<f64>,
    pub mape_no_zeros: Option<f64>,
    pub num_meter_zeros: f64,
    pub nmae: Option<f64>,
    pub nmbe: Option<f64>,
    pub autocorr_resid: Option<f64>,
    pub confidence_level: f64,
    pub n_prime: Option<f64>,
    pub single_tailed_confidence_level: f64,
    pub degrees_of_freedom: Option<f64>,
    pub t_stat: Option<f64>,
    pub cvrmse_auto_corr_correction: Option<f64>,
    pub approx_factor_auto_corr_correction: Option<f64>,
    pub fsu_base_term: Option<f64>,
}

impl Statistics {
    /// The statistics of predictions beside what was observed, row by row, for a model of so many slopes.
    ///
    /// * Shape: both of one length.
    pub fn of(observed: &[f64], predicted: &[f64], slopes: u16) -> Self {
        let (n, c) = (observed.len() as f64, f64::from(slopes));
        let sums = Sums::of(observed, predicted);
        let Sums { squares, observed: total, .. } = sums;
        let rows = Spreads::of(observed, predicted, (total / n, sums.predicted / n));
        let (seen, said) = (Moments::of(n, total / n, rows.observed), Moments::of(n, sums.predicted / n, rows.predicted));
        let (rmse, rmse_adj) = ((squares / n).sqrt(), (squares / (n - c)).sqrt());
        let r_squared = correlation(n, (said.mean, seen.mean), (rows.both, rows.predicted[0], rows.observed[0])).map(|r| r * r);
        let autocorr_resid = autocorrelation(observed, predicted, n - 1.0, (sums.before, sums.after));
        let n_prime = autocorr_resid.and_then(|rho| finite(n * (1.0 - rho) / (1.0 + rho)));
        let degrees_of_freedom = n_prime.map(|n_prime| (n_prime - c).round_ties_even());
        let t_stat = degrees_of_freedom.and_then(|degrees| finite(quantile(f64::midpoint(1.0, CONFIDENCE), degrees)));
        let cvrmse_adj = finite(rmse_adj / seen.mean);
        let usable = n_prime.filter(|n_prime| {
            n_prime.abs() > 0.0 && (n_prime - c).abs() > 0.0 && degrees_of_freedom.is_some_and(|degrees| degrees >= 1.0) && n >= c
        });
        let cvrmse_auto_corr_correction = usable.and_then(|n_prime| finite(((n - c) / (n_prime - c)).sqrt()));
        let approx_factor_auto_corr_correction = usable.and_then(|n_prime| finite((1.0 + 2.0 / n_prime).sqrt()));
        let fsu_base_term = t_stat
            .zip(cvrmse_adj)
            .zip(cvrmse_auto_corr_correction.zip(approx_factor_auto_corr_correction))
            .map(|((t, cv), (correction, factor))| t * cv * correction * factor);
        Self {
            observed_length: n,
            predicted_length: n,
            merged_length: n,
            num_parameters: c,
            observed_mean: seen.mean,
            predicted_mean: said.mean,
            observed_variance: seen.variance,
            predicted_variance: said.variance,
            observed_skew: seen.skew,
            predicted_skew: said.skew,
            observed_kurtosis: seen.kurtosis,
            predicted_kurtosis: said.kurtosis,
            observed_cvstd: seen.cvstd(n),
            predicted_cvstd: said.cvstd(n),
            r_squared,
            r_squared_adj: r_squared.and_then(|r_squared| finite(1.0 - (1.0 - r_squared) * (n - 1.0) / (n - c - 1.0))),
            rmse,
            rmse_adj,
            cvrmse: finite(rmse / seen.mean),
            cvrmse_adj,
            mape: finite(sums.relative / n),
            mape_no_zeros: finite(sums.relative_used / sums.used as f64),
            num_meter_zeros: n - sums.used as f64,
            nmae: finite(sums.distance / total),
            nmbe: finite(sums.bias / total),
            autocorr_resid,
            confidence_level: CONFIDENCE,
            n_prime,
            single_tailed_confidence_level: f64::midpoint(1.0, CONFIDENCE),
            degrees_of_freedom,
            t_stat,
            cvrmse_auto_corr_correction,
            approx_factor_auto_corr_correction,
            fsu_base_term,
        }
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Sums over all rows, each in their order; one pass makes all of them, because a sum waits for itself only.
struct Sums {
    observed: f64,
    predicted: f64,
    /// Of the squares of residuals, which are prediction minus observation.
    squares: f64,
    bias: f64,
    distance: f64,
    relative: f64,
    /// Over rows of more than nothing.
    relative_used: f64,
    used: usize,
    /// Of all residuals but the last, and but the first.
    before: f64,
    after: f64,
}

impl Sums {
    fn of(observed: &[f64], predicted: &[f64]) -> Self {
        let (mut squares, mut bias, mut distance, mut relative, mut relative_used, mut used) = (-0.0, -0.0, -0.0, -0.0, -0.0, 0);
        let (mut all_observed, mut all_predicted, mut before, mut after) = (-0.0, -0.0, -0.0, -0.0);
        let mut last: Option<f64> = None;
        for (predicted, observed) in predicted.iter().zip(observed) {
            let residual = predicted - observed;
            let share = (residual / observed).abs();
            all_observed += observed;
            all_predicted += predicted;
            squares += residual * residual;
            bias += residual;
            distance += residual.abs();
            relative += share;
            if *observed > 0.0 {
                relative_used += share;
                used += 1;
            }
            if let Some(last) = last.replace(residual) {
                before += last;
                after += residual;
            }
        }
        Self { observed: all_observed, predicted: all_predicted, squares, bias, distance, relative, relative_used, used, before, after }
    }
}

/// Sums of powers of distances from the means, and of the product of both sides'.
struct Spreads {
    /// Second, third and fourth power.
    observed: [f64; 3],
    predicted: [f64; 3],
    both: f64,
}

impl Spreads {
    fn of(observed: &[f64], predicted: &[f64], (mean_observed, mean_predicted): (f64, f64)) -> Self {
        let mut spreads = Self { observed: [0.0; 3], predicted: [0.0; 3], both: 0.0 };
        for (observed, predicted) in observed.iter().zip(predicted) {
            let (seen, said) = (observed - mean_observed, predicted - mean_predicted);
            for (sums, off) in [(&mut spreads.observed, seen), (&mut spreads.predicted, said)] {
                let square = off * off;
                sums[0] += square;
                sums[1] += square * off;
                sums[2] += square * square;
            }
            spreads.both += said * seen;
        }
        spreads
    }
}

struct Moments {
    mean: f64,
    /// Of the population.
    variance: f64,
    skew: Option<f64>,
    kurtosis: Option<f64>,
}

impl Moments {
    fn of(n: f64, mean: f64, [second, third, fourth]: [f64; 3]) -> Self {
        let varies = second > 0.0;
        let skew = n * (n - 1.0).sqrt() / (n - 2.0) * third / (second * second.sqrt());
        let scale = (n - 1.0) / ((n - 2.0) * (n - 3.0));
        let kurtosis = scale * ((n + 1.0) * n * fourth / (second * second) - 3.0 * (n - 1.0));
        Self { mean, variance: second / n, skew: finite(skew).filter(|_| varies), kurtosis: finite(kurtosis).filter(|_| varies) }
    }

    fn cvstd(&self, n: f64) -> Option<f64> {
        finite((self.variance * n / (n - 1.0)).sqrt() / self.mean)
    }
}

/// The correlation of each residual with the one before it, of which there are `n`.
fn autocorrelation(observed: &[f64], predicted: &[f64], n: f64, (before, after): (f64, f64)) -> Option<f64> {
    let (mean_after, mean_before) = (after / n, before / n);
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    let mut last: Option<f64> = None;
    for (predicted, observed) in predicted.iter().zip(observed) {
        let residual = predicted - observed;
        if let Some(last) = last.replace(residual) {
            let (one, other) = (last - mean_before, residual - mean_after);
            both += one * other;
            first += one * one;
            second += other * other;
        }
    }
    correlation(n, (mean_before, mean_after), (both, first, second)).filter(|_| n > 0.0)
}

/// The Pearson correlation by means and sums around them; none where one side does not vary.
fn correlation(n: f64, means: (f64, f64), (both, first, second): (f64, f64, f64)) -> Option<f64> {
    let varies = |spread: f64, mean: f64| spread > 1e-28 * n * mean * mean && spread > 0.0;
    (varies(first, means.0) && varies(second, means.1)).then(|| (both / (first * second).sqrt()).clamp(-1.0, 1.0))
}
