//! What can go wrong with a call, and what may be done about it.

use std::error::Error;

/// What is known about an operation that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stripe did not begin: the same key may be sent again.
    NotExecuted,
    /// Stripe decided against it; a new try is a new attempt with a new key.
    Refused,
    /// It may have happened. Repeat under the same key, or look the object up; never book it as failed.
    Unknown,
}

/// Which of Stripe's two limits was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// Too many calls.
    Calls,
    /// Two calls on one object (`lock_timeout`).
    Lock,
}

/// A card or bank that said no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardDecline {
    /// Stripe's code, such as `card_declined` or `authentication_required`.
    pub code: String,
    /// The issuer's reason, such as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// What the network advises: `do_not_try_again`, `try_again_later`, `confirm_card_data`. Wins over the decline code.
    pub advice_code: Option<String>,
    pub message: String,
    /// The charge that failed.
    pub charge: Option<String>,
    /// The intent that failed; it exists and waits for another method.
    pub payment_intent: Option<String>,
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    #[error("the payment method was declined: {} ({})", .0.code, .0.decline_code.as_deref().unwrap_or("no decline code"))]
    Card(Box<CardDecline>),
    #[error("stripe refused the request with {status} {}: {message}", .code.as_deref().unwrap_or("without code"))]
    InvalidRequest { status: u16, code: Option<String>, param: Option<String>, message: String, request_id: Option<String> },
    #[error("stripe does not accept the secret key ({status}): {message}")]
    Authentication { status: u16, message: String },
    #[error("the idempotency key was used before with other parameters: {message}")]
    KeyReused { message: String },
    #[error("a request with this idempotency key is still being executed")]
    KeyInUse,
    #[error("stripe limits the rate of requests: {message}")]
    RateLimited { limit: RateLimit, message: String },
    #[error("stripe failed with {status} (request {}): {message}", .request_id.as_deref().unwrap_or("without id"))]
    Api { status: u16, message: String, request_id: Option<String>, replayed: bool },
    #[error("could not connect to stripe for {operation}")]
    Unreachable {
        operation: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("no answer to {operation}: whether it was executed is unknown")]
    UnknownOutcome {
        operation: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("stripe answered {operation} with something unreadable")]
    Unreadable {
        operation: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the HTTP client could not be set up")]
    Setup {
        #[source]
        source: reqwest::Error,
    },
}

impl StripeError {
    /// What is known about the operation.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Card(_) | Self::InvalidRequest { .. } | Self::Authentication { .. } => Outcome::Refused,
            Self::RateLimited { .. } | Self::Unreachable { .. } | Self::Setup { .. } => Outcome::NotExecuted,
            Self::KeyReused { .. } | Self::KeyInUse | Self::Api { .. } | Self::UnknownOutcome { .. } | Self::Unreadable { .. } => {
                Outcome::Unknown
            }
        }
    }

    /// Whether sending the same request under the same key again may help.
    ///
    /// A stored 500 is replayed for as long as Stripe keeps the key: only a look-up tells what it did.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::KeyInUse | Self::RateLimited { .. } | Self::Unreachable { .. } | Self::UnknownOutcome { .. } => true,
            Self::Api { replayed, .. } => !*replayed,
            _ => false,
        }
    }

    /// Stripe's error code, where there is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Card(decline) => Some(&decline.code),
            Self::InvalidRequest { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}
