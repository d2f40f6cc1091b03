//! Evidence: the one way from rows to an invoice, and the file that lets anybody walk it again.
//!
//! [`derive()`] is the only function in the house that turns readings into money: rows of the billed period, the baseline
//! year, the weather, the contract and the tariff go in; days, model, avoided energy, statement, invoice and the posting
//! of its issue come out. It asks no clock and draws no random number, so the service that issues an invoice and the
//! auditor who doubts it get the same bits.
//!
//! [`encode`] puts inputs and results into one file, described in `FORMAT.md`. With the feature `audit`, `audit` reads
//! such a file, decodes the register words with the device profiles inside, derives everything again and names the first
//! thing that does not match.

mod archive;
mod bills;
mod bundle;
mod canonical;
mod crop;
mod days;
mod derive;
mod drawn;
mod error;
mod inputs;
mod members;
mod rows;
mod standing;

#[cfg(feature = "audit")]
mod audit;
#[cfg(feature = "audit")]
mod baseline;

pub use bundle::{Bundle, Manifest, ManifestInvoice, ManifestMember, SCHEMA, Written, encode, verify, write};
pub use canonical::{canonical_json, sha256_hex};
pub use days::{BOUNDARY_SLACK_MS, CounterReading, MeterDay, MeterDays, energy_days, meter_days};
pub use derive::{Derived, Measurement, adjustment_digest, derive, fit_baseline, measure, qualified_baseline};
pub use error::{BundleError, DeriveError};
pub use inputs::{
    BaselineInputs, CounterRow, Facility, Inputs, IssueInputs, Meter, MeterProfile, Reporting, SampleRow, Series, Words, WordsError,
};
pub use standing::Examination;

#[cfg(feature = "audit")]
pub use audit::{AdjustmentShown, DoubtedRow, Mismatch, Verified, audit, audit_bytes};
#[cfg(feature = "audit")]
pub use baseline::BaselineShown;

#[cfg(test)]
mod adjustment_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod standing_tests;
#[cfg(test)]
mod tests;
