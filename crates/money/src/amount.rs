//! An amount of money.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Currency;

/// Whole minor units (cents) of a currency. May be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: cents where there are cents.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// Arithmetic that has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies in one sum.
    #[error("cannot add {0} and {1}")]
    Currencies(Currency, Currency),
    /// More than 64 bits of minor units.
    #[error("amount beyond what 64 bits of minor units hold")]
    Overflow,
    /// Shares that are none.
    #[error("cannot split {0} by no shares")]
    NoShares(Money),
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing of a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum, in one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.minor.checked_add(other.minor).map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// The difference, in one currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.minor.checked_sub(other.minor).map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// The same amount the other way.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        self.minor.checked_neg().map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// The sum of many amounts of one currency.
    pub fn sum(currency: Currency, many: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        many.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// The amount as decimal text without the currency: `-12.05`, `300` for yen.
    #[must_use]
    pub fn decimal_text(self) -> String {
        let digits = self.currency.minor_digits();
        let sign = if self.minor < 0 { "-" } else { "" };
        let scale = 10_u64.pow(digits);
        let magnitude = self.minor.unsigned_abs();
        match usize::try_from(digits) {
            Ok(width) if width > 0 => format!("{sign}{}.{:0width$}", magnitude / scale, magnitude % scale),
            _ => format!("{sign}{magnitude}"),
        }
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Currencies(self.currency, other.currency)) }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal_text(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(Money::new(-1_205, Currency::Usd).to_string(), "-12.05 USD");
        assert_eq!(Money::new(7, Currency::Eur).to_string(), "0.07 EUR");
        assert_eq!(Money::new(300, Currency::Jpy).to_string(), "300 JPY");
        assert_eq!(Money::new(-5, Currency::Chf).to_string(), "-0.05 CHF");
        assert_eq!(Money::new(i64::MIN, Currency::Usd).decimal_text(), "-92233720368547758.08");
    }

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        let (dollars, euros) = (Money::new(1, Currency::Usd), Money::new(1, Currency::Eur));
        assert_eq!(dollars.checked_add(euros), Err(MoneyError::Currencies(Currency::Usd, Currency::Eur)));
        assert_eq!(dollars.checked_sub(euros), Err(MoneyError::Currencies(Currency::Usd, Currency::Eur)));
        assert_eq!(Money::new(i64::MAX, Currency::Usd).checked_add(dollars), Err(MoneyError::Overflow));
        assert_eq!(Money::new(i64::MIN, Currency::Usd).checked_sub(dollars), Err(MoneyError::Overflow));
        assert_eq!(Money::new(i64::MIN, Currency::Usd).checked_neg(), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn a_difference_and_what_was_taken_away_are_the_amount(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000, currency in prop::sample::select(Currency::ALL.to_vec())) {
            let (amount, part) = (Money::new(a, currency), Money::new(b, currency));
            let rest = amount.checked_sub(part).unwrap();
            prop_assert_eq!(rest.minor, a - b);
            prop_assert_eq!(rest.checked_add(part), Ok(amount));
            prop_assert_eq!(part.checked_neg().and_then(|other| amount.checked_add(other)), Ok(rest));
            prop_assert_eq!(Money::sum(currency, [part, rest]), Ok(amount));
            // The text says the same number.
            let digits: String = amount.decimal_text().chars().filter(|character| *character != '.').collect();
            prop_assert_eq!(digits.parse::<i64>(), Ok(a));
        }
    }
}
