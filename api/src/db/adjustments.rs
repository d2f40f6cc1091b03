//! Adjustments that the parties of a baseline agreed upon, in the order in which they did.

use calculator::events::{Adjustment, Ledger};
use ids::{BaselineId, TenantId};
use sqlx::SqliteExecutor;

use super::{DbError, Tx, row};

/// Adds an entry behind the ones that are there.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, baseline: BaselineId, entry: &Adjustment, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO adjustments (tenant_id, baseline_id, place, name, document, created_ms)
         VALUES (?, ?, (SELECT COUNT(*) + 1 FROM adjustments WHERE baseline_id = ?), ?, ?, ?)",
    )
    .bind(tenant.to_string())
    .bind(baseline.to_string())
    .bind(baseline.to_string())
    .bind(&entry.name)
    .bind(row::text_of(entry, "document")?)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Everything that was agreed upon for a baseline, checked again as it was when it was agreed.
pub(crate) async fn of_baseline(db: impl SqliteExecutor<'_>, tenant: TenantId, baseline: BaselineId) -> Result<Ledger, DbError> {
    let found = sqlx::query("SELECT document FROM adjustments WHERE tenant_id = ? AND baseline_id = ? ORDER BY place")
        .bind(tenant.to_string())
        .bind(baseline.to_string())
        .fetch_all(db)
        .await?;
    let entries: Vec<Adjustment> = found.iter().map(|row| row::document(row, "document")).collect::<Result<_, _>>()?;
    let told = |err: calculator::events::AdjustmentError| DbError::Malformed {
        column: "document",
        found: err.to_string(),
        expected: "an adjustment that both parties signed",
    };
    Ledger::try_from(entries).map_err(told)
}
