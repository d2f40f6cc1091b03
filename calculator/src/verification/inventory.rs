//! What does not vary, and what is to be done when it does.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::events::is_sha256;

/// One thing that the baseline takes for granted: an area, a number of lamps, a setpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticFactor {
    /// What.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How much of it.
    pub value: f64,
    /// How much more or less is the same.
    pub tolerance: f64,
    /// SHA-256 of the document that shows it, in hexadecimal.
    pub evidence: String,
    /// The first day it was so.
    pub valid_from: Date,
    /// The day it ended; open when `None`.
    pub valid_to: Option<Date>,
    /// What the parties agreed in advance that a change means.
    pub formula: Option<AgreedFormula>,
}

/// Energy of a change that was agreed in advance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreedFormula {
    /// Watts of one unit of the factor.
    pub watts_per_unit: f64,
    /// Hours of a day that it runs.
    pub hours_per_day: f64,
}

/// A change beyond the tolerance, which somebody must explain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ticket {
    /// Of what.
    pub factor: String,
    /// Its unit.
    pub unit: String,
    /// What it was.
    pub before: f64,
    /// What it is.
    pub now: f64,
    /// The day it was seen.
    pub seen_on: Date,
    /// Wh a day that the agreed formula gives for it.
    pub agreed_wh_per_day: Option<f64>,
}

/// An inventory that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Two of one name hold on one day.
    #[error("the static factor `{0}` has two values from {1} on; end the one before the other begins")]
    Overlap(String, Date),
    /// Values that are none, or no evidence.
    #[error(
        "the static factor `{0}` needs a name, a unit, finite values, a tolerance of at least 0, evidence by its SHA-256 and an end after its beginning"
    )]
    Invalid(String),
    /// Nothing of this name is in it on that day.
    #[error("the inventory has no static factor `{0}` on {1}")]
    Unknown(String, Date),
    /// A reading that is no number.
    #[error("`{0}` cannot be compared with what is no finite number")]
    NotFinite(String),
}

/// Everything that the baseline takes for granted, with what it was before; a change adds a version and removes none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<StaticFactor>", into = "Vec<StaticFactor>")]
pub struct Inventory(Vec<StaticFactor>);

impl TryFrom<Vec<StaticFactor>> for Inventory {
    type Error = InventoryError;

    fn try_from(factors: Vec<StaticFactor>) -> Result<Self, InventoryError> {
        for (index, factor) in factors.iter().enumerate() {
            let numbers =
                [factor.value, factor.tolerance].into_iter().chain(factor.formula.iter().flat_map(|f| [f.watts_per_unit, f.hours_per_day]));
            let holds = !factor.name.trim().is_empty()
                && !factor.unit.trim().is_empty()
                && numbers.into_iter().all(f64::is_finite)
                && factor.tolerance >= 0.0
                && is_sha256(&factor.evidence)
                && factor.valid_to.is_none_or(|end| end > factor.valid_from);
            if !holds {
                return Err(InventoryError::Invalid(factor.name.clone()));
            }
            let overlaps = |other: &StaticFactor| {
                let (one, two) = if other.valid_from <= factor.valid_from { (other, factor) } else { (factor, other) };
                other.name == factor.name && one.valid_to.is_none_or(|end| end > two.valid_from)
            };
            if let Some(other) = factors.iter().take(index).find(|other| overlaps(other)) {
                return Err(InventoryError::Overlap(factor.name.clone(), factor.valid_from.max(other.valid_from)));
            }
        }
        Ok(Self(factors))
    }
}

impl From<Inventory> for Vec<StaticFactor> {
    fn from(inventory: Inventory) -> Self {
        inventory.0
    }
}

impl Inventory {
    /// Every version of every factor.
    pub fn factors(&self) -> &[StaticFactor] {
        &self.0
    }

    /// What held on a day.
    pub fn on(&self, name: &str, date: Date) -> Option<&StaticFactor> {
        let holds =
            |factor: &&StaticFactor| factor.name == name && factor.valid_from <= date && factor.valid_to.is_none_or(|end| date < end);
        self.0.iter().find(holds)
    }

    /// Compares what somebody found with what is taken for granted; a ticket where the difference is beyond the tolerance.
    ///
    /// * Errors: a factor that is not in the inventory on that day, a value that is none.
    pub fn compare(&self, name: &str, now: f64, date: Date) -> Result<Option<Ticket>, InventoryError> {
        if !now.is_finite() {
            return Err(InventoryError::NotFinite(name.to_owned()));
        }
        let factor = self.on(name, date).ok_or_else(|| InventoryError::Unknown(name.to_owned(), date))?;
        let change = now - factor.value;
        Ok((change.abs() > factor.tolerance).then(|| Ticket {
            factor: factor.name.clone(),
            unit: factor.unit.clone(),
            before: factor.value,
            now,
            seen_on: date,
            agreed_wh_per_day: factor.formula.map(|formula| change * formula.watts_per_unit * formula.hours_per_day),
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn lamps(value: f64, from: i8, to: Option<i8>) -> StaticFactor {
        StaticFactor {
            name: "lamps in hall 3".to_owned(),
            unit: "piece".to_owned(),
            value,
            tolerance: 5.0,
            evidence: "a".repeat(64),
            valid_from: date(2025, 1, from),
            valid_to: to.map(|day| date(2025, 1, day)),
            formula: Some(AgreedFormula { watts_per_unit: 600.0, hours_per_day: 16.0 }),
        }
    }

    #[test]
    fn a_change_beyond_the_tolerance_opens_a_ticket_with_the_agreed_energy() {
        let inventory = Inventory::try_from(vec![lamps(500.0, 1, Some(10)), lamps(520.0, 10, None)]).unwrap();
        let name = "lamps in hall 3";
        assert_eq!(inventory.compare(name, 505.0, date(2025, 1, 9)).unwrap(), None);
        let ticket = inventory.compare(name, 505.0, date(2025, 1, 10)).unwrap().unwrap();
        assert_eq!((ticket.before.to_bits(), ticket.now.to_bits()), (520.0_f64.to_bits(), 505.0_f64.to_bits()));
        assert!(ticket.agreed_wh_per_day.is_some_and(|wh| (wh + 144_000.0).abs() < 1e-9));
        assert_eq!(
            inventory.compare("screens", 1.0, date(2025, 1, 9)).unwrap_err().to_string(),
            "the inventory has no static factor `screens` on 2025-01-09"
        );
        assert!(inventory.compare(name, f64::NAN, date(2025, 1, 9)).is_err());
    }

    #[test]
    fn an_inventory_that_contradicts_itself_is_refused_also_from_json() {
        let refused = |factors: Vec<StaticFactor>| Inventory::try_from(factors).unwrap_err().to_string();
        assert!(refused(vec![lamps(500.0, 1, Some(11)), lamps(520.0, 10, None)]).contains("two values from 2025-01-10"));
        assert!(refused(vec![lamps(520.0, 10, None), lamps(500.0, 1, None)]).contains("two values"));
        for broken in [
            StaticFactor { evidence: "none".to_owned(), ..lamps(1.0, 1, None) },
            StaticFactor { tolerance: -1.0, ..lamps(1.0, 1, None) },
            StaticFactor { unit: String::new(), ..lamps(1.0, 1, None) },
            lamps(f64::INFINITY, 1, None),
            lamps(1.0, 5, Some(5)),
        ] {
            assert!(refused(vec![broken]).contains("needs a name"));
        }
        let text = serde_json::to_string(&Inventory::try_from(vec![lamps(500.0, 1, None)]).unwrap()).unwrap();
        assert!(serde_json::from_str::<Inventory>(&text).is_ok());
        assert!(serde_json::from_str::<Inventory>(&text.replace("piece", " ")).is_err());
    }
}
