//! `/v1/baselines`: what a facility used before the retrofit, fitted and verified.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ids::{BaselineId, FacilityId, Slug};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::command::{Command, Early, Unit};
use super::page::{Id, ListQuery, Page, Params, instant, single};
use super::problem::{Kind, Problem};
use super::shapes;
use crate::db::baselines::{self as db, StoredBaseline, Verification};
use crate::db::keys::Caller;
use crate::service::ServiceError;
use crate::service::baselines::{self as service, Wanted};
use crate::state::Api;

/// The one method so far.
const METHOD: &str = "caltrack-daily";

/// Days from the first up to and without the end, in the facility's zone.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Period {
    #[schema(value_type = String, example = "2025-01-01")]
    pub(crate) start: Date,
    /// The day after the last.
    #[schema(value_type = String, example = "2026-01-01")]
    pub(crate) end: Date,
}

impl Period {
    pub(super) fn check(self) -> Result<Self, Problem> {
        if self.start < self.end {
            return Ok(self);
        }
        let detail = format!("a period ends after its first day: start {}, end {} (the end is not part of it)", self.start, self.end);
        Err(Problem::new(Kind::InvalidBody, detail))
    }
}

/// A baseline to fit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBaseline {
    #[schema(value_type = String)]
    facility: FacilityId,
    /// The devices whose energy is the facility's use; imported history is a device too.
    #[schema(value_type = Vec<String>, example = json!(["utility-meter"]))]
    meters: Vec<Slug>,
    /// The device with the outdoor temperature.
    #[schema(value_type = String, example = "weather-station")]
    weather: Slug,
    period: Period,
    /// `caltrack-daily`, which is also meant when absent.
    #[schema(example = "caltrack-daily")]
    method: Option<String>,
}

/// A fitted baseline.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Baseline {
    #[schema(value_type = String)]
    id: BaselineId,
    #[schema(value_type = String)]
    facility: FacilityId,
    method: String,
    #[schema(value_type = Vec<String>)]
    meters: Vec<Slug>,
    #[schema(value_type = String)]
    weather: Slug,
    period: Period,
    /// unverified, verified or rejected; only a verified one may be billed.
    #[schema(example = "verified")]
    verification_status: &'static str,
    verified_by: Option<String>,
    verified_at: Option<String>,
    /// The quality of the fit, and every candidate with the reason why it won or lost.
    #[schema(value_type = Object)]
    summary: Value,
    /// SHA-256 over the days and the model.
    digest: String,
    created_at: String,
}

impl From<StoredBaseline> for Baseline {
    fn from(stored: StoredBaseline) -> Self {
        Self {
            id: stored.id,
            facility: stored.facility,
            method: stored.method,
            meters: stored.meters,
            weather: stored.weather,
            period: Period { start: stored.period_start, end: stored.period_end },
            verification_status: stored.verification.name(),
            verified_by: stored.verified_by,
            verified_at: stored.verified_ms.map(instant),
            summary: stored.summary,
            digest: stored.digest,
            created_at: instant(stored.created_ms),
        }
    }
}

/// Reads the history, qualifies it and fits the model.
#[utoipa::path(post, path = "/v1/baselines", tag = "baselines", request_body = NewBaseline,
    responses((status = 201, body = Baseline), (status = 422, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(State(api): State<Api>, Command { ticket, input }: Command<NewBaseline>) -> Result<Response, Early> {
    // Fitting takes a while and writes nothing: the transaction is opened for a moment to see whether it was done already.
    drop(Unit::begin(&api, &ticket).await?);
    let facility = super::facilities::require(&api, &ticket.caller, input.facility).await?;
    let period = input.period.check()?;
    let method = input.method.unwrap_or_else(|| METHOD.to_owned());
    if method != METHOD {
        let detail = format!("`{method}` is not a method; allowed: {METHOD}");
        return Err(Problem::new(Kind::InvalidBody, detail).into());
    }
    if input.meters.is_empty() {
        return Err(Problem::new(Kind::InvalidBody, "meters names at least one device").into());
    }
    let wanted = Wanted { facility, meters: input.meters, weather: input.weather, start: period.start, end: period.end };
    let baseline = service::fit(&api, &ticket.caller, wanted, method).await?;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let tenant = unit.tenant();
    db::insert(&mut unit.tx, tenant, &baseline).await?;
    unit.happened("baseline.fitted", &baseline.id.to_string()).await?;
    Ok(unit.finish(StatusCode::CREATED, &Baseline::from(baseline)).await?)
}

/// Lists the baselines.
#[utoipa::path(get, path = "/v1/baselines", tag = "baselines", params(ListQuery), responses((status = 200, body = Page<Baseline>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Baseline>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::list(api.db.read(), caller.tenant, &window).await?;
    Ok(Page::cut(found.into_iter().map(Baseline::from).collect(), rows, |baseline| baseline.id.to_string()))
}

/// Reads one baseline.
#[utoipa::path(get, path = "/v1/baselines/{id}", tag = "baselines", params(("id" = String, Path)), responses((status = 200, body = Baseline)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<BaselineId>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = db::by_id(api.db.read(), caller.tenant, id).await?;
    single(&headers, &Baseline::from(found.ok_or_else(|| Problem::not_found("baseline", &id))?))
}

/// The verdict on a baseline.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVerdict {
    /// Who looked at it.
    #[schema(example = "A. Auditor, Third Party Ltd")]
    verified_by: String,
    /// `false` rejects it; verified when absent.
    accepted: Option<bool>,
}

/// Verifies or rejects a baseline, once and for all.
#[utoipa::path(post, path = "/v1/baselines/{id}/verify", tag = "baselines", params(("id" = String, Path)), request_body = NewVerdict,
    responses((status = 200, body = Baseline), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    State(api): State<Api>,
    Id(id): Id<BaselineId>,
    Command { ticket, input }: Command<NewVerdict>,
) -> Result<Response, Early> {
    let mut unit = Unit::begin(&api, &ticket).await?;
    let by = shapes::name("verified_by", &input.verified_by)?;
    let accepted = input.accepted.unwrap_or(true);
    let verdict = if accepted { Verification::Verified } else { Verification::Rejected };
    let (tenant, now_ms) = (unit.tenant(), unit.now_ms);
    let before = db::by_id(&mut *unit.tx, tenant, id).await?.ok_or_else(|| Problem::not_found("baseline", &id))?;
    if !db::record_verdict(&mut unit.tx, tenant, id, verdict, &by, now_ms).await? {
        let detail = format!("baseline {id} is {} already; that is not changed", before.verification.name());
        return Err(ServiceError::conflict(detail).into());
    }
    let kind = if accepted { "baseline.verified" } else { "baseline.rejected" };
    unit.happened(kind, &id.to_string()).await?;
    let after = db::by_id(&mut *unit.tx, tenant, id).await?.ok_or_else(|| Problem::not_found("baseline", &id))?;
    Ok(unit.finish(StatusCode::OK, &Baseline::from(after)).await?)
}
