//! Reading what is around a point, for the technician who sees another number on the display.

use std::time::Duration;

use devices::Profile;

use super::{
    hypotheses::{Hypothesis, REACH, Window, explain_display},
    reader::Reader,
};
use crate::modbus::{BusError, Endpoint};

/// Registers that a number of the widest type takes.
const WIDEST: u16 = 4;

/// Why no hypothesis can be made.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// The profile has no such point.
    #[error("profile {profile} has no point `{point}`")]
    UnknownPoint {
        /// The profile.
        profile: String,
        /// What was asked for.
        point: String,
    },
    /// The display's text is no number.
    #[error("`{0}` is not what a display shows: write a number such as 230.1")]
    Shown(String),
    /// The registers could not be read.
    #[error("the registers around the point could not be read")]
    Bus(#[source] BusError),
}

/// Reads the registers around a point and says which change of the profile makes them what the display shows.
///
/// * Errors: no such point, no number, no answer.
pub async fn compare_with_display(
    endpoint: &Endpoint,
    unit: u8,
    profile: &Profile,
    point: &str,
    shown: &str,
) -> Result<Vec<Hypothesis>, DisplayError> {
    let unknown = || DisplayError::UnknownPoint { profile: profile.id().to_owned(), point: point.to_owned() };
    let point = profile.point(point).ok_or_else(unknown)?;
    let value: f64 = shown.trim().parse().map_err(|_err| DisplayError::Shown(shown.to_owned()))?;
    let decimals = shown.trim().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let timing = profile.timing();
    let millis = |ms: u32| Duration::from_millis(u64::from(ms));
    let mut reader = Reader::new(endpoint, unit, millis(timing.timeout_ms), millis(timing.gap_ms));
    let width = point.encoding.words();
    // Devices refuse reads that leave their map: the widest look first, then less and less.
    let mut refused = None;
    for (before, after) in [(REACH, REACH + WIDEST), (1, WIDEST), (2, width), (0, width + 2), (0, width)] {
        let first = point.address.saturating_sub(before);
        let count = (point.address - first + after.max(width)).min(profile.max_registers());
        match reader.registers(point.table.function(), first, count).await {
            Ok(words) => {
                return Ok(explain_display(&Window { first, words }, point, value, u32::try_from(decimals).unwrap_or(0)));
            }
            Err(err) if err.is_answer() => refused = Some(err),
            Err(err) => return Err(DisplayError::Bus(err)),
        }
    }
    refused.map_or(Ok(Vec::new()), |err| Err(DisplayError::Bus(err)))
}
