//! Statements: a period's savings under a contract, frozen when made.

use ids::{BaselineId, ContractId, FacilityId, StatementId, TenantId};
use jiff::civil::Date;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// A stored statement; the document is settlement's.
#[derive(Clone, Debug)]
pub(crate) struct StoredStatement {
    pub(crate) id: StatementId,
    pub(crate) facility: FacilityId,
    pub(crate) contract: ContractId,
    pub(crate) baseline: BaselineId,
    /// First local day.
    pub(crate) period_start: Date,
    /// The local day after the last.
    pub(crate) period_end: Date,
    pub(crate) document: Value,
    /// SHA-256 of the document's text.
    pub(crate) digest: String,
    pub(crate) created_ms: i64,
}

fn statement(row: &SqliteRow) -> Result<StoredStatement, DbError> {
    Ok(StoredStatement {
        id: row::word(row, "id", "a statement")?,
        facility: row::word(row, "facility_id", "a facility")?,
        contract: row::word(row, "contract_id", "a contract")?,
        baseline: row::word(row, "baseline_id", "a baseline")?,
        period_start: row::word(row, "period_start", "a date")?,
        period_end: row::word(row, "period_end", "a date")?,
        document: row::document(row, "document")?,
        digest: row.try_get("digest")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Adds a statement.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, statement: &StoredStatement) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO statements (id, tenant_id, facility_id, contract_id, baseline_id, period_start, period_end, document, digest, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(statement.id.to_string())
    .bind(tenant.to_string())
    .bind(statement.facility.to_string())
    .bind(statement.contract.to_string())
    .bind(statement.baseline.to_string())
    .bind(statement.period_start.to_string())
    .bind(statement.period_end.to_string())
    .bind(row::text_of(&statement.document, "document")?)
    .bind(&statement.digest)
    .bind(statement.created_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The statement with this identifier.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, tenant: TenantId, id: StatementId) -> Result<Option<StoredStatement>, DbError> {
    let found = sqlx::query("SELECT * FROM statements WHERE tenant_id = ? AND id = ?")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(statement).transpose()
}

/// The tenant's statements, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<StoredStatement>, DbError> {
    let found = sqlx::query("SELECT * FROM statements WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(statement).collect()
}

/// The last statement of the contract before a day.
pub(crate) async fn last_before(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    contract: ContractId,
    start: Date,
) -> Result<Option<StoredStatement>, DbError> {
    let found = sqlx::query(
        "SELECT * FROM statements WHERE tenant_id = ? AND contract_id = ? AND period_end <= ? ORDER BY period_end DESC LIMIT 1",
    )
    .bind(tenant.to_string())
    .bind(contract.to_string())
    .bind(start.to_string())
    .fetch_optional(db)
    .await?;
    found.as_ref().map(statement).transpose()
}

/// Whether a statement of the contract already covers a day of the period.
pub(crate) async fn overlaps(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    contract: ContractId,
    start: Date,
    end: Date,
) -> Result<bool, DbError> {
    let found =
        sqlx::query("SELECT 1 FROM statements WHERE tenant_id = ? AND contract_id = ? AND period_start < ? AND period_end > ? LIMIT 1")
            .bind(tenant.to_string())
            .bind(contract.to_string())
            .bind(end.to_string())
            .bind(start.to_string())
            .fetch_optional(db)
            .await?;
    Ok(found.is_some())
}
