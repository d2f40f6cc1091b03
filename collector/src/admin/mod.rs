//! What operators and other programs may ask the collector.

mod events;
mod imports;
mod letters;
mod metrics;
mod plans;
mod retention;
mod status;
mod vee;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daemon::Clock;
use serde_json::json;
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::live::Live;
use crate::quota::Quotas;
use crate::vee::Desk;

/// The largest file that can be imported.
const BODY_BYTES_MAX: usize = 256 << 20;
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// What the handlers know.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) config: Arc<Config>,
    pub(crate) live: Arc<Live>,
    pub(crate) store: Arc<Store>,
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) sinks: Vec<Arc<sinks::Shown>>,
    /// One import at a time: all its readings are in memory.
    pub(crate) imports: Arc<Semaphore>,
    /// Cancelled when those who watch have to go.
    pub(crate) closing: CancellationToken,
}

impl Admin {
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/startupz", get(started))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics_text))
            .route("/version", get(version))
            .route("/v1/status", get(status_json))
            .route("/v1/imports", get(plans::list).post(imports::post))
            .route("/v1/imports/files", post(plans::upload))
            .route("/v1/imports/plans", post(plans::plan))
            .route("/v1/imports/plans/{id}", get(plans::planned))
            .route("/v1/imports/plans/{id}/commit", post(plans::commit))
            .route("/v1/imports/{id}/undo", post(plans::take_back))
            .route("/v1/live", get(events::watch))
            .route("/v1/flush", post(flush))
            .route("/v1/retention", get(retention::plan).post(retention::apply))
            .route("/v1/sinks", get(sinks_json))
            .route("/v1/dead-letters", get(letters::list))
            .route("/v1/dead-letters/replay", post(letters::replay_all))
            .route("/v1/dead-letters/{id}", get(letters::show))
            .route("/v1/dead-letters/{id}/replay", post(letters::replay))
            .route("/v1/vee/gaps", get(vee::gaps))
            .route("/v1/vee/findings", get(vee::findings))
            .route("/v1/vee/watermarks", get(vee::watermarks))
            .route("/v1/vee/events", get(vee::events))
            .route("/v1/vee/changes", get(vee::changes).post(vee::change))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self)
    }

    /// Everything that is counted.
    pub(crate) async fn metrics_page(&self) -> Result<String, Problem> {
        let (live, sinks, clock, quotas) = (self.live.clone(), self.sinks.clone(), self.clock.clone(), self.quotas.clone());
        let ahead = self.config.receive_maximum;
        let render = move |store: &Store| metrics::render(&live, ahead, store, &quotas, &statuses(&sinks, store, &clock), clock.now());
        let mut page = self.blocking(render).await?;
        self.live.exports.append_to(&mut page);
        Ok(page)
    }

    /// Runs something that blocks.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> T + Send + 'static) -> Result<T, Problem> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_panicked| Problem::bug("the work has panicked"))
    }
}

/// RFC 9457.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Vec<(&'static str, serde_json::Value)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Vec::new() }
    }

    /// Says one thing more, for programs.
    fn with(mut self, key: &'static str, value: serde_json::Value) -> Self {
        self.more.push((key, value));
        self
    }

    fn bug(detail: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("problem"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let serde_json::Value::Object(members) = &mut body {
            members.extend(self.more.into_iter().map(|(key, value)| (key.to_owned(), value)));
        }
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

/// 200 from the moment on at which the first reading could come, whatever becomes of the broker later.
async fn started(State(admin): State<Admin>) -> (StatusCode, String) {
    if admin.live.begun.load(Ordering::SeqCst) {
        return (StatusCode::OK, "started\n".to_owned());
    }
    let (host, port) = &admin.config.broker;
    (StatusCode::SERVICE_UNAVAILABLE, format!("the log is read; the broker at {host}:{port} has not let us subscribe yet\n"))
}

/// 200 when a reading that arrives now would become durable; otherwise 503 with the reasons, one a line.
async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let mut reasons: Vec<String> = Vec::new();
    match tokio::time::timeout(PROBE_PATIENCE, admin.blocking(Store::probe)).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(err))) => reasons.push(daemon::chain(&err)),
        Ok(Err(problem)) => reasons.push(problem.detail),
        Err(_late) => reasons.push(format!("the store in {} did not answer within {PROBE_PATIENCE:?}", admin.store.dir().display())),
    }
    reasons.extend(admin.live.problem());
    if !admin.live.connected.load(Ordering::SeqCst) {
        reasons.push("there is no connection to the broker".to_owned());
    }
    if reasons.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n") }
}

async fn metrics_text(State(admin): State<Admin>) -> Result<Response, Problem> {
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics_page().await?).into_response())
}

pub(crate) async fn version() -> Json<serde_json::Value> {
    Json(json!({ "name": "negawatt-collector", "version": env!("CARGO_PKG_VERSION"), "wire_schema": wire::SCHEMA }))
}

async fn status_json(State(admin): State<Admin>) -> Result<Json<status::Status>, Problem> {
    let live = admin.live.clone();
    Ok(Json(admin.blocking(move |store| status::Status::of(&live, store)).await?))
}

fn statuses(sinks: &[Arc<sinks::Shown>], store: &Store, clock: &Arc<dyn Clock>) -> Vec<sinks::Status> {
    let last_lsn = store.last_lsn();
    sinks.iter().map(|sink| sink.status(last_lsn, clock.as_ref())).collect()
}

/// How far each sink is, and why one does not go on.
async fn sinks_json(State(admin): State<Admin>) -> Result<Json<Vec<sinks::Status>>, Problem> {
    let (sinks, clock) = (admin.sinks.clone(), admin.clock.clone());
    Ok(Json(admin.blocking(move |store| statuses(&sinks, store, &clock)).await?))
}

async fn flush(State(admin): State<Admin>) -> Result<Json<serde_json::Value>, Problem> {
    admin
        .blocking(Store::flush)
        .await?
        .map_err(|err| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "flush_failed", daemon::chain(&err)))?;
    Ok(Json(json!({ "flushed": true })))
}
