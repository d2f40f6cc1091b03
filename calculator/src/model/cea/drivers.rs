//! What a facility keeps beside its meter, day by day: the variables that explain its use, and what the project changes.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{CeaDay, Election, Plan, Variable};
use crate::baseline::Day;

/// What is known of one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriverRow {
    /// The crop's stage, when the contract tells stages apart.
    pub stage: Option<String>,
    /// The declared variables in their order; `None` for one that was not measured.
    pub values: Vec<Option<f64>>,
}

/// The declared variables of a facility with the plan that allows them.
///
/// * Units: as [`Variable::unit`] says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drivers {
    /// The variables in the order of the values.
    pub variables: Vec<Variable>,
    /// The days that are known.
    pub rows: BTreeMap<Date, DriverRow>,
    /// What the project changes, and which variables may explain it.
    pub plan: Plan,
    /// What is paid for when a measure changes the yield.
    pub election: Election,
}

impl Drivers {
    /// Days with what is known beside them; a day that is not known has no values.
    pub fn beside(&self, days: &[Day]) -> Vec<CeaDay> {
        let unknown = || DriverRow { stage: None, values: vec![None; self.variables.len()] };
        days.iter()
            .map(|day| {
                let row = self.rows.get(&day.date).cloned().unwrap_or_else(unknown);
                CeaDay { day: *day, stage: row.stage, values: row.values }
            })
            .collect()
    }
}
