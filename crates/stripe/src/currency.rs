//! Stripe's lower-case currency codes and our [`Currency`].

use money::Currency;
use serde::Deserialize;

/// Reads a `currency` field.
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom(format!("currency `{text}` is not one we keep books in")))
}

pub(crate) fn parse(text: &str) -> Option<Currency> {
    Currency::ALL.into_iter().find(|currency| currency.code().eq_ignore_ascii_case(text))
}

/// The text of a `currency` parameter.
pub(crate) fn code(currency: Currency) -> String {
    currency.code().to_ascii_lowercase()
}
