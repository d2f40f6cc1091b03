//! Global Historical Climatology Network, hourly: bars between the fields, and six fields to each variable.
//!
//! * Source: NOAA NCEI, "GHCNh documentation": times in UTC; a quality code of a digit is that of the older database
//!   (2 and 6 suspect, 3 and 7 erroneous), a letter is a test of the newer one that the value has failed.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::observation::{Observation, Observations, Variable, Verdict};
use super::{StationSeen, WeatherFileError};

const VARIABLES: [(Variable, &str); 4] = [
    (Variable::Temperature, "temperature"),
    (Variable::DewPoint, "dew_point_temperature"),
    (Variable::Humidity, "relative_humidity"),
    (Variable::Pressure, "sea_level_pressure"),
];
/// The files of a station have some 240 columns.
const COLUMNS_MAX: usize = 1_024;

pub(super) fn read(body: &[u8]) -> Result<Observations, WeatherFileError> {
    let text = std::str::from_utf8(body).map_err(|_| WeatherFileError::Encoding)?;
    let mut lines = (1..).zip(text.lines());
    let header = lines.next().map(|(_, line)| line.trim_start_matches('\u{feff}')).unwrap_or_default();
    // Capitals and names have changed between editions; their order too.
    let columns: HashMap<String, usize> =
        header.split('|').take(COLUMNS_MAX).enumerate().map(|(index, name)| (name.trim().to_lowercase(), index)).collect();
    let column = |names: &[&str]| names.iter().find_map(|name| columns.get(*name)).copied();
    let clock = Clock::of(&column).ok_or(WeatherFileError::Column { provider: "GHCNh", column: "DATE" })?;
    let mut variables = Vec::new();
    for (variable, name) in VARIABLES {
        if let Some(value) = column(&[name]) {
            let (code, report) = (format!("{name}_quality_code"), format!("{name}_report_type"));
            variables.push((variable, value, columns.get(&code).copied(), columns.get(&report).copied()));
        }
    }
    let place = [column(&["latitude"]), column(&["longitude"]), column(&["elevation"])];
    let names = [column(&["station", "station_id"]), column(&["station_name"])];
    let mut observations = Observations::new("noaa-ghcnh");
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        observations.counts.rows += 1;
        let fields: Vec<&str> = line.split('|').take(COLUMNS_MAX).map(str::trim).collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        let Some(at) = clock.read(&field) else {
            observations.unreadable(number, "has no time");
            continue;
        };
        if observations.station.id.is_empty() {
            let number = |index: Option<usize>| index.and_then(|index| field(index).parse::<f64>().ok()).filter(|value| value.is_finite());
            let text = |index: Option<usize>| index.map(|index| field(index).to_owned()).unwrap_or_default();
            let place = [number(place[0]), number(place[1]), number(place[2])];
            observations.station = StationSeen {
                id: text(names[0]),
                name: text(names[1]),
                place: place[0].zip(place[1]),
                elevation_m: place[2].filter(|elevation| *elevation > -999.0),
            };
        }
        for &(variable, value, code, report) in &variables {
            let text = field(value);
            if text.is_empty() {
                continue;
            }
            let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
                observations.unreadable(number, format!("has no number: `{}`", text.chars().take(20).collect::<String>()));
                continue;
            };
            // Nines stood for nothing in the sources.
            if value.abs() >= 999.0 && variable != Variable::Pressure || value.abs() >= 9_999.0 {
                continue;
            }
            let rank = match report.map(field) {
                Some("FM-15" | "FM-12" | "FM15" | "FM12") => 0,
                Some("FM-16" | "FM16") => 2,
                _ => 1,
            };
            let verdict = verdict(code.map(field).unwrap_or_default());
            observations.take(Observation { at, variable, value, rank }, verdict)?;
        }
    }
    Ok(observations)
}

fn verdict(code: &str) -> Verdict {
    match code {
        "2" | "6" => Verdict::Suspect,
        "3" | "7" => Verdict::Failed,
        // Letters that the older database gave to values that were put right.
        "" | "A" | "C" | "I" | "M" | "P" | "R" => Verdict::Passed,
        code if code.bytes().all(|byte| byte.is_ascii_digit()) => Verdict::Passed,
        _ => Verdict::Failed,
    }
}

/// Where the time is.
enum Clock {
    One(usize),
    Parts([usize; 5]),
}

impl Clock {
    fn of(column: &impl Fn(&[&str]) -> Option<usize>) -> Option<Self> {
        if let Some(date) = column(&["date"]) {
            return Some(Self::One(date));
        }
        let parts = [column(&["year"])?, column(&["month"])?, column(&["day"])?, column(&["hour"])?, column(&["minute"])?];
        Some(Self::Parts(parts))
    }

    fn read<'a>(&self, field: &impl Fn(usize) -> &'a str) -> Option<Timestamp> {
        let local = match self {
            Self::One(date) => {
                let text = field(*date);
                if let Ok(at) = text.parse::<Timestamp>() {
                    return Some(at);
                }
                text.parse::<civil::DateTime>().ok()?
            }
            Self::Parts([year, month, day, hour, minute]) => {
                let small = |index: usize| field(index).parse::<i8>().ok();
                civil::DateTime::new(field(*year).parse().ok()?, small(*month)?, small(*day)?, small(*hour)?, small(*minute)?, 0, 0).ok()?
            }
        };
        local.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
    }
}
