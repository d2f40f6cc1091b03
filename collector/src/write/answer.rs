//! What clients of InfluxDB 2 ask, and the answers they understand.
//!
//! ```text
//! 204 every line is durable                       400 a line is malformed, 422 a line cannot be used: the others are durable
//! 401 no token, or a wrong one                    404 no such organisation or bucket for this token
//! 413 the body is too long                        429 too many points, 503 not now: try again after `Retry-After` seconds
//! ```
//!
//! After 400 and 422 there is nothing to be sent again, and clients do not: what was refused is kept as a dead letter.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ids::Slug;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::CommitError;

use super::body::{self, BodyError};
use super::mapping::Bucket;
use super::{Precision, Request, Writes, Written, lock};
use crate::config::{FacilityFilter, WriteToken};

/// How long a request waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
const RETRY_SECONDS: u64 = 2;

/// The routes.
pub(crate) fn router(writes: Arc<Writes>) -> Router {
    let version = || [("X-Influxdb-Build", "negawatt"), ("X-Influxdb-Version", env!("CARGO_PKG_VERSION"))];
    let health = json!({"name": "negawatt", "message": "ready for writes", "status": "pass", "version": env!("CARGO_PKG_VERSION")});
    Router::new()
        .route("/api/v2/write", post(write))
        .route("/ping", get(async move || (StatusCode::NO_CONTENT, version())))
        .route("/health", get(async move || axum::Json(health)))
        .layer(DefaultBodyLimit::disable())
        .with_state(writes)
}

/// What an answer says when it is not 204.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The first line that was refused.
    line: Option<u64>,
    length_max: Option<usize>,
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), line: None, length_max: None, retry_after: None }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    fn later(status: StatusCode, code: &'static str, message: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..Self::new(status, code, message) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "code": self.code, "message": self.message });
        if let Value::Object(members) = &mut body {
            members.extend(self.line.map(|line| ("line".to_owned(), line.into())));
            members.extend(self.length_max.map(|max| ("maxLength".to_owned(), max.into())));
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<BodyError> for Refusal {
    fn from(err: BodyError) -> Self {
        match err {
            BodyError::TooLong { max } => {
                Self { length_max: Some(max), ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid", daemon::chain(&err)) }
            }
            _ => Self::invalid(daemon::chain(&err)),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Params {
    org: Option<String>,
    bucket: Option<String>,
    precision: Option<String>,
}

async fn write(State(writes): State<Arc<Writes>>, Query(params): Query<Params>, request: HttpRequest) -> Response {
    let answered = answer(writes.clone(), params, request).await;
    let response = answered.map_or_else(IntoResponse::into_response, |()| StatusCode::NO_CONTENT.into_response());
    writes.live.wrote(response.status().as_u16());
    response
}

async fn answer(writes: Arc<Writes>, params: Params, request: HttpRequest) -> Result<(), Refusal> {
    let (parts, body) = request.into_parts();
    let (at, token) = authorised(&writes.config.write.tokens, &parts.headers)?;
    let (tenant, gateway) = (token.tenant.clone(), token.gateway.clone());
    let facility = facility(token, &params)?;
    elsewhere(&writes.config.facilities, &tenant, &facility)?;
    let precision = match params.precision.as_deref() {
        None => Precision::Nanoseconds,
        Some(text) => Precision::parse(text).ok_or_else(|| Refusal::invalid(format!("precision `{text}` is not ns, us, ms or s")))?,
    };
    let packed = match parts.headers.get(header::CONTENT_ENCODING).map(|name| name.as_bytes()) {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(other) => return Err(Refusal::invalid(format!("content encoding `{}` is not gzip", String::from_utf8_lossy(other)))),
    };
    let rate = writes.rates.get(at).and_then(Option::as_ref);
    let wait = rate.and_then(|rate| lock(rate).wait(tokio::time::Instant::now()));
    if let Some(wait) = wait {
        let message = "more points than this token may write: they are not taken, send them again later";
        return Err(Refusal::later(StatusCode::TOO_MANY_REQUESTS, "too many requests", message, wait.as_secs() + 1));
    }
    if let Some(wait) = writes.quotas.wait(&tenant, tokio::time::Instant::now()) {
        let message = format!("more points than the quota of {tenant}: they are not taken, send them again later");
        return Err(Refusal::later(StatusCode::TOO_MANY_REQUESTS, "too many requests", message, wait.as_secs() + 1));
    }
    let busy = |_late| Refusal::later(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "others are being served first", RETRY_SECONDS);
    // The body is read when it is its turn, and not before: until then it waits in the client.
    let permit = tokio::time::timeout(TURN_PATIENCE, writes.permits.acquire()).await.map_err(busy)?;
    let body = read(body, writes.config.write.body_bytes_max).await?;
    let (now, writer) = (writes.clock.now(), writes.clone());
    let of = tenant.clone();
    let work = move || -> Result<Result<Written, CommitError>, BodyError> {
        let body = if packed { body::unpacked(&body, writer.config.write.body_bytes_max)? } else { body };
        let bucket = Bucket { tenant, facility };
        Ok(writer.take(&Request { bucket: &bucket, gateway: &gateway, precision, now }, &body))
    };
    let done = tokio::task::spawn_blocking(work).await;
    drop(permit);
    let bug = |_panicked| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the work has panicked");
    match done.map_err(bug)?? {
        Ok(written) => {
            let brought = written.points.max(written.lines);
            if let Some(rate) = rate {
                lock(rate).spend(brought);
            }
            writes.quotas.spend(&of, brought);
            partial(&written)
        }
        Err(err) => {
            let message = daemon::chain(&err);
            if !err.is_transient() {
                writes.fail(err);
            }
            Err(Refusal::later(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, RETRY_SECONDS))
        }
    }
}

async fn read(body: Body, max: usize) -> Result<Vec<u8>, Refusal> {
    let late = |_late| Refusal::new(StatusCode::REQUEST_TIMEOUT, "invalid", format!("the body took longer than {BODY_PATIENCE:?}"));
    Ok(tokio::time::timeout(BODY_PATIENCE, body::read(body, max)).await.map_err(late)??)
}

/// The token of a request, and its place in the configuration.
fn authorised<'a>(tokens: &'a [WriteToken], headers: &HeaderMap) -> Result<(usize, &'a WriteToken), Refusal> {
    let refused = || Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", "unauthorized access");
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let (scheme, offered) = header.split_once(' ').ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("token") && !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused());
    }
    // Digests are compared, so that how long it takes says nothing of the token.
    let digest = |text: &str| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
    let offered = digest(offered.trim());
    let found = tokens.iter().enumerate().find(|(_, known)| digest(known.token.expose()) == offered);
    found.ok_or_else(refused)
}

/// The facility a request writes to, when its token may.
fn facility(token: &WriteToken, params: &Params) -> Result<Slug, Refusal> {
    let absent = |what: &str, name: &str| Refusal::new(StatusCode::NOT_FOUND, "not found", format!("{what} \"{name}\" not found"));
    if let Some(org) = params.org.as_deref().filter(|org| *org != token.tenant.as_str()) {
        return Err(absent("organization name", org));
    }
    let bucket = params.bucket.as_deref().ok_or_else(|| Refusal::invalid("the request names no bucket"))?;
    let facility = Slug::parse(bucket).map_err(|_name| absent("bucket", bucket))?;
    let allowed = token.facilities.is_empty() || token.facilities.contains(&facility);
    if allowed { Ok(facility) } else { Err(absent("bucket", bucket)) }
}

/// Somebody else has the facility.
fn elsewhere(ours: &[FacilityFilter], tenant: &Slug, facility: &Slug) -> Result<(), Refusal> {
    if ours.is_empty() || ours.iter().any(|filter| filter.takes(tenant, facility)) {
        return Ok(());
    }
    let message = format!("this collector does not read {tenant}/{facility}: write to the one that does");
    Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", message))
}

/// 204 when every line was taken; otherwise what became of them.
fn partial(written: &Written) -> Result<(), Refusal> {
    let Written { lines, refused, told, malformed, .. } = written;
    let Some((first, _)) = told.first() else { return Ok(()) };
    let mut message = format!("partial write: {} of {lines} lines are stored, {refused} are kept as dead letters", lines - refused);
    for (number, reason) in told {
        write!(message, "; line {number} {} ({})", reason.text(), reason.code()).expect("a string takes every text");
    }
    if told.len() < usize::try_from(*refused).unwrap_or(usize::MAX) {
        message.push_str("; and more");
    }
    let (status, code) =
        if *malformed { (StatusCode::BAD_REQUEST, "invalid") } else { (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable entity") };
    Err(Refusal { line: Some(*first), ..Refusal::new(status, code, message) })
}
