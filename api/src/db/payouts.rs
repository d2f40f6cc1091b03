//! What is owed to each payee from a collected invoice.

use ids::{InvoiceId, PayeeId, PaymentId, PayoutId, TenantId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// One payee's part of one invoice.
#[derive(Clone, Debug)]
pub(crate) struct StoredPayout {
    pub(crate) id: PayoutId,
    pub(crate) tenant: TenantId,
    pub(crate) invoice: InvoiceId,
    pub(crate) payment: PaymentId,
    pub(crate) payee: PayeeId,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) currency: String,
    pub(crate) amount_minor: i64,
    pub(crate) attempt: i64,
    pub(crate) transfer: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

fn payout(row: &SqliteRow) -> Result<StoredPayout, DbError> {
    Ok(StoredPayout {
        id: row::word(row, "id", "a payout")?,
        tenant: row::word(row, "tenant_id", "a tenant")?,
        invoice: row::word(row, "invoice_id", "an invoice")?,
        payment: row::word(row, "payment_id", "a payment")?,
        payee: row::word(row, "payee_id", "a payee")?,
        kind: row.try_get("kind")?,
        status: row.try_get("status")?,
        currency: row.try_get("currency")?,
        amount_minor: row.try_get("amount_minor")?,
        attempt: row.try_get("attempt")?,
        transfer: row.try_get("stripe_transfer_id")?,
        failure: row.try_get("failure")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

/// Adds a payout, unless this payee's part of this invoice has one already.
pub(crate) async fn insert(tx: &mut Tx, payout: &StoredPayout) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO payouts (id, tenant_id, invoice_id, payment_id, payee_id, kind, status, currency, amount_minor, attempt, created_ms, updated_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(payout.id.to_string())
    .bind(payout.tenant.to_string())
    .bind(payout.invoice.to_string())
    .bind(payout.payment.to_string())
    .bind(payout.payee.to_string())
    .bind(&payout.kind)
    .bind(&payout.status)
    .bind(&payout.currency)
    .bind(payout.amount_minor)
    .bind(payout.attempt)
    .bind(payout.created_ms)
    .bind(payout.updated_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The payout with this identifier, of any tenant: the worker's question.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, id: PayoutId) -> Result<Option<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE id = ?").bind(id.to_string()).fetch_optional(db).await?;
    found.as_ref().map(payout).transpose()
}

/// The tenant's payouts, oldest first.
pub(crate) async fn list(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    window: &Window,
) -> Result<Vec<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(payout).collect()
}

/// The payouts of an invoice.
pub(crate) async fn of_invoice(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    invoice: InvoiceId,
) -> Result<Vec<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE tenant_id = ? AND invoice_id = ? ORDER BY id")
        .bind(tenant.to_string())
        .bind(invoice.to_string())
        .fetch_all(db)
        .await?;
    found.iter().map(payout).collect()
}

/// Payouts that still have a way to go, of one tenant or of all.
pub(crate) async fn open(db: impl SqliteExecutor<'_>, tenant: Option<TenantId>) -> Result<Vec<PayoutId>, DbError> {
    let found = sqlx::query(
        "SELECT id FROM payouts WHERE status IN ('pending', 'ready', 'processing') AND (?1 IS NULL OR tenant_id = ?1) ORDER BY id",
    )
    .bind(tenant.map(|tenant| tenant.to_string()))
    .fetch_all(db)
    .await?;
    found.iter().map(|found| row::word(found, "id", "a payout")).collect()
}

/// Records where a payout stands; a finished one no longer moves.
pub(crate) async fn record(tx: &mut Tx, payout: &StoredPayout, now_ms: i64) -> Result<bool, DbError> {
    let changed = sqlx::query(
        "UPDATE payouts SET status = ?, attempt = ?, stripe_transfer_id = ?, failure = ?, updated_ms = ?
         WHERE id = ? AND status IN ('pending', 'ready', 'processing')",
    )
    .bind(&payout.status)
    .bind(payout.attempt)
    .bind(&payout.transfer)
    .bind(&payout.failure)
    .bind(now_ms)
    .bind(payout.id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}
