//! One digest over inputs, settings, code version and result.
//!
//! Whoever has the same rows, asks the same question and runs the same code gets the same 64 digits, on any machine and in
//! any build: every sum has a fixed order, and what is hashed are the bits of numbers and not their rounding.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::outcome::{Assessment, SCHEMA};
use super::question::{MeterSettings, Question, Site};
use super::series::{Row, Series};
use super::{AssessError, CleaningStep, Weather, cleaning, seeded};
use crate::baseline::{Commodity, EnergyUnit, TemperatureUnit};
use crate::model::cea::{Drivers, Election, Measure};

/// The edition of the code that computes: the crate's version, and a number that grows whenever a result could change.
pub const CODE_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+savings.2");

/// What the answer was computed from, as far as a digest and a reader need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Rows of the meter, after what repeats was left out.
    pub meter_rows: usize,
    /// SHA-256 over them.
    pub meter_digest: String,
    /// Rows of the weather.
    pub temperature_rows: usize,
    /// SHA-256 over them.
    pub temperature_digest: String,
    /// Days with variables, where the method has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers_rows: Option<usize>,
    /// SHA-256 over them and the plan that allows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers_digest: Option<String>,
    /// The question: every setting that decides.
    pub settings: Settings,
    /// What was done to the meter's rows, in order.
    #[serde(default)]
    pub cleaning: Vec<CleaningStep>,
    /// [`CODE_VERSION`] at the time.
    pub code_version: String,
}

/// The question as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What the meter measures.
    pub commodity: Commodity,
    /// The unit of its rows.
    pub unit: EnergyUnit,
    /// The unit of the temperatures.
    pub temperature_unit: TemperatureUnit,
    /// Where its days begin, by its name.
    pub zone: Option<String>,
    /// The day on which the intervention begins.
    pub blackout_start: Date,
    /// The first day after it.
    pub blackout_end: Option<Date>,
    /// What the project changes, where variables explain the use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Vec<Measure>>,
    /// What is paid for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub election: Option<Election>,
    /// What was told of the site.
    #[serde(default, skip_serializing_if = "Site::is_plain")]
    pub site: Site,
    /// How the meter's rows became energy.
    #[serde(default, skip_serializing_if = "MeterSettings::is_plain")]
    pub meter: MeterSettings,
}

/// An assessment with what it was computed from, and the digest over both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// [`SCHEMA`].
    pub schema: String,
    /// The result.
    #[serde(flatten)]
    pub assessment: Assessment,
    /// What it was computed from.
    pub inputs: Inputs,
    /// SHA-256 over inputs, settings, code version and result, in hexadecimal digits.
    pub digest: String,
}

impl Answer {
    /// Answers a question and seals the answer.
    pub fn to(question: &Question, meter: &Series, weather: &Weather) -> Result<Self, AssessError> {
        let (cleaned, log) = cleaning::clean(question, meter);
        let inputs = inputs(question, meter, weather, log);
        let assessment = seeded(question, &cleaned, weather, &|| seed(&inputs))?;
        let digest = seal(&assessment, &inputs);
        Ok(Self { schema: SCHEMA.to_owned(), assessment, inputs, digest })
    }
}

/// What a question is computed from.
pub(super) fn inputs(question: &Question, meter: &Series, weather: &Weather, cleaning: Vec<CleaningStep>) -> Inputs {
    let drivers = question.drivers.as_ref();
    Inputs {
        meter_rows: meter.rows().len(),
        meter_digest: of_rows(meter.rows()),
        temperature_rows: weather.series.rows().len(),
        temperature_digest: of_rows(weather.series.rows()),
        drivers_rows: drivers.map(|drivers| drivers.rows.len()),
        drivers_digest: drivers.map(of_drivers),
        settings: Settings {
            commodity: question.commodity,
            unit: question.unit,
            temperature_unit: weather.unit,
            zone: question.zone_name().map(str::to_owned),
            blackout_start: question.blackout_start,
            blackout_end: question.blackout_end,
            measures: drivers.map(|drivers| drivers.plan.allowed.keys().copied().collect()),
            election: drivers.map(|drivers| drivers.election),
            site: question.site,
            meter: question.meter,
        },
        cleaning,
        code_version: CODE_VERSION.to_owned(),
    }
}

/// From where weeks are drawn: the first digits of the meter's digest, so that the same rows are drawn alike.
pub(super) fn seed(inputs: &Inputs) -> u64 {
    let digits = inputs.meter_digest.get(..16).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

fn of_drivers(drivers: &Drivers) -> String {
    let mut hash = Sha256::new();
    // Text keys and finite numbers can be written.
    hash.update(serde_json::to_vec(drivers).unwrap_or_default());
    hexadecimal(&hash.finalize())
}

/// The digest over the text of inputs and result, which holds every number with all its digits.
fn seal(assessment: &Assessment, inputs: &Inputs) -> String {
    let mut hash = Sha256::new();
    hash.update(SCHEMA.as_bytes());
    for part in [serde_json::to_vec(inputs), serde_json::to_vec(assessment)] {
        // Neither has keys that are no text, so neither can fail; were it so, the digest would be that of nothing.
        let part = part.unwrap_or_default();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hexadecimal(&hash.finalize())
}

/// SHA-256 over the rows: instants as seconds, values as the bits of their numbers, absence as a pattern that is no number.
///
/// Rows at equal distances, as weather has them, are told by their first and their distance.
fn of_rows(rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    let mut buffer: Vec<u8> = Vec::with_capacity(rows.len() * 8 + 32);
    let first = rows.first().map_or(0, |row| row.at);
    let step = rows.get(1).map_or(0, |row| row.at - first);
    let mut expected = first;
    let regular = rows.iter().all(|row| {
        let holds = row.at == expected;
        expected += step;
        holds
    });
    buffer.extend_from_slice(&(rows.len() as u64).to_be_bytes());
    if regular {
        buffer.extend_from_slice(&[1]);
        buffer.extend_from_slice(&first.to_be_bytes());
        buffer.extend_from_slice(&step.to_be_bytes());
    } else {
        buffer.extend_from_slice(&[0]);
        for row in rows {
            buffer.extend_from_slice(&row.at.to_be_bytes());
        }
    }
    for row in rows {
        buffer.extend_from_slice(&row.value.map_or(u64::MAX, f64::to_bits).to_be_bytes());
    }
    hash.update(&buffer);
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
