//! What is known of a baseline besides its rows, in versions: its dossier, and what the facility grows.

use ids::{BaselineId, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, row};

/// What a paper is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaperKind {
    Dossier,
    Yield,
}

impl PaperKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Dossier => "dossier",
            Self::Yield => "yield",
        }
    }
}

/// A version of a paper.
#[derive(Clone, Debug)]
pub(crate) struct Paper<T> {
    /// From 1.
    pub(crate) version: i64,
    pub(crate) document: T,
    pub(crate) created_ms: i64,
}

/// Adds a version behind those that are there; its number.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    baseline: BaselineId,
    kind: PaperKind,
    document: &impl Serialize,
    now_ms: i64,
) -> Result<i64, DbError> {
    let found = sqlx::query(
        "INSERT INTO baseline_papers (tenant_id, baseline_id, kind, version, document, created_ms)
         VALUES (?, ?, ?, (SELECT COUNT(*) + 1 FROM baseline_papers WHERE baseline_id = ? AND kind = ?), ?, ?) RETURNING version",
    )
    .bind(tenant.to_string())
    .bind(baseline.to_string())
    .bind(kind.name())
    .bind(baseline.to_string())
    .bind(kind.name())
    .bind(row::text_of(document, "document")?)
    .bind(now_ms)
    .fetch_one(&mut **tx)
    .await?;
    Ok(found.try_get("version")?)
}

/// The version that holds.
pub(crate) async fn newest<T: DeserializeOwned>(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    baseline: BaselineId,
    kind: PaperKind,
) -> Result<Option<Paper<T>>, DbError> {
    let found = sqlx::query(
        "SELECT version, document, created_ms FROM baseline_papers WHERE tenant_id = ? AND baseline_id = ? AND kind = ?
         ORDER BY version DESC LIMIT 1",
    )
    .bind(tenant.to_string())
    .bind(baseline.to_string())
    .bind(kind.name())
    .fetch_optional(db)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let document = row::document(&found, "document")?;
    Ok(Some(Paper { version: found.try_get("version")?, document, created_ms: found.try_get("created_ms")? }))
}
