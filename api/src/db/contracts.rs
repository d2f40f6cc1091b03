//! Shared-savings agreements.

use calculator::tariff::Tariff;
use ids::{BaselineId, ContractId, FacilityId, InvoiceId, Slug, TenantId};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use settlement::Contract;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// Who pays under a contract, and with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payer {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    /// The processor's payment method, as it came from its hosted page.
    pub(crate) payment_method: String,
}

/// What was agreed: settlement's terms, the tariff they name, and which devices are measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Agreement {
    pub(crate) contract: Contract,
    /// None where the price is flat.
    pub(crate) tariff: Option<Tariff>,
    pub(crate) meters: Vec<Slug>,
    pub(crate) weather: Slug,
}

/// A stored contract.
#[derive(Clone, Debug)]
pub(crate) struct StoredContract {
    pub(crate) id: ContractId,
    pub(crate) facility: FacilityId,
    pub(crate) baseline: BaselineId,
    pub(crate) currency: String,
    pub(crate) starts_on: Date,
    pub(crate) ends_on: Option<Date>,
    pub(crate) agreement: Agreement,
    pub(crate) payer: Payer,
    /// The processor's customer and payment method, once registered.
    pub(crate) stripe: Option<(String, String)>,
    pub(crate) created_ms: i64,
}

fn contract(row: &SqliteRow) -> Result<StoredContract, DbError> {
    Ok(StoredContract {
        id: row::word(row, "id", "a contract")?,
        facility: row::word(row, "facility_id", "a facility")?,
        baseline: row::word(row, "baseline_id", "a baseline")?,
        currency: row.try_get("currency")?,
        starts_on: row::word(row, "starts_on", "a date")?,
        ends_on: row::maybe(row, "ends_on", "a date")?,
        agreement: row::document(row, "terms")?,
        payer: row::document(row, "payer")?,
        stripe: row.try_get::<Option<String>, _>("stripe_customer_id")?.zip(row.try_get::<Option<String>, _>("stripe_method_id")?),
        created_ms: row.try_get("created_ms")?,
    })
}

/// Adds a contract.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, contract: &StoredContract) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO contracts (id, tenant_id, facility_id, baseline_id, currency, starts_on, ends_on, terms, payer, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(contract.id.to_string())
    .bind(tenant.to_string())
    .bind(contract.facility.to_string())
    .bind(contract.baseline.to_string())
    .bind(&contract.currency)
    .bind(contract.starts_on.to_string())
    .bind(contract.ends_on.map(|day| day.to_string()))
    .bind(row::text_of(&contract.agreement, "terms")?)
    .bind(row::text_of(&contract.payer, "payer")?)
    .bind(contract.created_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The contract with this identifier.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, tenant: TenantId, id: ContractId) -> Result<Option<StoredContract>, DbError> {
    let found = sqlx::query("SELECT * FROM contracts WHERE tenant_id = ? AND id = ?")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(contract).transpose()
}

/// The contract under which an invoice was issued.
pub(crate) async fn of_invoice(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    invoice: InvoiceId,
) -> Result<Option<StoredContract>, DbError> {
    let found = sqlx::query(
        "SELECT c.* FROM contracts c JOIN statements s ON s.contract_id = c.id JOIN invoices i ON i.statement_id = s.id
         WHERE i.tenant_id = ? AND i.id = ?",
    )
    .bind(tenant.to_string())
    .bind(invoice.to_string())
    .fetch_optional(db)
    .await?;
    found.as_ref().map(contract).transpose()
}

/// The newest contract of a facility.
pub(crate) async fn latest_of_facility(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    facility: FacilityId,
) -> Result<Option<StoredContract>, DbError> {
    let found = sqlx::query("SELECT * FROM contracts WHERE tenant_id = ? AND facility_id = ? ORDER BY id DESC LIMIT 1")
        .bind(tenant.to_string())
        .bind(facility.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(contract).transpose()
}

/// The tenant's contracts, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<StoredContract>, DbError> {
    let found = sqlx::query("SELECT * FROM contracts WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(contract).collect()
}

/// Remembers the processor's customer and payment method of a contract.
pub(crate) async fn set_stripe(tx: &mut Tx, tenant: TenantId, id: ContractId, customer: &str, method: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE contracts SET stripe_customer_id = ?, stripe_method_id = ? WHERE tenant_id = ? AND id = ?")
        .bind(customer)
        .bind(method)
        .bind(tenant.to_string())
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
