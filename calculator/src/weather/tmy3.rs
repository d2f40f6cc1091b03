//! Typical meteorological years of the third edition, as comma-separated text.
//!
//! * Source: NREL/TP-581-43156, section 3: the station in the first line, names and units of columns in the second.

use super::station::Place;
use super::typical_year::{TypicalHour, TypicalYear};
use super::{Station, WeatherError, fields, number};

/// What stands for no value.
const MISSING: f64 = -9_900.0;

/// Reads a normal year.
///
/// * Units: dry-bulb temperature in °C, global horizontal irradiation in Wh/m² of the hour.
/// * Errors: the first line, column or row that is not as the format has it.
pub fn tmy3(text: &str) -> Result<TypicalYear, WeatherError> {
    let mut lines = text.lines().enumerate();
    let station = lines.next().map_or_else(Vec::new, |(_, line)| fields(line));
    let wrong = |problem: &str| WeatherError::Station { problem: problem.to_owned() };
    let [id, name, state, _, _, _, _, ..] = station.as_slice() else {
        return Err(wrong("it needs an identifier, a name, a state, an offset to UTC, a latitude, a longitude and an elevation"));
    };
    let of = |index, what: &str| number(&station, index).ok_or_else(|| wrong(&format!("{what} is no number")));
    let station = Station {
        id: (*id).to_owned(),
        name: format!("{name}, {state}"),
        utc_offset_hours: of(3, "the offset to UTC")?,
        place: Place { latitude: of(4, "the latitude")?, longitude: of(5, "the longitude")?, elevation_m: of(6, "the elevation")? },
    };
    let header = lines.next().map_or_else(Vec::new, |(_, line)| fields(line));
    let column = |name: &'static str| header.iter().position(|column| *column == name).ok_or(WeatherError::Column { column: name });
    let (date, time) = (column("Date (MM/DD/YYYY)")?, column("Time (HH:MM)")?);
    let (dry_bulb, ghi) = (column("Dry-bulb (C)")?, column("GHI (W/m^2)")?);
    let mut hours = Vec::with_capacity(8_760);
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row = fields(line);
        let problem = |problem: &str| WeatherError::Row { line: index + 1, problem: problem.to_owned() };
        let mut parts = row.get(date).copied().unwrap_or_default().split('/').map(str::parse::<i8>);
        let (Some(Ok(month)), Some(Ok(day))) = (parts.next(), parts.next()) else {
            return Err(problem("its date is not MM/DD/YYYY"));
        };
        let hour = row.get(time).and_then(|time| time.split(':').next()).and_then(|hour| hour.parse::<i8>().ok());
        let hour = hour.ok_or_else(|| problem("its time is not HH:MM"))?;
        let present = |value: f64| value > MISSING;
        let temperature_c =
            number(&row, dry_bulb).filter(|value| present(*value)).ok_or_else(|| problem("it has no dry-bulb temperature"))?;
        hours.push((
            index + 1,
            TypicalHour { month, day, hour, temperature_c, ghi_wh_m2: number(&row, ghi).filter(|value| present(*value)) },
        ));
    }
    TypicalYear::new("tmy3", station, hours, text)
}
