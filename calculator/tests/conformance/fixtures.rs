//! Reading the fixtures.

use std::fs::File;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{
    Commodity, Day, EnergyDay, EnergyRow, EnergyUnit, Period, TemperatureDay, TemperatureRow, TemperatureUnit, join, temperature_days,
};

pub(crate) const BLACKOUT_START: Date = date(2016, 12, 26);
pub(crate) const BLACKOUT_END: Date = date(2017, 1, 4);

pub(crate) fn baseline_period() -> Period {
    Period::before(BLACKOUT_START, 365).unwrap()
}

pub(crate) fn reporting_period() -> Period {
    Period::new(BLACKOUT_END, date(2018, 1, 4)).unwrap()
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "tests", "fixtures", "mv", name].iter().collect()
}

/// The rows of a compressed table without its header.
pub(crate) fn table(name: &str) -> Vec<csv::StringRecord> {
    let file = File::open(path(name)).unwrap_or_else(|err| panic!("{name}: {err}"));
    csv::Reader::from_reader(GzDecoder::new(file)).into_records().map(|row| row.unwrap()).collect()
}

/// A document of expected results.
pub(crate) fn document(name: &str) -> serde_json::Value {
    serde_json::from_reader(File::open(path(name)).unwrap()).unwrap()
}

pub(crate) fn expected(meter: &str) -> serde_json::Value {
    document("expected.json")[meter].clone()
}

pub(crate) fn number(value: &serde_json::Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("no number at {pointer}"))
}

pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn value(text: &str) -> Option<f64> {
    (!text.is_empty()).then(|| text.parse().unwrap())
}

/// Daily totals that the sample labels with UTC days, in Wh.
pub(crate) fn daily(name: &str) -> Vec<EnergyDay> {
    table(name)
        .iter()
        .map(|row| {
            let day = instant(&row[0]).to_zoned(TimeZone::UTC).date();
            EnergyDay::whole(day, value(&row[1]).map(|kwh| kwh * 1_000.0))
        })
        .collect()
}

pub(crate) fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).unwrap().timestamp()
}

/// What the meter of a sample measures.
pub(crate) fn commodity_of(meter: &str) -> Commodity {
    if meter.contains("gas") { Commodity::Gas } else { Commodity::Electricity }
}

pub(crate) fn temperatures() -> Vec<TemperatureRow> {
    let rows = table("il_temperature_hourly.csv.gz");
    rows.iter().map(|row| TemperatureRow { at: instant(&row[0]), value: value(&row[1]), unit: TemperatureUnit::Fahrenheit }).collect()
}

/// The rows of a meter of the samples; one unit is read as a kWh.
pub(crate) fn energy_rows(meter: &str) -> Vec<EnergyRow> {
    let rows = table(&format!("{meter}.csv.gz"));
    rows.iter().map(|row| EnergyRow { start: instant(&row[0]), value: value(&row[1]), unit: EnergyUnit::KilowattHour }).collect()
}

/// Everything a daily sample needs: its energy, its weather of the baseline, its reporting days.
pub(crate) struct Sample {
    pub(crate) commodity: Commodity,
    pub(crate) energy: Vec<EnergyDay>,
    pub(crate) weather: Vec<TemperatureDay>,
    pub(crate) reporting: Vec<Day>,
}

pub(crate) fn sample(file: &str, commodity: Commodity) -> Sample {
    let energy = daily(file);
    let rows = temperatures();
    let weather = temperature_days(&rows, &TimeZone::UTC, baseline_period()).unwrap();
    let period = reporting_period();
    let reporting_weather = temperature_days(&rows, &TimeZone::UTC, period).unwrap();
    let reporting_energy: Vec<EnergyDay> = energy.iter().copied().filter(|day| period.contains(day.date)).collect();
    let reporting = join(&reporting_energy, &reporting_weather).unwrap();
    Sample { commodity, energy, weather, reporting }
}

pub(crate) fn assert_close(found: f64, expected: f64, relative: f64, what: &str) {
    assert!((found - expected).abs() <= relative * expected.abs().max(1e-9), "{what}: found {found}, expected {expected}");
}
