//! Prices, and the only place where energy becomes money.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Currency, Money, MoneyError, rounding::nearest};

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
/// The product is exact in integers: a decimal would be rounded to 28 places on the way, which is one rounding too many.
///
/// * Units: `energy_wh` in watt-hours; may be negative, and so is the amount then. Half a minor unit goes to the even neighbour.
/// * Errors: [`MoneyError::Overflow`].
pub fn charge(energy_wh: i64, price: Price) -> Result<Money, MoneyError> {
    let per_kwh = price.per_kwh.normalize();
    let minor_units = 10_i128.pow(price.currency.minor_digits());
    let product = i128::from(energy_wh).checked_mul(per_kwh.mantissa()).and_then(|product| product.checked_mul(minor_units));
    let product = product.ok_or(MoneyError::Overflow)?;
    let divisor = 1_000 * 10_i128.pow(per_kwh.scale());
    i64::try_from(nearest(product, divisor)).map(|minor| Money::new(minor, price.currency)).map_err(|_too_large| MoneyError::Overflow)
}

/// An exact amount of major units, rounded once.
///
/// * Units: half a minor unit goes to the even neighbour.
/// * Errors: [`MoneyError::Overflow`].
pub fn rounded(major: Decimal, currency: Currency) -> Result<Money, MoneyError> {
    let major = major.normalize();
    let minor = major.mantissa().checked_mul(10_i128.pow(currency.minor_digits())).ok_or(MoneyError::Overflow)?;
    let minor = nearest(minor, 10_i128.pow(major.scale()));
    i64::try_from(minor).map(|minor| Money::new(minor, currency)).map_err(|_too_large| MoneyError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_rounding_half_to_even() {
        let price = Price::per_kwh(Decimal::new(1250, 4), Currency::Usd);
        assert_eq!(charge(1_000, price).unwrap().minor, 12, "12.5 cents");
        assert_eq!(charge(-1_000, price).unwrap().minor, -12);
        assert_eq!(charge(3_000, price).unwrap().minor, 38, "37.5 cents");
        assert_eq!(charge(83_456, price).unwrap().minor, 1_043);
        let even = Price::per_kwh(Decimal::new(45, 3), Currency::Usd);
        assert_eq!((charge(100, even).unwrap().minor, charge(-100, even).unwrap().minor), (0, 0), "0.45 cents");
        assert_eq!((charge(1_000, even).unwrap().minor, charge(-1_000, even).unwrap().minor), (4, -4), "4.5 cents");
        assert_eq!(charge(1_000, Price::per_kwh(Decimal::new(125, 1), Currency::Jpy)).unwrap().minor, 12, "a yen has no cents");
        assert_eq!(charge(i64::MAX, Price::per_kwh(Decimal::MAX, Currency::Usd)), Err(MoneyError::Overflow));
    }

    #[test]
    fn an_exact_amount_is_rounded_once_half_to_even() {
        let of = |text: &str, currency| rounded(text.parse().unwrap(), currency).unwrap().minor;
        assert_eq!((of("1.005", Currency::Usd), of("1.015", Currency::Usd), of("-1.005", Currency::Usd)), (100, 102, -100));
        assert_eq!((of("12.3456789", Currency::Usd), of("12.5", Currency::Jpy), of("0", Currency::Usd)), (1_235, 12, 0));
        assert_eq!(rounded(Decimal::MAX, Currency::Usd), Err(MoneyError::Overflow));
    }

    /// A decimal of 28 places is rounded on its way through a multiplication or a division: that would be a second rounding.
    #[test]
    fn a_price_of_many_places_is_not_rounded_before_the_amount_is() {
        let just_below: Decimal = "4.9999999999999999999999999995".parse().unwrap();
        assert_eq!(charge(1, Price::per_kwh(just_below, Currency::Usd)).unwrap().minor, 0, "0.4999… cents are none");
        assert_eq!(charge(-1, Price::per_kwh(just_below, Currency::Usd)).unwrap().minor, 0);
        let third: Decimal = "0.3333333333333333333333333333".parse().unwrap();
        assert_eq!(charge(15, Price::per_kwh(third, Currency::Usd)).unwrap().minor, 0, "15 × 0.333… stays below half a cent");
    }

    proptest! {
        /// The amount is the exact product to half a minor unit, in every currency, and changes its sign with the energy.
        #[test]
        fn a_charge_is_the_nearest_minor_unit(
            wh in -10_000_000_000_i64..10_000_000_000,
            mantissa in 0_i64..1_000_000_000,
            places in 0_u32..=10,
            currency in prop::sample::select(Currency::ALL.to_vec()),
        ) {
            let price = Price::per_kwh(Decimal::new(mantissa, places), currency);
            let amount = charge(wh, price).unwrap();
            let scale = i128::from(1_000_i64) * 10_i128.pow(places);
            let exact = i128::from(wh) * i128::from(mantissa) * 10_i128.pow(currency.minor_digits());
            let twice_off = 2 * (i128::from(amount.minor) * scale - exact);
            prop_assert!(twice_off.abs() <= scale);
            prop_assert!(twice_off.abs() < scale || amount.minor % 2 == 0, "a half goes to the even neighbour");
            prop_assert_eq!(charge(-wh, price).unwrap(), amount.checked_neg().unwrap());
        }
    }
}
