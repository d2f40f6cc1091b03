//! Invoice numbers: a prefix, the year of issue, and a count without gaps.

use std::fmt;
use std::str::FromStr;

/// The number of an invoice, such as `NW-2026-000042`.
///
/// * Shape: the contract's prefix, the year of issue, and the count of the series (prefix and year), from 1.
/// * Law: the count moves in the issuing transaction, so a series has no gaps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceNumber {
    prefix: String,
    year: i16,
    count: u32,
}

/// A text or a part that makes no invoice number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The prefix is not one.
    #[error("`{0}` is not an invoice prefix: use 1 to 12 capital letters and digits")]
    Prefix(String),
    /// The year or the count is out of range.
    #[error("year {year}, count {count} is not an invoice number: years have four digits, counts begin at 1")]
    Count {
        /// The year.
        year: i16,
        /// The count.
        count: u32,
    },
    /// The text has another shape.
    #[error("`{0}` is not an invoice number such as NW-2026-000042")]
    Text(String),
}

impl InvoiceNumber {
    /// Whether a contract may use this prefix.
    pub fn check_prefix(prefix: &str) -> Result<(), NumberError> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if (1..=12).contains(&prefix.len()) && prefix.bytes().all(allowed) { Ok(()) } else { Err(NumberError::Prefix(prefix.to_owned())) }
    }

    /// Puts a number together.
    pub fn new(prefix: &str, year: i16, count: u32) -> Result<Self, NumberError> {
        Self::check_prefix(prefix)?;
        if !(1000..=9999).contains(&year) || count == 0 {
            return Err(NumberError::Count { year, count });
        }
        Ok(Self { prefix: prefix.to_owned(), year, count })
    }

    /// The series in which the count has no gaps: `NW-2026`.
    #[must_use]
    pub fn series(&self) -> String {
        format!("{}-{}", self.prefix, self.year)
    }

    /// The prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The year of issue.
    #[must_use]
    pub const fn year(&self) -> i16 {
        self.year
    }

    /// The count within the series.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }
}

impl fmt::Display for InvoiceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:06}", self.prefix, self.year, self.count)
    }
}

impl FromStr for InvoiceNumber {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let refused = || NumberError::Text(text.to_owned());
        let mut parts = text.split('-');
        let (Some(prefix), Some(year), Some(count), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(refused());
        };
        let year = year.parse().map_err(|_not_a_year| refused())?;
        let count = count.parse().map_err(|_not_a_count| refused())?;
        let number = Self::new(prefix, year, count)?;
        if number.to_string() == text { Ok(number) } else { Err(refused()) }
    }
}

ids::as_text!(InvoiceNumber);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back_and_one_spelling_only() {
        let number = InvoiceNumber::new("NW", 2026, 42).unwrap();
        assert_eq!(number.to_string(), "NW-2026-000042");
        assert_eq!(number.series(), "NW-2026");
        assert_eq!("NW-2026-000042".parse(), Ok(number));
        assert_eq!("NW-2026-1234567".parse::<InvoiceNumber>().unwrap().count(), 1_234_567);
        for bad in [
            "NW-2026-42",
            "NW-2026-000000",
            "nw-2026-000001",
            "NW-26-000001",
            "NW-2026",
            "-2026-000001",
            "NW-2026-+00001",
            "NW-2026-000001-1",
        ] {
            assert!(bad.parse::<InvoiceNumber>().is_err(), "{bad}");
        }
    }
}
