//! Postings as stored: append only, one hash chain per tenant.

use ::ledger::Transaction;
use ids::{TenantId, TransactionId};
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// A stored transaction.
#[derive(Clone, Debug)]
pub(crate) struct StoredTransaction {
    pub(crate) id: TransactionId,
    /// What it was posted for: an invoice, a payment, a payout.
    pub(crate) source: String,
    /// Which of the source's effects it is (`issue`, `collect`, `transfer`).
    pub(crate) effect: String,
    pub(crate) effective_ms: i64,
    pub(crate) postings: Vec<StoredPosting>,
}

/// One side of it; debits are positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPosting {
    pub(crate) account: String,
    pub(crate) currency: String,
    pub(crate) amount_minor: i64,
}

/// An account's sum.
#[derive(Clone, Debug)]
pub(crate) struct Balance {
    pub(crate) account: String,
    pub(crate) currency: String,
    pub(crate) amount_minor: i64,
}

/// How much a ledger holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) transactions: i64,
    pub(crate) postings: i64,
    /// Whether every transaction sums to zero in every currency.
    pub(crate) balanced: bool,
}

/// Appends a transaction; whether it was new.
///
/// * Idempotency: the same source and effect with the same postings is one transaction.
/// * Errors: the same source and effect with other postings: somebody must look.
/// * Balance: by type; a [`Transaction`] cannot be made unbalanced.
pub(crate) async fn append(tx: &mut Tx, tenant: TenantId, transaction: &Transaction, recorded_ms: i64) -> Result<bool, DbError> {
    let document = row::text_of(transaction, "document")?;
    let posted = sqlx::query("SELECT document FROM ledger_transactions WHERE tenant_id = ? AND source = ? AND effect = ?")
        .bind(tenant.to_string())
        .bind(transaction.source())
        .bind(transaction.effect().as_str())
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(posted) = posted {
        let earlier: Transaction = row::document(&posted, "document")?;
        if earlier.postings() == transaction.postings() {
            return Ok(false);
        }
        return Err(DbError::Posted { key: transaction.key() });
    }
    let last = sqlx::query("SELECT chain, hash FROM ledger_transactions WHERE tenant_id = ? ORDER BY chain DESC LIMIT 1")
        .bind(tenant.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let (chain, previous) = match last {
        Some(last) => (last.try_get::<i64, _>("chain")? + 1, last.try_get("hash")?),
        None => (1, hex::encode([0_u8; 32])),
    };
    sqlx::query(
        "INSERT INTO ledger_transactions (id, tenant_id, chain, source, effect, document, effective_ms, recorded_ms, previous, hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(transaction.id().to_string())
    .bind(tenant.to_string())
    .bind(chain)
    .bind(transaction.source())
    .bind(transaction.effect().as_str())
    .bind(&document)
    .bind(transaction.effective_at().as_millisecond())
    .bind(recorded_ms)
    .bind(&previous)
    .bind(link(&previous, &document))
    .execute(&mut **tx)
    .await?;
    for (position, posting) in (1_i64..).zip(transaction.postings()) {
        sqlx::query(
            "INSERT INTO ledger_postings (transaction_id, position, tenant_id, account, currency, amount_minor)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(transaction.id().to_string())
        .bind(position)
        .bind(tenant.to_string())
        .bind(posting.account.to_string())
        .bind(posting.amount.currency.code())
        .bind(posting.amount.minor)
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// The hash of a transaction: over the one before and its own canonical text.
fn link(previous: &str, document: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(document.as_bytes());
    hex::encode(hash.finalize())
}

/// The tenant's transactions with their postings, oldest first.
pub(crate) async fn transactions(db: &sqlx::SqlitePool, tenant: TenantId, window: &Window) -> Result<Vec<StoredTransaction>, DbError> {
    let found = sqlx::query(
        "SELECT id, source, effect, effective_ms FROM ledger_transactions
         WHERE tenant_id = ?1 AND chain > coalesce((SELECT chain FROM ledger_transactions WHERE tenant_id = ?1 AND id = ?2), 0)
         ORDER BY chain LIMIT ?3",
    )
    .bind(tenant.to_string())
    .bind(&window.after)
    .bind(window.limit)
    .fetch_all(db)
    .await?;
    let mut transactions = Vec::with_capacity(found.len());
    for found in &found {
        let id: TransactionId = row::word(found, "id", "a transaction")?;
        transactions.push(StoredTransaction {
            id,
            source: found.try_get("source")?,
            effect: found.try_get("effect")?,
            effective_ms: found.try_get("effective_ms")?,
            postings: postings(db, tenant, id).await?,
        });
    }
    Ok(transactions)
}

async fn postings(db: impl SqliteExecutor<'_>, tenant: TenantId, transaction: TransactionId) -> Result<Vec<StoredPosting>, DbError> {
    let found = sqlx::query(
        "SELECT account, currency, amount_minor FROM ledger_postings WHERE tenant_id = ? AND transaction_id = ? ORDER BY position",
    )
    .bind(tenant.to_string())
    .bind(transaction.to_string())
    .fetch_all(db)
    .await?;
    found
        .iter()
        .map(|found| {
            Ok(StoredPosting {
                account: found.try_get("account")?,
                currency: found.try_get("currency")?,
                amount_minor: found.try_get("amount_minor")?,
            })
        })
        .collect()
}

/// The sum of every account of a tenant.
pub(crate) async fn balances(db: impl SqliteExecutor<'_>, tenant: TenantId) -> Result<Vec<Balance>, DbError> {
    let found = sqlx::query(
        "SELECT account, currency, sum(amount_minor) AS amount_minor FROM ledger_postings WHERE tenant_id = ?
         GROUP BY account, currency ORDER BY account, currency",
    )
    .bind(tenant.to_string())
    .fetch_all(db)
    .await?;
    found
        .iter()
        .map(|found| {
            Ok(Balance {
                account: found.try_get("account")?,
                currency: found.try_get("currency")?,
                amount_minor: found.try_get("amount_minor")?,
            })
        })
        .collect()
}

/// Counts and checks the ledger of one tenant, or of all.
pub(crate) async fn size(db: &sqlx::SqlitePool, tenant: Option<TenantId>) -> Result<Size, DbError> {
    let tenant = tenant.map(|tenant| tenant.to_string());
    let transactions =
        sqlx::query("SELECT count(*) AS n FROM ledger_transactions WHERE ?1 IS NULL OR tenant_id = ?1").bind(&tenant).fetch_one(db).await?;
    let postings =
        sqlx::query("SELECT count(*) AS n FROM ledger_postings WHERE ?1 IS NULL OR tenant_id = ?1").bind(&tenant).fetch_one(db).await?;
    let crooked = sqlx::query(
        "SELECT 1 FROM ledger_postings WHERE ?1 IS NULL OR tenant_id = ?1
         GROUP BY transaction_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1",
    )
    .bind(&tenant)
    .fetch_optional(db)
    .await?;
    Ok(Size { transactions: transactions.try_get("n")?, postings: postings.try_get("n")?, balanced: crooked.is_none() })
}

/// Walks a tenant's chain; the number of the first transaction whose hash does not follow, if any.
pub(crate) async fn first_broken_link(db: impl SqliteExecutor<'_>, tenant: TenantId) -> Result<Option<i64>, DbError> {
    let found = sqlx::query("SELECT chain, document, previous, hash FROM ledger_transactions WHERE tenant_id = ? ORDER BY chain")
        .bind(tenant.to_string())
        .fetch_all(db)
        .await?;
    let mut expected = hex::encode([0_u8; 32]);
    for (number, found) in (1_i64..).zip(&found) {
        let chain: i64 = found.try_get("chain")?;
        let previous: String = found.try_get("previous")?;
        let document: String = found.try_get("document")?;
        let hash: String = found.try_get("hash")?;
        if chain != number || previous != expected || link(&previous, &document) != hash {
            return Ok(Some(number));
        }
        expected = hash;
    }
    Ok(None)
}
