//! Invoices and statements on paper: what the printer is told, gathered from the database and from the evidence.

use std::io;

use calculator::savings::Avoided;
use evidence::Bundle;
use report::{Attachment, Day, Evidence, InvoicePaper, StatementPaper};
use serde::de::DeserializeOwned;
use serde_json::Value;
use settlement::{Invoice, Statement};
use units::Energy;

use super::ServiceError;
use super::baselines::unexpected;
use crate::db::invoices::StoredInvoice;
use crate::db::keys::Caller;
use crate::db::statements::StoredStatement;
use crate::db::{contracts, facilities, keys, statements};
use crate::state::Api;

/// Documents of the bundle that travel with the printed invoice, with their names there and what they are.
const ATTACHED: [(&str, &str, &str); 2] = [
    ("derived/invoice.json", "invoice.json", "The invoice: lines, total and split, as in the bundle of evidence"),
    ("derived/statement.json", "statement.json", "The statement of savings, with the SHA-256 of every input, as in the bundle of evidence"),
];
/// Where the bundle has the days.
const DAYS: &str = "derived/avoided.json";

/// What the bundle gives to the paper.
#[derive(Debug, Default)]
struct Proof {
    days: Vec<Day>,
    attachments: Vec<Attachment>,
}

/// Prints an issued invoice. The same invoice gives the same bytes.
pub(crate) async fn invoice(api: &Api, caller: &Caller, stored: StoredInvoice) -> Result<Vec<u8>, ServiceError> {
    let db = api.db.read();
    let statement = statements::by_id(db, caller.tenant, stored.statement).await?;
    let statement = statement.ok_or_else(|| ServiceError::not_found("statement", stored.statement))?;
    let contract = contracts::by_id(db, caller.tenant, statement.contract).await?;
    let contract = contract.ok_or_else(|| ServiceError::not_found("contract", statement.contract))?;
    let names = Names::of(api, caller, stored.facility).await?;
    let proof = match (&stored.evidence_file, &stored.evidence_sha256) {
        (Some(file), Some(sha256)) => prove(api, file, sha256).await?,
        _ => Proof::default(),
    };
    let document: Invoice = read(stored.document)?;
    let statement: Statement = read(statement.document)?;
    print(move || {
        report::invoice(InvoicePaper {
            issuer: &names.issuer,
            payer: &contract.payer.name,
            facility: &names.facility,
            invoice: &document,
            statement: &statement,
            days: &proof.days,
            evidence: stored
                .evidence_file
                .as_deref()
                .zip(stored.evidence_sha256.as_deref())
                .map(|(file, sha256)| Evidence { file, sha256 }),
            attachments: proof.attachments,
        })
    })
    .await
}

/// Prints a statement. The same statement gives the same bytes, invoiced or not.
pub(crate) async fn statement(api: &Api, caller: &Caller, stored: StoredStatement) -> Result<Vec<u8>, ServiceError> {
    let names = Names::of(api, caller, stored.facility).await?;
    let made_at = jiff::Timestamp::from_millisecond(stored.created_ms).map_err(|err| unprintable(Box::new(err)))?;
    let document: Statement = read(stored.document)?;
    print(move || {
        report::statement(StatementPaper {
            issuer: &names.issuer,
            facility: &names.facility,
            statement: &document,
            made_at,
            digest: &stored.digest,
            days: &[],
            attachments: Vec::new(),
        })
    })
    .await
}

#[derive(Debug)]
struct Names {
    issuer: String,
    facility: String,
}

impl Names {
    async fn of(api: &Api, caller: &Caller, facility: ids::FacilityId) -> Result<Self, ServiceError> {
        let found = facilities::by_id(api.db.read(), caller.tenant, facility).await?;
        let facility = found.ok_or_else(|| ServiceError::not_found("facility", facility))?.name;
        let issuer = keys::tenant_name(api.db.read(), caller.tenant).await?;
        Ok(Self { issuer: issuer.unwrap_or_else(|| caller.tenant_slug.to_string()), facility })
    }
}

/// Takes the days and the attachments out of the bundle, whose every byte is checked first.
async fn prove(api: &Api, file: &str, sha256: &str) -> Result<Proof, ServiceError> {
    let (path, expected) = (api.evidence.join(file), sha256.to_owned());
    let proved = tokio::task::spawn_blocking(move || -> Result<Proof, ServiceError> {
        let bundle = Bundle::read(&path).map_err(|err| unprintable(Box::new(err)))?;
        let found = bundle.sha256();
        if found != expected {
            let err = io::Error::new(io::ErrorKind::InvalidData, format!("{} has the hash {found}, not {expected}", path.display()));
            return Err(unprintable(Box::new(err)));
        }
        let content = |name: &str| {
            let content = bundle.content(name).map_err(|err| unprintable(Box::new(err)))?;
            content.ok_or_else(|| unprintable(Box::new(evidence::BundleError::Missing(name.to_owned()))))
        };
        let avoided: Avoided = serde_json::from_slice(&content(DAYS)?).map_err(|err| unprintable(Box::new(err)))?;
        let day = |day: calculator::savings::AvoidedDay| Day {
            date: day.date,
            counterfactual_wh: Energy::wh(day.counterfactual_wh),
            observed_wh: Energy::wh(day.observed_wh),
        };
        let mut attachments = Vec::with_capacity(ATTACHED.len());
        for (member, name, description) in ATTACHED {
            attachments.push(Attachment { name: name.to_owned(), description: description.to_owned(), json: content(member)? });
        }
        Ok(Proof { days: avoided.days.into_iter().map(day).collect(), attachments })
    });
    proved.await.map_err(unexpected)?
}

/// Runs the printer on a thread of its own.
async fn print(work: impl FnOnce() -> Result<Vec<u8>, report::ReportError> + Send + 'static) -> Result<Vec<u8>, ServiceError> {
    tokio::task::spawn_blocking(work).await.map_err(unexpected)?.map_err(|err| unprintable(Box::new(err)))
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, ServiceError> {
    serde_json::from_value(document).map_err(|err| unprintable(Box::new(err)))
}

fn unprintable(err: Box<dyn std::error::Error + Send + Sync>) -> ServiceError {
    ServiceError::Internal { what: "the document cannot be printed", err }
}
