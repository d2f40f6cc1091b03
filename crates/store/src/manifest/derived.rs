//! The files of quarters in the manifest.

use sqlx::{Row as _, SqliteConnection};

use crate::derived::DerivedRow;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS derived (path TEXT PRIMARY KEY, tenant TEXT NOT NULL, facility TEXT NOT NULL, month TEXT NOT NULL,
  through_lsn INTEGER NOT NULL, row_count INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  UNIQUE (tenant, facility, month)) STRICT;
";

pub(super) async fn load(db: &mut SqliteConnection) -> sqlx::Result<Vec<DerivedRow>> {
    // A reader may come before the first writer of this version.
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'derived')").fetch_one(&mut *db).await?;
    if !exists {
        return Ok(Vec::new());
    }
    let statement = "SELECT path, tenant, facility, month, through_lsn, row_count, bytes, sha256 FROM derived ORDER BY path";
    let rows = sqlx::query(statement).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(DerivedRow {
                path: row.try_get(0)?,
                tenant: row.try_get(1)?,
                facility: row.try_get(2)?,
                month: row.try_get(3)?,
                through_lsn: row.try_get::<i64, _>(4)?.cast_unsigned(),
                rows: row.try_get::<i64, _>(5)?.cast_unsigned(),
                bytes: row.try_get::<i64, _>(6)?.cast_unsigned(),
                sha256: row.try_get(7)?,
            })
        })
        .collect()
}

/// Puts files in the place of those before them, and takes others out. A reader may still have those open.
pub(super) async fn replace(db: &mut SqliteConnection, rows: &[&DerivedRow], gone: &[&str]) -> sqlx::Result<()> {
    for row in rows {
        let place = "SELECT path FROM derived WHERE tenant = ? AND facility = ? AND month = ?";
        let old: Option<String> =
            sqlx::query_scalar(place).bind(&row.tenant).bind(&row.facility).bind(&row.month).fetch_optional(&mut *db).await?;
        if let Some(old) = old {
            forget(&mut *db, &old).await?;
        }
        sqlx::query("INSERT INTO derived VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(&row.path)
            .bind(&row.tenant)
            .bind(&row.facility)
            .bind(&row.month)
            .bind(row.through_lsn.cast_signed())
            .bind(row.rows.cast_signed())
            .bind(row.bytes.cast_signed())
            .bind(&row.sha256)
            .execute(&mut *db)
            .await?;
    }
    for path in gone {
        forget(&mut *db, path).await?;
    }
    Ok(())
}

async fn forget(db: &mut SqliteConnection, path: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT OR IGNORE INTO retired VALUES (?)").bind(path).execute(&mut *db).await?;
    sqlx::query("DELETE FROM derived WHERE path = ?").bind(path).execute(db).await.map(|_| ())
}

pub(super) async fn has(db: &mut SqliteConnection, path: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM derived WHERE path = ?)").bind(path).fetch_one(db).await
}
