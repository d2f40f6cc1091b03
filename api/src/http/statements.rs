//! `/v1/statements`: a period's savings under a contract, frozen.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ids::{BaselineId, ContractId, FacilityId, StatementId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use settlement::Statement as Settled;
use utoipa::ToSchema;

use super::baselines::Period;
use super::beside::{Drawn, Trust, Yield};
use super::command::{Command, Early, Unit};
use super::page::{Id, ListQuery, Page, Params, instant, single};
use super::problem::{Kind, Problem};
use super::shapes::Amount;
use crate::db::keys::Caller;
use crate::db::statements::{self as db, StoredStatement};
use crate::service::{paper, settle};
use crate::state::Api;

/// A statement to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStatement {
    #[schema(value_type = String)]
    contract: ContractId,
    period: Period,
}

/// A period's savings under a contract.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Statement {
    #[schema(value_type = String)]
    id: StatementId,
    #[schema(value_type = String)]
    facility: FacilityId,
    #[schema(value_type = String)]
    contract: ContractId,
    #[schema(value_type = String)]
    baseline: BaselineId,
    period: Period,
    avoided_energy_wh: i64,
    /// What of it the parties agreed upon besides the model.
    adjustments_wh: i64,
    uncertainty_wh: i64,
    /// Parts per million.
    #[schema(example = 900_000)]
    confidence_ppm: u32,
    /// How far the savings may be believed; absent on statements made before anybody asked.
    trust: Option<Trust>,
    /// What grew; absent where nobody weighs it.
    #[serde(rename = "yield")]
    yielded: Option<Yield>,
    /// How the value was drawn; only under a rate, where the baseline has hours.
    drawn: Option<Drawn>,
    /// What the avoided energy is worth.
    value: Amount,
    /// The value after shortfalls of earlier months.
    billable: Amount,
    /// The share of it that is billed.
    billed: Amount,
    /// SHA-256 over the figures and the hashes of what they were computed from.
    digest: String,
    created_at: String,
    /// The whole statement.
    #[schema(value_type = Object)]
    document: Value,
}

fn shape(stored: StoredStatement) -> Result<Statement, Problem> {
    let settled: Settled = serde_json::from_value(stored.document.clone()).map_err(|err| {
        tracing::error!(statement.id = %stored.id, error = %err, "a stored statement cannot be read");
        Problem::new(Kind::Internal, "a stored statement cannot be read; the log has the details")
    })?;
    Ok(Statement {
        id: stored.id,
        facility: stored.facility,
        contract: stored.contract,
        baseline: stored.baseline,
        period: Period { start: stored.period_start, end: stored.period_end },
        avoided_energy_wh: settled.savings().avoided_wh.as_wh(),
        adjustments_wh: settled.savings().adjustments_wh.as_wh(),
        uncertainty_wh: settled.savings().uncertainty_wh.as_wh(),
        confidence_ppm: settled.savings().confidence_ppm,
        trust: settled.trust().map(Trust::from),
        yielded: settled.yielded().map(Yield::from),
        drawn: settled.drawn().map(Drawn::from),
        value: settled.value().into(),
        billable: settled.billable().into(),
        billed: settled.billed().into(),
        digest: stored.digest,
        created_at: instant(stored.created_ms),
        document: stored.document,
    })
}

/// Computes and freezes the statement of a period.
#[utoipa::path(post, path = "/v1/statements", tag = "statements", request_body = NewStatement,
    responses((status = 201, body = Statement), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(State(api): State<Api>, Command { ticket, input }: Command<NewStatement>) -> Result<Response, Early> {
    // Deriving takes a while and writes nothing: the transaction is opened for a moment to see whether it was done already.
    drop(Unit::begin(&api, &ticket).await?);
    let period = input.period.check()?;
    let days = (period.start, period.end);
    let _desk = api.desk.lock().await;
    let stored = settle::statement(&api, &ticket.caller, input.contract, days).await?;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let tenant = unit.tenant();
    db::insert(&mut unit.tx, tenant, &stored).await?;
    unit.happened("statement.made", &stored.id.to_string()).await?;
    let shaped = shape(stored)?;
    Ok(unit.finish(StatusCode::CREATED, &shaped).await?)
}

/// Lists the statements.
#[utoipa::path(get, path = "/v1/statements", tag = "statements", params(ListQuery), responses((status = 200, body = Page<Statement>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Statement>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::list(api.db.read(), caller.tenant, &window).await?;
    let shaped = found.into_iter().map(shape).collect::<Result<_, _>>()?;
    Ok(Page::cut(shaped, rows, |statement: &Statement| statement.id.to_string()))
}

/// Reads one statement.
#[utoipa::path(get, path = "/v1/statements/{id}", tag = "statements", params(("id" = String, Path)), responses((status = 200, body = Statement)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<StatementId>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = db::by_id(api.db.read(), caller.tenant, id).await?;
    single(&headers, &shape(found.ok_or_else(|| Problem::not_found("statement", &id))?)?)
}

/// Prints the statement: PDF/A, with the hash of everything that it was computed from.
#[utoipa::path(get, path = "/v1/statements/{id}/pdf", tag = "statements", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/pdf", body = Vec<u8>)))]
pub(crate) async fn pdf(State(api): State<Api>, caller: Caller, Id(id): Id<StatementId>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = db::by_id(api.db.read(), caller.tenant, id).await?;
    let stored = found.ok_or_else(|| Problem::not_found("statement", &id))?;
    Ok(super::page::pdf(&headers, &id.to_string(), paper::statement(&api, &caller, stored).await?))
}
