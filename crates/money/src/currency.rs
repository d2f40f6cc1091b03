//! Currencies we bill in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// United States dollar.
    Usd,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
    /// Canadian dollar.
    Cad,
    /// Australian dollar.
    Aud,
    /// Swiss franc.
    Chf,
    /// Japanese yen, which has no minor unit.
    Jpy,
}

/// A code that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a currency we bill in (USD, EUR, GBP, CAD, AUD, CHF, JPY)")]
pub struct CurrencyError(pub String);

impl Currency {
    /// Every currency.
    pub const ALL: [Self; 7] = [Self::Usd, Self::Eur, Self::Gbp, Self::Cad, Self::Aud, Self::Chf, Self::Jpy];

    /// The ISO 4217 code, in capitals.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Cad => "CAD",
            Self::Aud => "AUD",
            Self::Chf => "CHF",
            Self::Jpy => "JPY",
        }
    }

    /// How many decimals the minor unit has.
    #[must_use]
    pub const fn minor_digits(self) -> u32 {
        match self {
            Self::Jpy => 0,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(code: &str) -> Result<Self, CurrencyError> {
        Self::ALL.into_iter().find(|currency| currency.code().eq_ignore_ascii_case(code)).ok_or_else(|| CurrencyError(code.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decimals of the minor unit by ISO 4217, table A.1.
    #[test]
    fn codes_and_decimals_are_those_of_the_standard() {
        let standard = [("USD", 2), ("EUR", 2), ("GBP", 2), ("CAD", 2), ("AUD", 2), ("CHF", 2), ("JPY", 0)];
        assert_eq!(Currency::ALL.map(|currency| (currency.code(), currency.minor_digits())), standard);
        for currency in Currency::ALL {
            assert_eq!(currency.code().to_lowercase().parse(), Ok(currency), "the processor writes codes in small letters");
        }
        let refused = "XAU".parse::<Currency>().unwrap_err().to_string();
        assert_eq!(refused, "`XAU` is not a currency we bill in (USD, EUR, GBP, CAD, AUD, CHF, JPY)");
    }
}
