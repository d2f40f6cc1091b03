//! Shapes that many answers share.

use money::{Currency, Money};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Kind, Problem};

/// An amount of money.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Amount {
    /// Whole minor units.
    #[schema(example = 123_456)]
    pub(crate) amount_minor: i64,
    /// The same as decimal text.
    #[schema(example = "1234.56")]
    pub(crate) amount_decimal: String,
    /// ISO 4217.
    #[schema(example = "USD")]
    pub(crate) currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount_minor: money.minor, amount_decimal: money.decimal_text(), currency: money.currency.code().to_owned() }
    }
}

/// The decimal text of stored minor units.
pub(crate) fn decimal(amount_minor: i64, currency: &str) -> String {
    currency.parse::<Currency>().map_or_else(|_| amount_minor.to_string(), |currency| Money::new(amount_minor, currency).decimal_text())
}

/// A name for people: not empty, not longer than a line.
pub(crate) fn name(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 {
        return Err(Problem::new(Kind::InvalidBody, format!("{field} takes 1 to 200 characters")));
    }
    Ok(text.to_owned())
}
