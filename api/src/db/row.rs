//! Columns to our words.

use std::str::FromStr;

use money::{Currency, Money};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::DbError;

/// A column of text that reads as `T`: an identifier, a slug, a date, a state.
pub(super) fn word<T: FromStr>(row: &SqliteRow, column: &'static str, expected: &'static str) -> Result<T, DbError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| DbError::Malformed { column, found: text, expected })
}

/// As [`word`], of a column that may be null.
pub(super) fn maybe<T: FromStr>(row: &SqliteRow, column: &'static str, expected: &'static str) -> Result<Option<T>, DbError> {
    let Some(text) = row.try_get::<Option<String>, _>(column)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| DbError::Malformed { column, found: text, expected })
}

/// A column that holds a JSON document.
pub(super) fn document<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, DbError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|err| DbError::Document { column, err })
}

/// A document as the text of its column.
pub(super) fn text_of<T: serde::Serialize>(document: &T, column: &'static str) -> Result<String, DbError> {
    serde_json::to_string(document).map_err(|err| DbError::Document { column, err })
}

/// An amount from its two columns.
pub(super) fn money(row: &SqliteRow, amount: &'static str) -> Result<Money, DbError> {
    Ok(Money::new(row.try_get(amount)?, word::<Currency>(row, "currency", "a currency")?))
}

/// A word of a closed list.
pub(super) fn one_of<T>(
    row: &SqliteRow,
    column: &'static str,
    expected: &'static str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, DbError> {
    let text: String = row.try_get(column)?;
    find(&text).ok_or(DbError::Malformed { column, found: text, expected })
}
