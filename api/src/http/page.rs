//! Lists in pages, single resources with an `ETag`, and instants.

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Kind, Problem};
use crate::db::Window;

/// Rows of a page when nothing is asked for.
const LIMIT_DEFAULT: i64 = 50;
/// Most rows of a page.
const LIMIT_MAX: i64 = 500;

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// At most so many, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// Those after this one: `next_cursor` of the page before.
    starting_after: Option<String>,
}

impl ListQuery {
    /// One row more than asked for, which tells whether there are more.
    pub(crate) fn window(&self) -> Result<(Window, usize), Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let rows = usize::try_from(limit).unwrap_or(0);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::new(Kind::InvalidParameter, format!("limit is 1 to {LIMIT_MAX}, not {limit}")));
        }
        Ok((Window { after: self.starting_after.clone().unwrap_or_default(), limit: limit + 1 }, rows))
    }
}

/// A part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    /// Whether there are more after these.
    pub(crate) has_more: bool,
    /// What to send as `starting_after` for the next page.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts the extra row off again.
    pub(crate) fn cut(mut data: Vec<T>, rows: usize, cursor: impl Fn(&T) -> String) -> Json<Self> {
        let has_more = data.len() > rows;
        data.truncate(rows);
        let next_cursor = data.last().filter(|_| has_more).map(cursor);
        Json(Self { data, has_more, next_cursor })
    }
}

/// `Query` with our problems.
#[derive(Clone, Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(refused) => Err(Problem::new(Kind::InvalidParameter, refused.body_text())),
        }
    }
}

/// An identifier in the path.
#[derive(Clone, Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<T: ids::Id + std::str::FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let text = text.map(|path| path.0).unwrap_or_default();
        // A text that is no identifier of the kind names nothing, like one that is.
        text.parse().map(Self).map_err(|_| Problem::new(Kind::NotFound, format!("`{text}` is not an identifier of kind `{}_`", T::PREFIX)))
    }
}

/// A single resource with a strong `ETag`, and 304 when the caller has it already.
pub(crate) fn single<T: Serialize>(headers: &HeaderMap, resource: &T) -> Result<Response, Problem> {
    let text = serde_json::to_string(resource).map_err(|err| {
        tracing::error!(error = %err, "a resource could not be written");
        Problem::new(Kind::Internal, "the answer could not be written")
    })?;
    Ok(tagged(headers, "application/json", text.into_bytes()))
}

/// A PDF under a name, with a strong `ETag`, and 304 when the caller has it already.
pub(crate) fn pdf(headers: &HeaderMap, name: &str, bytes: Vec<u8>) -> Response {
    let mut response = tagged(headers, "application/pdf", bytes);
    // Shown in a browser, and saved under the name.
    if let Ok(value) = HeaderValue::from_str(&format!("inline; filename=\"{name}.pdf\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// Bytes with their digest as the tag.
fn tagged(headers: &HeaderMap, kind: &'static str, bytes: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", hex::encode(Sha256::digest(&bytes)));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { ([(header::CONTENT_TYPE, kind)], bytes).into_response() };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Milliseconds as RFC 3339.
pub(crate) fn instant(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}
