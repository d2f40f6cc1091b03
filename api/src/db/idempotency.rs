//! Answers given to requests that carried an `Idempotency-Key`.

use ids::{ApiKeyId, TenantId};
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx};

/// What is known about a key.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// SHA-256 of method, path and body of the first request.
    pub(crate) fingerprint: String,
    /// What the first request was making, once it had a name.
    pub(crate) subject: Option<String>,
    /// Status and body of the answer, once there was one.
    pub(crate) answer: Option<(u16, String)>,
}

/// What is known about a key of a caller.
pub(crate) async fn known(db: impl SqliteExecutor<'_>, tenant: TenantId, api_key: ApiKeyId, key: &str) -> Result<Option<Known>, DbError> {
    let found =
        sqlx::query("SELECT fingerprint, subject, status, body FROM idempotency_keys WHERE tenant_id = ? AND api_key_id = ? AND key = ?")
            .bind(tenant.to_string())
            .bind(api_key.to_string())
            .bind(key)
            .fetch_optional(db)
            .await?;
    let Some(found) = found else { return Ok(None) };
    let status: Option<i64> = found.try_get("status")?;
    let body: Option<String> = found.try_get("body")?;
    let answer = match (status.map(u16::try_from), body) {
        (Some(Ok(status)), Some(body)) => Some((status, body)),
        _ => None,
    };
    Ok(Some(Known { fingerprint: found.try_get("fingerprint")?, subject: found.try_get("subject")?, answer }))
}

/// Takes a key before an effect that leaves the database; the answer follows with [`answer`].
pub(crate) async fn reserve(
    tx: &mut Tx,
    scope: (TenantId, ApiKeyId),
    key: &str,
    fingerprint: &str,
    subject: &str,
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant_id, api_key_id, key, fingerprint, subject, created_ms) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(scope.0.to_string())
    .bind(scope.1.to_string())
    .bind(key)
    .bind(fingerprint)
    .bind(subject)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps the answer, in the transaction of the effect.
pub(crate) async fn answer(
    tx: &mut Tx,
    scope: (TenantId, ApiKeyId),
    key: &str,
    fingerprint: &str,
    answer: (u16, &str),
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant_id, api_key_id, key, fingerprint, status, body, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (tenant_id, api_key_id, key) DO UPDATE SET status = excluded.status, body = excluded.body
         WHERE idempotency_keys.status IS NULL",
    )
    .bind(scope.0.to_string())
    .bind(scope.1.to_string())
    .bind(key)
    .bind(fingerprint)
    .bind(i64::from(answer.0))
    .bind(answer.1)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
