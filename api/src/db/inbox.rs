//! Webhooks as they arrived.

use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx};

/// Writes an event down; whether it was new.
pub(crate) async fn record(tx: &mut Tx, event: &str, kind: &str, object: &str, body: &[u8], now_ms: i64) -> Result<bool, DbError> {
    let inserted = sqlx::query(
        "INSERT INTO webhook_inbox (event_id, kind, object_id, body, received_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(event)
    .bind(kind)
    .bind(object)
    .bind(body)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What an event that still waits is about: its kind and the provider's object.
pub(crate) async fn waiting(db: impl SqliteExecutor<'_>, event: &str) -> Result<Option<(String, String)>, DbError> {
    let found = sqlx::query("SELECT kind, object_id FROM webhook_inbox WHERE event_id = ? AND processed_ms IS NULL")
        .bind(event)
        .fetch_optional(db)
        .await?;
    found.map(|found| Ok((found.try_get("kind")?, found.try_get("object_id")?))).transpose()
}

/// Marks an event as dealt with.
pub(crate) async fn processed(tx: &mut Tx, event: &str, now_ms: i64) -> Result<(), DbError> {
    sqlx::query("UPDATE webhook_inbox SET processed_ms = ? WHERE event_id = ?").bind(now_ms).bind(event).execute(&mut **tx).await?;
    Ok(())
}
