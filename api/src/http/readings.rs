//! `/v1/facilities/{id}/readings`: what the meters said, and what it comes to.

use axum::Json;
use axum::extract::State;
use ids::{FacilityId, Slug};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Bucket, Resolution, SeriesKey};
use units::{FacilityCalendar, Measured};
use utoipa::{IntoParams, ToSchema};

use super::facilities::require;
use super::page::{Id, Page, Params, instant};
use super::problem::{Kind, Problem};
use crate::db::keys::Caller;
use crate::service::ServiceError;
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
    /// `raw` for the readings themselves, as when absent; or what they come to in each quarter of an hour, hour, or day
    /// of the facility that begins between `from` and `to`.
    #[serde(default)]
    #[param(inline)]
    resolution: Asked,
    /// At most so many, 1 to 10000; 1000 when absent.
    limit: Option<usize>,
    /// Those after this instant: `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    starting_after: Option<Timestamp>,
}

/// How close somebody looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
enum Asked {
    #[default]
    #[serde(rename = "raw")]
    Raw,
    #[serde(rename = "15m")]
    QuarterHour,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
}

impl Asked {
    fn resolution(self) -> Option<Resolution> {
        match self {
            Self::Raw => None,
            Self::QuarterHour => Some(Resolution::QuarterHour),
            Self::Hour => Some(Resolution::Hour),
            Self::Day => Some(Resolution::Day),
        }
    }
}

/// One value at one time, or in the stretch of time that begins with it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Reading {
    #[schema(example = "2026-01-05T06:00:00Z")]
    at: String,
    /// Exact decimal; null when there is no value and the quality says why. Of a stretch of time: what a counter says has
    /// passed, and null when it does not say; the mean of anything else, to three more digits.
    #[schema(example = "12345.67")]
    value: Option<String>,
    /// The value is `raw` × 10^`exponent`.
    raw: Option<i64>,
    exponent: i8,
    #[schema(example = "kWh")]
    unit: &'static str,
    #[schema(example = "good")]
    /// Of a stretch of time: the worst of any reading, and every reason.
    quality: String,
    /// Of a stretch of time alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    summary: Option<Summary>,
}

/// What the readings of a stretch of time come to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Summary {
    /// Where the stretch ends.
    to: String,
    /// Readings that there should be, by how often there is one; null when that cannot be told.
    expected: Option<u64>,
    readings: u64,
    /// Of these, with a value that may be used.
    usable: u64,
    /// Of the usable: put in the place of a reading by a method, and by a person.
    estimated: u64,
    edited: u64,
    /// Exact decimals, over the usable values.
    smallest: Option<String>,
    largest: Option<String>,
    first: Option<String>,
    last: Option<String>,
    /// Of a counter: up to which reading it says what passed, and how often it did not simply go on.
    passed_to: Option<String>,
    breaks: Option<u64>,
    /// The first and the last entry of the store's log that a reading of it came with.
    lsn_from: u64,
    lsn_to: u64,
}

impl Reading {
    fn of_bucket(key: &SeriesKey, bucket: &Bucket) -> Self {
        let measured = |raw| Measured { raw, exponent: key.exponent, unit: key.unit };
        let decimal = |raw: Option<i64>| raw.map(|raw| measured(raw).decimal_text());
        let value = match bucket.passing {
            Some(passing) => passing.raw.map(measured),
            None => bucket.mean(key.unit, key.exponent),
        };
        Self {
            at: instant(bucket.from_ms),
            value: value.map(Measured::decimal_text),
            raw: value.map(|value| value.raw),
            exponent: value.map_or(key.exponent, |value| value.exponent),
            unit: key.unit.symbol(),
            quality: bucket.quality.to_string(),
            summary: Some(Summary {
                to: instant(bucket.to_ms),
                expected: bucket.expected,
                readings: bucket.readings,
                usable: bucket.usable(),
                estimated: bucket.estimated,
                edited: bucket.edited,
                smallest: decimal(bucket.smallest),
                largest: decimal(bucket.largest),
                first: decimal(bucket.first.map(|(_, raw)| raw)),
                last: decimal(bucket.last.map(|(_, raw)| raw)),
                passed_to: bucket.passing.map(|passing| instant(passing.to_ms)),
                breaks: bucket.passing.map(|passing| passing.breaks),
                lsn_from: bucket.lsn_from,
                lsn_to: bucket.lsn_to,
            }),
        }
    }
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
    if let Some(resolution) = query.resolution.resolution() {
        let calendar = FacilityCalendar::named(&facility.zone)
            .map_err(|err| ServiceError::Internal { what: "a facility has a zone that nobody knows", err: Box::new(err) })?;
        for (key, buckets) in history::buckets(&api, question, resolution, calendar).await? {
            readings.extend(buckets.iter().map(|bucket| (bucket.from_ms, Reading::of_bucket(&key, bucket))));
        }
        return Ok(paged(readings, rows));
    }
    for part in history::parts(&api, question).await? {
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
                summary: None,
            };
            (sample.ts_ms, reading)
        }));
    }
    Ok(paged(readings, rows))
}

/// A point whose unit or exponent changed has several series.
fn paged(mut readings: Vec<(i64, Reading)>, rows: usize) -> Json<Page<Reading>> {
    readings.sort_by_key(|(ts_ms, _)| *ts_ms);
    let readings = readings.into_iter().map(|(_, reading)| reading).collect();
    Page::cut(readings, rows, |reading: &Reading| reading.at.clone())
}
