//! Payouts: from a Stripe balance to a bank.

use money::{Currency, Money};
use serde::Deserialize;

use crate::client::{Client, path};
use crate::currency;
use crate::error::StripeError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::object::{AccountId, PayoutId, open_enum};

open_enum! {
    /// Where a payout stands. A paid one can still fail days later.
    pub enum PayoutStatus {
        Pending = "pending",
        InTransit = "in_transit",
        Paid = "paid",
        Failed = "failed",
        Canceled = "canceled",
    }
}

/// Money on its way to a bank.
#[derive(Clone, Debug, Deserialize)]
pub struct Payout {
    pub id: PayoutId,
    pub status: PayoutStatus,
    amount: i64,
    #[serde(deserialize_with = "currency::deserialize")]
    currency: Currency,
    /// Unix seconds.
    pub arrival_date: i64,
    pub failure_code: Option<String>,
}

impl Payout {
    pub fn amount(&self) -> Money {
        Money::new(self.amount, self.currency)
    }
}

impl Client {
    /// `POST /v1/payouts` from a payee's balance to its bank.
    pub async fn create_payout(&self, account: &AccountId, amount: Money, key: &IdempotencyKey) -> Result<Payout, StripeError> {
        let form = Form::new().integer("amount", amount.minor).text("currency", &currency::code(amount.currency));
        self.post("/v1/payouts", &form, key, Some(account)).await
    }

    /// `GET /v1/payouts/{id}` of a payee.
    pub async fn retrieve_payout(&self, account: &AccountId, id: &PayoutId) -> Result<Payout, StripeError> {
        self.get(&path("payouts", id.as_str(), ""), &Form::new(), Some(account)).await
    }
}
