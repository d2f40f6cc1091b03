//! EnergyPlus weather files.
//!
//! * Source: EnergyPlus, Auxiliary Programs, "Weather Converter Program": eight header lines, then 35 columns.

use super::station::Place;
use super::typical_year::{TypicalHour, TypicalYear};
use super::{Station, WeatherError, fields, number};

const HEADER_LINES: usize = 8;
const MONTH: usize = 1;
const DAY: usize = 2;
const HOUR: usize = 3;
const DRY_BULB: usize = 6;
const GHI: usize = 13;
/// What stands for no temperature, and for no irradiation.
const NO_TEMPERATURE: f64 = 99.9;
const NO_IRRADIATION: f64 = 9_999.0;

/// Reads a normal year.
///
/// * Units: dry-bulb temperature in °C, global horizontal irradiation in Wh/m² of the hour.
/// * Shape: hours of 29 February, which files of real years have, are left out.
/// * Errors: the first row that is not as the format has it.
pub fn epw(text: &str) -> Result<TypicalYear, WeatherError> {
    let location = text.lines().next().map_or_else(Vec::new, fields);
    let wrong = |problem: &str| WeatherError::Station { problem: problem.to_owned() };
    let ["LOCATION", name, state, country, _, id, _, _, _, _, ..] = location.as_slice() else {
        return Err(wrong("it must begin with LOCATION and have a city, a state, a country, a source, a WMO number and a place"));
    };
    let of = |index, what: &str| number(&location, index).ok_or_else(|| wrong(&format!("{what} is no number")));
    let station = Station {
        id: (*id).to_owned(),
        name: format!("{name}, {state}, {country}"),
        place: Place { latitude: of(6, "the latitude")?, longitude: of(7, "the longitude")?, elevation_m: of(9, "the elevation")? },
        utc_offset_hours: of(8, "the offset to UTC")?,
    };
    let mut hours = Vec::with_capacity(8_760);
    for (index, line) in text.lines().enumerate().skip(HEADER_LINES).filter(|(_, line)| !line.trim().is_empty()) {
        let row = fields(line);
        let problem = |problem: String| WeatherError::Row { line: index + 1, problem };
        let whole = |column: usize, what: &str| {
            row.get(column).and_then(|field| field.parse::<i8>().ok()).ok_or_else(|| problem(format!("its {what} is no number")))
        };
        let (month, day, hour) = (whole(MONTH, "month")?, whole(DAY, "day")?, whole(HOUR, "hour")?);
        if (month, day) == (2, 29) {
            continue;
        }
        let temperature_c = number(&row, DRY_BULB).filter(|value| *value < NO_TEMPERATURE);
        let temperature_c = temperature_c.ok_or_else(|| problem("it has no dry-bulb temperature".to_owned()))?;
        let ghi_wh_m2 = number(&row, GHI).filter(|value| *value < NO_IRRADIATION);
        hours.push((index + 1, TypicalHour { month, day, hour, temperature_c, ghi_wh_m2 }));
    }
    TypicalYear::new("epw", station, hours, text)
}
