//! Fitting a baseline.

use calculator::baseline::Period;
use calculator::model::Fit;
use evidence::DeriveError;
use ids::{BaselineId, Slug};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::ServiceError;
use super::inputs::{self, Place};
use crate::db::baselines::{StoredBaseline, Verification};
use crate::db::facilities::Facility;
use crate::db::keys::Caller;
use crate::state::Api;

/// What is to be fitted.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) facility: Facility,
    pub(crate) meters: Vec<Slug>,
    pub(crate) weather: Slug,
    /// First local day.
    pub(crate) start: Date,
    /// The local day after the last.
    pub(crate) end: Date,
}

/// Reads the history, qualifies it and fits the model.
pub(crate) async fn fit(api: &Api, caller: &Caller, wanted: Wanted, method: String) -> Result<StoredBaseline, ServiceError> {
    let Wanted { facility, meters, weather, start, end } = wanted;
    let period = Period::new(start, end).map_err(|err| ServiceError::invalid(err.to_string()))?;
    let place = Place { tenant: caller.tenant_slug.clone(), facility };
    let id: BaselineId = api.new_id();
    let sources = inputs::baseline(api, &place, id, &meters, &weather, period).await?;
    let digest = inputs::digest(&sources)?;
    let facility = place.evidence();
    let fitted = tokio::task::spawn_blocking(move || {
        let fitted = evidence::fit_baseline(&facility, &sources.baseline, &sources.weather);
        fitted.map(|fit| (fit, sources))
    });
    let (fit, mut sources) = fitted.await.map_err(unexpected)?.map_err(refused)?;
    // The rows stay in the store; what is kept is where they are and what they hash to.
    for series in &mut sources.baseline.energy {
        series.rows = Vec::new();
    }
    sources.weather.rows = Vec::new();
    Ok(StoredBaseline {
        id,
        facility: place.facility.id,
        method,
        meters,
        weather,
        period_start: start,
        period_end: end,
        verification: Verification::Unverified,
        verified_by: None,
        verified_ms: None,
        inputs: sources,
        summary: summary(&fit)?,
        fit: serde_json::to_value(&fit).map_err(unwritable)?,
        digest,
        created_ms: api.now_ms(),
    })
}

/// What a person or an auditor wants to know first, and every candidate with the reason why it won or lost.
pub(super) fn summary(fit: &Fit) -> Result<Value, ServiceError> {
    Ok(json!({
        "method": fit.method,
        "model": serde_json::to_value(fit.model).map_err(unwritable)?,
        "r_squared_adj": fit.r_squared_adj,
        "cv_rmse": fit.metrics.cv_rmse,
        "cv_rmse_adj": fit.metrics.cv_rmse_adj,
        "nmbe": fit.metrics.nmbe,
        "days": fit.days.len(),
        "responds_to_weather": fit.responds_to_weather(),
        "metrics": serde_json::to_value(fit.metrics).map_err(unwritable)?,
        "candidates": serde_json::to_value(&fit.candidates).map_err(unwritable)?,
    }))
}

/// Data that gives no figure is the data's fault, not ours.
pub(super) fn refused(err: DeriveError) -> ServiceError {
    match err {
        DeriveError::Json(_) | DeriveError::Posting(_) => {
            ServiceError::Internal { what: "the figures could not be written", err: Box::new(err) }
        }
        err => ServiceError::Insufficient { err: Box::new(err) },
    }
}

pub(super) fn unexpected(err: tokio::task::JoinError) -> ServiceError {
    ServiceError::Internal { what: "the calculation ended unexpectedly", err: Box::new(err) }
}

pub(super) fn unwritable(err: serde_json::Error) -> ServiceError {
    ServiceError::Internal { what: "a document could not be written", err: Box::new(err) }
}
