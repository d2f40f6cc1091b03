//! `/v1/retention`: what may go by the configuration, and letting it go.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::{Account, Reader, RetentionError};

use super::{Admin, Problem};
use crate::retention::{self, Applied, ApplyError, Plan};

/// A plan that somebody has looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    plan: String,
    actor: String,
    reason: String,
    #[serde(default)]
    document: String,
}

fn unread(err: &dyn std::error::Error) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", daemon::chain(err))
}

pub(super) async fn plan(State(admin): State<Admin>) -> Result<Json<Plan>, Problem> {
    let (config, now) = (admin.config.clone(), admin.clock.now());
    let planned = admin.blocking(move |store| Reader::open(store.dir()).map(|reader| Plan::of(&reader, &config.retention, now))).await?;
    planned.map(Json).map_err(|err| unread(&err))
}

pub(super) async fn apply(State(admin): State<Admin>, Json(asked): Json<Asked>) -> Result<Json<Applied>, Problem> {
    let Asked { plan, actor, reason, document } = asked;
    let (config, at_ms) = (admin.config.clone(), admin.clock.now().as_millisecond());
    let account = Account { actor, reason, document, approval: String::new(), at_ms };
    let work = move |store: &store::Store| {
        let reader = Reader::open(store.dir()).map_err(|err| unread(&err))?;
        retention::apply(store, &reader, &config.retention, &plan, &account).map_err(|err| {
            let (status, code) = match &err {
                ApplyError::Changed { .. } => (StatusCode::CONFLICT, "plan"),
                ApplyError::Blocked { .. } | ApplyError::Store(RetentionError::NeedsArchive { .. }) => (StatusCode::CONFLICT, "archive"),
                ApplyError::Store(RetentionError::Unaccounted) => (StatusCode::UNPROCESSABLE_ENTITY, "account"),
                ApplyError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            };
            Problem::new(status, code, daemon::chain(&err))
        })
    };
    admin.blocking(work).await?.map(Json)
}
