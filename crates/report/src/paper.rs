//! What goes onto paper, and what is refused.

use ids::StatementId;
use jiff::Timestamp;
use jiff::civil::Date;
use settlement::{Invoice, Statement};
use units::Energy;

/// A day of the period, for the chart. Days that could not be compared are left out and stay empty there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The local day.
    pub date: Date,
    /// What the baseline would have used.
    pub counterfactual_wh: Energy,
    /// What was used.
    pub observed_wh: Energy,
}

/// Where the proof is.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The name of the bundle.
    pub file: &'a str,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: &'a str,
}

/// A document that travels inside the PDF.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its name, such as `invoice.json`.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Its bytes; JSON.
    pub json: Vec<u8>,
}

/// An issued invoice and what is needed to print it.
#[derive(Clone, Debug)]
pub struct InvoicePaper<'a> {
    /// Who asks for the money.
    pub issuer: &'a str,
    /// Who is asked.
    pub payer: &'a str,
    /// The name of the facility.
    pub facility: &'a str,
    /// The invoice.
    pub invoice: &'a Invoice,
    /// The statement that it bills.
    pub statement: &'a Statement,
    /// The days of the chart; no chart where there is none.
    pub days: &'a [Day],
    /// The bundle of evidence.
    pub evidence: Option<Evidence<'a>>,
    /// What is attached.
    pub attachments: Vec<Attachment>,
}

/// A statement and what is needed to print it.
#[derive(Clone, Debug)]
pub struct StatementPaper<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// The name of the facility.
    pub facility: &'a str,
    /// The statement.
    pub statement: &'a Statement,
    /// When it was made; it dates the document.
    pub made_at: Timestamp,
    /// Its digest, in hexadecimal digits.
    pub digest: &'a str,
    /// The days of the chart; no chart where there is none.
    pub days: &'a [Day],
    /// What is attached.
    pub attachments: Vec<Attachment>,
}

/// What cannot be printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The statement is not the one that the invoice bills.
    #[error("the invoice bills statement {expected}, and statement {found} was given with it")]
    Statement {
        /// What the invoice bills.
        expected: StatementId,
        /// What was given.
        found: StatementId,
    },
    /// The chart would show something else than the figures beside it.
    #[error("the days sum to {expected} expected and {observed} used, which is not what statement {statement} says")]
    Days {
        /// The statement.
        statement: StatementId,
        /// The sum of the counterfactual.
        expected: Energy,
        /// The sum of what was used.
        observed: Energy,
    },
    /// Energy beyond 64 bits of watt-hours.
    #[error("the days of statement {0} sum to more energy than can be counted")]
    Energy(StatementId),
    /// The engine refused, which is a fault of ours.
    #[error("the PDF engine refused the document: {0}")]
    Engine(String),
}

/// Whether the days are those that the statement sums up.
pub(crate) fn check_days(statement: &Statement, days: &[Day]) -> Result<(), ReportError> {
    let beyond = |_overflow| ReportError::Energy(statement.id());
    let expected = Energy::sum(days.iter().map(|day| day.counterfactual_wh)).map_err(beyond)?;
    let observed = Energy::sum(days.iter().map(|day| day.observed_wh)).map_err(beyond)?;
    let savings = statement.savings();
    // Days are as the model has them, and the agreed adjustments are in the total alone.
    let by_the_model = savings.counterfactual_wh.checked_sub(savings.adjustments_wh).map_err(beyond)?;
    if days.is_empty() || (expected == by_the_model && observed == savings.observed_wh) {
        Ok(())
    } else {
        Err(ReportError::Days { statement: statement.id(), expected, observed })
    }
}
