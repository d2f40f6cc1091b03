//! A normal year as a file has it: a typical meteorological year.

use jiff::civil::date;
use serde::{Deserialize, Serialize};

use super::provenance::sha256;
use super::{Station, WeatherError};
use crate::baseline::TemperatureUnit;

/// One hour of a normal year, in the station's standard time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TypicalHour {
    /// The month, 1 to 12.
    pub month: i8,
    /// The day of the month.
    pub day: i8,
    /// The hour that ends with this number, 1 to 24.
    pub hour: i8,
    /// Dry-bulb temperature, °C.
    pub temperature_c: f64,
    /// Global horizontal irradiation, Wh/m², where the file has it.
    pub ghi_wh_m2: Option<f64>,
}

/// A year of usual weather: 8,760 hours from January to December.
#[derive(Clone, Debug, PartialEq)]
pub struct TypicalYear {
    format: &'static str,
    station: Station,
    hours: Vec<TypicalHour>,
    sha256: String,
}

/// What a typical year was and where it came from, for a result that rests on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Typical {
    /// The format of the file.
    pub format: String,
    /// The station.
    pub station: Station,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl TypicalYear {
    /// * Shape: hours with their line, in order, none missing.
    pub(super) fn new(format: &'static str, station: Station, hours: Vec<(usize, TypicalHour)>, text: &str) -> Result<Self, WeatherError> {
        let found = hours.len();
        let mut expected = date(2001, 1, 1).series(jiff::Span::new().days(1)).flat_map(|day| (1..=24).map(move |hour| (day, hour)));
        for (line, hour) in &hours {
            // A year without a leap day, whatever years its months were taken from.
            let Some((day, ends)) = expected.next().filter(|(day, _)| day.year() == 2001) else {
                return Err(WeatherError::Hours { found });
            };
            if (hour.month, hour.day, hour.hour) != (day.month(), day.day(), ends) {
                let problem = format!(
                    "month {}, day {}, hour {} follows where month {}, day {}, hour {ends} should",
                    hour.month,
                    hour.day,
                    hour.hour,
                    day.month(),
                    day.day()
                );
                return Err(WeatherError::Row { line: *line, problem });
            }
        }
        if found != 8_760 {
            return Err(WeatherError::Hours { found });
        }
        Ok(Self { format, station, hours: hours.into_iter().map(|(_, hour)| hour).collect(), sha256: sha256(text.as_bytes()) })
    }

    /// The station.
    pub const fn station(&self) -> &Station {
        &self.station
    }

    /// Its hours.
    pub fn hours(&self) -> &[TypicalHour] {
        &self.hours
    }

    /// What it was and where it came from.
    pub fn source(&self) -> Typical {
        Typical { format: self.format.to_owned(), station: self.station.clone(), sha256: self.sha256.clone() }
    }

    /// The mean of each of its 365 days, °C.
    pub fn daily_means_c(&self) -> Vec<f64> {
        self.hours.chunks(24).map(|day| day.iter().map(|hour| hour.temperature_c).sum::<f64>() / 24.0).collect()
    }

    /// Its temperatures, °F, hour by hour: what [`crate::savings::normal_days`] and [`crate::savings::normal_hours`] take.
    pub fn hourly_f(&self) -> Vec<f64> {
        self.hours.iter().map(|hour| TemperatureUnit::Celsius.to_fahrenheit(hour.temperature_c)).collect()
    }
}
