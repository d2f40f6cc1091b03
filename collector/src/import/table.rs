//! Lines of a file, whatever its format.

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, civil};
use units::Unit;

use super::ImportError;

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    /// Without a zone.
    Local(civil::DateTime),
}

/// Why a time as it was written is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misplaced {
    #[error("has a time without a zone, and no zone was named")]
    NoZone,
    #[error("has the time {0}, which the clocks of its zone skip")]
    Skipped(civil::DateTime),
    #[error("has the time {0}, which the clocks of its zone show twice; write the offset")]
    Twice(civil::DateTime),
    #[error("has a time outside of the calendar: {0}")]
    Outside(civil::DateTime),
}

impl When {
    /// The moment. An hour that the clocks show twice is resolved by the moment `before` it in the file.
    pub(crate) fn place(self, zone: Option<&TimeZone>, before: Option<Timestamp>) -> Result<Timestamp, Misplaced> {
        let local = match self {
            Self::At(at) => return Ok(at),
            Self::Local(local) => local,
        };
        let at = zone.ok_or(Misplaced::NoZone)?.to_ambiguous_timestamp(local);
        let outside = |_| Misplaced::Outside(local);
        match at.offset() {
            AmbiguousOffset::Unambiguous { .. } => at.compatible().map_err(outside),
            AmbiguousOffset::Gap { .. } => Err(Misplaced::Skipped(local)),
            AmbiguousOffset::Fold { .. } => {
                let (earlier, later) = (at.earlier().map_err(outside)?, at.later().map_err(outside)?);
                match before {
                    Some(before) if before < earlier => Ok(earlier),
                    Some(before) if before < later => Ok(later),
                    _ => Err(Misplaced::Twice(local)),
                }
            }
        }
    }
}

/// A line, or what is wrong with its fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) when: Result<When, String>,
    pub(crate) value: Result<Option<f64>, String>,
}

/// A file, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) lines: Vec<Line>,
    /// The value column.
    pub(crate) column: String,
    /// What its name says of the unit.
    pub(crate) unit: Option<Unit>,
}

pub(crate) const TIME_COLUMNS: [&str; 4] = ["start", "t", "date", "timestamp"];
const VALUE_COLUMNS: [&str; 3] = ["value", "temp_f", "temp_c"];

/// Where the time and the value are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) time: usize,
    pub(crate) value: usize,
    pub(crate) name: String,
}

impl Columns {
    pub(crate) fn find(names: &[String], wanted: Option<&str>) -> Result<Self, ImportError> {
        let position = |name: &str| names.iter().position(|found| found == name);
        let found = || names.join(", ");
        let time = TIME_COLUMNS.into_iter().find_map(position).ok_or_else(|| ImportError::TimeColumn { found: found() })?;
        let value = match wanted {
            Some(wanted) => position(wanted),
            None => VALUE_COLUMNS.into_iter().find_map(position),
        };
        let missing = || ImportError::ValueColumn { wanted: wanted.unwrap_or("value, temp_f or temp_c").to_owned(), found: found() };
        let value = value.ok_or_else(missing)?;
        Ok(Self { time, value, name: names.get(value).cloned().unwrap_or_default() })
    }

    /// What the name of the value column says of its unit.
    pub(crate) fn unit(&self) -> Option<Unit> {
        match self.name.as_str() {
            "temp_f" => Some(Unit::Fahrenheit),
            "temp_c" => Some(Unit::Celsius),
            "energy_kwh" => Some(Unit::KilowattHour),
            _ => None,
        }
    }
}
