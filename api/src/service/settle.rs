//! From a contract and a period to a statement, and from a statement to an issued invoice with its evidence.
//!
//! All figures come from `evidence::derive`, the same function by which an auditor recomputes them. A statement is
//! derived when it is made and once more when it is billed: an invoice is only issued when both agree.

use std::path::Path;

use calculator::events::Ledger;
use calculator::model::cea::Crop;
use calculator::tariff::{BILL_DRAWS, Tariff};
use calculator::verification::{Dossier, Past};
use evidence::{BundleError, Derived, Inputs, IssueInputs, Measurement};
use ids::{ContractId, FacilityId, InvoiceId, Slug, StatementId, TenantId};
use jiff::Timestamp;
use jiff::civil::Date;
use ledger::{Effect, Transaction};
use money::Money;
use serde_json::Value;
use settlement::{Contract, InvoiceNumber, Period, Statement};

use super::baselines::{refused, unexpected, unwritable};
use super::inputs::{self, Known, Place};
use super::{ServiceError, books};
use crate::db::baselines::{StoredBaseline, Verification};
use crate::db::contracts::StoredContract;
use crate::db::invoices::{StoredInvoice, StoredLine, StoredPart};
use crate::db::keys::Caller;
use crate::db::papers::PaperKind;
use crate::db::statements::StoredStatement;
use crate::db::{adjustments, baselines, contracts, facilities, invoices, papers, statements};
use crate::state::{Api, derived_id};

/// The digest in a statement that also covers the names of what is issued, and so differs until it is.
const ISSUE_DIGEST: &str = "inputs.json";

/// A contract with what it rests on.
#[derive(Debug)]
struct Case {
    place: Place,
    contract: StoredContract,
    baseline: StoredBaseline,
    /// What the parties agreed upon since.
    adjustments: Ledger,
    dossier: Dossier,
    crop: Option<Crop>,
}

/// What is asked beside the savings: a statement is asked the same when it is billed as when it was made.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The day of a trust score and the invoices issued before; no score where there is none.
    trust: Option<(Date, u32)>,
    /// How often a value under a rate is drawn.
    draws: Option<u32>,
}

impl Asked {
    /// As a statement was asked.
    fn of(settled: &Statement) -> Self {
        Self { trust: settled.trust().map(|trust| (trust.date, trust.invoices)), draws: settled.drawn().map(|drawn| drawn.draws) }
    }
}

impl Case {
    async fn of(api: &Api, caller: &Caller, contract: StoredContract) -> Result<Self, ServiceError> {
        let db = api.db.read();
        let facility = facilities::by_id(db, caller.tenant, contract.facility).await?;
        let facility = facility.ok_or_else(|| ServiceError::not_found("facility", contract.facility))?;
        let baseline = baselines::by_id(db, caller.tenant, contract.baseline).await?;
        let baseline = baseline.ok_or_else(|| ServiceError::not_found("baseline", contract.baseline))?;
        let adjustments = adjustments::of_baseline(db, caller.tenant, baseline.id).await?;
        let dossier = papers::newest(db, caller.tenant, baseline.id, PaperKind::Dossier).await?;
        let crop = papers::newest(db, caller.tenant, baseline.id, PaperKind::Yield).await?;
        Ok(Self {
            place: Place { tenant: caller.tenant_slug.clone(), facility },
            contract,
            baseline,
            adjustments,
            dossier: dossier.map_or_else(Dossier::default, |paper| paper.document),
            crop: crop.map(|paper| paper.document),
        })
    }

    /// What is asked today.
    async fn asked(&self, api: &Api, caller: &Caller) -> Result<Asked, ServiceError> {
        let issued = invoices::count_of_facility(api.db.read(), caller.tenant, self.contract.facility).await?;
        let issued = u32::try_from(issued).unwrap_or(u32::MAX);
        let trust = (self.zone()?.day_of(api.now()), self.dossier.past.invoices.saturating_add(issued));
        let under_a_rate = matches!(self.contract.agreement.tariff, Some(Tariff::Rate(_)));
        Ok(Asked { trust: Some(trust), draws: under_a_rate.then_some(BILL_DRAWS) })
    }

    fn zone(&self) -> Result<units::FacilityCalendar, ServiceError> {
        units::FacilityCalendar::named(&self.place.facility.zone)
            .map_err(|err| ServiceError::Internal { what: "the days of the facility cannot be told", err: Box::new(err) })
    }

    /// Refuses what may not be billed.
    fn require_verified(&self) -> Result<(), ServiceError> {
        match self.baseline.verification {
            Verification::Verified => Ok(()),
            other => Err(ServiceError::NotVerified { id: self.baseline.id, status: other.name() }),
        }
    }

    fn agreed(&self) -> &Contract {
        &self.contract.agreement.contract
    }

    /// Reads every row that the figures of a period rest on.
    ///
    /// * Shape: a statement made before there was a trust score, or draws, is asked for none.
    async fn gather(&self, api: &Api, period: Period, issue: IssueInputs, asked: Asked) -> Result<Inputs, ServiceError> {
        let stored = &self.baseline;
        let sources = inputs::same_baseline(api, &self.place, &stored.inputs, &stored.digest).await?;
        let agreement = &self.contract.agreement;
        let dossier = asked.trust.map(|(on, invoices)| {
            let past = Past { invoices, ..self.dossier.past };
            Dossier { date: Some(on), past, ..self.dossier.clone() }
        });
        let known = Known { dossier, crop: self.crop.clone(), draws: asked.draws };
        let (reporting, weather) =
            inputs::reporting(api, &self.place, &agreement.meters, &agreement.weather, period, self.adjustments.clone(), known).await?;
        Ok(Inputs {
            facility: self.place.evidence(),
            contract: agreement.contract.clone(),
            tariff: agreement.tariff.clone(),
            baseline: sources.baseline,
            weather: inputs::both(sources.weather, weather)?,
            reporting,
            issue,
        })
    }
}

/// What a period did not use, computed now and kept nowhere.
#[derive(Debug)]
pub(crate) struct Savings {
    pub(crate) facility: FacilityId,
    pub(crate) contract: ContractId,
    pub(crate) baseline: StoredBaseline,
    pub(crate) measurement: Measurement,
}

/// Measures a period under a contract, or under the newest one of the facility.
pub(crate) async fn savings(
    api: &Api,
    caller: &Caller,
    facility: FacilityId,
    contract: Option<ContractId>,
    (start, end): (Date, Date),
) -> Result<Savings, ServiceError> {
    let db = api.db.read();
    let found = match contract {
        Some(id) => contracts::by_id(db, caller.tenant, id).await?.filter(|contract| contract.facility == facility),
        None => contracts::latest_of_facility(db, caller.tenant, facility).await?,
    };
    let found = found.ok_or_else(|| ServiceError::not_found("contract of facility", facility))?;
    let case = Case::of(api, caller, found).await?;
    let period = period(start, end)?;
    let issue = issue_names(&case, period, api.now(), 1)?;
    let asked = case.asked(api, caller).await?;
    let inputs = case.gather(api, period, issue, asked).await?;
    let measured =
        tokio::task::spawn_blocking(move || evidence::measure(&inputs.facility, &inputs.baseline, &inputs.weather, &inputs.reporting));
    let measurement = measured.await.map_err(unexpected)?.map_err(refused)?;
    Ok(Savings { facility, contract: case.contract.id, baseline: case.baseline, measurement })
}

/// Makes a period's statement under a contract; nothing is written yet.
pub(crate) async fn statement(
    api: &Api,
    caller: &Caller,
    contract: ContractId,
    (start, end): (Date, Date),
) -> Result<StoredStatement, ServiceError> {
    let db = api.db.read();
    let found = contracts::by_id(db, caller.tenant, contract).await?;
    let case = Case::of(api, caller, found.ok_or_else(|| ServiceError::not_found("contract", contract))?).await?;
    case.require_verified()?;
    let period = period(start, end)?;
    if !case.agreed().covers(period) {
        return Err(ServiceError::conflict(format!("{period} is not wholly under contract {contract}")));
    }
    if statements::overlaps(db, caller.tenant, contract, start, end).await? {
        return Err(ServiceError::conflict(format!("a statement of contract {contract} covers days of {period} already")));
    }
    let now = api.now();
    let mut issue = issue_names(&case, period, now, 1)?;
    issue.carried_in = carried_in(api, caller, &case, start).await?;
    let id = issue.statement;
    let asked = case.asked(api, caller).await?;
    let derived = derive(case.gather(api, period, issue, asked).await?).await?.1;
    let document = serde_json::to_value(&derived.statement).map_err(unwritable)?;
    Ok(StoredStatement {
        id,
        facility: case.contract.facility,
        contract,
        baseline: case.baseline.id,
        period_start: start,
        period_end: end,
        digest: evidence::sha256_hex(&evidence::canonical_json(&figures(&document)).map_err(unwritable)?),
        document,
        created_ms: now.as_millisecond(),
    })
}

/// An invoice ready to be written down: its evidence is on the disk already.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) invoice: StoredInvoice,
    pub(crate) lines: Vec<StoredLine>,
    pub(crate) parts: Vec<StoredPart>,
    /// Nothing when the invoice is of zero.
    pub(crate) posting: Option<Transaction>,
    /// The series of its number, and the count within it.
    pub(crate) series: String,
    pub(crate) count: i64,
}

/// Derives a statement once more, makes its invoice, and writes the evidence. The caller holds the desk.
pub(crate) async fn issue(api: &Api, caller: &Caller, id: StatementId) -> Result<Issued, ServiceError> {
    let db = api.db.read();
    let stored = statements::by_id(db, caller.tenant, id).await?;
    let stored = stored.ok_or_else(|| ServiceError::not_found("statement", id))?;
    if invoices::by_statement(db, caller.tenant, id).await?.is_some() {
        return Err(ServiceError::conflict(format!("statement {id} is invoiced already")));
    }
    let contract = contracts::by_id(db, caller.tenant, stored.contract).await?;
    let contract = contract.ok_or_else(|| ServiceError::not_found("contract", stored.contract))?;
    let case = Case::of(api, caller, contract).await?;
    case.require_verified()?;
    let now = api.now();
    let period = period(stored.period_start, stored.period_end)?;
    let series = issue_names(&case, period, now, 1)?.number.series();
    let count = invoices::peek_number(db, caller.tenant, &series).await?;
    let number = u32::try_from(count)
        .map_err(|err| ServiceError::Internal { what: "the series of invoice numbers is used up", err: Box::new(err) })?;
    let mut names = issue_names(&case, period, now, number)?;
    names.statement = id;
    let settled = parse(&stored)?;
    names.carried_in = settled.carried_in();
    let (inputs, derived) = derive(case.gather(api, period, names, Asked::of(&settled)).await?).await?;
    let again = serde_json::to_value(&derived.statement).map_err(unwritable)?;
    if figures(&again) != figures(&stored.document) {
        return Err(ServiceError::conflict(format!(
            "the readings, the adjustments, the harvests or the dossier behind statement {id} are not those that it was made from, and it would come out differently"
        )));
    }
    let (file, sha256, derived) = write_evidence(api, &caller.tenant_slug, inputs, derived).await?;
    written(caller.tenant, derived, (file, sha256), (series, count), now)
}

fn written(
    tenant: TenantId,
    derived: Derived,
    (file, sha256): (String, String),
    (series, count): (String, i64),
    now: Timestamp,
) -> Result<Issued, ServiceError> {
    let invoice = &derived.invoice;
    let lines = invoice.lines().iter();
    let lines = lines.map(|line| StoredLine { description: line.description.clone(), amount_minor: line.amount.minor });
    let parts = invoice.parts().iter();
    let parts = parts.map(|part| StoredPart { payee: part.payee, kind: part.kind, amount_minor: part.amount.minor });
    let nothing_to_pay = invoice.total().minor == 0;
    let now_ms = now.as_millisecond();
    Ok(Issued {
        lines: lines.collect(),
        parts: parts.collect(),
        invoice: StoredInvoice {
            id: invoice.id(),
            tenant,
            facility: invoice.facility(),
            statement: invoice.statement(),
            number: Some(invoice.number().to_string()),
            status: if nothing_to_pay { "paid" } else { "issued" }.to_owned(),
            currency: invoice.currency().code().to_owned(),
            total_minor: invoice.total().minor,
            paid_minor: 0,
            document: serde_json::to_value(invoice).map_err(unwritable)?,
            issued_ms: Some(now_ms),
            paid_ms: nothing_to_pay.then_some(now_ms),
            evidence_file: Some(file),
            evidence_sha256: Some(sha256),
            created_ms: now_ms,
        },
        posting: derived.issue,
        series,
        count,
    })
}

/// Runs the derivation on a thread of its own: it reads a month of minutes.
async fn derive(inputs: Inputs) -> Result<(Inputs, Derived), ServiceError> {
    let derived = tokio::task::spawn_blocking(move || evidence::derive(&inputs).map(|derived| (inputs, derived)));
    derived.await.map_err(unexpected)?.map_err(refused)
}

/// Writes the bundle under the invoice's number, in the folder of its tenant: numbers are counted for each tenant, and
/// two of them may well choose one prefix. Its name and its hash.
async fn write_evidence(api: &Api, tenant: &Slug, inputs: Inputs, derived: Derived) -> Result<(String, String, Derived), ServiceError> {
    let file = format!("{tenant}/{}.nwev", derived.invoice.number());
    let (all, folder, path) = (api.evidence.clone(), api.evidence.join(tenant.as_str()), api.evidence.join(&file));
    let wrote = tokio::task::spawn_blocking(move || {
        let bytes = evidence::encode(&inputs, &derived)?;
        make_folder(&all, &folder).map_err(|err| BundleError::Write { path: folder, err })?;
        evidence::write(&path, &bytes).map(|written| (written.sha256, derived))
    });
    let (sha256, derived) = wrote
        .await
        .map_err(unexpected)?
        .map_err(|err| ServiceError::Internal { what: "the evidence bundle could not be written", err: Box::new(err) })?;
    Ok((file, sha256, derived))
}

/// Makes a folder, and its name durable.
fn make_folder(parent: &Path, folder: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => std::fs::File::open(parent)?.sync_all(),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(err),
    }
}

fn period(start: Date, end: Date) -> Result<Period, ServiceError> {
    Period::new(start, end).map_err(|err| ServiceError::invalid(err.to_string()))
}

/// The names of what follows from a contract and a period: the same cause, the same names.
fn issue_names(case: &Case, period: Period, at: Timestamp, count: u32) -> Result<IssueInputs, ServiceError> {
    let terms = case.agreed().terms();
    let statement: StatementId = derived_id(at.as_millisecond(), &format!("{}:{}:{}", terms.id, period.first(), period.end()));
    let invoice: InvoiceId = derived_id(at.as_millisecond(), &format!("{}:{}:{}:invoice", terms.id, period.first(), period.end()));
    let zone = case.zone()?;
    let number = InvoiceNumber::new(&terms.invoice_prefix, zone.day_of(at).year(), count)
        .map_err(|err| ServiceError::Internal { what: "no invoice number can be made", err: Box::new(err) })?;
    let transaction = books::transaction_id(&invoice, Effect::Issue, at);
    Ok(IssueInputs { statement, invoice, transaction, number, issued_at: at, carried_in: Money::zero(terms.currency) })
}

/// The shortfall of the statement before.
async fn carried_in(api: &Api, caller: &Caller, case: &Case, start: Date) -> Result<Money, ServiceError> {
    let last = statements::last_before(api.db.read(), caller.tenant, case.contract.id, start).await?;
    match last {
        Some(last) => Ok(parse(&last)?.carried_out()),
        None => Ok(Money::zero(case.agreed().terms().currency)),
    }
}

fn parse(stored: &StoredStatement) -> Result<Statement, ServiceError> {
    serde_json::from_value(stored.document.clone())
        .map_err(|err| ServiceError::Internal { what: "a stored statement does not add up any more", err: Box::new(err) })
}

/// A statement without the digest that changes when names are given to what is issued.
fn figures(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(inputs) = document.get_mut("inputs").and_then(Value::as_object_mut) {
        inputs.remove(ISSUE_DIGEST);
    }
    document
}
