//! What each event means in double entry.

use money::Money;

use super::ServiceError;
use crate::db::invoices::StoredInvoice;
use crate::db::ledger::StoredTransaction;
use crate::db::payments::StoredPayment;
use crate::db::payouts::StoredPayout;

pub(crate) fn collected(_payment: &StoredPayment, _invoice: &StoredInvoice, _whole: Money, _fee: Money, _now_ms: i64) -> Result<StoredTransaction, ServiceError> {
    Err(ServiceError::conflict("wait"))
}
pub(crate) fn transferred(_payout: &StoredPayout, _whole: Money, _now_ms: i64) -> Result<StoredTransaction, ServiceError> {
    Err(ServiceError::conflict("wait"))
}
