//! What the API does, apart from how it is asked: rules are below it, HTTP above it, SQL beside it.

pub(crate) mod baselines;
pub(crate) mod books;
pub(crate) mod collect;
pub(crate) mod history;
pub(crate) mod inputs;
pub(crate) mod paper;
pub(crate) mod pay;
pub(crate) mod settle;

use std::error::Error;

use crate::db::DbError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("there is no {noun} {id}")]
    NotFound { noun: &'static str, id: String },
    #[error("{detail}")]
    Invalid { detail: String },
    #[error("{detail}")]
    Conflict { detail: String },
    #[error("baseline {id} is {status}; only a verified one may be billed")]
    NotVerified { id: ids::BaselineId, status: &'static str },
    #[error("the readings do not suffice")]
    Insufficient {
        #[source]
        err: Box<dyn Error + Send + Sync>,
    },
    #[error("the reading store cannot be read")]
    Store {
        #[source]
        err: Box<dyn Error + Send + Sync>,
    },
    #[error("no payment processor is configured: add a [stripe] section to the configuration")]
    NoProvider,
    #[error("the payment processor did not do it")]
    Provider(#[source] stripe::StripeError),
    #[error("{what}")]
    Internal {
        what: &'static str,
        #[source]
        err: Box<dyn Error + Send + Sync>,
    },
    /// The process pretends to have died here.
    #[cfg(test)]
    #[error("the test stops the process at {at}")]
    Crashed { at: &'static str },
}

impl ServiceError {
    pub(crate) fn not_found(noun: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { noun, id: id.to_string() }
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { detail: detail.into() }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into() }
    }
}

impl From<sqlx::Error> for ServiceError {
    fn from(err: sqlx::Error) -> Self {
        Self::Db(err.into())
    }
}
