//! What happened, when, how large, and how sure that is.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::chow::{Chow, chow};
use super::segments::segments;
use super::whiten::whiten;
use crate::baseline::day_number;
use crate::uncertainty::{Interval, covariance, power};

/// A day of the reporting period, or of the baseline.
///
/// * Units: Wh; the residual is use minus expectation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayResidual {
    /// The day.
    pub date: Date,
    /// What the model expects.
    pub expected_wh: f64,
    /// What was used, less that.
    pub residual_wh: f64,
}

/// What residuals are like when nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Correlation of neighbouring days, from 0 to below 1.
    pub rho: f64,
    /// Standard deviation of a day, Wh.
    pub sigma_wh: f64,
}

impl Noise {
    /// As the baseline has it.
    pub const fn of(interval: &Interval) -> Self {
        Self { rho: interval.autocorrelation, sigma_wh: interval.sigma_wh }
    }

    /// The correlation of days so far apart.
    pub(super) fn correlation_after(self, days: i64) -> f64 {
        power(self.rho, days.max(1))
    }
}

/// When a change counts; the same for gains and losses. A contract term.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Least share of the expected use.
    pub share_min: f64,
    /// Least number of its own standard errors.
    pub errors_min: f64,
    /// Least days that it lasts.
    pub days_min: u16,
    /// What each further part of a period costs, times ln n.
    pub penalty: f64,
}

impl Trigger {
    /// 3 % of the use, two standard errors, fourteen days.
    pub const USUAL: Self = Self { share_min: 0.03, errors_min: 2.0, days_min: 14, penalty: 3.0 };

    /// The same with half of the penalty: finds smaller changes, and in some quiet years one that is none.
    pub const KEEN: Self = Self { penalty: 1.5, ..Self::USUAL };
}

impl Default for Trigger {
    fn default() -> Self {
        Self::USUAL
    }
}

/// More used than before, or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More; unless adjusted, it eats savings.
    More,
    /// Less; unless adjusted, it is booked as savings.
    Less,
}

/// A change that counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The first day of the new level.
    pub first: Date,
    /// The last day of it that was looked at.
    pub last: Date,
    /// More or less.
    pub direction: Direction,
    /// The new level less the old one, Wh a day.
    pub shift_wh: f64,
    /// Its standard error, Wh a day.
    pub error_wh: f64,
    /// The shift over the expected use of the days around it.
    pub share: f64,
    /// Whether base load or response to the weather changed; `None` on too few days.
    pub chow: Option<Chow>,
}

/// Every change that counts, in order of time.
///
/// * Shape: days in order of time, none twice; missing days are simply absent.
/// * Source: segmentation of the whitened residuals; trigger |shift| ≥ max(share of use, standard errors) on both sides of
///   at least `days_min` days. The standard error is that of a difference of means under the first-order autoregression.
pub fn detect(days: &[DayResidual], noise: Noise, trigger: &Trigger) -> Vec<Event> {
    let whitened: Vec<f64> = whiten(days, noise).iter().map(|day| day.z).collect();
    let parts = segments(&whitened, trigger.penalty, usize::from(trigger.days_min));
    let mut events = Vec::new();
    for pair in parts.windows(2) {
        let (Some(before), Some(after)) = (days.get(pair[0].first..pair[0].end), days.get(pair[1].first..pair[1].end)) else { continue };
        let around = days.get(pair[0].first..pair[1].end).unwrap_or(days);
        let (shift_wh, error_wh) = difference(before, after, noise);
        let expected = around.iter().map(|day| day.expected_wh).sum::<f64>() / around.len() as f64;
        let counts = shift_wh.abs() >= trigger.share_min * expected.abs() && shift_wh.abs() >= trigger.errors_min * error_wh;
        if let (true, [first, ..], [.., last]) = (counts, after, after) {
            events.push(Event {
                first: first.date,
                last: last.date,
                direction: if shift_wh > 0.0 { Direction::More } else { Direction::Less },
                shift_wh,
                error_wh,
                share: shift_wh / expected,
                chow: chow(around, before.len(), noise),
            });
        }
    }
    events
}

/// The mean of the later days less that of the earlier ones, and its standard error.
fn difference(before: &[DayResidual], after: &[DayResidual], noise: Noise) -> (f64, f64) {
    let mean = |days: &[DayResidual]| days.iter().map(|day| day.residual_wh).sum::<f64>() / days.len() as f64;
    let numbers: Vec<i64> = before.iter().chain(after).map(|day| day_number(day.date)).collect();
    let weights: Vec<f64> =
        before.iter().map(|_| -1.0 / before.len() as f64).chain(after.iter().map(|_| 1.0 / after.len() as f64)).collect();
    (mean(after) - mean(before), noise.sigma_wh * covariance(&weights, &numbers, noise.rho).max(0.0).sqrt())
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
