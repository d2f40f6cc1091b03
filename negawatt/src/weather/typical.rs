//! Typical years as observations of a year that somebody names.

use calculator::weather::{TypicalYear, WeatherError, epw, tmy3};
use collector::weather::{Counts, Observation, Observations, StationSeen, Variable};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, civil};

/// A typical year, if the file is one.
pub(super) fn read(text: &str) -> Option<Result<TypicalYear, WeatherError>> {
    let first = text.lines().next().unwrap_or_default();
    if first.starts_with("LOCATION,") {
        return Some(epw(text));
    }
    text.lines().nth(1).is_some_and(|header| header.contains("Date (MM/DD/YYYY)")).then(|| tmy3(text))
}

/// Its hours in a year, each named by its beginning, in the station's standard time. A leap day has none: it is filled in
/// like any gap.
pub(super) fn in_year(typical: &TypicalYear, year: i16) -> Option<Observations> {
    let station = typical.station();
    #[expect(clippy::cast_possible_truncation, reason = "at most fourteen hours")]
    let seconds = (station.utc_offset_hours.clamp(-14.0, 14.0) * 3_600.0).round() as i32;
    let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
    let mut values = Vec::with_capacity(2 * typical.hours().len());
    for hour in typical.hours() {
        let time = civil::Time::new(hour.hour.checked_sub(1)?, 0, 0, 0).ok()?;
        let at: Timestamp = civil::Date::new(year, hour.month, hour.day).ok()?.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp();
        values.push(Observation { at, variable: Variable::Temperature, value: hour.temperature_c, rank: 0 });
        if let Some(value) = hour.ghi_wh_m2 {
            values.push(Observation { at, variable: Variable::Irradiation, value, rank: 0 });
        }
    }
    let place = station.place;
    let seen = StationSeen {
        id: station.id.clone(),
        name: station.name.clone(),
        place: Some((place.latitude, place.longitude)),
        elevation_m: Some(place.elevation_m),
    };
    let counts = Counts { rows: typical.hours().len() as u64, ..Counts::default() };
    Some(Observations { provider: "typical-year", station: seen, values, counts, told: Vec::new() })
}
