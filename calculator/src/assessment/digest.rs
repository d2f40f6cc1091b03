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
use crate::model::cea::{Election, Measure};

/// The edition of the code that computes: the crate's version, and a number that grows whenever a result could change.
pub const CODE_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+savings.4");

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
    /// SHA-256 over what the meter's file says beside its values, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarks_digest: Option<String>,
    /// SHA-256 over the bills of the same energy, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bills_digest: Option<String>,
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
        Self::beside(question, meter, weather, None)
    }

    /// As [`Self::to`], for weather whose digest is known already: it is that of many meters.
    pub fn beside(question: &Question, meter: &Series, weather: &Weather, known: Option<&str>) -> Result<Self, AssessError> {
        let cleaned = cleaning::clean(question, meter);
        let inputs = inputs(question, meter, weather, cleaned.log.clone(), known);
        let assessment = seeded(question, &cleaned, weather, &|| seed(&inputs))?;
        let digest = seal(&assessment, &inputs);
        Ok(Self { schema: SCHEMA.to_owned(), assessment, inputs, digest })
    }
}

impl Series {
    /// SHA-256 over the rows, in hexadecimal digits.
    pub fn digest(&self) -> String {
        of_rows(self.rows())
    }
}

/// What a question is computed from; the digest of the weather, where it is known.
pub(super) fn inputs(question: &Question, meter: &Series, weather: &Weather, cleaning: Vec<CleaningStep>, known: Option<&str>) -> Inputs {
    let drivers = question.drivers.as_ref();
    Inputs {
        meter_rows: meter.rows().len(),
        meter_digest: meter.digest(),
        temperature_rows: weather.series.rows().len(),
        temperature_digest: known.map_or_else(|| weather.series.digest(), str::to_owned),
        drivers_rows: drivers.map(|drivers| drivers.rows.len()),
        drivers_digest: drivers.map(of_written),
        remarks_digest: remarks_of(meter),
        bills_digest: (!meter.bills().is_empty()).then(|| of_rows(meter.bills())),
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

/// What the file says of rows beside their values: origins, exchanges, rows that better ones outranked.
fn remarks_of(meter: &Series) -> Option<String> {
    let nothing = meter.stretches().is_empty() && meter.exchanges().is_empty() && meter.outranked() == 0;
    (!nothing).then(|| of_written(&(meter.stretches(), meter.exchanges(), meter.outranked())))
}

fn of_written(written: &impl Serialize) -> String {
    let mut hash = Sha256::new();
    // Text keys and finite numbers can be written.
    hash.update(serde_json::to_vec(written).unwrap_or_default());
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
    let first = rows.first().map_or(0, |row| row.at);
    let step = rows.get(1).map_or(0, |row| row.at - first);
    let regular = rows.windows(2).all(|pair| pair[1].at - pair[0].at == step);
    hash.update((rows.len() as u64).to_be_bytes());
    if regular {
        hash.update([1]);
        hash.update(first.to_be_bytes());
        hash.update(step.to_be_bytes());
    } else {
        hash.update([0]);
        words(&mut hash, rows, |row| row.at.to_be_bytes());
    }
    words(&mut hash, rows, |row| row.value.map_or(u64::MAX, f64::to_bits).to_be_bytes());
    hexadecimal(&hash.finalize())
}

/// Eight bytes of each row, many rows at once.
fn words(hash: &mut Sha256, rows: &[Row], of: impl Fn(&Row) -> [u8; 8]) {
    let mut buffer = [0; 4_096];
    for rows in rows.chunks(buffer.len() / 8) {
        let (bytes, _) = buffer.split_at_mut(rows.len() * 8);
        for (word, row) in bytes.chunks_exact_mut(8).zip(rows) {
            word.copy_from_slice(&of(row));
        }
        hash.update(bytes);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
