//! Plain CSV: a time, and `temp_c` or `temp_f`. A sensor of the facility's own says it so.

use jiff::tz::TimeZone;
use units::Unit;

use super::WeatherFileError;
use super::observation::{Observation, Observations, Variable, Verdict};
use crate::import::{Line, table_of_text};

pub(super) fn read(body: &[u8], zone: Option<&TimeZone>) -> Result<Observations, WeatherFileError> {
    let table = table_of_text(body, None)?;
    let is_fahrenheit = match table.unit {
        Some(Unit::Fahrenheit) => true,
        Some(Unit::Celsius) => false,
        _ => return Err(WeatherFileError::Column { provider: "a sensor", column: "temp_c or temp_f" }),
    };
    let (mut observations, mut before) = (Observations::new("csv"), None);
    for Line { number, when, value } in table.lines {
        observations.counts.rows += 1;
        let at = when.and_then(|when| when.place(zone, before).map_err(|err| err.to_string()));
        let found = at.and_then(|at| Ok((at, value?)));
        match found {
            Err(reason) => observations.unreadable(number, reason),
            Ok((at, value)) => {
                before = Some(at);
                let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                let value = if is_fahrenheit { (value - 32.0) / 1.8 } else { value };
                observations.take(Observation { at, variable: Variable::Temperature, value, rank: 0 }, Verdict::Passed)?;
            }
        }
    }
    Ok(observations)
}
