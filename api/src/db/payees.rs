//! Those who are paid.

use ids::{PayeeId, TenantId};
use settlement::PartyKind;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// A stored payee.
#[derive(Clone, Debug)]
pub(crate) struct StoredPayee {
    pub(crate) id: PayeeId,
    pub(crate) name: String,
    pub(crate) kind: PartyKind,
    pub(crate) email: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub(crate) country: String,
    /// The connected account; none for the platform, whose share is not transferred.
    pub(crate) stripe_account: Option<String>,
    pub(crate) created_ms: i64,
}

/// The kind with this word.
pub(crate) fn kind_of(word: &str) -> Option<PartyKind> {
    use PartyKind::{Facility, Investor, Network, Partner, Platform};
    [Platform, Network, Facility, Investor, Partner].into_iter().find(|kind| kind.as_str() == word)
}

fn payee(row: &SqliteRow) -> Result<StoredPayee, DbError> {
    Ok(StoredPayee {
        id: row::word(row, "id", "a payee")?,
        name: row.try_get("name")?,
        kind: row::one_of(row, "kind", "a kind of payee", kind_of)?,
        email: row.try_get("email")?,
        country: row.try_get("country")?,
        stripe_account: row.try_get("stripe_account_id")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Adds a payee.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, payee: &StoredPayee) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO payees (id, tenant_id, name, kind, email, country, stripe_account_id, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(payee.id.to_string())
    .bind(tenant.to_string())
    .bind(&payee.name)
    .bind(payee.kind.as_str())
    .bind(&payee.email)
    .bind(&payee.country)
    .bind(&payee.stripe_account)
    .bind(payee.created_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Remembers the connected account of a payee.
pub(crate) async fn set_account(tx: &mut Tx, tenant: TenantId, id: PayeeId, account: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE payees SET stripe_account_id = ? WHERE tenant_id = ? AND id = ?")
        .bind(account)
        .bind(tenant.to_string())
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The payee with this identifier.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, tenant: TenantId, id: PayeeId) -> Result<Option<StoredPayee>, DbError> {
    let found = sqlx::query("SELECT * FROM payees WHERE tenant_id = ? AND id = ?")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(payee).transpose()
}

/// The tenant's payees, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<StoredPayee>, DbError> {
    let found = sqlx::query("SELECT * FROM payees WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(payee).collect()
}
