//! Everything an invoice is computed from.

use std::fmt;

use calculator::baseline::Commodity;
use calculator::events::Ledger;
use calculator::model::Search;
use calculator::model::cea::Crop;
use calculator::tariff::Tariff;
use calculator::verification::Dossier;
use ids::{BaselineId, FacilityId, InvoiceId, Slug, StatementId, TransactionId};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use settlement::{Contract, InvoiceNumber, Period};
use units::{Measured, Quality, Reason, Unit};

/// Everything an invoice is computed from: the argument of [`derive()`](crate::derive()).
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Where the energy was used.
    pub facility: Facility,
    /// What was agreed.
    pub contract: Contract,
    /// The tariff that the contract names, where it names one.
    pub tariff: Option<Tariff>,
    /// The year before the retrofit.
    pub baseline: BaselineInputs,
    /// The outdoor temperature, of the baseline year and of the billed period.
    pub weather: Series,
    /// The billed period.
    pub reporting: Reporting,
    /// Names and dates of what is issued.
    pub issue: IssueInputs,
}

/// Where the energy was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facility {
    /// Its identifier.
    pub id: FacilityId,
    /// Its tenant's short name.
    pub tenant: Slug,
    /// Its short name.
    pub slug: Slug,
    /// Its name.
    pub name: String,
    /// Its zone in the time-zone database, such as `America/Chicago`; decides where days begin.
    pub zone: String,
}

/// The year before the retrofit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineInputs {
    /// Its identifier.
    pub id: BaselineId,
    /// Its days.
    pub period: calculator::baseline::Period,
    /// What was used.
    pub commodity: Commodity,
    /// Which models are tried, and how the best is chosen.
    pub search: Search,
    /// The length of an energy interval.
    pub interval_minutes: u16,
    /// Interval energy of each meter; a day's use is their sum.
    pub energy: Vec<Series>,
}

/// Values over time, as imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The device's short name.
    pub device: Slug,
    /// The point.
    pub point: String,
    /// The unit of the values.
    pub unit: Unit,
    /// Values are `raw × 10^exponent`.
    pub exponent: i8,
    /// The rows in order of time; an interval's row stands at its begin.
    #[serde(skip)]
    pub rows: Vec<SampleRow>,
}

/// One value of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRow {
    /// UTC milliseconds.
    pub ts_ms: i64,
    /// The scaled integer, where there is a value.
    pub raw: Option<i64>,
    /// Whether it may be used.
    pub quality: Quality,
}

impl Series {
    /// Watt-hours of one unit; not a number for what is no energy.
    pub(crate) fn unit_wh(&self) -> f64 {
        calculator::baseline::EnergyUnit::of_series(self.unit).map_or(f64::NAN, |unit| unit.to_wh(1.0))
    }

    /// The value of a row as the calculator takes it; nothing for what may not be used.
    pub(crate) fn value(&self, row: &SampleRow) -> Option<f64> {
        let raw = row.raw.filter(|_| row.quality.is_usable())?;
        Some(Measured { raw, exponent: self.exponent, unit: self.unit }.to_f64())
    }

    /// The energy of a row that a baseline may rest on: what was estimated says nothing of the building.
    ///
    /// * Source: CalTRACK 2.0, 2.2.3.1: estimated use counts as missing.
    pub(crate) fn baseline_value(&self, row: &SampleRow) -> Option<f64> {
        self.value(row).filter(|_| !row.quality.has(Reason::Estimated))
    }
}

/// The billed period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reporting {
    /// Its days.
    pub period: Period,
    /// The meters whose counters are billed; a day's use is their sum.
    pub meters: Vec<Meter>,
    /// Non-routine adjustments that the parties agreed upon; absent from the document when there are none.
    #[serde(default, skip_serializing_if = "Ledger::is_empty")]
    pub adjustments: Ledger,
    /// What is known of the baseline besides its rows, with the day of the trust score; without it the statement has no score.
    ///
    /// Its own ledger stays empty: the adjustments are those above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dossier: Option<Box<Dossier>>,
    /// Produce and what the contract says of it, where the facility weighs any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// How often the value under a rate is drawn; without it hours are those of the measured days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<u32>,
}

/// A meter, and the rows of its billing counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// Its short name.
    pub device: Slug,
    /// The counter's point id, such as `e_imp`.
    pub point: String,
    /// The counter's unit.
    pub unit: Unit,
    /// Counters are `raw × 10^exponent`.
    pub exponent: i8,
    /// What its registers mean.
    pub profile: MeterProfile,
    /// Every reading from an hour before the period to the midnight that ends it, in order of time, failed polls included.
    #[serde(skip)]
    pub rows: Vec<CounterRow>,
}

/// A device profile, by its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterProfile {
    /// Its id, such as `eastron-sdm630`.
    pub id: String,
    /// The hash over everything that decides what its registers mean, 64 hexadecimal digits.
    pub hash: String,
    /// The profile as TOML.
    #[serde(skip)]
    pub text: String,
}

/// One reading of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// UTC milliseconds.
    pub ts_ms: i64,
    /// The scaled integer, where there is a value.
    pub raw: Option<i64>,
    /// Whether it may be used.
    pub quality: Quality,
    /// The registers it was decoded from.
    pub words: Words,
}

/// Register words as read: at most four of a number and a scale factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Words {
    count: u8,
    words: [u16; Words::MAX],
}

/// More words than any point has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} register words are more than the {max} that any point has", max = Words::MAX)]
pub struct WordsError(pub usize);

impl Words {
    /// The most words that a point has.
    pub const MAX: usize = 5;
    /// No words.
    pub const NONE: Self = Self { count: 0, words: [0; Self::MAX] };

    /// These words, in the order of their addresses.
    pub fn new(given: &[u16]) -> Result<Self, WordsError> {
        let mut words = [0; Self::MAX];
        let count = u8::try_from(given.len()).map_err(|_too_many| WordsError(given.len()))?;
        words.get_mut(..given.len()).ok_or(WordsError(given.len()))?.copy_from_slice(given);
        Ok(Self { count, words })
    }

    /// The words of these bytes, each with the high byte first, as they travel on the wire.
    pub fn from_be_bytes(bytes: &[u8]) -> Result<Self, WordsError> {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let mut words = [0; Self::MAX];
        if pairs.len() > Self::MAX || !rest.is_empty() {
            return Err(WordsError(bytes.len().div_ceil(2)));
        }
        for (word, pair) in words.iter_mut().zip(pairs) {
            *word = u16::from_be_bytes(*pair);
        }
        Self::new(words.get(..pairs.len()).unwrap_or_default())
    }

    /// The words.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        self.words.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// Four hexadecimal digits a word.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|word| write!(f, "{word:04x}"))
    }
}

/// Names and dates of what is issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueInputs {
    /// The statement's identifier.
    pub statement: StatementId,
    /// The invoice's identifier.
    pub invoice: InvoiceId,
    /// The identifier of the ledger transaction that posts it.
    pub transaction: TransactionId,
    /// The invoice's number.
    pub number: InvoiceNumber,
    /// When it is issued.
    pub issued_at: Timestamp,
    /// The shortfall of earlier months; zero or negative.
    pub carried_in: Money,
}
