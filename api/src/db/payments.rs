//! Attempts to collect an invoice.

use ids::{InvoiceId, PaymentId, TenantId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, row};

/// One attempt.
#[derive(Clone, Debug)]
pub(crate) struct StoredPayment {
    pub(crate) id: PaymentId,
    pub(crate) tenant: TenantId,
    pub(crate) invoice: InvoiceId,
    pub(crate) attempt: i64,
    /// `pending` (the provider's answer is unknown), `processing`, `succeeded` or `failed`.
    pub(crate) status: String,
    pub(crate) currency: String,
    pub(crate) amount_minor: i64,
    pub(crate) payment_method: String,
    pub(crate) intent: Option<String>,
    pub(crate) charge: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) created_ms: i64,
}

fn payment(row: &SqliteRow) -> Result<StoredPayment, DbError> {
    Ok(StoredPayment {
        id: row::word(row, "id", "a payment")?,
        tenant: row::word(row, "tenant_id", "a tenant")?,
        invoice: row::word(row, "invoice_id", "an invoice")?,
        attempt: row.try_get("attempt")?,
        status: row.try_get("status")?,
        currency: row.try_get("currency")?,
        amount_minor: row.try_get("amount_minor")?,
        payment_method: row.try_get("payment_method")?,
        intent: row.try_get("stripe_intent_id")?,
        charge: row.try_get("stripe_charge_id")?,
        failure: row.try_get("failure")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Writes an attempt down, before the provider is called.
pub(crate) async fn insert(tx: &mut Tx, payment: &StoredPayment) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO payments (id, tenant_id, invoice_id, attempt, status, currency, amount_minor, payment_method, created_ms, updated_ms)
         VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?)",
    )
    .bind(payment.id.to_string())
    .bind(payment.tenant.to_string())
    .bind(payment.invoice.to_string())
    .bind(payment.attempt)
    .bind(&payment.currency)
    .bind(payment.amount_minor)
    .bind(&payment.payment_method)
    .bind(payment.created_ms)
    .bind(payment.created_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The attempts of an invoice, first to last.
pub(crate) async fn of_invoice(db: impl SqliteExecutor<'_>, tenant: TenantId, invoice: InvoiceId) -> Result<Vec<StoredPayment>, DbError> {
    let found = sqlx::query("SELECT * FROM payments WHERE tenant_id = ? AND invoice_id = ? ORDER BY attempt")
        .bind(tenant.to_string())
        .bind(invoice.to_string())
        .fetch_all(db)
        .await?;
    found.iter().map(payment).collect()
}

/// The attempt with this identifier, of any tenant: the worker's question.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, id: PaymentId) -> Result<Option<StoredPayment>, DbError> {
    let found = sqlx::query("SELECT * FROM payments WHERE id = ?").bind(id.to_string()).fetch_optional(db).await?;
    found.as_ref().map(payment).transpose()
}

/// The attempt that made this payment intent.
pub(crate) async fn by_intent(db: impl SqliteExecutor<'_>, intent: &str) -> Result<Option<StoredPayment>, DbError> {
    let found = sqlx::query("SELECT * FROM payments WHERE stripe_intent_id = ?").bind(intent).fetch_optional(db).await?;
    found.as_ref().map(payment).transpose()
}

/// Attempts whose end is not known yet.
pub(crate) async fn open(db: impl SqliteExecutor<'_>) -> Result<Vec<PaymentId>, DbError> {
    let found = sqlx::query("SELECT id FROM payments WHERE status IN ('pending', 'processing') ORDER BY id").fetch_all(db).await?;
    found.iter().map(|found| row::word(found, "id", "a payment")).collect()
}

/// Records what the provider says is true.
pub(crate) async fn record(tx: &mut Tx, payment: &StoredPayment, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE payments SET status = ?, stripe_intent_id = ?, stripe_charge_id = ?, failure = ?, updated_ms = ?
         WHERE id = ? AND status IN ('pending', 'processing')",
    )
    .bind(&payment.status)
    .bind(&payment.intent)
    .bind(&payment.charge)
    .bind(&payment.failure)
    .bind(now_ms)
    .bind(payment.id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
