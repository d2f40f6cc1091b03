//! Avoided energy with the agreed adjustments in it: what a statement says.

use serde::{Deserialize, Serialize};

use super::ledger::{Ledger, Standing};
use crate::baseline::{Period, PeriodError};
use crate::savings::Avoided;
use crate::uncertainty::OtherErrors;

/// A period's avoided energy after the adjustments.
///
/// * Law: `avoided_wh = counterfactual_wh + adjustments_wh − observed_wh`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjusted {
    /// What the baseline would have used, as the model has it.
    pub counterfactual_wh: i64,
    /// What the adjustments add to that on the compared days; negative where the facility needs less.
    pub adjustments_wh: i64,
    /// What was used.
    pub observed_wh: i64,
    /// The difference.
    pub avoided_wh: i64,
    /// Half of the interval, with the adjustments' own errors.
    pub uncertainty_wh: i64,
    /// Its confidence.
    pub confidence: f64,
    /// Whether the baseline still stands under so many adjustments.
    pub standing: Standing,
}

/// Energy that cannot be adjusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdjustedError {
    /// A compared day belongs to those that the parties leave out.
    #[error("{0} is left out by an adjustment; take it out before the days are compared")]
    Excluded(jiff::civil::Date),
    /// The calendar ends within the period.
    #[error("the compared days make no period")]
    Period(#[from] PeriodError),
    /// The total is beyond what can be counted.
    #[error("the adjusted energy is beyond what can be counted in watt-hours")]
    Overflow,
}

impl Ledger {
    /// Adds the adjustments to a period's avoided energy.
    ///
    /// * Shape: days that an adjustment leaves out ([`Self::excludes`]) are not among the compared ones.
    /// * Errors: [`AdjustedError`].
    pub fn adjust(&self, avoided: &Avoided, others: OtherErrors) -> Result<Adjusted, AdjustedError> {
        if let Some(day) = avoided.days.iter().find(|day| self.excludes(day.date)) {
            return Err(AdjustedError::Excluded(day.date));
        }
        let (mut adjustments_wh, mut variance) = (0_i64, 0.0);
        for entry in self.entries() {
            let holds = |date| entry.first <= date && entry.end.is_none_or(|end| date < end);
            let days = i64::try_from(avoided.days.iter().filter(|day| holds(day.date)).count()).map_err(|_| AdjustedError::Overflow)?;
            let energy = entry.wh_per_day.checked_mul(days).ok_or(AdjustedError::Overflow)?;
            adjustments_wh = adjustments_wh.checked_add(energy).ok_or(AdjustedError::Overflow)?;
            // The days of one adjustment err together.
            let error = entry.error_wh_per_day.checked_mul(days).ok_or(AdjustedError::Overflow)? as f64;
            variance += error * error;
        }
        let others = OtherErrors { adjustments_wh: (others.adjustments_wh * others.adjustments_wh + variance).sqrt(), ..others };
        let uncertainty_wh = if others == OtherErrors::default() {
            avoided.uncertainty_wh
        } else {
            crate::savings::whole_wh(avoided.interval.half_width_with(&others)).ok_or(AdjustedError::Overflow)?
        };
        let avoided_wh = avoided.avoided_wh.checked_add(adjustments_wh).ok_or(AdjustedError::Overflow)?;
        let end = avoided.last.tomorrow().map_err(|_| AdjustedError::Overflow)?;
        let standing = self.standing(Period::new(avoided.first, end)?, avoided_wh);
        Ok(Adjusted {
            counterfactual_wh: avoided.counterfactual_wh,
            adjustments_wh,
            observed_wh: avoided.observed_wh,
            avoided_wh,
            uncertainty_wh,
            confidence: avoided.confidence,
            standing,
        })
    }
}

#[cfg(test)]
#[path = "adjusted_tests.rs"]
mod tests;
