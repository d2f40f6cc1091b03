//! Meteostat: hourly JSON of its interface, and the CSV of its bulk files with and without a header.
//!
//! * Source: Meteostat's documentation: times in UTC, °C, %, hPa; the bulk files of old have thirteen columns without a
//!   header (`date,hour,temp,dwpt,rhum,prcp,snow,wdir,wspd,wpgt,pres,tsun,coco`).

use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::observation::{Observation, Observations, Variable, Verdict};
use super::{StationSeen, WeatherFileError};

const PROVIDER: &str = "Meteostat";
const OLD_COLUMNS: [&str; 13] = ["date", "hour", "temp", "dwpt", "rhum", "prcp", "snow", "wdir", "wspd", "wpgt", "pres", "tsun", "coco"];
const VARIABLES: [(Variable, &str); 4] =
    [(Variable::Temperature, "temp"), (Variable::DewPoint, "dwpt"), (Variable::Humidity, "rhum"), (Variable::Pressure, "pres")];

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    meta: Meta,
    data: Vec<Hour>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default)]
    stations: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Hour {
    time: String,
    temp: Option<f64>,
    dwpt: Option<f64>,
    rhum: Option<f64>,
    pres: Option<f64>,
}

/// Whether a line is the first of a bulk file, with a header or without one.
pub(super) fn is_line(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
    let headed = fields.first().is_some_and(|first| *first == b"year" || *first == b"date")
        && fields.contains(&b"hour".as_slice())
        && fields.contains(&b"temp".as_slice());
    let date = fields.first().and_then(|first| std::str::from_utf8(first).ok()).is_some_and(|first| first.parse::<civil::Date>().is_ok());
    let hour = fields.get(1).is_some_and(|hour| (1..=2).contains(&hour.len()) && hour.iter().all(u8::is_ascii_digit));
    headed || (fields.len() == OLD_COLUMNS.len() && date && hour)
}

pub(super) fn json(body: &[u8]) -> Result<Observations, WeatherFileError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|err| WeatherFileError::Json { provider: PROVIDER, err })?;
    let mut observations = Observations::new("meteostat");
    observations.station = StationSeen { id: answer.meta.stations.first().cloned().unwrap_or_default(), ..StationSeen::default() };
    for (row, hour) in (1..).zip(answer.data) {
        observations.counts.rows += 1;
        let at = hour.time.parse::<civil::DateTime>().ok().and_then(|at| at.to_zoned(TimeZone::UTC).ok());
        let Some(at) = at.map(|at| at.timestamp()) else {
            observations.unreadable(row, "has no time");
            continue;
        };
        for ((variable, _), value) in VARIABLES.into_iter().zip([hour.temp, hour.dwpt, hour.rhum, hour.pres]) {
            if let Some(value) = value {
                observations.take(Observation { at, variable, value, rank: 0 }, Verdict::Passed)?;
            }
        }
    }
    Ok(observations)
}

pub(super) fn csv(body: &[u8]) -> Result<Observations, WeatherFileError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(body);
    let mut observations = Observations::new("meteostat");
    let mut names: Vec<String> = OLD_COLUMNS.map(str::to_owned).to_vec();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(WeatherFileError::Csv)?;
        let row = record.position().map_or(0, csv::Position::line);
        if index == 0 && record.iter().any(|field| field == "temp") {
            names = record.iter().map(str::to_owned).collect();
            continue;
        }
        observations.counts.rows += 1;
        let field = |name: &str| names.iter().position(|known| known == name).and_then(|at| record.get(at)).unwrap_or_default();
        let date = field("date").parse::<civil::Date>().ok().or_else(|| {
            let small = |name| field(name).parse::<i8>().ok();
            civil::Date::new(field("year").parse().ok()?, small("month")?, small("day")?).ok()
        });
        let at = date.zip(field("hour").parse::<i8>().ok()).and_then(|(date, hour)| {
            let time = civil::Time::new(hour, 0, 0, 0).ok()?;
            date.to_datetime(time).to_zoned(TimeZone::UTC).ok()
        });
        let Some(at) = at.map(|at| at.timestamp()) else {
            observations.unreadable(row, "has no date and hour");
            continue;
        };
        for (variable, name) in VARIABLES {
            match field(name) {
                "" => {}
                text => match text.parse::<f64>().ok().filter(|value| value.is_finite()) {
                    Some(value) => observations.take(Observation { at, variable, value, rank: 0 }, Verdict::Passed)?,
                    None => observations.unreadable(row, format!("has no number in {name}")),
                },
            }
        }
    }
    Ok(observations)
}
