//! What operators and their machines ask: `/livez`, `/startupz`, `/readyz`, `/metrics`, `/version`.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::db::{jobs, keys, ledger};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/livez", get(alive))
        // Before this page there is `early`: who reaches it finds the tables up to date.
        .route("/startupz", get(async || "started\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
}

pub(super) async fn alive() -> &'static str {
    "alive\n"
}

pub(super) async fn version() -> Json<serde_json::Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// 200 when the database answers; 503 with the reason otherwise.
async fn ready(State(api): State<Api>) -> (StatusCode, String) {
    match keys::is_alive(api.db.read()).await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(err) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", daemon::chain(&err))),
    }
}

/// Prometheus text format.
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics_page(&api).await)
}

/// Everything that is counted.
pub(crate) async fn metrics_page(api: &Api) -> String {
    let mut text = String::new();
    let counted = &api.metrics;
    for (name, help, counter) in [
        ("http_requests", "Requests received", &counted.requests),
        ("http_problems", "Requests answered with a problem", &counted.problems),
        ("webhooks_recorded", "Webhooks recorded", &counted.webhooks),
        ("webhooks_duplicate", "Webhooks that were known already", &counted.webhook_duplicates),
        ("webhooks_refused", "Webhooks whose signature was not ours", &counted.webhooks_refused),
        ("jobs_done", "Jobs that did their work", &counted.jobs_done),
        ("jobs_failed", "Executions of jobs that failed", &counted.jobs_failed),
        ("transfers", "Transfers recorded", &counted.transfers),
    ] {
        line(&mut text, name, help, "counter", counter.load(Ordering::Relaxed));
    }
    if let Ok(states) = jobs::counts(api.db.read()).await {
        text.push_str("# HELP negawatt_api_jobs Jobs by state\n# TYPE negawatt_api_jobs gauge\n");
        for (state, count) in states {
            writeln!(text, "negawatt_api_jobs{{state=\"{state}\"}} {count}").unwrap_or_default();
        }
    }
    if let Ok(size) = ledger::size(api.db.read(), None).await {
        line(&mut text, "ledger_transactions", "Transactions in the ledgers", "gauge", size.transactions);
        line(&mut text, "ledger_postings", "Postings in the ledgers", "gauge", size.postings);
        line(&mut text, "ledger_balanced", "1 when every transaction sums to zero", "gauge", u8::from(size.balanced));
    }
    api.exports.append_to(&mut text);
    text
}

fn line(text: &mut String, name: &str, help: &str, kind: &str, value: impl std::fmt::Display) {
    let name = format!("negawatt_api_{name}{}", if kind == "counter" { "_total" } else { "" });
    // Writing to a String cannot fail.
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").unwrap_or_default();
}
