//! `GET /v1/live?tenant=...&facility=...`: readings as server-sent events, at most four times a second.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use ids::Slug;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Admin, Problem};
use crate::live::{Told, Watcher};

/// Between two events of one client; what happens meanwhile is told as one.
const PAUSE: Duration = Duration::from_millis(250);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    tenant: Slug,
    facility: Slug,
}

/// A client, and when it may be told something again.
struct Watching {
    watcher: Watcher,
    not_before: Instant,
    closing: CancellationToken,
}

pub(super) async fn watch(
    State(admin): State<Admin>,
    Query(params): Query<Params>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "clients", "as many clients watch as may; try again later");
    let watcher = admin.live.hub.watch(params.tenant, params.facility, last_id).ok_or_else(busy)?;
    let watching = Watching { watcher, not_before: Instant::now(), closing: admin.closing.clone() };
    let events = stream::unfold(watching, next).flat_map(|told| stream::iter(told.into_iter().map(|told| Ok(event(told)))));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// What happened since the last time, when the time has come. Ends with the process.
async fn next(mut watching: Watching) -> Option<(Vec<Told>, Watching)> {
    let wait = async {
        let news = watching.watcher.news().await;
        tokio::time::sleep_until(watching.not_before).await;
        news
    };
    let news = tokio::select! {
        news = wait => news,
        () = watching.closing.cancelled() => false,
    };
    if !news {
        return None;
    }
    let told = watching.watcher.take();
    if !told.is_empty() {
        // Who has been told nothing need not wait for the first that there is.
        watching.not_before = Instant::now() + PAUSE;
    }
    Some((told, watching))
}

fn event(told: Told) -> Event {
    let (name, id, data) = match told {
        Told::Readings { id, devices } => ("readings", id, json!({ "devices": devices })),
        Told::Gap { id, after } => {
            let data = json!({ "after": after, "up_to": id, "help": "what lies between is in the store: read it from there" });
            ("gap", id, data)
        }
    };
    Event::default().event(name).id(id).data(data.to_string())
}
