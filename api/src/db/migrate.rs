//! Brings a database file up to the tables this release knows.

use sha2::{Digest, Sha256};
use sqlx::Row;

use super::{DbError, Tx};

/// Every migration ever released, in order; none is edited after its release.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_house.sql"),
    include_str!("migrations/0002_adjustments.sql"),
    include_str!("migrations/0003_dossiers.sql"),
];

/// Applies what is missing.
///
/// * Errors: [`DbError::Migration`] when the file knows a migration that this release does not, or another text of it.
pub(super) async fn run(tx: &mut Tx) -> Result<(), DbError> {
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL) STRICT")
        .execute(&mut **tx)
        .await?;
    let applied = sqlx::query("SELECT version, sha256 FROM migrations ORDER BY version").fetch_all(&mut **tx).await?;
    for row in &applied {
        let version: i64 = row.try_get("version")?;
        let known = usize::try_from(version - 1).ok().and_then(|index| MIGRATIONS.get(index));
        if known.map(|text| digest(text)) != Some(row.try_get("sha256")?) {
            return Err(DbError::Migration { version });
        }
    }
    for (version, text) in (1_i64..).zip(MIGRATIONS).skip(applied.len()) {
        sqlx::raw_sql(text).execute(&mut **tx).await?;
        sqlx::query("INSERT INTO migrations (version, sha256) VALUES (?, ?)").bind(version).bind(digest(text)).execute(&mut **tx).await?;
    }
    Ok(())
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
