//! `/v1/baselines/{id}/dossier` and `/v1/baselines/{id}/yield`: what is known of a baseline besides its rows.
//!
//! Both are papers in versions: a POST adds one, the newest holds, and statements made from then on rest on it. The dossier has
//! what no row shows of the fifteen categories; the yield has the plan of the contract and what was harvested.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use calculator::model::cea::Crop;
use calculator::verification::Dossier;
use ids::BaselineId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::command::{Command, Early, Unit};
use super::page::{Id, instant};
use super::problem::{Kind, Problem};
use crate::db::baselines::Verification;
use crate::db::keys::Caller;
use crate::db::papers::{self as db, Paper, PaperKind};
use crate::db::{baselines, invoices};
use crate::service::ServiceError;
use crate::state::Api;

/// The version of a paper that holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Kept {
    /// From 1; 0 where nobody has entered one.
    version: i64,
    /// What was entered.
    #[schema(value_type = Option<Object>)]
    document: Option<Value>,
    /// When.
    created_at: Option<String>,
}

fn kept<T: Serialize>(paper: Option<Paper<T>>) -> Result<Kept, Problem> {
    let Some(Paper { version, document, created_ms }) = paper else {
        return Ok(Kept { version: 0, document: None, created_at: None });
    };
    let document = serde_json::to_value(document)
        .map_err(|err| ServiceError::Internal { what: "a paper of a baseline cannot be written", err: Box::new(err) })?;
    Ok(Kept { version, document: Some(document), created_at: Some(instant(created_ms)) })
}

/// Enters a version of the dossier: facts (certificates, clocks, bills), inventory, observations, waivers, workflow, past.
///
/// The day of a score is the day of the statement, whatever the dossier says; adjustments have a ledger of their own.
#[utoipa::path(post, path = "/v1/baselines/{id}/dossier", tag = "baselines", params(("id" = String, Path)),
    request_body = serde_json::Value,
    responses((status = 201, body = Kept), (status = 422, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(api): State<Api>,
    Id(id): Id<BaselineId>,
    Command { ticket, input }: Command<Dossier>,
) -> Result<Response, Early> {
    // Statements are made one at a time, and none while what they rest on changes.
    let _desk = api.desk.lock().await;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let (tenant, now_ms) = (unit.tenant(), unit.now_ms);
    let baseline = baselines::by_id(&mut *unit.tx, tenant, id).await?.ok_or_else(|| Problem::not_found("baseline", &id))?;
    if !input.adjustments.is_empty() {
        let detail = format!("adjustments are entered, one by one, under /v1/baselines/{id}/adjustments; leave them out of the dossier");
        return Err(Problem::new(Kind::InvalidBody, detail).into());
    }
    let issued = invoices::count_of_facility(&mut *unit.tx, tenant, baseline.facility).await?;
    if i64::from(input.past.disputed) > i64::from(input.past.invoices).saturating_add(issued) {
        let detail = format!("{} invoices cannot have been disputed: {} were issued", input.past.disputed, input.past.invoices);
        return Err(Problem::new(Kind::InvalidBody, detail).into());
    }
    let version = db::insert(&mut unit.tx, tenant, id, PaperKind::Dossier, &input, now_ms).await?;
    unit.happened("baseline.dossier_entered", &id.to_string()).await?;
    let kept = kept(Some(Paper { version, document: input, created_ms: now_ms }))?;
    Ok(unit.finish(StatusCode::CREATED, &kept).await?)
}

/// The dossier that holds.
#[utoipa::path(get, path = "/v1/baselines/{id}/dossier", tag = "baselines", params(("id" = String, Path)), responses((status = 200, body = Kept)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<BaselineId>) -> Result<Json<Kept>, Problem> {
    newest::<Dossier>(&api, &caller, id, PaperKind::Dossier).await
}

/// Enters the plan and the harvests: `measures`, `election`, `growth`, and every harvest so far.
///
/// The plan is agreed before the baseline is verified and holds from then on; harvests follow as they are weighed. Produce stands
/// in the model only where no measure moves it, or where the parties elected productivity.
#[utoipa::path(post, path = "/v1/baselines/{id}/yield", tag = "baselines", params(("id" = String, Path)),
    request_body = serde_json::Value,
    responses((status = 201, body = Kept), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create_yield(
    State(api): State<Api>,
    Id(id): Id<BaselineId>,
    Command { ticket, input }: Command<Crop>,
) -> Result<Response, Early> {
    let _desk = api.desk.lock().await;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let (tenant, now_ms) = (unit.tenant(), unit.now_ms);
    let baseline = baselines::by_id(&mut *unit.tx, tenant, id).await?.ok_or_else(|| Problem::not_found("baseline", &id))?;
    if input.measures.is_empty() {
        return Err(Problem::new(Kind::InvalidBody, "measures names at least one thing that the project changes").into());
    }
    input.drivers().map_err(|err| Problem::new(Kind::InvalidBody, err.to_string()))?;
    let before: Option<Paper<Crop>> = db::newest(&mut *unit.tx, tenant, id, PaperKind::Yield).await?;
    let same_plan = before.is_some_and(|Paper { document: crop, .. }| {
        crop.measures == input.measures && crop.election == input.election && crop.growth == input.growth
    });
    if baseline.verification == Verification::Verified && !same_plan {
        let detail = format!("baseline {id} is verified: what its plan says of the yield was to be agreed before, and is not changed now");
        return Err(ServiceError::conflict(detail).into());
    }
    let version = db::insert(&mut unit.tx, tenant, id, PaperKind::Yield, &input, now_ms).await?;
    unit.happened("baseline.yield_entered", &id.to_string()).await?;
    let kept = kept(Some(Paper { version, document: input, created_ms: now_ms }))?;
    Ok(unit.finish(StatusCode::CREATED, &kept).await?)
}

/// The plan and the harvests that hold.
#[utoipa::path(get, path = "/v1/baselines/{id}/yield", tag = "baselines", params(("id" = String, Path)), responses((status = 200, body = Kept)))]
pub(crate) async fn get_yield(State(api): State<Api>, caller: Caller, Id(id): Id<BaselineId>) -> Result<Json<Kept>, Problem> {
    newest::<Crop>(&api, &caller, id, PaperKind::Yield).await
}

async fn newest<T: Serialize + serde::de::DeserializeOwned>(
    api: &Api,
    caller: &Caller,
    id: BaselineId,
    kind: PaperKind,
) -> Result<Json<Kept>, Problem> {
    let known = baselines::by_id(api.db.read(), caller.tenant, id).await?;
    known.ok_or_else(|| Problem::not_found("baseline", &id))?;
    Ok(Json(kept(db::newest::<T>(api.db.read(), caller.tenant, id, kind).await?)?))
}
