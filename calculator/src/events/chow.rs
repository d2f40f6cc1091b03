//! Whether base load and response to the weather are the same on both sides of a day.

use serde::{Deserialize, Serialize};

use super::detect::{DayResidual, Noise};
use crate::baseline::day_number;
use crate::model::Orthogonal;

/// The outcome of a Chow test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chow {
    /// The F statistic with 2 and n − 4 degrees of freedom.
    pub f: f64,
    /// How likely a larger one is if nothing changed.
    pub probability: f64,
    /// Whether the base load explains more of the change than the response to the weather.
    pub base: bool,
}

/// Tests base and slope before and from the day at index `from`.
///
/// * Shape: days in order of time; `None` when either side has fewer than four.
/// * Source: Chow's F on residuals and variables with the correlation of neighbours taken out. Two restrictions, for which
///   the tail of F has the closed form (1 + 2F/ν)^(−ν/2).
pub fn chow(days: &[DayResidual], from: usize, noise: Noise) -> Option<Chow> {
    if from < 4 || days.len() < from + 4 {
        return None;
    }
    let mean = days.iter().map(|day| day.expected_wh).sum::<f64>() / days.len() as f64;
    let mut columns: [Vec<f64>; 5] = Default::default();
    for (index, day) in days.iter().enumerate() {
        let after = if index >= from { 1.0 } else { 0.0 };
        let row = |day: &DayResidual, after: f64| {
            let slope = day.expected_wh - mean;
            [day.residual_wh, 1.0, slope, after, after * slope]
        };
        let mut values = row(day, after);
        if let Some((last, index)) = index.checked_sub(1).and_then(|last| Some((days.get(last)?, last))) {
            let rho = noise.correlation_after(day_number(day.date) - day_number(last.date));
            let scale = (1.0 - rho * rho).sqrt();
            for (value, before) in values.iter_mut().zip(row(last, if index >= from { 1.0 } else { 0.0 })) {
                *value = (*value - rho * before) / scale;
            }
        }
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let [residuals, ones, slopes, base, slope] = columns;
    let left = |more: &[&Vec<f64>]| {
        let columns: Vec<Vec<f64>> = [&ones, &slopes].iter().chain(more).map(|column| (*column).clone()).collect();
        let design = Orthogonal::new(&columns);
        let along: f64 =
            design.basis().iter().map(|direction| crate::model::dot(direction, &residuals)).map(|length| length * length).sum();
        crate::model::dot(&residuals, &residuals) - along
    };
    let (restricted, full) = (left(&[]), left(&[&base, &slope]));
    let degrees = days.len() as f64 - 4.0;
    let f = if full > 0.0 { (restricted - full).max(0.0) / 2.0 / (full / degrees) } else { 0.0 };
    let probability = libm::exp(-degrees / 2.0 * libm::log1p(2.0 * f / degrees));
    Some(Chow { f, probability, base: left(&[&base]) <= left(&[&slope]) })
}
