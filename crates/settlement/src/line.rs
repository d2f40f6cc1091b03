//! The lines of an invoice.

use money::Money;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What a line is about. On paper the lines stand in the order of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Avoided energy at a price.
    Savings,
    /// The shortfall of earlier months; negative.
    CarriedIn,
    /// The shortfall that goes to later months; positive, so that this month ends at zero.
    CarriedOut,
    /// The shortfall that is forgotten; positive, so that this month ends at zero.
    Floored,
    /// What the facility keeps of the savings; negative.
    Retained,
    /// A fixed amount.
    Fee,
}

/// A line of an invoice. The amounts of the lines sum to the total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What it is about.
    pub kind: LineKind,
    /// What the reader sees.
    pub description: String,
    /// Avoided energy, Wh, where the line has energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_wh: Option<i64>,
    /// Major units per kilowatt-hour, where the line has a price; a decimal string on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_kwh: Option<Decimal>,
    /// What the supplier would have billed and what it billed, where the line is the difference of two bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bills: Option<Bills>,
    /// What it adds to the total.
    pub amount: Money,
}

/// A charge of two bills under one rate.
///
/// * Units: major units of the currency, exact; decimal strings on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bills {
    /// What would have been charged.
    pub counterfactual: Decimal,
    /// What was charged.
    pub measured: Decimal,
}
