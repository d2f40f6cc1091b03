//! Prices, and the only place where energy becomes money.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::{Currency, Money, MoneyError};

/// A price for energy.
///
/// * Unit: major units of the currency (dollars) per kilowatt-hour.
/// * Wire: the decimal as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Major units per kilowatt-hour.
    pub per_kwh: Decimal,
    /// The currency.
    pub currency: Currency,
}

impl Price {
    /// A price per kilowatt-hour, in major units.
    #[must_use]
    pub const fn per_kwh(per_kwh: Decimal, currency: Currency) -> Self {
        Self { per_kwh, currency }
    }
}

/// What so much energy costs, rounded once.
///
/// * Units: `energy_wh` in watt-hours; may be negative, and so is the amount then.
/// * Errors: [`MoneyError::Overflow`].
pub fn charge(energy_wh: i64, price: Price) -> Result<Money, MoneyError> {
    let amount = Decimal::from(energy_wh).checked_mul(price.per_kwh).ok_or(MoneyError::Overflow)?;
    round(amount / Decimal::ONE_THOUSAND, price.currency)
}

/// The amount in whole minor units: half a minor unit goes away from zero.
///
/// * Units: `amount` in major units.
pub fn round(amount: Decimal, currency: Currency) -> Result<Money, MoneyError> {
    let minor = amount.checked_mul(Decimal::from(10_i64.pow(currency.minor_digits()))).ok_or(MoneyError::Overflow)?;
    minor
        .round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero)
        .to_i64()
        .map(|minor| Money::new(minor, currency))
        .ok_or(MoneyError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rounding_half_away_from_zero() {
        let price = Price::per_kwh(Decimal::new(1250, 4), Currency::Usd);
        assert_eq!(charge(1_000, price).unwrap().minor, 13);
        assert_eq!(charge(-1_000, price).unwrap().minor, -13);
        assert_eq!(charge(83_456, price).unwrap().minor, 1_043);
        assert_eq!(charge(i64::MAX, Price::per_kwh(Decimal::MAX, Currency::Usd)), Err(MoneyError::Overflow));
    }
}
