//! Adjustments that the parties agreed upon: an append-only ledger, each entry with cause, evidence and signatures.
//!
//! This crate keeps hashes and checks that they are there and belong together; whether a signature is genuine is checked
//! by the caller, who has the keys. Nothing is ever changed in the ledger: an adjustment that turns out wrong is withdrawn
//! by another one.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::baseline::{Period, day_number};

/// Adjustments beyond this share of the savings call for a new baseline.
pub const CAP: f64 = 0.5;

/// How an adjustment was found, the best way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A meter of its own measured it.
    SubMeter,
    /// The model has the event as a variable of its own.
    EventVariable,
    /// An engineer computed it from ratings and hours.
    EngineeringEstimate,
    /// The days are left out.
    ExcludedDays,
}

/// What of the model an event moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moves {
    /// The base load.
    Base,
    /// The response to the weather.
    Slope,
}

/// Who must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Whose facility it is.
    Facility,
    /// Who is paid for the savings.
    Provider,
}

/// A signature, checked by the caller before it comes here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// For whom.
    pub party: Party,
    /// By whom.
    pub signer: String,
    /// SHA-256 of what was signed, in hexadecimal; the adjustment without its signatures.
    pub over: String,
    /// When.
    pub signed_on: Date,
}

/// One agreed change of the baseline's expectation.
///
/// * Units: Wh a day, positive where the facility needs more than the baseline knows (the expectation rises, and with it
///   the savings).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// Its name in the contract's correspondence.
    pub name: String,
    /// Why.
    pub cause: String,
    /// Its first day.
    pub first: Date,
    /// The day after its last one; open when `None`.
    pub end: Option<Date>,
    /// How it was found.
    pub method: Method,
    /// Why no better method was open; needed unless it is the best.
    pub why_not_better: Option<String>,
    /// What it moves.
    pub moves: Moves,
    /// Wh a day.
    pub wh_per_day: i64,
    /// Its standard error, Wh a day.
    pub error_wh_per_day: i64,
    /// SHA-256 of each document behind it, in hexadecimal.
    pub evidence: Vec<String>,
    /// SHA-256 of all of the above as the caller writes it down.
    pub digest: String,
    /// Both parties'.
    pub signatures: Vec<Signature>,
}

/// An entry that the ledger does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdjustmentError {
    /// No cause.
    #[error("adjustment `{0}` does not say why; name the cause")]
    Cause(String),
    /// No or unreadable evidence.
    #[error("adjustment `{name}` needs evidence by its SHA-256 of 64 hexadecimal digits; found `{found}`")]
    Evidence {
        /// The adjustment.
        name: String,
        /// What stands there.
        found: String,
    },
    /// A lesser method without a reason.
    #[error("adjustment `{name}` was found by {method:?}; say why no better method was open")]
    Rank {
        /// The adjustment.
        name: String,
        /// Its method.
        method: Method,
    },
    /// A party has not signed.
    #[error("adjustment `{name}` lacks the signature of the {party:?} over its digest")]
    Signature {
        /// The adjustment.
        name: String,
        /// Who.
        party: Party,
    },
    /// It ends before it begins.
    #[error("adjustment `{name}` ends on {end}, which is not after its first day {first}")]
    Empty {
        /// The adjustment.
        name: String,
        /// Its first day.
        first: Date,
        /// Its end.
        end: Date,
    },
    /// Its error is negative, or days are left out with an amount.
    #[error("adjustment `{0}` has an amount or an error that cannot be")]
    Amount(String),
    /// The name is taken.
    #[error("adjustment `{0}` is in the ledger already; withdraw it by another one")]
    Repeated(String),
}

/// Whether the baseline still stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "standing")]
pub enum Standing {
    /// The adjustments are within the cap.
    Stands {
        /// Adjustments over savings.
        share: f64,
    },
    /// So much was adjusted that a new baseline is due.
    Rebaseline {
        /// Adjustments over savings; `None` when nothing was saved.
        share: Option<f64>,
    },
}

/// All adjustments of a baseline, in the order in which they were agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Adjustment>", into = "Vec<Adjustment>")]
pub struct Ledger(Vec<Adjustment>);

impl TryFrom<Vec<Adjustment>> for Ledger {
    type Error = AdjustmentError;

    fn try_from(entries: Vec<Adjustment>) -> Result<Self, AdjustmentError> {
        let mut ledger = Self::default();
        entries.into_iter().try_for_each(|entry| ledger.agree(entry))?;
        Ok(ledger)
    }
}

impl From<Ledger> for Vec<Adjustment> {
    fn from(ledger: Ledger) -> Self {
        ledger.0
    }
}

impl Ledger {
    /// Takes an adjustment that both parties signed.
    ///
    /// * Errors: the first rule that it breaks; the ledger is as before.
    pub fn agree(&mut self, entry: Adjustment) -> Result<(), AdjustmentError> {
        let name = || entry.name.clone();
        if self.0.iter().any(|known| known.name == entry.name) {
            return Err(AdjustmentError::Repeated(name()));
        }
        if entry.cause.trim().is_empty() {
            return Err(AdjustmentError::Cause(name()));
        }
        if entry.evidence.is_empty() {
            return Err(AdjustmentError::Evidence { name: name(), found: "nothing".to_owned() });
        }
        if let Some(found) = entry.evidence.iter().chain([&entry.digest]).find(|hash| !is_sha256(hash)) {
            return Err(AdjustmentError::Evidence { name: name(), found: found.clone() });
        }
        if entry.method != Method::SubMeter && entry.why_not_better.as_ref().is_none_or(|why| why.trim().is_empty()) {
            return Err(AdjustmentError::Rank { name: name(), method: entry.method });
        }
        if let Some(end) = entry.end.filter(|end| *end <= entry.first) {
            return Err(AdjustmentError::Empty { name: name(), first: entry.first, end });
        }
        if entry.error_wh_per_day < 0 || (entry.method == Method::ExcludedDays && entry.wh_per_day != 0) {
            return Err(AdjustmentError::Amount(name()));
        }
        for party in [Party::Facility, Party::Provider] {
            let signed = entry.signatures.iter().any(|signature| signature.party == party && signature.over == entry.digest);
            if !signed {
                return Err(AdjustmentError::Signature { name: name(), party });
            }
        }
        self.0.push(entry);
        Ok(())
    }

    /// Whether nothing was agreed yet.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the expectation of one day rises by, Wh.
    pub fn on(&self, date: Date) -> i64 {
        let holds = |entry: &&Adjustment| entry.first <= date && entry.end.is_none_or(|end| date < end);
        self.0.iter().filter(holds).map(|entry| entry.wh_per_day).fold(0, i64::saturating_add)
    }

    /// The entries in the order in which they were agreed.
    pub fn entries(&self) -> &[Adjustment] {
        &self.0
    }

    /// What the expectation of a period rises by, and its standard error, Wh; errors of adjustments are independent.
    pub fn total(&self, period: Period) -> (i64, f64) {
        let (mut total, mut variance) = (0_i64, 0.0);
        for entry in &self.0 {
            let days = days_within(entry, period);
            total = total.saturating_add(entry.wh_per_day.saturating_mul(days));
            let error = entry.error_wh_per_day.saturating_mul(days) as f64;
            variance += error * error;
        }
        (total, variance.sqrt())
    }

    /// The days of a period that are left out.
    pub fn excludes(&self, date: Date) -> bool {
        let covers = |entry: &Adjustment| entry.first <= date && entry.end.is_none_or(|end| date < end);
        self.0.iter().any(|entry| entry.method == Method::ExcludedDays && covers(entry))
    }

    /// Whether the adjustments of a period are within [`CAP`] of what it saved, signs not cancelling one another.
    pub fn standing(&self, period: Period, avoided_wh: i64) -> Standing {
        let moved = |entry: &Adjustment| entry.wh_per_day.saturating_mul(days_within(entry, period)).unsigned_abs();
        let all = self.0.iter().map(moved).fold(0_u64, u64::saturating_add) as f64;
        if all <= 0.0 {
            return Standing::Stands { share: 0.0 };
        }
        if avoided_wh <= 0 {
            return Standing::Rebaseline { share: None };
        }
        let share = all / avoided_wh as f64;
        if share > CAP { Standing::Rebaseline { share: Some(share) } } else { Standing::Stands { share } }
    }
}

/// Days of a period on which an adjustment holds.
fn days_within(entry: &Adjustment, period: Period) -> i64 {
    let first = day_number(entry.first.max(period.first()));
    let end = day_number(entry.end.map_or(period.end(), |end| end.min(period.end())));
    (end - first).max(0)
}

pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(super) mod tests;
