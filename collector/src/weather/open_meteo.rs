//! Open-Meteo: columns of an hourly answer, as JSON or as CSV.
//!
//! * Source: Open-Meteo's documentation of the weather API: times without a zone are local by `utc_offset_seconds`;
//!   temperatures, humidity and pressure are of the moment, irradiation is the mean of the hour that ends.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::observation::{Observation, Observations, Variable, Verdict};
use super::{StationSeen, WeatherFileError};

const PROVIDER: &str = "Open-Meteo";

#[derive(Debug, Deserialize)]
struct Answer {
    latitude: f64,
    longitude: f64,
    elevation: Option<f64>,
    #[serde(default)]
    utc_offset_seconds: i32,
    #[serde(default)]
    hourly_units: Map<String, Value>,
    hourly: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error: bool,
    reason: Option<String>,
}

/// What a column has: the variable, and how a value of it becomes ours.
struct Column {
    name: String,
    variable: Variable,
    is_fahrenheit: bool,
}

impl Column {
    fn of(name: &str, unit: &str) -> Result<Option<Self>, WeatherFileError> {
        let variable = match name {
            "temperature_2m" => Variable::Temperature,
            "dew_point_2m" | "dewpoint_2m" => Variable::DewPoint,
            "relative_humidity_2m" | "relativehumidity_2m" => Variable::Humidity,
            "surface_pressure" => Variable::Pressure,
            "shortwave_radiation" => Variable::Irradiation,
            _ => return Ok(None),
        };
        let known = match variable {
            Variable::Temperature | Variable::DewPoint => ["°C", "°F"].as_slice(),
            Variable::Humidity => &["%"],
            Variable::Pressure => &["hPa"],
            Variable::Irradiation => &["W/m²"],
        };
        if !known.contains(&unit) {
            return Err(WeatherFileError::Unit { column: name.to_owned(), unit: unit.to_owned() });
        }
        Ok(Some(Self { name: name.to_owned(), variable, is_fahrenheit: unit == "°F" }))
    }

    fn observation(&self, at: Timestamp, value: f64) -> Observation {
        let value = if self.is_fahrenheit { (value - 32.0) / 1.8 } else { value };
        // An hour is named by its beginning here.
        let back = if self.variable == Variable::Irradiation { SignedDuration::from_hours(1) } else { SignedDuration::ZERO };
        Observation { at: at.saturating_sub(back).unwrap_or(at), variable: self.variable, value, rank: 0 }
    }
}

fn station(latitude: f64, longitude: f64, elevation_m: Option<f64>) -> StationSeen {
    let id = format!("{latitude:.4},{longitude:.4}");
    StationSeen { id, name: "grid cell".to_owned(), place: Some((latitude, longitude)), elevation_m }
}

fn moment(text: &str, offset_seconds: i32) -> Option<Timestamp> {
    let local = text.parse::<civil::DateTime>().ok()?;
    let zone = TimeZone::fixed(Offset::from_seconds(offset_seconds).ok()?);
    local.to_zoned(zone).ok().map(|at| at.timestamp())
}

pub(super) fn json(body: &[u8]) -> Result<Observations, WeatherFileError> {
    if let Ok(Refusal { error: true, reason }) = serde_json::from_slice(body) {
        return Err(WeatherFileError::Provider { reason: reason.unwrap_or_else(|| "no reason".to_owned()) });
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|err| WeatherFileError::Json { provider: PROVIDER, err })?;
    let mut observations = Observations::new("open-meteo");
    observations.station = station(answer.latitude, answer.longitude, answer.elevation);
    let times = answer.hourly.get("time").and_then(Value::as_array);
    let times = times.ok_or(WeatherFileError::Column { provider: PROVIDER, column: "hourly.time" })?;
    observations.counts.rows = times.len() as u64;
    let mut moments = Vec::with_capacity(times.len());
    for (row, time) in (1..).zip(times) {
        let at = match time {
            Value::String(text) => moment(text, answer.utc_offset_seconds),
            // Unix times are in UTC, whatever the offset says.
            time => time.as_i64().and_then(|second| Timestamp::from_second(second).ok()),
        };
        if at.is_none() {
            observations.unreadable(row, "has no time");
        }
        moments.push(at);
    }
    for (name, values) in answer.hourly.iter().filter(|(name, _)| *name != "time") {
        let unit = answer.hourly_units.get(name).and_then(Value::as_str).unwrap_or_default();
        let (Some(column), Some(values)) = (Column::of(name, unit)?, values.as_array()) else { continue };
        if values.len() != moments.len() {
            return Err(WeatherFileError::Lengths { column: column.name, found: values.len(), times: moments.len() });
        }
        for (row, (at, value)) in (1..).zip(moments.iter().zip(values)) {
            match (at, value) {
                (None, _) | (_, Value::Null) => {}
                (Some(at), value) => match value.as_f64() {
                    Some(value) => observations.take(column.observation(*at, value), Verdict::Passed)?,
                    None => observations.unreadable(row, format!("has no number in {name}")),
                },
            }
        }
    }
    Ok(observations)
}

/// Two tables, one under the other: where it is, an empty line, and the hours.
pub(super) fn csv(body: &[u8]) -> Result<Observations, WeatherFileError> {
    let text = std::str::from_utf8(body).map_err(|_| WeatherFileError::Encoding)?;
    let mut lines = (1..).zip(text.lines().map(|line| line.trim_start_matches('\u{feff}').trim_end()));
    let missing = |column| WeatherFileError::Column { provider: PROVIDER, column };
    let where_it_is: Vec<&str> = lines.nth(1).map(|(_, line)| line.split(',').collect()).unwrap_or_default();
    let number = |index: usize| where_it_is.get(index).and_then(|field| field.parse::<f64>().ok()).filter(|value| value.is_finite());
    let mut observations = Observations::new("open-meteo");
    let (latitude, longitude) = number(0).zip(number(1)).ok_or_else(|| missing("latitude and longitude"))?;
    observations.station = station(latitude, longitude, number(2));
    let offset = where_it_is.get(3).and_then(|field| field.parse::<i32>().ok()).ok_or_else(|| missing("utc_offset_seconds"))?;
    let header = lines.find(|(_, line)| line.starts_with("time,")).map(|(_, line)| line).ok_or_else(|| missing("time"))?;
    let mut columns = Vec::new();
    for (index, head) in header.split(',').enumerate().skip(1) {
        // `temperature_2m (°C)`
        let (name, unit) = head.split_once(" (").unwrap_or((head, ""));
        if let Some(column) = Column::of(name, unit.trim_end_matches(')'))? {
            columns.push((index, column));
        }
    }
    for (row, line) in lines.filter(|(_, line)| !line.is_empty()) {
        observations.counts.rows += 1;
        let fields: Vec<&str> = line.split(',').collect();
        let time = fields.first().copied().unwrap_or_default();
        let unix = || time.parse::<i64>().ok().and_then(|second| Timestamp::from_second(second).ok());
        let Some(at) = moment(time, offset).or_else(unix) else {
            observations.unreadable(row, "has no time");
            continue;
        };
        for (index, column) in &columns {
            match fields.get(*index).map(|field| field.trim()) {
                None | Some("" | "NaN") => {}
                Some(field) => match field.parse::<f64>().ok().filter(|value| value.is_finite()) {
                    Some(value) => observations.take(column.observation(at, value), Verdict::Passed)?,
                    None => observations.unreadable(row, format!("has no number in {}", column.name)),
                },
            }
        }
    }
    Ok(observations)
}
