//! What machines ask: is it alive, is it well, what does it count. No name of anybody's is in it.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    extract::{ConnectInfo, State, connect_info::Connected},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    serve::IncomingStream,
};

use super::{Local, door::Door, guard, metrics};
use crate::status::StatusSnapshot;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// 200 once the spool is open and the devices were polled; whatever becomes of the broker.
pub(super) async fn started(State(local): State<Arc<Local>>) -> (StatusCode, &'static str) {
    match local.status.snapshot().sweeps {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "no device was polled yet\n"),
        _ => (StatusCode::OK, "started\n"),
    }
}

/// 200 when readings are taken, kept and delivered; otherwise 503 with the reasons, one a line.
pub(super) async fn ready(State(local): State<Arc<Local>>) -> (StatusCode, String) {
    let reasons = reasons(&local.status.snapshot());
    if reasons.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n") }
}

/// What is wrong; where and why is for those who are paired.
fn reasons(now: &StatusSnapshot) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    if now.sweeps == 0 {
        reasons.push("no device was polled yet");
    }
    if now.spool_fault.is_some() {
        reasons.push("readings cannot be kept on disk");
    }
    if now.uplink_fault.is_some() || !now.connected {
        reasons.push("readings wait here: there is no working connection to the broker");
    }
    reasons
}

pub(super) async fn metrics_text(State(local): State<Arc<Local>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render(&local.status.snapshot(), &metrics::Process::now()))
}

/// Everything that is counted, with the names of buses and devices: for this machine itself, and for those who are paired.
pub(super) async fn status_json(
    State(local): State<Arc<Local>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() && guard::session(&local, &headers).is_none() {
        return (StatusCode::FORBIDDEN, "this is told on the gateway itself, and to paired browsers\n").into_response();
    }
    Json(local.status.snapshot()).into_response()
}

pub(super) async fn version() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "name": "negawatt-gateway", "version": env!("CARGO_PKG_VERSION"), "wire_schema": wire::SCHEMA }))
}
