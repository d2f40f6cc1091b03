//! `/v1/invoices`: what is asked of customers, the evidence for it, and its collection.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ids::{FacilityId, InvoiceId, PayeeId, PaymentId, StatementId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::command::{Command, Early, Nothing, Unit};
use super::page::{Id, ListQuery, Page, Params, instant, single};
use super::problem::{Kind, Problem};
use super::shapes::decimal;
use crate::db::keys::Caller;
use crate::db::payments::StoredPayment;
use crate::db::{DbError, invoices as db, ledger};
use crate::service::{collect as service, paper, settle};
use crate::state::Api;

/// What is asked of a customer for a statement.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Invoice {
    #[schema(value_type = String)]
    id: InvoiceId,
    #[schema(value_type = String)]
    facility: FacilityId,
    #[schema(value_type = String)]
    statement: StatementId,
    #[schema(example = "NW-2026-000001")]
    number: Option<String>,
    /// issued, paid, void or uncollectible.
    #[schema(example = "issued")]
    status: String,
    total_minor: i64,
    total_decimal: String,
    paid_minor: i64,
    paid_decimal: String,
    currency: String,
    lines: Vec<Line>,
    /// How the total is split, in the contract's order; the parts sum to the total.
    split: Vec<Part>,
    /// SHA-256 of the evidence bundle, which `GET /v1/invoices/{id}/evidence` gives.
    evidence_sha256: Option<String>,
    issued_at: Option<String>,
    paid_at: Option<String>,
    created_at: String,
    /// The whole invoice as the evidence holds it.
    #[schema(value_type = Object)]
    document: Value,
}

/// One line of an invoice.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub(crate) struct Line {
    description: String,
    amount_minor: i64,
    amount_decimal: String,
}

/// One payee's part of the total.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = InvoicePart)]
pub(crate) struct Part {
    #[schema(value_type = String)]
    payee: PayeeId,
    /// platform, network, facility, investor or partner.
    kind: &'static str,
    amount_minor: i64,
    amount_decimal: String,
}

/// An attempt to collect an invoice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    #[schema(value_type = String)]
    id: PaymentId,
    #[schema(value_type = String)]
    invoice: InvoiceId,
    /// Counted from 1; a refused attempt is followed by the next.
    attempt: i64,
    /// pending (the processor's answer is awaited), processing, succeeded or failed.
    #[schema(example = "succeeded")]
    status: String,
    amount_minor: i64,
    amount_decimal: String,
    currency: String,
    stripe_payment_intent: Option<String>,
    /// Why it failed, in the processor's word.
    failure: Option<String>,
    created_at: String,
}

impl From<StoredPayment> for Payment {
    fn from(stored: StoredPayment) -> Self {
        Self {
            id: stored.id,
            invoice: stored.invoice,
            attempt: stored.attempt,
            status: stored.status,
            amount_minor: stored.amount_minor,
            amount_decimal: decimal(stored.amount_minor, &stored.currency),
            currency: stored.currency,
            stripe_payment_intent: stored.intent,
            failure: stored.failure,
            created_at: instant(stored.created_ms),
        }
    }
}

/// Adds the lines and the split to a stored invoice.
async fn whole(api: &Api, stored: db::StoredInvoice) -> Result<Invoice, DbError> {
    let lines = db::lines(api.db.read(), stored.tenant, stored.id).await?;
    let parts = db::parts(api.db.read(), stored.tenant, stored.id).await?;
    Ok(shape(stored, lines, parts))
}

fn shape(stored: db::StoredInvoice, lines: Vec<db::StoredLine>, parts: Vec<db::StoredPart>) -> Invoice {
    let currency = stored.currency;
    Invoice {
        id: stored.id,
        facility: stored.facility,
        statement: stored.statement,
        number: stored.number,
        status: stored.status,
        total_minor: stored.total_minor,
        total_decimal: decimal(stored.total_minor, &currency),
        paid_minor: stored.paid_minor,
        paid_decimal: decimal(stored.paid_minor, &currency),
        lines: lines
            .into_iter()
            .map(|line| Line {
                amount_decimal: decimal(line.amount_minor, &currency),
                description: line.description,
                amount_minor: line.amount_minor,
            })
            .collect(),
        split: parts
            .into_iter()
            .map(|part| Part {
                amount_decimal: decimal(part.amount_minor, &currency),
                payee: part.payee,
                kind: part.kind.as_str(),
                amount_minor: part.amount_minor,
            })
            .collect(),
        currency,
        evidence_sha256: stored.evidence_sha256,
        issued_at: stored.issued_ms.map(instant),
        paid_at: stored.paid_ms.map(instant),
        created_at: instant(stored.created_ms),
        document: stored.document,
    }
}

async fn require(api: &Api, caller: &Caller, id: InvoiceId) -> Result<db::StoredInvoice, Problem> {
    db::by_id(api.db.read(), caller.tenant, id).await?.ok_or_else(|| Problem::not_found("invoice", &id))
}

/// A statement to bill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvoice {
    #[schema(value_type = String)]
    statement: StatementId,
}

/// Issues the invoice of a statement: gives it a number, posts it, and writes its evidence bundle.
#[utoipa::path(post, path = "/v1/invoices", tag = "invoices", request_body = NewInvoice, params(("idempotency-key" = String, Header)),
    responses((status = 201, body = Invoice), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(State(api): State<Api>, Command { ticket, input }: Command<NewInvoice>) -> Result<Response, Early> {
    ticket.require_key()?;
    // One at a time: the evidence holds the number, and a number is given once and without gaps.
    let _desk = api.desk.lock().await;
    drop(Unit::begin(&api, &ticket).await?);
    let issued = settle::issue(&api, &ticket.caller, input.statement).await?;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let (tenant, now_ms) = (unit.tenant(), unit.now_ms);
    if db::next_number(&mut unit.tx, tenant, &issued.series).await? != issued.count {
        let detail = "another process issued an invoice meanwhile; send the request again";
        return Err(Problem::new(Kind::Conflict, detail).into());
    }
    db::insert(&mut unit.tx, &issued.invoice, &issued.lines, &issued.parts).await?;
    if let Some(posting) = &issued.posting {
        ledger::append(&mut unit.tx, tenant, posting, now_ms).await?;
    }
    unit.happened("invoice.issued", &issued.invoice.id.to_string()).await?;
    let shaped = shape(issued.invoice, issued.lines, issued.parts);
    Ok(unit.finish(StatusCode::CREATED, &shaped).await?)
}

/// Lists the invoices.
#[utoipa::path(get, path = "/v1/invoices", tag = "invoices", params(ListQuery), responses((status = 200, body = Page<Invoice>)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller, Params(query): Params<ListQuery>) -> Result<Json<Page<Invoice>>, Problem> {
    let (window, rows) = query.window()?;
    let mut invoices = Vec::new();
    for stored in db::list(api.db.read(), caller.tenant, &window).await? {
        invoices.push(whole(&api, stored).await?);
    }
    Ok(Page::cut(invoices, rows, |invoice| invoice.id.to_string()))
}

/// Reads one invoice.
#[utoipa::path(get, path = "/v1/invoices/{id}", tag = "invoices", params(("id" = String, Path)), responses((status = 200, body = Invoice)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<InvoiceId>, headers: HeaderMap) -> Result<Response, Problem> {
    let stored = require(&api, &caller, id).await?;
    single(&headers, &whole(&api, stored).await?)
}

/// Prints the invoice: PDF/A, with the chart of the days, the split, and where the evidence is.
#[utoipa::path(get, path = "/v1/invoices/{id}/pdf", tag = "invoices", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/pdf", body = Vec<u8>)))]
pub(crate) async fn pdf(State(api): State<Api>, caller: Caller, Id(id): Id<InvoiceId>, headers: HeaderMap) -> Result<Response, Problem> {
    let stored = require(&api, &caller, id).await?;
    let name = stored.number.clone().unwrap_or_else(|| id.to_string());
    Ok(super::page::pdf(&headers, &name, paper::invoice(&api, &caller, stored).await?))
}

/// Downloads the evidence bundle: everything that `negawatt audit` needs to recompute the invoice offline.
#[utoipa::path(get, path = "/v1/invoices/{id}/evidence", tag = "invoices", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
pub(crate) async fn evidence(State(api): State<Api>, caller: Caller, Id(id): Id<InvoiceId>) -> Result<Response, Problem> {
    let stored = require(&api, &caller, id).await?;
    let Some(file) = stored.evidence_file else {
        return Err(Problem::new(Kind::NotFound, format!("invoice {id} has no evidence bundle")));
    };
    let path = api.evidence.join(&file);
    let bytes = tokio::fs::read(&path).await.map_err(|err| {
        tracing::error!(path = %path.display(), error = %err, "an evidence bundle cannot be read");
        Problem::new(Kind::Internal, "the evidence bundle cannot be read; the log has the details")
    })?;
    let mut response = ([(header::CONTENT_TYPE, "application/x-tar")], bytes).into_response();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    if let Some(tag) = stored.evidence_sha256.and_then(|sha256| HeaderValue::from_str(&format!("\"{sha256}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Collects an issued invoice, or tells how the open attempt stands.
#[utoipa::path(post, path = "/v1/invoices/{id}/collect", tag = "invoices", request_body = Nothing,
    params(("id" = String, Path), ("idempotency-key" = String, Header)), responses((status = 200, body = Payment)))]
pub(crate) async fn collect(
    State(api): State<Api>,
    Id(id): Id<InvoiceId>,
    Command { ticket, input: Nothing {} }: Command<Nothing>,
) -> Result<Response, Early> {
    ticket.require_key()?;
    let unit = Unit::begin(&api, &ticket).await?;
    require(&api, &ticket.caller, id).await?;
    unit.pause(&id.to_string()).await?;
    let payment = service::collect(&api, ticket.caller.tenant, id).await?;
    let mut unit = Unit::reopen(&api, &ticket).await?;
    unit.happened("invoice.collect", &id.to_string()).await?;
    Ok(unit.finish(StatusCode::OK, &Payment::from(payment)).await?)
}
