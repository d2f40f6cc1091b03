//! `/v1/facilities/{id}/readings`: what the meters said.

use axum::Json;
use axum::extract::State;
use ids::{FacilityId, Slug};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use units::Measured;
use utoipa::{IntoParams, ToSchema};

use super::facilities::require;
use super::page::{Id, Page, Params, instant};
use super::problem::{Kind, Problem};
use crate::db::keys::Caller;
use crate::service::history::{self, Question};
use crate::state::Api;

/// Rows of a page when nothing is asked for.
const LIMIT_DEFAULT: usize = 1_000;
/// Most rows of a page.
const LIMIT_MAX: usize = 10_000;

/// Which readings are asked for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadingsQuery {
    /// The device's short name.
    #[param(value_type = String, example = "main-meter")]
    device: Slug,
    /// The point, as in the device's profile.
    #[param(example = "e_imp")]
    point: String,
    /// From this instant on, RFC 3339; a day before `to` when absent.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Up to and without this instant, RFC 3339; now when absent.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// At most so many, 1 to 10000; 1000 when absent.
    limit: Option<usize>,
    /// Those after this instant: `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    starting_after: Option<Timestamp>,
}

/// One value at one time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Reading {
    #[schema(example = "2026-01-05T06:00:00Z")]
    at: String,
    /// Exact decimal; null when there is no value and the quality says why.
    #[schema(example = "12345.67")]
    value: Option<String>,
    /// The value is `raw` × 10^`exponent`.
    raw: Option<i64>,
    exponent: i8,
    #[schema(example = "kWh")]
    unit: &'static str,
    #[schema(example = "good")]
    quality: String,
}

/// Lists the readings of one point, oldest first.
#[utoipa::path(get, path = "/v1/facilities/{id}/readings", tag = "readings", params(("id" = String, Path), ReadingsQuery),
    responses((status = 200, body = Page<Reading>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Id(facility): Id<FacilityId>,
    Params(query): Params<ReadingsQuery>,
) -> Result<Json<Page<Reading>>, Problem> {
    let facility = require(&api, &caller, facility).await?;
    let rows = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&rows) {
        return Err(Problem::new(Kind::InvalidParameter, format!("limit is 1 to {LIMIT_MAX}, not {rows}")));
    }
    let to = query.to.unwrap_or_else(|| api.now());
    // At the edge of the calendar there is no day before.
    let from = query.from.unwrap_or_else(|| to.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN));
    let after = query.starting_after.map_or(i64::MIN, |after| after.as_millisecond() + 1);
    let question = Question {
        tenant: caller.tenant_slug,
        facility: facility.slug,
        device: Some(query.device),
        point: Some(query.point),
        range: from.as_millisecond().max(after)..to.as_millisecond(),
    };
    let mut readings: Vec<(i64, Reading)> = Vec::new();
    for part in history::parts(&api, vec![question]).await? {
        let (unit, exponent) = (part.key.unit, part.key.exponent);
        readings.extend(part.samples.into_iter().map(|sample| {
            let value = sample.raw.map(|raw| Measured { raw, exponent, unit }.decimal_text());
            let reading = Reading {
                at: instant(sample.ts_ms),
                value,
                raw: sample.raw,
                exponent,
                unit: unit.symbol(),
                quality: sample.quality.to_string(),
            };
            (sample.ts_ms, reading)
        }));
    }
    // A point whose unit or exponent changed has several series.
    readings.sort_by_key(|(ts_ms, _)| *ts_ms);
    let readings = readings.into_iter().map(|(_, reading)| reading).collect();
    Ok(Page::cut(readings, rows, |reading: &Reading| reading.at.clone()))
}
