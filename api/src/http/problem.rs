//! Refusals as RFC 9457 problems, each with a stable `code`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::DbError;
use crate::service::ServiceError;

/// The content type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was refused.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal $title:literal;)+) => {
        /// Every reason there is. Codes are promises: none is renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($(#[$doc])* $name,)+ }

        impl Kind {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            pub(crate) const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

kinds! {
    Unauthorized = UNAUTHORIZED "unauthorized" "No valid API key was presented";
    Forbidden = FORBIDDEN "forbidden" "The API key may not do this";
    NotFound = NOT_FOUND "not_found" "There is no such thing";
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "The resource does not know this method";
    InvalidBody = UNPROCESSABLE_ENTITY "invalid_body" "The body is not what this request takes";
    InvalidParameter = BAD_REQUEST "invalid_parameter" "A parameter is not valid";
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large" "The body is too large";
    KeyRequired = BAD_REQUEST "idempotency_key_required" "This request moves money and needs an Idempotency-Key";
    KeyReused = UNPROCESSABLE_ENTITY "idempotency_key_reused" "The Idempotency-Key was used with another request";
    AlreadyExists = CONFLICT "already_exists" "There is one already";
    Conflict = CONFLICT "conflict" "The present state does not allow this";
    BaselineNotVerified = CONFLICT "baseline_not_verified" "Only a verified baseline may be billed";
    DataInsufficient = UNPROCESSABLE_ENTITY "data_insufficient" "The readings do not suffice";
    ProviderRefused = BAD_GATEWAY "provider_refused" "The payment processor refused";
    ProviderUnavailable = SERVICE_UNAVAILABLE "provider_unavailable" "The payment processor did not answer";
    SignatureInvalid = BAD_REQUEST "signature_invalid" "The webhook is not signed by a secret of ours";
    StoreUnavailable = SERVICE_UNAVAILABLE "store_unavailable" "The reading store cannot be read";
    Internal = INTERNAL_SERVER_ERROR "internal" "Something went wrong on our side";
}

/// The body of a problem, RFC 9457.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:negawatt:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:negawatt:problem:not_found")]
    pub(crate) kind: String,
    /// The same for every problem of this code.
    pub(crate) title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub(crate) status: u16,
    /// What was wrong this time, and the next step when we know it.
    pub(crate) detail: String,
    /// Stable word for programs.
    #[schema(example = "not_found")]
    pub(crate) code: &'static str,
    /// The path that was asked for.
    pub(crate) instance: String,
    /// Name of the request in our logs, also in `X-Request-Id`.
    pub(crate) request_id: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// No such thing, or another tenant's: which of the two is not told.
    pub(crate) fn not_found(noun: &str, id: &dyn std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {noun} {id}"))
    }

    /// The body, once the request's name and path are known.
    pub(crate) fn body(&self, instance: &str, request_id: &str) -> Response {
        let body = ProblemBody {
            kind: format!("urn:negawatt:problem:{}", self.kind.code()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            code: self.kind.code(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
        };
        let mut response = (self.kind.status(), Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.kind == Kind::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Leaves the problem beside an empty answer: the outermost layer knows the request and writes the body.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DbError> for Problem {
    fn from(err: DbError) -> Self {
        if err.is_duplicate() {
            return Self::new(Kind::AlreadyExists, "something with this name or key exists already");
        }
        tracing::error!(error = %daemon::chain(&err), "the database failed");
        Self::new(Kind::Internal, "the database failed; the log has the details under this request's name")
    }
}

impl From<ServiceError> for Problem {
    fn from(err: ServiceError) -> Self {
        let kind = match err {
            ServiceError::Db(err) => return err.into(),
            ServiceError::NotFound { .. } => Kind::NotFound,
            ServiceError::Invalid { .. } => Kind::InvalidBody,
            ServiceError::Conflict { .. } => Kind::Conflict,
            ServiceError::NotVerified { .. } => Kind::BaselineNotVerified,
            ServiceError::Insufficient { .. } => Kind::DataInsufficient,
            ServiceError::Store { .. } => Kind::StoreUnavailable,
            ServiceError::NoProvider => Kind::ProviderUnavailable,
            ServiceError::Provider(ref err) => match err.outcome() {
                stripe::Outcome::Refused => Kind::ProviderRefused,
                stripe::Outcome::NotExecuted | stripe::Outcome::Unknown => Kind::ProviderUnavailable,
            },
            #[cfg(test)]
            ServiceError::Crashed { .. } => Kind::Internal,
            ServiceError::Internal { .. } => Kind::Internal,
        };
        let report = daemon::chain(&err);
        if kind.status().is_server_error() {
            tracing::error!(error = %report, "a request failed");
        }
        let detail = if kind == Kind::Internal {
            "an unexpected failure; the log has the details under this request's name".to_owned()
        } else {
            report
        };
        Self::new(kind, detail)
    }
}
