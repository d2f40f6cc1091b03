//! The audit log in the manifest.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::tables::slug;
use crate::audit::{Account, Action, AuditEntry};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY, action INTEGER NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
  reason TEXT NOT NULL, document TEXT NOT NULL, approval TEXT NOT NULL, tenant TEXT NOT NULL, facility TEXT NOT NULL, from_ms INTEGER NOT NULL,
  to_ms INTEGER NOT NULL, row_count INTEGER NOT NULL, digest BLOB NOT NULL, sealed_lsn INTEGER NOT NULL, before BLOB NOT NULL) STRICT;
";

/// Every entry in order, or `None` when one of them cannot be.
pub(super) async fn load(db: &mut SqliteConnection) -> sqlx::Result<Option<Vec<AuditEntry>>> {
    // A reader may come before the first writer of this version.
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'audit')").fetch_one(&mut *db).await?;
    if !exists {
        return Ok(Some(Vec::new()));
    }
    let statement = "SELECT number, action, at_ms, actor, reason, document, approval, tenant, facility, from_ms, to_ms, row_count, digest,
        sealed_lsn, before FROM audit ORDER BY number";
    sqlx::query(statement).fetch_all(db).await?.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> sqlx::Result<Option<AuditEntry>> {
    let (Some(tenant), Some(facility)) = (slug(row, 7)?, slug(row, 8)?) else { return Ok(None) };
    let Some(action) = Action::from_code(row.try_get::<i64, _>(1)?.cast_unsigned()) else { return Ok(None) };
    let hash = |index: usize| -> sqlx::Result<Option<[u8; 32]>> { Ok(row.try_get::<Vec<u8>, _>(index)?.try_into().ok()) };
    let (Some(digest), Some(before)) = (hash(12)?, hash(14)?) else { return Ok(None) };
    let account = Account {
        actor: row.try_get(3)?,
        reason: row.try_get(4)?,
        document: row.try_get(5)?,
        approval: row.try_get(6)?,
        at_ms: row.try_get(2)?,
    };
    Ok(Some(AuditEntry {
        number: row.try_get::<i64, _>(0)?.cast_unsigned(),
        action,
        account,
        tenant,
        facility,
        from_ms: row.try_get(9)?,
        to_ms: row.try_get(10)?,
        rows: row.try_get::<i64, _>(11)?.cast_unsigned(),
        digest,
        sealed_lsn: row.try_get::<i64, _>(13)?.cast_unsigned(),
        before,
    }))
}

pub(super) async fn append(db: &mut SqliteConnection, entries: &[&AuditEntry]) -> sqlx::Result<()> {
    for entry in entries {
        let Account { actor, reason, document, approval, at_ms } = &entry.account;
        sqlx::query("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(entry.number.cast_signed())
            .bind(entry.action.code().cast_signed())
            .bind(*at_ms)
            .bind(actor)
            .bind(reason)
            .bind(document)
            .bind(approval)
            .bind(entry.tenant.as_str())
            .bind(entry.facility.as_str())
            .bind(entry.from_ms)
            .bind(entry.to_ms)
            .bind(entry.rows.cast_signed())
            .bind(entry.digest.as_slice())
            .bind(entry.sealed_lsn.cast_signed())
            .bind(entry.before.as_slice())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}
