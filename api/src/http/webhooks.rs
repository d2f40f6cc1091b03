//! `/v1/webhooks/stripe`: hints from the payment processor.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::problem::{Kind, Problem};
use crate::db::{DbError, inbox, jobs};
use crate::state::{Api, Metrics};

/// Accepts an event: verify, record, acknowledge, and nothing more.
///
/// * Body: the raw bytes; the signature covers them as sent.
/// * Answers: 200 recorded or already known; 400 bad signature; 500 not stored, so that the processor tries again.
#[utoipa::path(post, path = "/v1/webhooks/stripe", tag = "webhooks", security(()),
    params(("stripe-signature" = String, Header)), request_body(content = String, content_type = "application/json"),
    responses((status = 200), (status = 400, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn stripe(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Problem> {
    let header = headers.get("stripe-signature").and_then(|header| header.to_str().ok()).unwrap_or_default();
    let event = stripe::webhook::verify(&body, header, &api.webhook_secrets, api.now().as_second()).map_err(|err| {
        Metrics::count(&api.metrics.webhooks_refused);
        Problem::new(Kind::SignatureInvalid, daemon::chain(&err))
    })?;
    let now_ms = api.now_ms();
    let mut tx = api.db.write().await?;
    let object = event.object_id.as_deref().unwrap_or_default();
    let new = inbox::record(&mut tx, event.id.as_str(), event.kind.as_str(), object, &body, now_ms).await?;
    if new {
        jobs::enqueue(&mut tx, jobs::Kind::Inbox, event.id.as_str(), now_ms).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Metrics::count(if new { &api.metrics.webhooks } else { &api.metrics.webhook_duplicates });
    tracing::info!(stripe.event.id = %event.id, stripe.event.kind = %event.kind, new, "recorded Stripe event `{}`", event.id);
    api.changed();
    Ok(StatusCode::OK)
}
