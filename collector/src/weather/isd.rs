//! The Integrated Surface Database of NOAA: a line per report, fields by their place.
//!
//! * Source: "Federal Climate Complex Data Documentation for Integrated Surface Data" (DS3505): control data in
//!   positions 1 to 60, mandatory data to 105, numbers scaled by ten or a thousand, nines for what is missing. Times are
//!   in UTC.

use jiff::civil;
use jiff::tz::TimeZone;

use super::observation::{Observation, Observations, Variable, Verdict};
use super::{StationSeen, WeatherFileError};

/// Control and mandatory data.
const RECORD_BYTES_MIN: usize = 105;
/// Temperature, dew point, sea-level pressure: first position from 0, digits with the sign, what stands for none.
const FIELDS: [(Variable, usize, usize, i64); 3] =
    [(Variable::Temperature, 87, 5, 9_999), (Variable::DewPoint, 93, 5, 9_999), (Variable::Pressure, 99, 5, 99_999)];

/// Whether a line begins as a report does.
pub(super) fn is_record(line: &[u8]) -> bool {
    line.len() >= RECORD_BYTES_MIN
        && line.get(..4).is_some_and(|length| length.iter().all(u8::is_ascii_digit))
        && line.get(15..27).is_some_and(|time| time.iter().all(u8::is_ascii_digit))
        && line.get(28).is_some_and(|sign| matches!(sign, b'+' | b'-'))
}

pub(super) fn read(body: &[u8]) -> Result<Observations, WeatherFileError> {
    let mut observations = Observations::new("noaa-isd");
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        observations.counts.rows += 1;
        match std::str::from_utf8(line).ok().filter(|line| line.is_ascii() && is_record(line.as_bytes())) {
            None => observations.unreadable(number, "is no report of fixed width"),
            Some(line) => report(line, number, &mut observations)?,
        }
    }
    Ok(observations)
}

fn report(line: &str, number: u64, observations: &mut Observations) -> Result<(), WeatherFileError> {
    let Some(at) = time(line) else {
        observations.unreadable(number, format!("has no time: `{}`", field(line, 15, 12)));
        return Ok(());
    };
    if observations.station.id.is_empty() {
        observations.station = station(line);
    }
    let kind = field(line, 41, 5);
    // Summaries of a day or a month stand between the reports.
    if matches!(kind.trim(), "SOD" | "SOM") {
        return Ok(());
    }
    let rank = match kind {
        "FM-15" | "FM-12" => 0,
        "FM-16" => 2,
        _ => 1,
    };
    for (variable, from, digits, none) in FIELDS {
        let Ok(tenths) = field(line, from, digits).trim_start_matches('+').parse::<i32>() else {
            observations.unreadable(number, format!("has no number at position {}: `{}`", from + 1, field(line, from, digits)));
            continue;
        };
        if i64::from(tenths) == none {
            continue;
        }
        let verdict = match field(line, from + digits, 1) {
            "2" | "6" => Verdict::Suspect,
            "3" | "7" => Verdict::Failed,
            _ => Verdict::Passed,
        };
        observations.take(Observation { at, variable, value: f64::from(tenths) / 10.0, rank }, verdict)?;
    }
    Ok(())
}

fn field(line: &str, from: usize, digits: usize) -> &str {
    line.get(from..from + digits).unwrap_or_default()
}

fn time(line: &str) -> Option<jiff::Timestamp> {
    let part = |from, digits| field(line, from, digits).parse::<i16>().ok();
    let small = |from| field(line, from, 2).parse::<i8>().ok();
    let at = civil::DateTime::new(part(15, 4)?, small(19)?, small(21)?, small(23)?, small(25)?, 0, 0).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

fn station(line: &str) -> StationSeen {
    let scaled = |from, digits, none: i32, by: f64| {
        let number = field(line, from, digits).trim_start_matches('+').parse::<i32>().ok();
        number.filter(|number| *number != none).map(|number| f64::from(number) / by)
    };
    let place = scaled(28, 6, 99_999, 1_000.0).zip(scaled(34, 7, 999_999, 1_000.0));
    let id = format!("{}-{}", field(line, 4, 6), field(line, 10, 5));
    let name = field(line, 51, 5).trim_end_matches(['9', ' ']).to_owned();
    StationSeen { id, name, place, elevation_m: scaled(46, 5, 9_999, 1.0) }
}
