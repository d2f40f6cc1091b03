//! `/v1/baselines/{id}/adjustments`: what the parties agreed upon when the facility changed and the retrofit did not do it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use calculator::events::{Adjustment, Method, Moves, Party, Signature};
use ids::BaselineId;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::command::{Command, Early, Unit};
use super::page::Id;
use super::problem::{Kind, Problem};
use super::shapes;
use crate::db::keys::Caller;
use crate::db::{adjustments as db, baselines};
use crate::service::ServiceError;
use crate::state::Api;

/// A signature over the digest of an adjustment.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedBy {
    /// `facility` or `provider`; both must sign.
    #[schema(value_type = String, example = "facility")]
    party: Party,
    #[schema(example = "M. Manager, North Hall LLC")]
    signer: String,
    /// The digest that was signed.
    over: String,
    #[schema(value_type = String, example = "2026-01-20")]
    signed_on: Date,
}

/// An agreed change of what the baseline expects.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgreedAdjustment {
    /// Its name in the contract's correspondence; each is in the ledger once.
    #[schema(example = "third row of lamps")]
    name: String,
    /// Why.
    cause: String,
    /// Its first local day.
    #[schema(value_type = String, example = "2026-01-02")]
    first: Date,
    /// The local day after its last; open when absent.
    #[schema(value_type = Option<String>)]
    end: Option<Date>,
    /// `sub_meter`, `event_variable`, `engineering_estimate` or `excluded_days`: the best way that was open.
    #[schema(value_type = String, example = "sub_meter")]
    method: Method,
    /// Why no better method was open; needed unless it is the best.
    why_not_better: Option<String>,
    /// `base` or `slope`.
    #[schema(value_type = String, example = "base")]
    moves: Moves,
    /// Wh a day; positive where the facility needs more than the baseline knows.
    wh_per_day: i64,
    /// Its standard error, Wh a day.
    error_wh_per_day: i64,
    /// SHA-256 of each document behind it.
    evidence: Vec<String>,
    /// SHA-256 of all of the above as this service writes it down; a wrong one is answered with the right one.
    digest: String,
    /// Both parties'.
    signatures: Vec<SignedBy>,
}

/// What was agreed upon, in the order in which it was.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Agreed {
    data: Vec<AgreedAdjustment>,
}

impl From<AgreedAdjustment> for Adjustment {
    fn from(read: AgreedAdjustment) -> Self {
        let signature = |SignedBy { party, signer, over, signed_on }: SignedBy| Signature { party, signer, over, signed_on };
        Self {
            name: read.name,
            cause: read.cause,
            first: read.first,
            end: read.end,
            method: read.method,
            why_not_better: read.why_not_better,
            moves: read.moves,
            wh_per_day: read.wh_per_day,
            error_wh_per_day: read.error_wh_per_day,
            evidence: read.evidence,
            digest: read.digest,
            signatures: read.signatures.into_iter().map(signature).collect(),
        }
    }
}

impl From<&Adjustment> for AgreedAdjustment {
    fn from(entry: &Adjustment) -> Self {
        let signed = |signature: &Signature| SignedBy {
            party: signature.party,
            signer: signature.signer.clone(),
            over: signature.over.clone(),
            signed_on: signature.signed_on,
        };
        Self {
            name: entry.name.clone(),
            cause: entry.cause.clone(),
            first: entry.first,
            end: entry.end,
            method: entry.method,
            why_not_better: entry.why_not_better.clone(),
            moves: entry.moves,
            wh_per_day: entry.wh_per_day,
            error_wh_per_day: entry.error_wh_per_day,
            evidence: entry.evidence.clone(),
            digest: entry.digest.clone(),
            signatures: entry.signatures.iter().map(signed).collect(),
        }
    }
}

/// Enters an adjustment that both parties signed; statements made from then on have it, issued ones stay.
#[utoipa::path(post, path = "/v1/baselines/{id}/adjustments", tag = "baselines", params(("id" = String, Path)),
    request_body = AgreedAdjustment,
    responses((status = 201, body = AgreedAdjustment), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(api): State<Api>,
    Id(id): Id<BaselineId>,
    Command { ticket, input }: Command<AgreedAdjustment>,
) -> Result<Response, Early> {
    // Statements are made one at a time, and none while what they rest on changes.
    let _desk = api.desk.lock().await;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let (tenant, now_ms) = (unit.tenant(), unit.now_ms);
    baselines::by_id(&mut *unit.tx, tenant, id).await?.ok_or_else(|| Problem::not_found("baseline", &id))?;
    let entry = Adjustment { name: shapes::name("name", &input.name)?, ..Adjustment::from(input) };
    let digest = evidence::adjustment_digest(&entry)
        .map_err(|err| ServiceError::Internal { what: "the adjustment cannot be written", err: Box::new(err) })?;
    if digest != entry.digest {
        let detail =
            format!("the digest of adjustment `{}` is {digest}, and that is what both parties sign; found {}", entry.name, entry.digest);
        return Err(Problem::new(Kind::InvalidBody, detail).into());
    }
    let mut ledger = db::of_baseline(&mut *unit.tx, tenant, id).await?;
    ledger.agree(entry.clone()).map_err(|err| ServiceError::conflict(err.to_string()))?;
    db::insert(&mut unit.tx, tenant, id, &entry, now_ms).await?;
    unit.happened("baseline.adjusted", &id.to_string()).await?;
    Ok(unit.finish(StatusCode::CREATED, &AgreedAdjustment::from(&entry)).await?)
}

/// The ledger of a baseline's adjustments.
#[utoipa::path(get, path = "/v1/baselines/{id}/adjustments", tag = "baselines", params(("id" = String, Path)),
    responses((status = 200, body = Agreed)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller, Id(id): Id<BaselineId>) -> Result<Json<Agreed>, Problem> {
    let known = baselines::by_id(api.db.read(), caller.tenant, id).await?;
    known.ok_or_else(|| Problem::not_found("baseline", &id))?;
    let ledger = db::of_baseline(api.db.read(), caller.tenant, id).await?;
    Ok(Json(Agreed { data: ledger.entries().iter().map(AgreedAdjustment::from).collect() }))
}
