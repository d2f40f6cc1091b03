//! What may explain the use of a greenhouse or an indoor farm, and the rule that a measure must not explain itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A variable of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    /// Light that the sun did not give to reach the target, mol/m²·d.
    LightDemand,
    /// Hours that the lamps burned.
    LampHours,
    /// Moisture of the outdoor air above the set-point of the contract, kg/kg.
    Humidity,
    /// Water given, m³.
    Irrigation,
    /// Marketable produce of the day by the crop cycle, kg.
    Production,
    /// Area under crop, m².
    CanopyArea,
}

impl Variable {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::LightDemand, Self::LampHours, Self::Humidity, Self::Irrigation, Self::Production, Self::CanopyArea];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LightDemand => "light_demand",
            Self::LampHours => "lamp_hours",
            Self::Humidity => "humidity",
            Self::Irrigation => "irrigation",
            Self::Production => "production",
            Self::CanopyArea => "canopy_area",
        }
    }

    /// Its unit.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::LightDemand => "mol/m2/d",
            Self::LampHours => "h",
            Self::Humidity => "kg/kg",
            Self::Irrigation => "m3",
            Self::Production => "kg",
            Self::CanopyArea => "m2",
        }
    }
}

/// What a project changes in a facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Other lamps, or another schedule of lamps.
    Lighting,
    /// Other set-points, heating, cooling or ventilation.
    Climate,
    /// Other dehumidification.
    Dehumidification,
    /// Other pumps, or another schedule of water.
    Irrigation,
    /// Another way to grow: plant density, cultivar, carbon dioxide.
    Growing,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Lighting, Self::Climate, Self::Dehumidification, Self::Irrigation, Self::Growing];

    /// The name in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lighting => "lighting",
            Self::Climate => "climate",
            Self::Dehumidification => "dehumidification",
            Self::Irrigation => "irrigation",
            Self::Growing => "growing",
        }
    }

    /// Variables that the measure itself moves: with them in the model the saving would explain itself away.
    pub const fn moves(self) -> &'static [Variable] {
        match self {
            Self::Lighting => &[Variable::LampHours],
            Self::Climate | Self::Dehumidification => &[],
            Self::Irrigation => &[Variable::Irrigation],
            Self::Growing => &[Variable::Production, Variable::CanopyArea, Variable::Irrigation],
        }
    }
}

/// Which variables the contract allows for each of its measures.
///
/// * Shape: a measure that is not named allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The allowed variables of each measure.
    pub allowed: BTreeMap<Measure, Vec<Variable>>,
}

/// A variable that must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExogenous {
    /// The measure moves it.
    #[error("the measure {measure:?} moves {}, so it cannot tell what would have been used; take {instead}", variable.name())]
    MovedByMeasure {
        /// The variable.
        variable: Variable,
        /// The measure.
        measure: Measure,
        /// What to take.
        instead: &'static str,
    },
    /// The plan does not list it.
    #[error("the plan does not allow {} for the measure {measure:?}; agree on it before the baseline is signed", variable.name())]
    NotInPlan {
        /// The variable.
        variable: Variable,
        /// The measure.
        measure: Measure,
    },
    /// The plan has no measure, so nothing can be said about any variable.
    #[error("the plan names no measure; name what the project changes")]
    NoMeasure,
}

impl Plan {
    /// Refuses a variable that a measure moves, also when the plan lists it, and one that the plan does not list.
    ///
    /// With productivity elected, output may stand in the model although the growing measure moves it: the contract then
    /// pays for energy at the output that was reached.
    pub fn check(&self, variables: &[Variable], election: Election) -> Result<(), NotExogenous> {
        if self.allowed.is_empty() {
            return Err(NotExogenous::NoMeasure);
        }
        for (measure, allowed) in &self.allowed {
            for variable in variables {
                let elected = election == Election::Productivity && matches!(variable, Variable::Production | Variable::CanopyArea);
                if measure.moves().contains(variable) && !elected {
                    let instead = match variable {
                        Variable::LampHours => "the light target of the contract and the sun (light_demand)",
                        Variable::Irrigation => "canopy area or production",
                        _ => "the output of the baseline's relation, or elect productivity",
                    };
                    return Err(NotExogenous::MovedByMeasure { variable: *variable, measure: *measure, instead });
                }
                if !allowed.contains(variable) {
                    return Err(NotExogenous::NotInPlan { variable: *variable, measure: *measure });
                }
            }
        }
        Ok(())
    }
}

/// What the contract pays for when a measure changes the yield.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Election {
    /// Energy at the output that the baseline's relation gives.
    #[default]
    EnergyOnly,
    /// Energy at the output that was reached.
    Productivity,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(measure: Measure, allowed: &[Variable]) -> Plan {
        Plan { allowed: BTreeMap::from([(measure, allowed.to_vec())]) }
    }

    #[test]
    fn lamp_hours_cannot_explain_a_lighting_measure_even_when_the_plan_lists_them() {
        let plan = plan(Measure::Lighting, &[Variable::LampHours, Variable::LightDemand, Variable::Production]);
        assert_eq!(
            plan.check(&[Variable::LampHours], Election::EnergyOnly).unwrap_err().to_string(),
            "the measure Lighting moves lamp_hours, so it cannot tell what would have been used; take the light target of the contract and \
             the sun (light_demand)"
        );
        assert_eq!(plan.check(&[Variable::LightDemand, Variable::Production], Election::EnergyOnly), Ok(()));
        assert_eq!(
            plan.check(&[Variable::Irrigation], Election::EnergyOnly),
            Err(NotExogenous::NotInPlan { variable: Variable::Irrigation, measure: Measure::Lighting })
        );
    }

    #[test]
    fn output_stands_in_a_growing_measure_only_when_productivity_is_elected() {
        let plan = plan(Measure::Growing, &[Variable::Production]);
        assert!(plan.check(&[Variable::Production], Election::EnergyOnly).is_err());
        assert_eq!(plan.check(&[Variable::Production], Election::Productivity), Ok(()));
        assert_eq!(Plan::default().check(&[], Election::EnergyOnly), Err(NotExogenous::NoMeasure));
    }

    #[test]
    fn every_measure_of_a_plan_must_allow_a_variable() {
        let mut both = plan(Measure::Lighting, &[Variable::Irrigation]);
        both.allowed.insert(Measure::Irrigation, vec![Variable::Irrigation]);
        assert!(matches!(both.check(&[Variable::Irrigation], Election::EnergyOnly), Err(NotExogenous::MovedByMeasure { .. })));
    }
}
