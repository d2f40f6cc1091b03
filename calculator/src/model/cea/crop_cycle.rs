//! Produce on the days that made it: a harvest is weighed in an hour and grows for weeks.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::baseline::Period;

/// One harvest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Harvest {
    /// The first day of its cycle: transplanting, or the day after the last harvest of the same plants.
    pub from: Date,
    /// The day it was weighed, the last of its cycle.
    pub on: Date,
    /// Marketable produce, kg.
    pub marketable_kg: f64,
}

/// How produce grows over its cycle: a logistic curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The share of the cycle at which half has grown.
    pub midpoint: f64,
    /// How steep growth is there; zero is the same every day.
    pub steepness: f64,
}

impl Default for Growth {
    fn default() -> Self {
        Self { midpoint: 0.6, steepness: 8.0 }
    }
}

/// A harvest that has no cycle.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum HarvestError {
    /// It ends before it begins.
    #[error("the harvest of {on} begins on {from}, which is later")]
    Backwards {
        /// Its first day.
        from: Date,
        /// Its last.
        on: Date,
    },
    /// Its weight is no weight.
    #[error("the harvest of {on} weighs {kg} kg; a weight is a finite number and not negative")]
    Weight {
        /// Its last day.
        on: Date,
        /// The weight as given.
        kg: f64,
    },
    /// Its cycle is longer than any crop's.
    #[error("the harvest of {on} begins on {from}; a cycle has at most {} days", super::crop::CYCLE_DAYS_MAX)]
    Long {
        /// Its first day.
        from: Date,
        /// Its last.
        on: Date,
    },
    /// Harvests lie further apart than a facility stands.
    #[error("the harvests span {first} to {last}; they may span {} days", super::crop::SPAN_DAYS_MAX)]
    Span {
        /// The first day of the first cycle.
        first: Date,
        /// The last day of the last.
        last: Date,
    },
    /// The curve is none.
    #[error("growth needs a midpoint between 0 and 1 and a steepness that is finite and not negative")]
    Growth,
}

/// Spreads every harvest over the days of its cycle, kg per day; the days sum to the harvests.
///
/// * Shape: harvests in any order, of overlapping cycles; days without growth are not there.
/// * Source: each day has the rise of the logistic curve over it, as a share of the rise over the whole cycle.
pub fn grown(harvests: &[Harvest], growth: Growth) -> Result<BTreeMap<Date, f64>, HarvestError> {
    if !((0.0..=1.0).contains(&growth.midpoint) && growth.steepness >= 0.0 && growth.steepness.is_finite()) {
        return Err(HarvestError::Growth);
    }
    let mut days = BTreeMap::new();
    for harvest in harvests {
        let Harvest { from, on, marketable_kg: kg } = *harvest;
        if !(kg.is_finite() && kg >= 0.0) {
            return Err(HarvestError::Weight { on, kg });
        }
        let end = on.tomorrow().map_err(|_| HarvestError::Backwards { from, on })?;
        let cycle = Period::new(from, end).map_err(|_| HarvestError::Backwards { from, on })?;
        let length = cycle.len() as f64;
        let height = |share: f64| {
            if growth.steepness > 0.0 { 1.0 / (1.0 + libm::exp(-growth.steepness * (share - growth.midpoint))) } else { share }
        };
        let whole = height(1.0) - height(0.0);
        let mut given = 0.0;
        for (date, day) in cycle.dates().zip(1_u32..) {
            // What is left goes to the last day, so that nothing is lost to rounding.
            let upto = if date == on { kg } else { kg * (height(f64::from(day) / length) - height(0.0)) / whole };
            *days.entry(date).or_insert(0.0) += upto - given;
            given = upto;
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn most_of_a_harvest_grows_late_and_a_flat_curve_is_the_same_every_day() {
        let harvest = Harvest { from: date(2025, 3, 1), on: date(2025, 3, 30), marketable_kg: 300.0 };
        let days = grown(&[harvest], Growth::default()).unwrap();
        assert_eq!(days.len(), 30);
        assert!(days[&date(2025, 3, 18)] > 2.0 * days[&date(2025, 3, 3)]);
        let flat = grown(&[harvest], Growth { midpoint: 0.5, steepness: 0.0 }).unwrap();
        assert!(flat.values().all(|kg| (kg - 10.0).abs() < 1e-9));
    }

    #[test]
    fn harvests_that_cannot_be_are_refused() {
        let harvest = |from, on, marketable_kg| grown(&[Harvest { from, on, marketable_kg }], Growth::default()).unwrap_err().to_string();
        assert_eq!(harvest(date(2025, 3, 2), date(2025, 3, 1), 1.0), "the harvest of 2025-03-01 begins on 2025-03-02, which is later");
        assert!(harvest(date(2025, 3, 1), date(2025, 3, 1), -1.0).contains("weighs -1 kg"));
        assert!(grown(&[], Growth { midpoint: 2.0, steepness: 1.0 }).is_err());
    }

    proptest! {
        #[test]
        fn the_days_sum_to_the_harvests(kgs in prop::collection::vec((0_i32..300, 1_i32..90, 0.0..5_000.0_f64), 1..20), steepness in 0.0..20.0_f64) {
            let day = |days: i32| date(2025, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
            let harvests: Vec<Harvest> = kgs.iter().map(|(from, length, kg)| Harvest { from: day(*from), on: day(from + length - 1), marketable_kg: *kg }).collect();
            let days = grown(&harvests, Growth { midpoint: 0.6, steepness }).unwrap();
            let total: f64 = kgs.iter().map(|(.., kg)| kg).sum();
            prop_assert!((days.values().sum::<f64>() - total).abs() <= 1e-9 * total.max(1.0));
            prop_assert!(days.values().all(|kg| *kg >= -1e-9));
        }
    }
}
