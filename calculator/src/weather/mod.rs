//! Weather that a comparison rests on: normal years, the choice of a station, and where each number came from.
//!
//! A normal year is twelve months of real hours, chosen from many years because they are usual. It is read from text that
//! somebody else fetched; the text's SHA-256 goes with it, so that a revised file is noticed years later.

mod epw;
mod provenance;
mod station;
mod tmy3;
mod typical_year;

pub use epw::epw;
pub use provenance::{Changed, Provenance};
pub use station::{Candidate, Choice, Grade, Place, Rejected, choose, kilometres};
pub use tmy3::tmy3;
pub use typical_year::{Typical, TypicalHour, TypicalYear};

use serde::{Deserialize, Serialize};

/// A weather station.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// Its identifier at its provider.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Hours that its standard time is ahead of UTC.
    pub utc_offset_hours: f64,
}

/// Text that is no normal year.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeatherError {
    /// The first line does not name the station.
    #[error("line 1 does not name a station: {problem}")]
    Station {
        /// What is wrong.
        problem: String,
    },
    /// A column is missing.
    #[error("line 2 has no column {column:?}")]
    Column {
        /// The column.
        column: &'static str,
    },
    /// A row that cannot be read.
    #[error("line {line}: {problem}")]
    Row {
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// An hour is missing, or there are more than a year has.
    #[error("the file has {found} hours of a year without a leap day, not 8760")]
    Hours {
        /// How many were read.
        found: usize,
    },
}

/// The fields of a line; a comma inside quotes is text.
fn fields(line: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let (mut rest, mut quoted, mut start) = (line.char_indices(), false, 0);
    loop {
        match rest.next() {
            Some((_, '"')) => quoted = !quoted,
            Some((at, ',')) if !quoted => {
                fields.push(trimmed(line, start, at));
                start = at + 1;
            }
            None => {
                fields.push(trimmed(line, start, line.len()));
                return fields;
            }
            Some(_) => {}
        }
    }
}

fn trimmed(line: &str, from: usize, to: usize) -> &str {
    line.get(from..to).unwrap_or_default().trim().trim_matches('"').trim()
}

/// A finite number in a field.
fn number(fields: &[&str], index: usize) -> Option<f64> {
    fields.get(index)?.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests;
