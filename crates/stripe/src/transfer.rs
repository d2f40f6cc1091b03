//! Transfers: shares on their way to payees, and the way back.

use money::{Currency, Money};
use serde::Deserialize;

use crate::client::{Client, path};
use crate::currency;
use crate::error::StripeError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::object::{AccountId, ChargeId, Expandable, ReversalId, TransferId};

/// A share to be moved to a payee.
#[derive(Clone, Debug)]
pub struct NewTransfer {
    pub amount: Money,
    pub destination: AccountId,
    /// The charge that pays for it: the call then succeeds at once and the money moves when the charge's funds are
    /// available. Without it the platform's available balance must cover the amount.
    pub source_transaction: Option<ChargeId>,
    /// Our invoice or batch id: what a transfer of unknown outcome is looked up by.
    pub transfer_group: String,
    /// Ours: tenant, payout, attempt.
    pub metadata: Vec<(String, String)>,
}

/// A share that was moved.
#[derive(Clone, Debug, Deserialize)]
pub struct Transfer {
    pub id: TransferId,
    amount: i64,
    amount_reversed: i64,
    #[serde(deserialize_with = "currency::deserialize")]
    currency: Currency,
    /// Unix seconds.
    pub created: i64,
    destination: Option<Expandable<serde_json::Value>>,
    source_transaction: Option<Expandable<serde_json::Value>>,
    pub transfer_group: Option<String>,
    pub reversed: bool,
    #[serde(default)]
    pub metadata: std::collections::BTreeMap<String, String>,
}

impl Transfer {
    pub fn amount(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    pub fn amount_reversed(&self) -> Money {
        Money::new(self.amount_reversed, self.currency)
    }

    pub fn destination(&self) -> Option<AccountId> {
        self.destination.as_ref().map(|account| AccountId::new(account.id()))
    }

    pub fn source_transaction(&self) -> Option<ChargeId> {
        self.source_transaction.as_ref().map(|charge| ChargeId::new(charge.id()))
    }
}

/// A transfer taken back, in part or whole.
#[derive(Clone, Debug, Deserialize)]
pub struct Reversal {
    pub id: ReversalId,
    amount: i64,
    #[serde(deserialize_with = "currency::deserialize")]
    currency: Currency,
}

impl Reversal {
    pub fn amount(&self) -> Money {
        Money::new(self.amount, self.currency)
    }
}

impl Client {
    /// `POST /v1/transfers`
    pub async fn create_transfer(&self, new: &NewTransfer, key: &IdempotencyKey) -> Result<Transfer, StripeError> {
        let form = Form::new()
            .integer("amount", new.amount.minor)
            .text("currency", &currency::code(new.amount.currency))
            .text("destination", new.destination.as_str())
            .optional("source_transaction", new.source_transaction.as_ref().map(ChargeId::as_str))
            .text("transfer_group", &new.transfer_group)
            .metadata(&new.metadata);
        self.post("/v1/transfers", &form, key, None).await
    }

    /// `GET /v1/transfers/{id}`
    pub async fn retrieve_transfer(&self, id: &TransferId) -> Result<Transfer, StripeError> {
        self.get(&path("transfers", id.as_str(), ""), &Form::new(), None).await
    }

    /// `GET /v1/transfers?transfer_group=`: how a transfer of unknown outcome is found.
    pub async fn list_transfers(&self, transfer_group: &str) -> Result<Vec<Transfer>, StripeError> {
        let query = Form::new().text("transfer_group", transfer_group);
        self.get_all("/v1/transfers", &query, |transfer: &Transfer| transfer.id.as_str()).await
    }

    /// `POST /v1/transfers/{id}/reversals`. Only while the destination holds the money.
    pub async fn reverse_transfer(&self, id: &TransferId, amount: Money, key: &IdempotencyKey) -> Result<Reversal, StripeError> {
        let form = Form::new().integer("amount", amount.minor);
        self.post(&path("transfers", id.as_str(), "/reversals"), &form, key, None).await
    }
}
