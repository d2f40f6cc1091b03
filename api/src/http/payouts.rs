//! `/v1/payouts`: each payee's part of a collected invoice.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ids::{InvoiceId, PayeeId, PayoutId};
use serde::Serialize;
use utoipa::ToSchema;

use super::command::{Command, Early, Nothing, Unit};
use super::page::{ListQuery, Page, Params, instant};
use super::problem::Problem;
use crate::db::keys::Caller;
use crate::db::payouts as db;
use crate::service::pay;
use crate::state::Api;

/// One payee's part of one invoice, on its way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Payout {
    #[schema(value_type = String)]
    id: PayoutId,
    #[schema(value_type = String)]
    invoice: InvoiceId,
    #[schema(value_type = String)]
    payee: PayeeId,
    kind: &'static str,
    /// pending, ready, processing, unknown, completed, failed or cancelled. The platform's own part is completed at
    /// once and not transferred.
    #[schema(example = "completed")]
    status: &'static str,
    amount_minor: i64,
    amount_decimal: String,
    currency: &'static str,
    /// Counted from 1; a refused attempt is followed by the next.
    attempt: u32,
    stripe_transfer: Option<String>,
    failure: Option<String>,
    /// The end of the contract's hold.
    release_at: String,
    created_at: String,
    updated_at: String,
}

impl From<db::StoredPayout> for Payout {
    fn from(stored: db::StoredPayout) -> Self {
        let payout = stored.payout;
        Self {
            id: payout.id,
            invoice: payout.invoice,
            payee: payout.payee,
            kind: payout.kind.as_str(),
            status: payout.state.as_str(),
            amount_minor: payout.amount.minor,
            amount_decimal: payout.amount.decimal_text(),
            currency: payout.amount.currency.code(),
            attempt: payout.attempt,
            stripe_transfer: payout.transfer,
            failure: stored.failure,
            release_at: instant(stored.release_ms),
            created_at: instant(stored.created_ms),
            updated_at: instant(stored.updated_ms),
        }
    }
}

/// What a run did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PayoutRun {
    /// Every payout that was looked at, as it stands now.
    data: Vec<Payout>,
}

/// Transfers every payout that can be transferred now, without waiting for the worker.
#[utoipa::path(post, path = "/v1/payouts", tag = "payouts", request_body = Nothing,
    params(("idempotency-key" = String, Header)), responses((status = 200, body = PayoutRun)))]
pub(crate) async fn run(State(api): State<Api>, Command { ticket, input: Nothing {} }: Command<Nothing>) -> Result<Response, Early> {
    ticket.require_key()?;
    let tenant = ticket.caller.tenant;
    Unit::begin(&api, &ticket).await?.pause("payouts").await?;
    let mut data = Vec::new();
    for id in db::open(api.db.read(), Some(tenant)).await? {
        if let Err(err) = pay::transfer(&api, id).await {
            // The others are paid all the same; the worker comes back to this one.
            tracing::warn!(payout.id = %id, error = %daemon::chain(&err), "a payout did not go through");
        }
        data.extend(db::by_id(api.db.read(), id).await?.map(Payout::from));
    }
    let mut unit = Unit::reopen(&api, &ticket).await?;
    unit.happened("payouts.run", &tenant.to_string()).await?;
    Ok(unit.finish(StatusCode::OK, &PayoutRun { data }).await?)
}

/// Lists the payouts.
#[utoipa::path(get, path = "/v1/payouts", tag = "payouts", params(ListQuery), responses((status = 200, body = Page<Payout>)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller, Params(query): Params<ListQuery>) -> Result<Json<Page<Payout>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::list(api.db.read(), caller.tenant, &window).await?;
    Ok(Page::cut(found.into_iter().map(Payout::from).collect(), rows, |payout| payout.id.to_string()))
}
