//! `/v1/savings`: what a period did not use, computed when asked and kept nowhere.

use axum::Json;
use axum::extract::State;
use ids::{BaselineId, ContractId, FacilityId};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::baselines::Period;
use super::beside::{Trust, Yield};
use super::page::Params;
use super::problem::{Kind, Problem};
use crate::db::keys::Caller;
use crate::service::settle;
use crate::state::Api;

/// Whose savings, and of which days.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SavingsQuery {
    #[param(value_type = String)]
    facility: FacilityId,
    /// The contract that names meters, weather and baseline; the facility's newest when absent.
    #[param(value_type = Option<String>)]
    contract: Option<ContractId>,
    /// First local day.
    #[param(value_type = String, example = "2026-01-01")]
    start: Date,
    /// The local day after the last.
    #[param(value_type = String, example = "2026-02-01")]
    end: Date,
}

/// What a period did not use.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Savings {
    #[schema(value_type = String)]
    facility: FacilityId,
    #[schema(value_type = String)]
    contract: ContractId,
    #[schema(value_type = String)]
    baseline: BaselineId,
    /// Only what rests on a verified baseline may be billed.
    #[schema(example = "verified")]
    baseline_verification_status: &'static str,
    period: Period,
    /// What the baseline would have used, agreed adjustments included.
    counterfactual_wh: i64,
    /// What was used.
    observed_wh: i64,
    /// What the agreed adjustments are of `counterfactual_wh`.
    adjustments_wh: i64,
    /// The difference.
    avoided_energy_wh: i64,
    /// Half of the interval around it, at `confidence`.
    uncertainty_wh: i64,
    #[schema(example = 0.9)]
    confidence: f64,
    /// Days with energy and weather, of all days.
    coverage: f64,
    days_compared: u32,
    days_total: u32,
    /// How far they may be believed today.
    trust: Option<Trust>,
    /// What grew; absent where nobody weighs it.
    #[serde(rename = "yield")]
    yielded: Option<Yield>,
    /// The fifteen categories of verification with what was measured, over the digest that an auditor signs.
    #[schema(value_type = Option<Object>)]
    verification: Option<Value>,
    /// Each compared day, as the model has it, without adjustments.
    #[schema(value_type = Vec<Object>)]
    days: Value,
    /// Each day left out, with what it lacks.
    #[schema(value_type = Vec<Object>)]
    masked: Value,
}

/// Computes the savings of a period.
#[utoipa::path(get, path = "/v1/savings", tag = "savings", params(SavingsQuery),
    responses((status = 200, body = Savings), (status = 422, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Params(query): Params<SavingsQuery>) -> Result<Json<Savings>, Problem> {
    super::facilities::require(&api, &caller, query.facility).await?;
    let period = Period { start: query.start, end: query.end }.check()?;
    let days = (period.start, period.end);
    let found = settle::savings(&api, &caller, query.facility, query.contract, days).await?;
    let evidence::Measurement { avoided, adjusted, trust, yielded, standing, .. } = found.measurement;
    let unwritable = |err: serde_json::Error| {
        tracing::error!(error = %err, "savings could not be written");
        Problem::new(Kind::Internal, "the savings could not be written")
    };
    Ok(Json(Savings {
        facility: found.facility,
        contract: found.contract,
        baseline: found.baseline.id,
        baseline_verification_status: found.baseline.verification.name(),
        period,
        counterfactual_wh: adjusted.avoided_wh.saturating_add(adjusted.observed_wh),
        observed_wh: adjusted.observed_wh,
        adjustments_wh: adjusted.adjustments_wh,
        avoided_energy_wh: adjusted.avoided_wh,
        uncertainty_wh: adjusted.uncertainty_wh,
        confidence: avoided.confidence,
        coverage: avoided.coverage,
        days_compared: avoided.days_compared,
        days_total: avoided.days_total,
        trust: trust.as_ref().map(Trust::from),
        yielded: yielded.as_ref().map(Yield::from),
        verification: standing.as_ref().map(serde_json::to_value).transpose().map_err(unwritable)?,
        days: serde_json::to_value(&avoided.days).map_err(unwritable)?,
        masked: serde_json::to_value(&avoided.masked).map_err(unwritable)?,
    }))
}
