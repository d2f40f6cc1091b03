//! What each event means in double entry. Debits are positive.

use ids::TransactionId;
use jiff::Timestamp;
use ledger::{Account, Draft, Posting, Transaction};
use money::Money;

use super::ServiceError;
use crate::db::invoices::StoredInvoice;
use crate::db::payments::StoredPayment;
use crate::db::payouts::StoredPayout;
use crate::state::derived_id;

/// The payer's money arrived at the processor, less its fee.
pub(crate) fn collected(
    payment: &StoredPayment,
    invoice: &StoredInvoice,
    whole: Money,
    fee: Money,
    at: Timestamp,
) -> Result<Transaction, ServiceError> {
    let kept = whole.checked_sub(fee).map_err(impossible)?;
    let owed = whole.checked_neg().map_err(impossible)?;
    let source = payment.id.to_string();
    transaction(source, "collect", at, &[
        (Account::Processor, kept),
        (Account::ProcessorFees, fee),
        (Account::Receivable(invoice.facility), owed),
    ])
}

/// A payee's part left for its connected account.
pub(crate) fn transferred(payout: &StoredPayout, part: Money, at: Timestamp) -> Result<Transaction, ServiceError> {
    let gone = part.checked_neg().map_err(impossible)?;
    let source = payout.id.to_string();
    transaction(source, "transfer", at, &[(Account::Payable(payout.payee), part), (Account::Processor, gone)])
}

fn transaction(
    source: String,
    effect: &str,
    at: Timestamp,
    sides: &[(Account, Money)],
) -> Result<Transaction, ServiceError> {
    let id: TransactionId = derived_id(at.as_millisecond(), &format!("{source}:{effect}"));
    let postings = sides
        .iter()
        .filter(|(_, amount)| amount.minor != 0)
        .map(|(account, amount)| Posting { account: *account, amount: *amount })
        .collect();
    Transaction::balanced(Draft { id, source, effect: effect.to_owned(), effective_at: at, postings }).map_err(impossible)
}

fn impossible(err: impl std::error::Error + Send + Sync + 'static) -> ServiceError {
    ServiceError::Internal { what: "a transaction could not be written", err: Box::new(err) }
}
