//! Who calls: `Authorization: Bearer nwk_…`.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::{Kind, Problem};
use crate::config::KEY_PREFIX;
use crate::db::keys::{self, Caller, Role};
use crate::state::Api;

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let refused = || Problem::new(Kind::Unauthorized, "send a valid key as `Authorization: Bearer nwk_…`");
        let header = parts.headers.get(AUTHORIZATION).ok_or_else(refused)?;
        let text = header.to_str().map_err(|_| refused())?;
        let key = text.strip_prefix("Bearer ").filter(|key| key.starts_with(KEY_PREFIX)).ok_or_else(refused)?;
        keys::caller_of_key(api.db.read(), &keys::digest(key)).await?.ok_or_else(refused)
    }
}

/// A caller who may change things.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) Caller);

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        match caller.role {
            Role::Admin => Ok(Self(caller)),
            Role::Auditor => Err(Problem::new(Kind::Forbidden, "an auditor's key reads everything and changes nothing")),
        }
    }
}
