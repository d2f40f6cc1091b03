//! `/v1/dead-letters`: what could not be read, and reading it again.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::DeadLetter;

use super::{Admin, Problem};
use crate::letters::{self, LISTED_MAX, Listed, Replayed, Shown};

/// Which of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    reason: Option<String>,
    limit: Option<usize>,
}

impl Admin {
    /// The newest letters that can be listed, newest first.
    async fn letters(&self) -> Result<Vec<DeadLetter>, Problem> {
        let read = self.blocking(|store| store.dead_letters(LISTED_MAX)).await?;
        read.map_err(|err| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", daemon::chain(&err)))
    }

    async fn letter(&self, id: &str) -> Result<DeadLetter, Problem> {
        let found = self.letters().await?.into_iter().find(|letter| letters::id(letter) == id);
        found.ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, "dead_letter", format!("there is no dead letter `{id}` among the newest {LISTED_MAX}"))
        })
    }

    async fn replay(&self, letter: DeadLetter) -> Result<Replayed, Problem> {
        let (config, now) = (self.config.clone(), self.clock.now());
        let replayed = self.blocking(move |store| letters::replay(store, &config, &letter, now)).await?;
        let replayed = replayed.map_err(|err| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", daemon::chain(&err)))?;
        let points = replayed.accepted + replayed.duplicate;
        self.live.count(&self.live.received, points);
        self.live.count(&self.live.accounted, points);
        Ok(replayed)
    }
}

pub(super) async fn list(State(admin): State<Admin>, Query(params): Query<Params>) -> Result<Json<Value>, Problem> {
    let letters = admin.letters().await?;
    let wanted = letters.iter().filter(|letter| params.reason.as_ref().is_none_or(|reason| *reason == letter.reason));
    let listed: Vec<Listed> = wanted.take(params.limit.unwrap_or(100)).map(Listed::of).collect();
    Ok(Json(json!({ "dead_letters": listed })))
}

pub(super) async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    Ok(Json(Shown::of(&admin.letter(&id).await?)))
}

pub(super) async fn replay(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Replayed>, Problem> {
    let letter = admin.letter(&id).await?;
    Ok(Json(admin.replay(letter).await?))
}

/// All that can be listed, the oldest first, or those of one reason.
pub(super) async fn replay_all(State(admin): State<Admin>, Query(params): Query<Params>) -> Result<Json<Value>, Problem> {
    let letters = admin.letters().await?;
    let wanted = letters.into_iter().filter(|letter| params.reason.as_ref().is_none_or(|reason| *reason == letter.reason));
    let mut wanted: Vec<DeadLetter> = wanted.take(params.limit.unwrap_or(usize::MAX)).collect();
    wanted.reverse();
    let mut replayed = Vec::with_capacity(wanted.len());
    for letter in wanted {
        replayed.push(admin.replay(letter).await?);
    }
    Ok(Json(json!({ "replayed": replayed })))
}
