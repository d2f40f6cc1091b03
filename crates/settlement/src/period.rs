//! The local days that a statement covers.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Local days from the first to the one before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Period {
    first: Date,
    end: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    first: Date,
    end: Date,
}

/// A period without a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a period from {first} to before {end} has no day")]
pub struct PeriodError {
    /// The first day.
    pub first: Date,
    /// The day after the last.
    pub end: Date,
}

impl TryFrom<Unchecked> for Period {
    type Error = PeriodError;

    fn try_from(read: Unchecked) -> Result<Self, PeriodError> {
        Self::new(read.first, read.end)
    }
}

impl Period {
    /// The days from `first` to the one before `end`.
    pub fn new(first: Date, end: Date) -> Result<Self, PeriodError> {
        if first < end { Ok(Self { first, end }) } else { Err(PeriodError { first, end }) }
    }

    /// The first day.
    #[must_use]
    pub const fn first(self) -> Date {
        self.first
    }

    /// The day after the last.
    #[must_use]
    pub const fn end(self) -> Date {
        self.end
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.end.yesterday().unwrap_or(self.first))
    }
}
