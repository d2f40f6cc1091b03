//! Energy as a whole number of watt-hours, and the counters that it is read from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Active energy, in whole watt-hours.
///
/// * Unit: Wh. Never milliwatt-hours, because `mwh` reads as megawatt-hours.
/// * Arithmetic: checked; overflow is an error, not a wrap.
/// * Wire: a JSON integer in a field whose name ends in `_wh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Energy(i64);

/// A sum or difference that no meter could show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("energy beyond what 64 bits of watt-hours hold")]
pub struct EnergyError;

impl Energy {
    /// No energy.
    pub const ZERO: Self = Self(0);

    /// This many watt-hours.
    #[must_use]
    pub const fn wh(wh: i64) -> Self {
        Self(wh)
    }

    /// The watt-hours.
    #[must_use]
    pub const fn as_wh(self) -> i64 {
        self.0
    }

    /// The sum.
    pub fn checked_add(self, other: Self) -> Result<Self, EnergyError> {
        self.0.checked_add(other.0).map(Self).ok_or(EnergyError)
    }

    /// The difference.
    pub fn checked_sub(self, other: Self) -> Result<Self, EnergyError> {
        self.0.checked_sub(other.0).map(Self).ok_or(EnergyError)
    }

    /// The sum of many.
    pub fn sum(many: impl IntoIterator<Item = Self>) -> Result<Self, EnergyError> {
        many.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Wh", self.0)
    }
}

/// The running total on a meter's display.
///
/// A counter is not an amount. Two counters subtract to an [`Energy`]; nothing else is defined on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(Energy);

/// Two counters of one meter that no passing of energy explains: a reset, an exchange or a rollover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the counter went from {} back to {}", .earlier.0, .later.0)]
pub struct CounterBreak {
    /// The counter first read.
    pub earlier: Counter,
    /// The counter read afterwards.
    pub later: Counter,
}

impl Counter {
    /// What the display showed.
    #[must_use]
    pub const fn showing(total: Energy) -> Self {
        Self(total)
    }

    /// The energy that passed since `earlier`, or the break that makes it unknowable.
    pub fn since(self, earlier: Self) -> Result<Energy, CounterBreak> {
        match self.0.checked_sub(earlier.0) {
            Ok(passed) if passed >= Energy::ZERO => Ok(passed),
            _ => Err(CounterBreak { earlier, later: self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn intervals_of_a_counter_sum_to_the_display(steps in prop::collection::vec(0_i64..1_000_000, 1..100)) {
            let mut totals = vec![0_i64];
            for step in &steps {
                totals.push(totals[totals.len() - 1] + step);
            }
            let counters: Vec<_> = totals.iter().map(|total| Counter::showing(Energy::wh(*total))).collect();
            let passed = counters.windows(2).map(|pair| pair[1].since(pair[0]).unwrap());
            prop_assert_eq!(Energy::sum(passed).unwrap(), counters[counters.len() - 1].since(counters[0]).unwrap());
        }
    }

    #[test]
    fn a_counter_that_goes_back_is_a_break() {
        let (high, low) = (Counter::showing(Energy::wh(10)), Counter::showing(Energy::wh(9)));
        assert_eq!(low.since(high).unwrap_err().to_string(), "the counter went from 10 Wh back to 9 Wh");
        assert_eq!((high.since(low), high.since(high)), (Ok(Energy::wh(1)), Ok(Energy::ZERO)), "a counter may stand still");
        let (lowest, highest) = (Counter::showing(Energy::wh(i64::MIN)), Counter::showing(Energy::wh(i64::MAX)));
        assert!(highest.since(lowest).is_err(), "more than can be counted is a break, not a wrap");
    }
}
