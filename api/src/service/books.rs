//! What each event is posted as; the patterns are `ledger::flow`'s, the identifiers follow from the documents.

use jiff::Timestamp;
use ledger::{Effect, Transaction, TransactionError, flow};
use money::Money;
use settlement::Payout;

use super::ServiceError;
use crate::db::invoices::StoredInvoice;
use crate::db::payments::StoredPayment;
use crate::state::derived_id;

/// The payer's money arrived at the processor, less its fee.
pub(crate) fn collected(
    payment: &StoredPayment,
    invoice: &StoredInvoice,
    whole: Money,
    fee: Money,
    at: Timestamp,
) -> Result<Transaction, ServiceError> {
    let id = transaction_id(&payment.id, Effect::Collect, at);
    flow::collect(id, at, payment.id, invoice.facility, whole, fee).map_err(impossible)
}

/// A payee's part left for its connected account.
pub(crate) fn transferred(payout: &Payout, at: Timestamp) -> Result<Transaction, ServiceError> {
    let id = transaction_id(&payout.id, Effect::Transfer, at);
    flow::transfer(id, at, payout.id, payout.payee, payout.amount).map_err(impossible)
}

/// A payee's part came back whole.
pub(crate) fn reversed(payout: &Payout, at: Timestamp) -> Result<Transaction, ServiceError> {
    let id = transaction_id(&payout.id, Effect::Reverse, at);
    flow::reverse(id, at, payout.id, payout.payee, payout.amount).map_err(impossible)
}

/// The identifier of the transaction for one effect of one document.
pub(crate) fn transaction_id(source: &dyn std::fmt::Display, effect: Effect, at: Timestamp) -> ids::TransactionId {
    derived_id(at.as_millisecond(), &format!("{source}:{effect}"))
}

fn impossible(err: TransactionError) -> ServiceError {
    ServiceError::Internal { what: "a transaction could not be written", err: Box::new(err) }
}
