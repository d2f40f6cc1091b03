//! Requests that change something, each done at most once.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ids::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::auth::Admin;
use super::problem::{Kind, Problem};
use super::router::RequestName;
use crate::db::events::{self, Actor};
use crate::db::keys::Caller;
use crate::db::{Tx, idempotency};
use crate::service::ServiceError;
use crate::state::Api;

/// Longest `Idempotency-Key`.
const KEY_LENGTH_MAX: usize = 255;

/// Who asks for a change, and under which key.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) caller: Caller,
    /// The `Idempotency-Key`.
    key: Option<String>,
    /// SHA-256 of method, path and body.
    fingerprint: String,
    request: String,
}

/// A request that changes something: the caller may, and the body is what the request takes.
#[derive(Debug)]
pub(crate) struct Command<T> {
    pub(crate) ticket: Ticket,
    pub(crate) input: T,
}

/// What a request without content takes: an absent body or `{}`.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl<T: DeserializeOwned> FromRequest<Api> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Admin(caller) = Admin::from_request_parts(&mut parts, api).await?;
        let key = match parts.headers.get("idempotency-key").map(HeaderValue::to_str) {
            None => None,
            Some(Ok(key)) if !key.is_empty() && key.len() <= KEY_LENGTH_MAX => Some(key.to_owned()),
            Some(_) => {
                let detail = format!("Idempotency-Key takes 1 to {KEY_LENGTH_MAX} printable ASCII characters");
                return Err(Problem::new(Kind::InvalidParameter, detail));
            }
        };
        let name = parts.extensions.get::<RequestName>().map(|name| name.0.clone()).unwrap_or_default();
        let target = format!("{} {}\n", parts.method, parts.uri.path());
        let bytes = Bytes::from_request(Request::from_parts(parts, body), api).await.map_err(|refused| match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Kind::BodyTooLarge, "the body may have at most 1 MiB"),
            _ => Problem::new(Kind::InvalidBody, "the body could not be received"),
        })?;
        let mut hash = Sha256::new();
        hash.update(target.as_bytes());
        hash.update(&bytes);
        let fingerprint = hex::encode(hash.finalize());
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let input = serde_json::from_slice(text).map_err(|err| Problem::new(Kind::InvalidBody, err.to_string()))?;
        Ok(Self { ticket: Ticket { caller, key, fingerprint, request: name }, input })
    }
}

impl Ticket {
    /// Refuses a request that moves money and carries no key.
    pub(crate) fn require_key(&self) -> Result<(), Problem> {
        if self.key.is_some() {
            return Ok(());
        }
        Err(Problem::new(Kind::KeyRequired, "send a new Idempotency-Key for each new intention, the same for its repetition"))
    }

    fn actor<'a>(&'a self, name: &'a str) -> Actor<'a> {
        Actor { name, request: Some(&self.request) }
    }
}

/// Why a handler ends before its own answer.
#[derive(Debug)]
pub(crate) enum Early {
    /// It is refused.
    Problem(Problem),
    /// The answer was given before, to the same request.
    Replay(Box<Response>),
}

impl<E: Into<Problem>> From<E> for Early {
    fn from(err: E) -> Self {
        Self::Problem(err.into())
    }
}

impl IntoResponse for Early {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Replay(response) => *response,
        }
    }
}

/// One write transaction of one request: the effect, its idempotency record, its events and its audit rows.
#[derive(Debug)]
pub(crate) struct Unit<'a> {
    api: &'a Api,
    ticket: &'a Ticket,
    pub(crate) tx: Tx,
    /// What an earlier, interrupted execution of the same request was making.
    pub(crate) resumed: Option<String>,
    pub(crate) now_ms: i64,
}

impl<'a> Unit<'a> {
    /// Opens the transaction, unless the request was answered before or its key belongs to another one.
    pub(crate) async fn begin(api: &'a Api, ticket: &'a Ticket) -> Result<Self, Early> {
        let mut unit = Self::reopen(api, ticket).await?;
        let Some(key) = &ticket.key else { return Ok(unit) };
        let caller = &ticket.caller;
        let Some(known) = idempotency::known(&mut *unit.tx, caller.tenant, caller.key, key).await? else {
            return Ok(unit);
        };
        if known.fingerprint != ticket.fingerprint {
            let detail = "the key was used before, with another path or body; a new request takes a new key";
            return Err(Problem::new(Kind::KeyReused, detail).into());
        }
        if let Some((status, body)) = known.answer {
            return Err(Early::Replay(Box::new(replayed(status, body))));
        }
        unit.resumed = known.subject;
        Ok(unit)
    }

    /// Opens a further transaction of the same request, after its effect outside.
    pub(crate) async fn reopen(api: &'a Api, ticket: &'a Ticket) -> Result<Self, Problem> {
        let tx = api.db.write().await?;
        Ok(Self { api, ticket, tx, resumed: None, now_ms: api.now_ms() })
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.ticket.caller.tenant
    }

    /// Writes down what happened, for the outbox and the audit log.
    pub(crate) async fn happened(&mut self, kind: &str, subject: &str) -> Result<(), Problem> {
        let key = self.ticket.caller.key.to_string();
        let actor = self.ticket.actor(&key);
        Ok(events::happened(&mut self.tx, self.ticket.caller.tenant, kind, subject, &actor, self.now_ms).await?)
    }

    /// Commits before an effect outside; a repetition of the request learns `subject` as [`resumed`](Self::resumed).
    pub(crate) async fn pause(mut self, subject: &str) -> Result<(), Problem> {
        let Ticket { caller, key, fingerprint, .. } = self.ticket;
        if let Some(key) = key {
            let scope = (caller.tenant, caller.key);
            idempotency::reserve(&mut self.tx, scope, key, fingerprint, subject, self.now_ms).await?;
        }
        self.commit().await
    }

    /// Keeps the answer for repetitions, commits, and answers.
    pub(crate) async fn finish<T: Serialize>(mut self, status: StatusCode, body: &T) -> Result<Response, Problem> {
        let text = serde_json::to_string(body)
            .map_err(|err| ServiceError::Internal { what: "the answer could not be written", err: Box::new(err) })?;
        let Ticket { caller, key, fingerprint, .. } = self.ticket;
        if let Some(key) = key {
            let scope = (caller.tenant, caller.key);
            let answer = (status.as_u16(), text.as_str());
            idempotency::answer(&mut self.tx, scope, key, fingerprint, answer, self.now_ms).await?;
        }
        self.commit().await?;
        Ok(json(status, text))
    }

    async fn commit(self) -> Result<(), Problem> {
        self.tx.commit().await.map_err(crate::db::DbError::from)?;
        self.api.changed();
        Ok(())
    }
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn replayed(status: u16, text: String) -> Response {
    let mut response = json(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), text);
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}
