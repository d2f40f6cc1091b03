//! What a statement is made of, besides its contract.

use std::collections::BTreeMap;

use ids::StatementId;
use money::Money;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::beside::Beside;
use crate::line::Bills;
use crate::period::Period;
use crate::statement::Savings;

/// Avoided energy at one price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricedEnergy {
    /// The price period, as the tariff names it.
    pub label: String,
    /// Major units per kilowatt-hour.
    pub price_per_kwh: Decimal,
    /// Wh; negative when more was used.
    pub energy_wh: i64,
}

/// A charge of the supplier that is another with the saving than without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BilledCharge {
    /// The charge, as the rate names it.
    pub label: String,
    /// Both bills' amounts.
    pub bills: Bills,
}

/// What avoided energy is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Energy by price; sums to what was avoided.
    Priced(Vec<PricedEnergy>),
    /// The difference of two bills, charge by charge.
    Billed(Vec<BilledCharge>),
}

/// Everything that a statement says that the contract does not.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The statement's identifier.
    pub id: StatementId,
    /// The local days it covers.
    pub period: Period,
    /// What was measured.
    pub savings: Savings,
    /// What the avoided energy is worth.
    pub worth: Worth,
    /// The shortfall of earlier months; zero or negative.
    pub carried_in: Money,
    /// How far the savings may be believed, and what grew meanwhile.
    pub beside: Beside,
    /// SHA-256 of everything it was computed from, by name.
    pub inputs: BTreeMap<String, String>,
}
