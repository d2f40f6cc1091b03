//! One price for every kilowatt-hour.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{TariffError, checked_currency, checked_price};

/// One price for every kilowatt-hour.
///
/// * Wire: the price is a decimal string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Flat {
    name: String,
    currency: String,
    price_per_kwh: Decimal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    name: String,
    currency: String,
    price_per_kwh: Decimal,
}

impl TryFrom<Unchecked> for Flat {
    type Error = TariffError;

    fn try_from(read: Unchecked) -> Result<Self, TariffError> {
        Self::new(read.name, read.currency, read.price_per_kwh)
    }
}

impl Flat {
    /// * Units: currency per kWh.
    /// * Errors: no currency code, or a price that no amount could hold exactly.
    pub fn new(name: impl Into<String>, currency: impl Into<String>, price_per_kwh: Decimal) -> Result<Self, TariffError> {
        let (name, currency) = (name.into(), currency.into());
        checked_currency(&currency)?;
        checked_price(&name, price_per_kwh)?;
        Ok(Self { name, currency, price_per_kwh })
    }

    /// The tariff's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The code of its currency.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// The price.
    pub const fn price_per_kwh(&self) -> Decimal {
        self.price_per_kwh
    }
}
