//! `/v1/ledger`: the books.

use axum::Json;
use axum::extract::State;
use ids::TransactionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{ListQuery, Page, Params, instant};
use super::problem::Problem;
use super::shapes::decimal;
use crate::db::keys::Caller;
use crate::db::ledger as db;
use crate::state::Api;

/// The books in sum.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balances {
    /// Whether every transaction sums to zero in every currency.
    balanced: bool,
    /// Whether every hash of the chain follows from the one before.
    chain_intact: bool,
    transactions: i64,
    postings: i64,
    accounts: Vec<Balance>,
}

/// The sum of one account; debits are positive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balance {
    account: String,
    amount_minor: i64,
    amount_decimal: String,
    currency: String,
}

/// Sums every account and checks the books.
#[utoipa::path(get, path = "/v1/ledger/balances", tag = "ledger", responses((status = 200, body = Balances)))]
pub(crate) async fn balances(State(api): State<Api>, caller: Caller) -> Result<Json<Balances>, Problem> {
    let size = db::size(api.db.read(), Some(caller.tenant)).await?;
    let broken = db::first_broken_link(api.db.read(), caller.tenant).await?;
    let accounts = db::balances(api.db.read(), caller.tenant).await?;
    Ok(Json(Balances {
        balanced: size.balanced,
        chain_intact: broken.is_none(),
        transactions: size.transactions,
        postings: size.postings,
        accounts: accounts
            .into_iter()
            .map(|balance| Balance {
                amount_decimal: decimal(balance.amount_minor, &balance.currency),
                account: balance.account,
                amount_minor: balance.amount_minor,
                currency: balance.currency,
            })
            .collect(),
    }))
}

/// One transaction with its postings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Transaction {
    #[schema(value_type = String)]
    id: TransactionId,
    /// What it was posted for.
    source: String,
    /// Which effect of the source it is.
    effect: String,
    effective_at: String,
    postings: Vec<Posting>,
}

/// One side of a transaction; debits are positive.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Posting {
    account: String,
    amount_minor: i64,
    amount_decimal: String,
    currency: String,
}

/// Lists the transactions, oldest first.
#[utoipa::path(get, path = "/v1/ledger/transactions", tag = "ledger", params(ListQuery), responses((status = 200, body = Page<Transaction>)))]
pub(crate) async fn transactions(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Transaction>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::transactions(api.db.read(), caller.tenant, &window).await?;
    let found = found
        .into_iter()
        .map(|stored| Transaction {
            id: stored.id,
            source: stored.source,
            effect: stored.effect,
            effective_at: instant(stored.effective_ms),
            postings: stored
                .postings
                .into_iter()
                .map(|posting| Posting {
                    amount_decimal: decimal(posting.amount_minor, &posting.currency),
                    account: posting.account,
                    amount_minor: posting.amount_minor,
                    currency: posting.currency,
                })
                .collect(),
        })
        .collect();
    Ok(Page::cut(found, rows, |transaction: &Transaction| transaction.id.to_string()))
}
