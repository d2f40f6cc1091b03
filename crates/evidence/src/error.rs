//! What can be wrong with inputs and with bundles.

use std::io;
use std::path::PathBuf;

use calculator::baseline::{DaysError, Disqualified};
use calculator::events::AdjustedError;
use calculator::model::FitError;
use calculator::model::cea::{CeaError, HarvestError};
use calculator::savings::SavingsError;
use calculator::tariff::{BillError, ExpectError, PriceError, ProfileError, ShapeError, TariffError};
use calculator::verification::DossierError;
use ids::{BaselineId, ContractId, FacilityId, Slug};
use ledger::TransactionError;
use settlement::{InvoiceError, SettleError};
use units::Unit;

/// Inputs that give no invoice.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The time-zone database does not know the zone, or a date is beyond it.
    #[error("the days of zone {zone} cannot be told")]
    Zone {
        /// The zone.
        zone: String,
        /// Why.
        #[source]
        err: jiff::Error,
    },
    /// Another facility's contract.
    #[error("contract {contract} is of {found}, not of {expected}")]
    Facility {
        /// The contract.
        contract: ContractId,
        /// Its facility.
        found: FacilityId,
        /// The facility of the inputs.
        expected: FacilityId,
    },
    /// Another baseline than the contract's.
    #[error("contract {contract} rests on {expected}, not on {found}")]
    Baseline {
        /// The contract.
        contract: ContractId,
        /// Its baseline.
        expected: BaselineId,
        /// The baseline of the inputs.
        found: BaselineId,
    },
    /// Nothing to sum.
    #[error("there is no meter for {0}")]
    NoMeters(&'static str),
    /// A series is named twice.
    #[error("{device} {point} is there twice")]
    Repeated {
        /// The device.
        device: Slug,
        /// The point.
        point: String,
    },
    /// Rows that are not in order of time.
    #[error("the rows of {device} {point} are not in order of time at {ts_ms} ms")]
    Order {
        /// The device.
        device: Slug,
        /// The point.
        point: String,
        /// The row that is too early.
        ts_ms: i64,
    },
    /// A unit that cannot be what the series is for.
    #[error("{device} {point} is in {found}, which is no unit of {wanted}")]
    Unit {
        /// The device.
        device: Slug,
        /// The point.
        point: String,
        /// Its unit.
        found: Unit,
        /// What it should measure.
        wanted: &'static str,
    },
    /// A counter or a sum that cannot be counted.
    #[error("the energy of {device} {point} cannot be counted in watt-hours")]
    Counter {
        /// The device.
        device: Slug,
        /// The point.
        point: String,
    },
    /// Rows that cannot be folded into days.
    #[error("the rows of {device} {point} make no days")]
    Days {
        /// The device.
        device: Slug,
        /// The point.
        point: String,
        /// Why.
        #[source]
        err: DaysError,
    },
    /// Days that cannot be put side by side.
    #[error("energy and weather cannot be put side by side")]
    Join(#[source] DaysError),
    /// The billed period is not a period.
    #[error("the billed period has no day")]
    Period(#[source] calculator::baseline::PeriodError),
    /// The baseline may not be fitted.
    #[error("the baseline may not be fitted")]
    Disqualified(#[source] Disqualified),
    /// No model.
    #[error("the baseline has no model")]
    Fit(#[source] FitError),
    /// No avoided energy.
    #[error("the period has no avoided energy")]
    Savings(#[source] SavingsError),
    /// Too much of the period is missing.
    #[error("only {compared} of {total} days have energy and weather; 90 % are needed to bill")]
    NotBillable {
        /// Days with both.
        compared: u32,
        /// Days of the period.
        total: u32,
    },
    /// An adjustment that is not the one that was signed.
    #[error("adjustment `{name}` was signed as {signed}, but it is {found}")]
    Adjustment {
        /// The adjustment.
        name: String,
        /// The SHA-256 that stands in it.
        signed: String,
        /// The SHA-256 of what it says.
        found: String,
    },
    /// Adjustments that cannot be made.
    #[error("the avoided energy cannot be adjusted")]
    Adjusted(#[source] AdjustedError),
    /// A dossier that contradicts itself.
    #[error("the dossier of the baseline contradicts itself")]
    Dossier(#[source] DossierError),
    /// Produce that cannot be.
    #[error("the harvests make no production of days")]
    Harvest(#[source] HarvestError),
    /// A baseline that has no model with production in it.
    #[error("the baseline has no model that knows what grew")]
    Production(#[source] CeaError),
    /// Far more or far less grew than in the baseline.
    #[error(
        "{grown:.1} kg a day grew, and between {low:.1} and {high:.1} in the baseline; so far outside nothing can be billed: agree upon a \
         new baseline"
    )]
    Output {
        /// The mean of the period.
        grown: f64,
        /// The baseline's least.
        low: f64,
        /// The baseline's greatest.
        high: f64,
    },
    /// So much was adjusted that the baseline says nothing any more.
    #[error("the adjustments are more than half of the savings; agree upon a new baseline")]
    Rebaseline,
    /// The tariff is not the one that the contract names.
    #[error("contract {contract} is priced by {expected}, but the tariff given is {found}")]
    TariffName {
        /// The contract.
        contract: ContractId,
        /// What it names.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A price that makes no tariff.
    #[error("the price of the contract makes no tariff")]
    Tariff(#[source] TariffError),
    /// The tariff is in another currency.
    #[error("the contract is in {expected}, its tariff in {found}")]
    Currency {
        /// The contract's.
        expected: String,
        /// The tariff's.
        found: String,
    },
    /// The avoided energy cannot be priced.
    #[error("the avoided energy cannot be priced")]
    Price(#[source] PriceError),
    /// The saving has no bills.
    #[error("what was used and what would have been used cannot be billed under the rate of the contract")]
    Bills(#[source] BillError),
    /// Energy that is no load profile.
    #[error("the hours of the period make no load profile")]
    Profile(#[source] ProfileError),
    /// A baseline whose hours show no shape.
    #[error("the hours of the baseline show no shape of a day")]
    Shape(#[source] ShapeError),
    /// A value that cannot be drawn.
    #[error("the value under the rate of the contract cannot be drawn")]
    Expected(#[source] ExpectError),
    /// No statement.
    #[error("the figures make no statement")]
    Settle(#[source] SettleError),
    /// No invoice.
    #[error("the statement makes no invoice")]
    Invoice(#[source] InvoiceError),
    /// No posting.
    #[error("the invoice cannot be posted")]
    Posting(#[source] TransactionError),
    /// A document has no canonical form.
    #[error("a document cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// What is wrong with a bundle as a file.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        err: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        err: io::Error,
    },
    /// Some other file.
    #[error("this is not an evidence bundle: it does not begin with manifest.json in a tar archive")]
    NotABundle,
    /// The file ends too early.
    #[error("the bundle is cut off: it ends at byte {length} inside {member}")]
    Truncated {
        /// How long the file is.
        length: usize,
        /// What was being read.
        member: String,
    },
    /// A later, or an unknown, edition of the format.
    #[error("the bundle is of version `{found}`; this program reads {expected}", expected = crate::SCHEMA)]
    Version {
        /// What it says.
        found: String,
    },
    /// A header that we would have written differently.
    #[error("the header of {member} is not as it was written: byte {offset} is {found:#04x}, it should be {expected:#04x}")]
    Header {
        /// The member, as far as it can be read.
        member: String,
        /// Offset in the file.
        offset: usize,
        /// The byte.
        found: u8,
        /// The byte as we would have written it.
        expected: u8,
    },
    /// A byte between members that is not zero.
    #[error("the padding after {member} is not zero: byte {offset} is {found:#04x}")]
    Padding {
        /// The member before.
        member: String,
        /// Offset in the file.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// Something behind the end.
    #[error("the bundle goes on behind its end, at byte {offset}")]
    Trailing {
        /// Offset in the file.
        offset: usize,
    },
    /// The last member does not hold the manifest's hash.
    #[error("manifest.json does not match manifest.sha256: its hash is {found}, the seal says {expected}")]
    Seal {
        /// What the seal says.
        expected: String,
        /// The hash of the manifest.
        found: String,
    },
    /// A member with other bytes.
    #[error("{member} does not match the manifest: its hash is {found}, the manifest says {expected}")]
    Hash {
        /// The member.
        member: String,
        /// What the manifest says.
        expected: String,
        /// The hash of its bytes.
        found: String,
    },
    /// A member of another length.
    #[error("{member} has {found} bytes, the manifest says {expected}")]
    Size {
        /// The member.
        member: String,
        /// What the manifest says.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Other members than the manifest lists, or in another order.
    #[error("the manifest lists {expected} where the bundle has {found}")]
    Members {
        /// What the manifest lists.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A statement about a content that the member does not have, and that nobody checks.
    #[error("the manifest gives {0} the hash of a content, which only compressed members have")]
    NotCompressed(String),
    /// A compressed member whose content has no hash.
    #[error("the manifest gives {0} no hash of its content, which every compressed member has")]
    NoContentHash(String),
    /// A name that cannot be a member's.
    #[error("`{0}` cannot be the name of a member")]
    Name(String),
    /// A member that a bundle must have.
    #[error("the bundle has no {0}")]
    Missing(String),
    /// A member that is not what its name says.
    #[error("{member} cannot be read")]
    Json {
        /// The member.
        member: String,
        /// Why.
        #[source]
        err: serde_json::Error,
    },
    /// A table with a line that is no row.
    #[error("{member}, line {line}: {problem}")]
    Row {
        /// The member.
        member: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A text that is none.
    #[error("{0} is not text")]
    Text(String),
    /// Compressed bytes that are none.
    #[error("{member} cannot be decompressed")]
    Compressed {
        /// The member.
        member: String,
        /// Why.
        #[source]
        err: io::Error,
    },
    /// A document has no canonical form.
    #[error("a document cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
}
