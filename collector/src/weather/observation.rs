//! What a station observed, and what of a file could not be used.

use jiff::Timestamp;
use serde::Serialize;
use units::Unit;

use super::WeatherFileError;

/// Observations of one file: a hundred years of hours, or ten of every five minutes.
pub(super) const OBSERVATIONS_MAX: usize = 4_000_000;
/// Lines that are told one by one; all are counted.
const TOLD_MAX: usize = 100;

/// From 1930 to 2100: one digit of a year that is wrong must not make a century of missing hours.
const YEARS_S: std::ops::Range<i64> = -1_262_304_000..4_102_444_800;

/// What is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    /// Dry-bulb temperature, °C.
    Temperature,
    /// Dew point, °C.
    DewPoint,
    /// Relative humidity, %.
    Humidity,
    /// Pressure at the station or reduced to the sea, as its provider has it, hPa.
    Pressure,
    /// Global irradiation on a horizontal plane, the mean of the hour that begins with the time, W/m².
    Irradiation,
}

impl Variable {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Temperature, Self::DewPoint, Self::Humidity, Self::Pressure, Self::Irradiation];

    /// The point that its readings are of.
    #[must_use]
    pub const fn point(self) -> &'static str {
        match self {
            Self::Temperature => "temp",
            Self::DewPoint => "temp_dew",
            Self::Humidity => "rh",
            Self::Pressure => "pressure",
            Self::Irradiation => "ghi",
        }
    }

    /// The unit of its values here.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Temperature | Self::DewPoint => Unit::Celsius,
            Self::Humidity => Unit::PercentRh,
            Self::Pressure => Unit::Hectopascal,
            Self::Irradiation => Unit::WattPerSquareMetre,
        }
    }

    /// What has ever been observed on the earth, with a margin.
    const fn plausible(self) -> std::ops::RangeInclusive<f64> {
        match self {
            Self::Temperature | Self::DewPoint => -95.0..=60.0,
            Self::Humidity => 0.0..=105.0,
            Self::Pressure => 300.0..=1_100.0,
            Self::Irradiation => -20.0..=1_700.0,
        }
    }
}

/// What the provider thinks of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Passed,
    Suspect,
    Failed,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    pub at: Timestamp,
    pub variable: Variable,
    pub value: f64,
    /// Among several of one time the smallest counts: a routine report before a special one.
    pub rank: u8,
}

/// A station, as a file or a list of stations has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StationSeen {
    /// Its identifier at its provider.
    pub id: String,
    pub name: String,
    /// Degrees north and east.
    pub place: Option<(f64, f64)>,
    /// Metres above the sea.
    pub elevation_m: Option<f64>,
}

/// What became of the values of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines or times.
    pub rows: u64,
    /// Rows that cannot be read.
    pub unreadable: u64,
    /// Values that the provider calls suspect.
    pub suspect: u64,
    /// Values that the provider calls erroneous.
    pub failed: u64,
    /// Values and times that cannot be.
    pub implausible: u64,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    pub provider: &'static str,
    pub station: StationSeen,
    /// In the order of the file.
    pub values: Vec<Observation>,
    pub counts: Counts,
    /// The first rows that cannot be read, by number, and why.
    pub told: Vec<(u64, String)>,
}

impl Observations {
    pub(super) fn new(provider: &'static str) -> Self {
        let (station, counts) = (StationSeen::default(), Counts::default());
        Self { provider, station, values: Vec::new(), counts, told: Vec::new() }
    }

    /// A value in the unit of its variable, unless the provider or nature is against it.
    pub(super) fn take(&mut self, value: Observation, verdict: Verdict) -> Result<(), WeatherFileError> {
        match verdict {
            Verdict::Suspect => self.counts.suspect += 1,
            Verdict::Failed => self.counts.failed += 1,
            Verdict::Passed if !YEARS_S.contains(&value.at.as_second()) => self.counts.implausible += 1,
            Verdict::Passed if !value.variable.plausible().contains(&value.value) => self.counts.implausible += 1,
            Verdict::Passed if self.values.len() >= OBSERVATIONS_MAX => return Err(WeatherFileError::TooMany { max: OBSERVATIONS_MAX }),
            Verdict::Passed => self.values.push(value),
        }
        Ok(())
    }

    pub(super) fn unreadable(&mut self, row: u64, reason: impl Into<String>) {
        self.counts.unreadable += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push((row, reason.into()));
        }
    }
}
