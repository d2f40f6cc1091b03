//! Residuals that follow one another, made independent.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::detect::{DayResidual, Noise};
use crate::baseline::day_number;

/// A day's news: what its residual says that the day before did not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whitened {
    /// The day.
    pub date: Date,
    /// In standard deviations; of variance 1 and independent from day to day when nothing happens.
    pub z: f64,
}

/// Takes out of each residual what the day before told already.
///
/// * Shape: days in order of time; over a gap of k days the correlation is ρᵏ.
/// * Source: z = (rₜ − ρ·rₜ₋₁)/(s·√(1−ρ²)).
pub fn whiten(days: &[DayResidual], noise: Noise) -> Vec<Whitened> {
    let mut before: Option<&DayResidual> = None;
    days.iter()
        .map(|day| {
            let (mean, share) = before.map_or((0.0, 1.0), |last| {
                let rho = noise.correlation_after(day_number(day.date) - day_number(last.date));
                (rho * last.residual_wh, 1.0 - rho * rho)
            });
            before = Some(day);
            Whitened { date: day.date, z: (day.residual_wh - mean) / (noise.sigma_wh * share.sqrt()) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn each_day_tells_only_its_news() {
        let day = |day, residual_wh| DayResidual { date: date(2025, 3, day), expected_wh: 1.0, residual_wh };
        let noise = Noise { rho: 0.6, sigma_wh: 10.0 };
        let found = whiten(&[day(1, 10.0), day(2, 6.0), day(3, 3.6 + 8.0), day(5, 0.36 * 11.6)], noise);
        let expected = [1.0, 0.0, 1.0, 0.0];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found.z - expected).abs() < 1e-12), "{found:?}");
    }
}
