//! Invoices, their lines and their numbers.

use ids::{FacilityId, InvoiceId, PayeeId, StatementId, TenantId};
use serde_json::Value;
use settlement::PartyKind;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::payees::kind_of;
use super::{DbError, Tx, Window, row};

/// A stored invoice; the document is settlement's.
#[derive(Clone, Debug)]
pub(crate) struct StoredInvoice {
    pub(crate) id: InvoiceId,
    pub(crate) tenant: TenantId,
    pub(crate) facility: FacilityId,
    pub(crate) statement: StatementId,
    pub(crate) number: Option<String>,
    pub(crate) status: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    pub(crate) paid_minor: i64,
    pub(crate) document: Value,
    pub(crate) issued_ms: Option<i64>,
    pub(crate) paid_ms: Option<i64>,
    pub(crate) evidence_file: Option<String>,
    pub(crate) evidence_sha256: Option<String>,
    pub(crate) created_ms: i64,
}

/// One line of an invoice.
#[derive(Clone, Debug)]
pub(crate) struct StoredLine {
    pub(crate) description: String,
    pub(crate) amount_minor: i64,
}

/// One payee's part of the total.
#[derive(Clone, Debug)]
pub(crate) struct StoredPart {
    pub(crate) payee: PayeeId,
    pub(crate) kind: PartyKind,
    pub(crate) amount_minor: i64,
}

fn invoice(row: &SqliteRow) -> Result<StoredInvoice, DbError> {
    Ok(StoredInvoice {
        id: row::word(row, "id", "an invoice")?,
        tenant: row::word(row, "tenant_id", "a tenant")?,
        facility: row::word(row, "facility_id", "a facility")?,
        statement: row::word(row, "statement_id", "a statement")?,
        number: row.try_get("number")?,
        status: row.try_get("status")?,
        currency: row.try_get("currency")?,
        total_minor: row.try_get("total_minor")?,
        paid_minor: row.try_get("paid_minor")?,
        document: row::document(row, "document")?,
        issued_ms: row.try_get("issued_ms")?,
        paid_ms: row.try_get("paid_ms")?,
        evidence_file: row.try_get("evidence_file")?,
        evidence_sha256: row.try_get("evidence_sha256")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Adds an issued invoice with its lines and its split. Its number came from [`next_number`] in the same transaction.
pub(crate) async fn insert(tx: &mut Tx, invoice: &StoredInvoice, lines: &[StoredLine], parts: &[StoredPart]) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO invoices (id, tenant_id, facility_id, statement_id, number, status, currency, total_minor, paid_minor,
             document, issued_ms, paid_ms, evidence_file, evidence_sha256, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(invoice.id.to_string())
    .bind(invoice.tenant.to_string())
    .bind(invoice.facility.to_string())
    .bind(invoice.statement.to_string())
    .bind(&invoice.number)
    .bind(&invoice.status)
    .bind(&invoice.currency)
    .bind(invoice.total_minor)
    .bind(invoice.paid_minor)
    .bind(row::text_of(&invoice.document, "document")?)
    .bind(invoice.issued_ms)
    .bind(invoice.paid_ms)
    .bind(&invoice.evidence_file)
    .bind(&invoice.evidence_sha256)
    .bind(invoice.created_ms)
    .execute(&mut **tx)
    .await?;
    for (position, line) in (1_i64..).zip(lines) {
        sqlx::query("INSERT INTO invoice_lines (invoice_id, position, description, amount_minor) VALUES (?, ?, ?, ?)")
            .bind(invoice.id.to_string())
            .bind(position)
            .bind(&line.description)
            .bind(line.amount_minor)
            .execute(&mut **tx)
            .await?;
    }
    for (position, part) in (1_i64..).zip(parts) {
        sqlx::query("INSERT INTO invoice_parts (invoice_id, position, payee_id, kind, amount_minor) VALUES (?, ?, ?, ?, ?)")
            .bind(invoice.id.to_string())
            .bind(position)
            .bind(part.payee.to_string())
            .bind(part.kind.as_str())
            .bind(part.amount_minor)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The next number of a series, without gaps: the counter moves in the issuing transaction.
pub(crate) async fn next_number(tx: &mut Tx, tenant: TenantId, series: &str) -> Result<i64, DbError> {
    let counted = sqlx::query(
        "INSERT INTO invoice_counters (tenant_id, series, last) VALUES (?, ?, 1)
         ON CONFLICT (tenant_id, series) DO UPDATE SET last = last + 1 RETURNING last",
    )
    .bind(tenant.to_string())
    .bind(series)
    .fetch_one(&mut **tx)
    .await?;
    Ok(counted.try_get("last")?)
}

/// The number that [`next_number`] would give now.
pub(crate) async fn peek_number(db: impl SqliteExecutor<'_>, tenant: TenantId, series: &str) -> Result<i64, DbError> {
    let found = sqlx::query("SELECT last FROM invoice_counters WHERE tenant_id = ? AND series = ?")
        .bind(tenant.to_string())
        .bind(series)
        .fetch_optional(db)
        .await?;
    Ok(found.map_or(Ok(0), |found| found.try_get::<i64, _>("last"))? + 1)
}

/// The invoice with this identifier.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, tenant: TenantId, id: InvoiceId) -> Result<Option<StoredInvoice>, DbError> {
    let found = sqlx::query("SELECT * FROM invoices WHERE tenant_id = ? AND id = ?")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(invoice).transpose()
}

/// The invoice made from a statement.
pub(crate) async fn by_statement(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    statement: StatementId,
) -> Result<Option<StoredInvoice>, DbError> {
    let found = sqlx::query("SELECT * FROM invoices WHERE tenant_id = ? AND statement_id = ?")
        .bind(tenant.to_string())
        .bind(statement.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(invoice).transpose()
}

/// The tenant's invoices, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<StoredInvoice>, DbError> {
    let found = sqlx::query("SELECT * FROM invoices WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(invoice).collect()
}

/// The newest invoice of any tenant, for the status page.
pub(crate) async fn latest(db: impl SqliteExecutor<'_>) -> Result<Option<StoredInvoice>, DbError> {
    let found = sqlx::query("SELECT * FROM invoices ORDER BY created_ms DESC, id DESC LIMIT 1").fetch_optional(db).await?;
    found.as_ref().map(invoice).transpose()
}

/// The lines of an invoice, in order.
pub(crate) async fn lines(db: impl SqliteExecutor<'_>, tenant: TenantId, id: InvoiceId) -> Result<Vec<StoredLine>, DbError> {
    let found = sqlx::query(
        "SELECT l.description, l.amount_minor FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
         WHERE i.tenant_id = ? AND i.id = ? ORDER BY l.position",
    )
    .bind(tenant.to_string())
    .bind(id.to_string())
    .fetch_all(db)
    .await?;
    found
        .iter()
        .map(|row| Ok(StoredLine { description: row.try_get("description")?, amount_minor: row.try_get("amount_minor")? }))
        .collect()
}

/// The split of an invoice, in the contract's order.
pub(crate) async fn parts(db: impl SqliteExecutor<'_>, tenant: TenantId, id: InvoiceId) -> Result<Vec<StoredPart>, DbError> {
    let found = sqlx::query(
        "SELECT p.payee_id, p.kind, p.amount_minor FROM invoice_parts p JOIN invoices i ON i.id = p.invoice_id
         WHERE i.tenant_id = ? AND i.id = ? ORDER BY p.position",
    )
    .bind(tenant.to_string())
    .bind(id.to_string())
    .fetch_all(db)
    .await?;
    found
        .iter()
        .map(|row| {
            Ok(StoredPart {
                payee: row::word(row, "payee_id", "a payee")?,
                kind: row::one_of(row, "kind", "a kind of payee", kind_of)?,
                amount_minor: row.try_get("amount_minor")?,
            })
        })
        .collect()
}

/// Marks an issued invoice as paid in full.
pub(crate) async fn mark_paid(tx: &mut Tx, tenant: TenantId, id: InvoiceId, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE invoices SET status = 'paid', paid_minor = total_minor, paid_ms = ?
         WHERE tenant_id = ? AND id = ? AND status = 'issued'",
    )
    .bind(now_ms)
    .bind(tenant.to_string())
    .bind(id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many invoices a facility was issued so far.
pub(crate) async fn count_of_facility(db: impl SqliteExecutor<'_>, tenant: TenantId, facility: FacilityId) -> Result<i64, DbError> {
    let found = sqlx::query("SELECT COUNT(*) AS count FROM invoices WHERE tenant_id = ? AND facility_id = ? AND issued_ms IS NOT NULL")
        .bind(tenant.to_string())
        .bind(facility.to_string())
        .fetch_one(db)
        .await?;
    Ok(found.try_get("count")?)
}
