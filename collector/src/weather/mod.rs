//! Weather from stations: what they observed, hour by hour, and how far away they stand.
//!
//! ```text
//! source (a folder, or a provider) -> file -> observations -> hours -> the store, as any import
//! ```
//!
//! A file is read whole: what cannot be read of it is counted and told by line, and what its provider calls suspect or
//! erroneous is left out and counted. How observations become hours is said in [`hours`](fn@hours).

mod ghcnh;
mod hour;
mod isd;
mod keep;
mod meteostat;
mod observation;
mod open_meteo;
mod plain;
mod source;
mod stations;
#[cfg(test)]
mod tests;

pub use hour::{Hour, HourRules, Hours, Origin, hours};
pub use keep::{KeepError, Keeping, Kept, keep};
pub use observation::{Counts, Observation, Observations, StationSeen, Variable, Verdict};
pub use source::{Fetched, Folder, Source, SourceError, unpack};
pub use stations::{isd_history, station_list};

/// Why nothing of a file can be taken.
#[derive(Debug, thiserror::Error)]
pub enum WeatherFileError {
    #[error("the file is not one that is known: ISD, GHCNh, Open-Meteo, Meteostat, EPW, TMY3 or CSV with a time and temp_c or temp_f")]
    Unknown,
    #[error("the file is not UTF-8")]
    Encoding,
    #[error("the file is not JSON of {provider}")]
    Json {
        provider: &'static str,
        #[source]
        err: serde_json::Error,
    },
    #[error("the file has an error of its provider in it: {reason}")]
    Provider { reason: String },
    #[error("the file has no {column}, as files of {provider} have")]
    Column { provider: &'static str, column: &'static str },
    #[error("{column} has {found} entries, and there are {times} times")]
    Lengths { column: String, found: usize, times: usize },
    #[error("{column} is in `{unit}`, which is not known here")]
    Unit { column: String, unit: String },
    #[error("the file is not CSV with a header line")]
    Csv(#[source] csv::Error),
    #[error(transparent)]
    Plain(#[from] crate::import::ImportError),
    #[error("the file has more than {max} observations: divide it")]
    TooMany { max: usize },
}

/// What a file of observations is, by its first bytes; nothing for a file of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Isd,
    Ghcnh,
    OpenMeteoJson,
    OpenMeteoCsv,
    MeteostatJson,
    MeteostatCsv,
    Csv,
}

impl Format {
    /// Looks at the beginning of a file.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        let has = |word: &[u8]| line.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
        if text.starts_with(b"{") {
            let head = text.get(..text.len().min(65_536)).unwrap_or_default();
            let says = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
            return Some(if says(b"\"hourly\"") || says(b"\"error\"") { Self::OpenMeteoJson } else { Self::MeteostatJson });
        }
        if isd::is_record(line) {
            return Some(Self::Isd);
        }
        if has(b"temperature_quality_code") && line.contains(&b'|') {
            return Some(Self::Ghcnh);
        }
        if has(b"latitude,longitude,elevation,utc_offset_seconds") {
            return Some(Self::OpenMeteoCsv);
        }
        if meteostat::is_line(line) {
            return Some(Self::MeteostatCsv);
        }
        (has(b"temp_c") || has(b"temp_f")).then_some(Self::Csv)
    }

    /// As it is told and kept.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Isd => "noaa-isd",
            Self::Ghcnh => "noaa-ghcnh",
            Self::OpenMeteoJson | Self::OpenMeteoCsv => "open-meteo",
            Self::MeteostatJson | Self::MeteostatCsv => "meteostat",
            Self::Csv => "csv",
        }
    }
}

/// Reads a file of observations, unpacked, whatever it is.
///
/// * Shape: `zone` is that of times that do not say theirs, in plain CSV alone: every provider's are in UTC, or say it.
pub fn observations(body: &[u8], zone: Option<&jiff::tz::TimeZone>) -> Result<Observations, WeatherFileError> {
    match Format::of(body).ok_or(WeatherFileError::Unknown)? {
        Format::Isd => isd::read(body),
        Format::Ghcnh => ghcnh::read(body),
        Format::OpenMeteoJson => open_meteo::json(body),
        Format::OpenMeteoCsv => open_meteo::csv(body),
        Format::MeteostatJson => meteostat::json(body),
        Format::MeteostatCsv => meteostat::csv(body),
        Format::Csv => plain::read(body, zone),
    }
}
