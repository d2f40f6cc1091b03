//! Charges: the money that came in, and what it cost.

use money::{Currency, Money};
use serde::Deserialize;

use crate::balance::BalanceTransaction;
use crate::client::{Client, path};
use crate::currency;
use crate::error::StripeError;
use crate::form::Form;
use crate::object::{ChargeId, Expandable, open_enum};

open_enum! {
    /// Where a charge stands.
    pub enum ChargeStatus { Succeeded = "succeeded", Pending = "pending", Failed = "failed" }
}

/// Money taken from a payer.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    pub id: ChargeId,
    pub status: ChargeStatus,
    amount: i64,
    amount_refunded: i64,
    #[serde(deserialize_with = "currency::deserialize")]
    currency: Currency,
    pub transfer_group: Option<String>,
    pub disputed: bool,
    balance_transaction: Option<Expandable<BalanceTransaction>>,
}

impl Charge {
    pub fn amount(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    pub fn amount_refunded(&self) -> Money {
        Money::new(self.amount_refunded, self.currency)
    }

    /// Fee, net and availability; absent until the charge succeeded.
    pub fn balance_transaction(&self) -> Option<&BalanceTransaction> {
        self.balance_transaction.as_ref().and_then(Expandable::object)
    }
}

impl Client {
    /// `GET /v1/charges/{id}` with its balance transaction, and so with its fee.
    pub async fn retrieve_charge(&self, id: &ChargeId) -> Result<Charge, StripeError> {
        let query = Form::new().list("expand", &["balance_transaction"]);
        self.get(&path("charges", id.as_str(), ""), &query, None).await
    }
}
