//! The produce of a facility and what its contract says of it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::crop_cycle::{Growth, Harvest, HarvestError, grown};
use super::drivers::{DriverRow, Drivers};
use super::variables::{Election, Measure, NotExogenous, Plan, Variable};
use crate::baseline::day_number;

/// Days of a cycle at most: three years, which no crop of a greenhouse takes.
pub(super) const CYCLE_DAYS_MAX: i64 = 1_096;
/// Days that all harvests span at most: a century, which is a date by mistake.
pub(super) const SPAN_DAYS_MAX: i64 = 36_525;

/// Harvests with the plan that decides whether they may explain what is used.
///
/// * Units: kg of marketable produce.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// What the project changes.
    pub measures: Vec<Measure>,
    /// What is paid for when a measure changes the yield.
    #[serde(default)]
    pub election: Election,
    /// How produce grows over its cycle.
    #[serde(default)]
    pub growth: Growth,
    /// What was weighed.
    pub harvests: Vec<Harvest>,
}

impl Crop {
    /// Production as a variable of days: from the first cycle to the last harvest each day has what grew, if only nothing;
    /// other days are not known.
    ///
    /// * Errors: a harvest that has no cycle or no weight, a growth that is none.
    pub fn drivers(&self) -> Result<Drivers, HarvestError> {
        let first = self.harvests.iter().map(|harvest| harvest.from).min();
        let last = self.harvests.iter().map(|harvest| harvest.on).max();
        if let Some(Harvest { from, on, .. }) = self.harvests.iter().find(|one| day_number(one.on) - day_number(one.from) > CYCLE_DAYS_MAX)
        {
            return Err(HarvestError::Long { from: *from, on: *on });
        }
        if let (Some(first), Some(last)) = (first, last)
            && day_number(last) - day_number(first) > SPAN_DAYS_MAX
        {
            return Err(HarvestError::Span { first, last });
        }
        let days = grown(&self.harvests, self.growth)?;
        let mut rows = BTreeMap::new();
        if let (Some(first), Some(last)) = (first, last) {
            for date in first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last) {
                rows.insert(date, DriverRow { stage: None, values: vec![Some(days.get(&date).copied().unwrap_or(0.0))] });
            }
        }
        let plan = Plan { allowed: self.measures.iter().map(|measure| (*measure, vec![Variable::Production])).collect() };
        Ok(Drivers { variables: vec![Variable::Production], rows, plan, election: self.election })
    }

    /// Whether produce may explain what would have been used: no measure moves it, or the parties elected productivity.
    ///
    /// * Errors: [`NotExogenous`], which says what to take instead.
    pub fn exogenous(&self) -> Result<(), NotExogenous> {
        let plan = Plan { allowed: self.measures.iter().map(|measure| (*measure, vec![Variable::Production])).collect() };
        plan.check(&[Variable::Production], self.election)
    }
}

impl Drivers {
    /// What grew on a day, kg; nothing where nobody knows, or where production is no variable.
    pub fn production_on(&self, date: Date) -> Option<f64> {
        let column = self.variables.iter().position(|variable| *variable == Variable::Production)?;
        self.rows.get(&date)?.values.get(column).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn crop(measure: Measure, election: Election) -> Crop {
        let harvest = |from: Date, on: Date, marketable_kg: f64| Harvest { from, on, marketable_kg };
        let harvests = vec![
            harvest(date(2025, 1, 1), date(2025, 1, 30), 300.0),
            harvest(date(2025, 2, 5), date(2025, 3, 6), 200.0),
            harvest(date(2026, 1, 1), date(2026, 1, 20), 100.0),
        ];
        Crop { measures: vec![measure], election, growth: Growth::default(), harvests }
    }

    #[test]
    fn days_have_what_grew_and_outside_of_the_cycles_nobody_knows() {
        let drivers = crop(Measure::Climate, Election::EnergyOnly).drivers().unwrap();
        assert_eq!(drivers.production_on(date(2025, 2, 1)), Some(0.0), "between two cycles nothing grows");
        assert_eq!(drivers.production_on(date(2024, 12, 31)), None);
        assert_eq!(drivers.production_on(date(2026, 1, 21)), None, "what is not weighed yet is not known");
        let sum: f64 = drivers.rows.values().filter_map(|row| row.values[0]).sum();
        assert!((sum - 600.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn harvests_that_would_never_end_are_refused() {
        let refused = |from: Date, on: Date| {
            let mut crop = crop(Measure::Climate, Election::EnergyOnly);
            crop.harvests.push(Harvest { from, on, marketable_kg: 1.0 });
            crop.drivers().unwrap_err().to_string()
        };
        assert_eq!(
            refused(date(2020, 1, 1), date(2025, 1, 1)),
            "the harvest of 2025-01-01 begins on 2020-01-01; a cycle has at most 1096 days"
        );
        assert_eq!(refused(date(1800, 1, 1), date(1800, 1, 9)), "the harvests span 1800-01-01 to 2026-01-20; they may span 36525 days");
    }

    #[test]
    fn a_measure_that_moves_the_yield_claims_it_only_when_productivity_was_elected() {
        assert_eq!(crop(Measure::Lighting, Election::EnergyOnly).exogenous(), Ok(()));
        let refused = crop(Measure::Growing, Election::EnergyOnly).exogenous().unwrap_err();
        assert!(refused.to_string().contains("the measure Growing moves production"), "{refused}");
        assert_eq!(crop(Measure::Growing, Election::Productivity).exogenous(), Ok(()));
        let nothing = Crop { measures: Vec::new(), ..crop(Measure::Growing, Election::EnergyOnly) };
        assert_eq!(nothing.exogenous(), Err(NotExogenous::NoMeasure));
        let text = serde_json::to_string(&crop(Measure::Growing, Election::Productivity)).unwrap();
        assert_eq!(serde_json::from_str::<Crop>(&text).unwrap(), crop(Measure::Growing, Election::Productivity));
        assert!(serde_json::from_str::<Crop>(r#"{"measures":["lighting"],"harvests":[],"kg":1}"#).is_err());
    }
}
