//! What a gateway tells those who stand beside it: is it alive, is it well, what does it count.
//!
//! Bound to the machine itself unless the configuration says otherwise. Nothing here changes anything.

mod metrics;
mod watchdog;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::status::{Status, StatusSnapshot};

pub(crate) use watchdog::watch;

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address} (http.listen)")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    err: io::Error,
}

/// Takes the address, so that a port in use is told before anything else is started.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|err| ListenError { address, err })
}

/// Answers until `stop`.
pub(crate) async fn answer(listener: TcpListener, status: Arc<Status>, stop: CancellationToken) {
    let served = axum::serve(listener, router(status)).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        // An open connection of a reader is no reason to live on.
        () = stop.cancelled() => {}
        ended = async { served.await } => if let Err(err) = ended {
            tracing::error!(error = %err, "the local address is no longer served");
            stop.cancelled().await;
        }
    }
}

fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/version", get(version))
        .route("/v1/status", get(status_json))
        .with_state(status)
}

/// 200 when readings are taken, kept and delivered; otherwise 503 with the reasons, one a line.
async fn ready(State(status): State<Arc<Status>>) -> (StatusCode, String) {
    let reasons = reasons(&status.snapshot());
    if reasons.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n") }
}

fn reasons(now: &StatusSnapshot) -> Vec<String> {
    let mut reasons = Vec::new();
    if now.sweeps == 0 {
        reasons.push("no device was polled yet".to_owned());
    }
    if let Some(fault) = &now.spool_fault {
        reasons.push(format!("readings cannot be kept: {fault}"));
    }
    match &now.uplink_fault {
        Some(fault) => reasons.push(format!("readings wait here: {fault}")),
        None if !now.connected => reasons.push("readings wait here: there is no connection to the broker".to_owned()),
        None => {}
    }
    reasons
}

async fn metrics_text(State(status): State<Arc<Status>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render(&status.snapshot(), &metrics::Process::now()))
}

async fn status_json(State(status): State<Arc<Status>>) -> Json<StatusSnapshot> {
    Json(status.snapshot())
}

async fn version() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "name": "negawatt-gateway", "version": env!("CARGO_PKG_VERSION"), "wire_schema": wire::SCHEMA }))
}

#[cfg(test)]
mod tests;
