//! The outbox and the audit log.

use ids::TenantId;

use super::{DbError, Tx};

/// Writes down that something happened (`invoice.issued`, the invoice), and who did it.
pub(crate) async fn happened(
    tx: &mut Tx,
    tenant: TenantId,
    kind: &str,
    subject: &str,
    actor: &Actor<'_>,
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query("INSERT INTO events (tenant_id, kind, subject, created_ms) VALUES (?, ?, ?, ?)")
        .bind(tenant.to_string())
        .bind(kind)
        .bind(subject)
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO audit_log (tenant_id, actor, action, subject, request_id, created_ms) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(tenant.to_string())
        .bind(actor.name)
        .bind(kind)
        .bind(subject)
        .bind(actor.request)
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Who did it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor<'a> {
    /// An API key's identifier, or `worker`.
    pub(crate) name: &'a str,
    /// The request it came with.
    pub(crate) request: Option<&'a str>,
}

impl Actor<'static> {
    /// The background worker.
    pub(crate) const WORKER: Self = Self { name: "worker", request: None };
}
