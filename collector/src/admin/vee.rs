//! `/v1/vee`: what is missing, what cannot be, what was told, and changes of readings.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use ids::Slug;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{AmendError, Reader};

use super::{Admin, Problem};
use crate::vee::{self, ChangeError, ChangeSaid, DeskError, EVENTS_MAX, Facts, JournalError, Made, Request, Scene};

/// A longer range is asked for in parts: all of it is in memory at once.
const RANGE_MAX_MS: i64 = 100 * 86_400_000;
const DAY_MS: i64 = 86_400_000;

/// A facility and a range: the last day when none is named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    tenant: Slug,
    facility: Slug,
    device: Option<Slug>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// The id of the last event that is known.
    #[serde(default)]
    after: i64,
    topic: Option<String>,
    limit: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    tenant: Slug,
    facility: Slug,
    limit: Option<u32>,
}

impl Admin {
    /// Answers a question about a facility in a range.
    async fn seen<T: Send + 'static>(
        &self,
        params: Params,
        answer: impl FnOnce(&Scene<'_>, Option<&Slug>, &std::ops::Range<i64>) -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Params { tenant, facility, device, from, to } = params;
        let to_ms = to.unwrap_or_else(|| self.clock.now()).as_millisecond();
        let range = from.map_or(to_ms - DAY_MS, Timestamp::as_millisecond)..to_ms;
        if range.start >= range.end || range.end - range.start > RANGE_MAX_MS {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "range", "`from` has to be before `to`, by at most 100 days"));
        }
        let facts = Facts::of(&self.desk.journal, &tenant, &facility, &range).await.map_err(of_journal)?;
        let config = self.desk.config.clone();
        let work = move |reader: &Reader| answer(&Scene::new(reader, &config, &tenant, &facility, facts), device.as_ref(), &range);
        self.desk.reading(work).await.and_then(|answered| answered).map_err(of_change)
    }
}

pub(super) async fn gaps(State(admin): State<Admin>, Query(params): Query<Params>) -> Result<Json<impl serde::Serialize>, Problem> {
    Ok(Json(admin.seen(params, vee::gaps).await?))
}

pub(super) async fn findings(State(admin): State<Admin>, Query(params): Query<Params>) -> Result<Json<impl serde::Serialize>, Problem> {
    Ok(Json(admin.seen(params, vee::findings).await?))
}

pub(super) async fn watermarks(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let series = admin.desk.reading(Reader::all_series).await.map_err(of_change)?;
    let said = vee::watermarks(&admin.desk.journal, &series, &admin.desk.config, admin.clock.now()).await;
    Ok(Json(said.map_err(of_journal)?))
}

pub(super) async fn events(State(admin): State<Admin>, Query(told): Query<Told>) -> Result<Json<Value>, Problem> {
    let limit = told.limit.unwrap_or(EVENTS_MAX);
    let events = admin.desk.journal.events(told.after, told.topic.as_deref(), limit).await.map_err(of_journal)?;
    Ok(Json(json!({ "schema": "negawatt.vee.events/1", "events": events })))
}

pub(super) async fn changes(State(admin): State<Admin>, Query(of): Query<Of>) -> Result<Json<Value>, Problem> {
    let changes = admin.desk.journal.changes(Some((&of.tenant, &of.facility)), of.limit.unwrap_or(100)).await.map_err(of_journal)?;
    let changes: Vec<ChangeSaid> = changes.iter().map(ChangeSaid::of).collect();
    Ok(Json(json!({ "schema": "negawatt.vee.changes/1", "changes": changes })))
}

pub(super) async fn change(State(admin): State<Admin>, Json(request): Json<Request>) -> Result<Json<Made>, Problem> {
    admin.desk.ask(request, admin.clock.now()).await.map(Json).map_err(|err| match err {
        DeskError::Change(err) => of_change(err),
        DeskError::Series { .. } => refused("series", &err),
        DeskError::Value { .. } => refused("value", &err),
        DeskError::Nothing { .. } => refused("nothing", &err),
        DeskError::NoCounter { .. } | DeskError::Displays => refused("exchange", &err),
    })
}

fn refused(code: &'static str, err: &dyn std::error::Error) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, daemon::chain(err))
}

fn of_journal(err: JournalError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "journal", daemon::chain(&err))
}

fn of_change(err: ChangeError) -> Problem {
    match &err {
        ChangeError::Amend(AmendError::Unaccounted) => refused("account", &err),
        ChangeError::Amend(AmendError::Nothing) | ChangeError::TooMany { .. } => refused("range", &err),
        ChangeError::Amend(AmendError::Sealed { .. }) => Problem::new(StatusCode::CONFLICT, "sealed", daemon::chain(&err)),
        ChangeError::Absent(_) => Problem::new(StatusCode::NOT_FOUND, "change", daemon::chain(&err)),
        ChangeError::Undone { .. } | ChangeError::Void(_) | ChangeError::Overtaken(_) => {
            Problem::new(StatusCode::CONFLICT, "change", daemon::chain(&err))
        }
        ChangeError::Panicked => Problem::bug("the work has panicked"),
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", daemon::chain(&err)),
    }
}
