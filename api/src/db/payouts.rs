//! What is owed to each payee from a collected invoice.

use ids::{InvoiceId, PaymentId, PayoutId, TenantId};
use settlement::{Payout, PayoutState};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::payees::kind_of;
use super::{DbError, Tx, Window, row};

/// One payee's part of one invoice, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct StoredPayout {
    pub(crate) tenant: TenantId,
    pub(crate) payment: PaymentId,
    /// As settlement's rules move it.
    pub(crate) payout: Payout,
    /// Not to be sent before.
    pub(crate) release_ms: i64,
    /// What it waits for, or why the last attempt was refused.
    pub(crate) failure: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

fn payout(row: &SqliteRow) -> Result<StoredPayout, DbError> {
    let attempt: i64 = row.try_get("attempt")?;
    let attempt =
        u32::try_from(attempt).map_err(|_| DbError::Malformed { column: "attempt", found: attempt.to_string(), expected: "a count" })?;
    Ok(StoredPayout {
        tenant: row::word(row, "tenant_id", "a tenant")?,
        payment: row::word(row, "payment_id", "a payment")?,
        payout: Payout {
            id: row::word(row, "id", "a payout")?,
            invoice: row::word(row, "invoice_id", "an invoice")?,
            payee: row::word(row, "payee_id", "a payee")?,
            kind: row::one_of(row, "kind", "a kind of payee", kind_of)?,
            amount: row::money(row, "amount_minor")?,
            state: row::one_of(row, "state", "a state of a payout", PayoutState::from_word)?,
            attempt,
            transfer: row.try_get("stripe_transfer_id")?,
        },
        release_ms: row.try_get("release_ms")?,
        failure: row.try_get("failure")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

/// Adds a payout.
pub(crate) async fn insert(tx: &mut Tx, stored: &StoredPayout) -> Result<(), DbError> {
    let payout = &stored.payout;
    sqlx::query(
        "INSERT INTO payouts (id, tenant_id, invoice_id, payment_id, payee_id, kind, state, currency, amount_minor, attempt, release_ms, created_ms, updated_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(payout.id.to_string())
    .bind(stored.tenant.to_string())
    .bind(payout.invoice.to_string())
    .bind(stored.payment.to_string())
    .bind(payout.payee.to_string())
    .bind(payout.kind.as_str())
    .bind(payout.state.as_str())
    .bind(payout.amount.currency.code())
    .bind(payout.amount.minor)
    .bind(i64::from(payout.attempt))
    .bind(stored.release_ms)
    .bind(stored.created_ms)
    .bind(stored.updated_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The payout with this identifier, of any tenant: the worker's question.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, id: PayoutId) -> Result<Option<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE id = ?").bind(id.to_string()).fetch_optional(db).await?;
    found.as_ref().map(payout).transpose()
}

/// The payout that was paid by this transfer.
pub(crate) async fn by_transfer(db: impl SqliteExecutor<'_>, transfer: &str) -> Result<Option<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE stripe_transfer_id = ?").bind(transfer).fetch_optional(db).await?;
    found.as_ref().map(payout).transpose()
}

/// The tenant's payouts, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(payout).collect()
}

/// The payouts of an invoice.
pub(crate) async fn of_invoice(db: impl SqliteExecutor<'_>, tenant: TenantId, invoice: InvoiceId) -> Result<Vec<StoredPayout>, DbError> {
    let found = sqlx::query("SELECT * FROM payouts WHERE tenant_id = ? AND invoice_id = ? ORDER BY id")
        .bind(tenant.to_string())
        .bind(invoice.to_string())
        .fetch_all(db)
        .await?;
    found.iter().map(payout).collect()
}

/// Payouts that still have a way to go, of one tenant or of all.
pub(crate) async fn open(db: impl SqliteExecutor<'_>, tenant: Option<TenantId>) -> Result<Vec<PayoutId>, DbError> {
    let found =
        sqlx::query("SELECT id FROM payouts WHERE state NOT IN ('completed', 'cancelled') AND (?1 IS NULL OR tenant_id = ?1) ORDER BY id")
            .bind(tenant.map(|tenant| tenant.to_string()))
            .fetch_all(db)
            .await?;
    found.iter().map(|found| row::word(found, "id", "a payout")).collect()
}

/// Records where a payout stands now, if it still stands where it was read; whether it did.
pub(crate) async fn record(tx: &mut Tx, stored: &StoredPayout, was: PayoutState, now_ms: i64) -> Result<bool, DbError> {
    let payout = &stored.payout;
    let changed = sqlx::query(
        "UPDATE payouts SET state = ?, attempt = ?, stripe_transfer_id = ?, failure = ?, updated_ms = ? WHERE id = ? AND state = ?",
    )
    .bind(payout.state.as_str())
    .bind(i64::from(payout.attempt))
    .bind(&payout.transfer)
    .bind(&stored.failure)
    .bind(now_ms)
    .bind(payout.id.to_string())
    .bind(was.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}
