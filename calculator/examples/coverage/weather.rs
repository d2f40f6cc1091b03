//! Two real years of weather, from the fixtures of the conformance tests.

use std::fs::File;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{Period, TemperatureRow, TemperatureUnit, temperature_days};

use super::simulation::Weather;

/// The days of both periods, and the hours of two years from the baseline's first, °F.
pub(crate) fn read() -> Result<(Weather, Vec<f64>), String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/mv/il_temperature_hourly.csv.gz");
    let file = File::open(path).map_err(|err| format!("could not open {path}: {err}"))?;
    let mut rows = Vec::new();
    for record in csv::Reader::from_reader(GzDecoder::new(file)).into_records() {
        let record = record.map_err(|err| err.to_string())?;
        let field = |index| record.get(index).unwrap_or_default();
        let at: Timestamp = field(0).parse().map_err(|err| format!("{}: {err}", field(0)))?;
        rows.push(TemperatureRow { at, value: field(1).parse().ok(), unit: TemperatureUnit::Fahrenheit });
    }
    let period = Period::before(date(2016, 12, 26), 365).map_err(|err| err.to_string())?;
    let after = Period::new(date(2017, 1, 4), date(2018, 1, 4)).map_err(|err| err.to_string())?;
    let days = |period| temperature_days(&rows, &TimeZone::UTC, period).map_err(|err| err.to_string());
    let weather = Weather { period, baseline: days(period)?, reporting: days(after)? };
    let first = date(2015, 12, 27).to_zoned(TimeZone::UTC).map_err(|err| err.to_string())?.timestamp();
    let mut last = 50.0;
    let hours = rows.iter().filter(|row| row.at >= first).take(2 * 8_760).map(|row| {
        last = row.value.unwrap_or(last);
        last
    });
    let hours: Vec<f64> = hours.collect();
    Ok((weather, hours))
}
