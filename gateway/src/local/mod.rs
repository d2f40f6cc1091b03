//! What a gateway tells those who stand beside it, and what they may have it do.
//!
//! ```text
//! /livez /startupz /readyz /metrics /version   for machines: no names, nothing changes anything
//! /                                  for people: health, and a field for the pairing code
//! everything else                    for paired browsers; each change is a POST with the key of its session
//! ```
//!
//! Bound to the machine itself unless the configuration spells out another address. Plain pages made here: no script, nothing from
//! elsewhere, so they work with no way to the internet and in any browser.

mod door;
mod guard;
mod health;
mod jobs;
mod latest;
mod metrics;
mod page;
mod pairing;
mod redact;
mod watchdog;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use daemon::Clock;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use crate::{
    poll::Probe,
    remote::{Active, Proposal},
    spool::SharedSpool,
    status::Status,
};
use door::Door;
use guard::{COOKIE, FORM_BYTES_MAX, Fields, Paired};
use page::Frame;
use pairing::{PairingError, Token};

pub(crate) use jobs::Jobs;
pub(crate) use latest::Latest;
pub(crate) use pairing::{CODE_LIFE, Pairing};
pub(crate) use watchdog::watch;

/// Longest form of a stranger: a code.
const STRANGER_BYTES_MAX: usize = 1 << 10;

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address} (http.listen)")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    err: io::Error,
}

impl ListenError {
    /// Whether somebody has it already.
    pub(crate) fn is_in_use(&self) -> bool {
        self.err.kind() == io::ErrorKind::AddrInUse
    }
}

/// Takes the address, so that a port in use is told before anything else is started.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|err| ListenError { address, err })
}

/// What the pages work with.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) status: Arc<Status>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) configs: watch::Receiver<Arc<Active>>,
    /// While the gateway runs.
    pub(crate) spool: watch::Receiver<Option<SharedSpool>>,
    pub(crate) probes: mpsc::Sender<Probe>,
    pub(crate) proposals: mpsc::Sender<Proposal>,
    pub(crate) pairing: Arc<Pairing>,
    pub(crate) stop: CancellationToken,
    pub(crate) jobs: Jobs,
}

impl Local {
    fn active(&self) -> Arc<Active> {
        Arc::clone(&self.configs.borrow())
    }

    /// The frame of a page for a paired browser.
    fn frame<'a>(&self, tab: &'static str, title: &'a str, refresh: Option<u32>, session: &'a Token) -> Frame<'a> {
        let path = &self.active().config.path;
        let gateway = Some((path.gateway.to_string(), path.to_string()));
        Frame { tab, title, refresh, session: Some(session), gateway, now: self.clock.now() }
    }

    /// Writes a code into the log where nobody is paired: whoever can read the log may be the first.
    fn announce(&self, address: SocketAddr) {
        if self.pairing.paired(self.clock.now()) > 0 {
            return;
        }
        match self.pairing.new_code(self.clock.now()) {
            Ok(code) => tracing::info!(
                "nobody is paired: open http://{address}/ and enter {code} within {} minutes; `negawatt-gateway pair` makes another code",
                CODE_LIFE.as_mins()
            ),
            Err(err) => tracing::error!(error = %err, "no pairing code could be made: the page shows health only"),
        }
    }
}

/// Answers until `stop`.
pub(crate) async fn answer(listener: TcpListener, local: Local, stop: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the page is open to the network, without TLS: let in only a network that you trust");
        }
        local.announce(address);
    }
    let service = router(Arc::new(local)).into_make_service_with_connect_info::<health::Peer>();
    let served = axum::serve(Door::new(listener), service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        // An open connection of a reader is no reason to live on.
        () = stop.cancelled() => {}
        ended = async { served.await } => if let Err(err) = ended {
            tracing::error!(error = %err, "the local address is no longer served");
            stop.cancelled().await;
        }
    }
}

fn router(local: Arc<Local>) -> Router {
    let machines = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/startupz", get(health::started))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics_text))
        .route("/version", get(health::version));
    let paired = Router::new()
        .route("/devices", get(page::devices))
        .route("/devices/{device}", get(page::device))
        .route("/devices/{device}/read", post(page::read_now))
        .route("/scan", get(page::scan).post(page::begin_scan))
        .route("/identify", post(page::begin_identify))
        .route("/checks", get(page::checks).post(page::begin_check))
        .route("/checks/machine", post(page::begin_machine))
        .route("/stop", post(end_job))
        .route("/spool", get(page::spool))
        .route("/logs", get(page::logs))
        .route("/configuration", get(page::configuration).post(page::propose))
        .route("/leave", post(leave))
        .layer(from_fn_with_state(Arc::clone(&local), guard::paired));
    let people = Router::new()
        .route("/", get(page::overview))
        .route("/pair", post(pair))
        .route("/v1/status", get(health::status_json))
        .route("/page.css", get(async || (page::headers("text/css; charset=utf-8"), page::CSS)))
        .merge(paired)
        .layer(from_fn(guard::known_by_name));
    machines.merge(people).layer(DefaultBodyLimit::max(FORM_BYTES_MAX)).with_state(local)
}

/// Takes a code for a session. The cookie goes to this machine only, no script sees it, and no other page can send it along.
async fn pair(State(local): State<Arc<Local>>, body: Body) -> Response {
    let Ok(bytes) = to_bytes(body, STRANGER_BYTES_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "this is no code\n").into_response();
    };
    let typed = Fields::parse(&bytes).get("code").to_owned();
    let (pairing, now) = (Arc::clone(&local.pairing), local.clock.now());
    let redeemed =
        spawn_blocking(move || pairing.redeem(&typed, now)).await.unwrap_or_else(|err| Err(PairingError::Disk(io::Error::other(err))));
    match redeemed {
        Ok(token) => {
            tracing::info!("a browser was paired");
            let cookie =
                format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", token.expose(), pairing::SESSION_LIFE.as_secs());
            with_cookie(Redirect::to("/").into_response(), &cookie)
        }
        Err(err) => {
            tracing::warn!(error = daemon::chain(&err), "a browser was not paired");
            let status = match err {
                PairingError::Wrong => StatusCode::FORBIDDEN,
                PairingError::Pause { .. } => StatusCode::TOO_MANY_REQUESTS,
                PairingError::Disk(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            let mut response = page::stranger(&local, status, Some(&err.to_string()));
            if let PairingError::Pause { wait } = err {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            }
            response
        }
    }
}

/// Ends the session of this browser.
async fn leave(State(local): State<Arc<Local>>, Extension(Paired(token)): Extension<Paired>) -> Response {
    let (pairing, now) = (Arc::clone(&local.pairing), local.clock.now());
    if let Ok(Err(err)) = spawn_blocking(move || pairing.leave(&token, now)).await {
        tracing::error!(error = %err, "a session could not be ended on disk; it ends by time");
    }
    with_cookie(Redirect::to("/").into_response(), &format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Ends what runs, and goes back to where it was looked at.
async fn end_job(State(local): State<Arc<Local>>, headers: HeaderMap) -> Response {
    local.jobs.end();
    let from_checks = headers.get(header::REFERER).and_then(|from| from.to_str().ok()).is_some_and(|from| from.contains("/checks"));
    Redirect::to(if from_checks { "/checks" } else { "/scan" }).into_response()
}

#[cfg(test)]
mod tests;
