//! The platform's balance and every movement of it: what reconciliation reads.

use money::{Currency, Money};
use serde::Deserialize;

use crate::client::Client;
use crate::currency;
use crate::error::StripeError;
use crate::form::Form;
use crate::object::{BalanceTransactionId, PayoutId, open_enum};

open_enum! {
    /// What moved the balance.
    pub enum BalanceTransactionKind {
        Charge = "charge",
        Payment = "payment",
        Transfer = "transfer",
        TransferRefund = "transfer_refund",
        Refund = "refund",
        PaymentRefund = "payment_refund",
        Payout = "payout",
        PayoutFailure = "payout_failure",
        PayoutCancel = "payout_cancel",
        Adjustment = "adjustment",
        StripeFee = "stripe_fee",
        TopUp = "topup",
    }
}

/// One movement of a balance.
#[derive(Clone, Debug, Deserialize)]
pub struct BalanceTransaction {
    pub id: BalanceTransactionId,
    #[serde(rename = "type")]
    pub kind: BalanceTransactionKind,
    amount: i64,
    fee: i64,
    net: i64,
    #[serde(deserialize_with = "currency::deserialize")]
    currency: Currency,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds from which the money may be used.
    pub available_on: i64,
    /// The charge, transfer, payout … that caused it.
    pub source: Option<String>,
    pub reporting_category: String,
}

impl BalanceTransaction {
    pub fn amount(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    pub fn fee(&self) -> Money {
        Money::new(self.fee, self.currency)
    }

    /// Amount less fee.
    pub fn net(&self) -> Money {
        Money::new(self.net, self.currency)
    }
}

/// What the platform holds.
#[derive(Clone, Debug, Deserialize)]
pub struct Balance {
    available: Vec<Held>,
    pending: Vec<Held>,
}

#[derive(Clone, Debug, Deserialize)]
struct Held {
    amount: i64,
    currency: String,
}

impl Balance {
    /// What may be transferred or paid out now.
    pub fn available(&self, currency: Currency) -> Money {
        Money::new(held(&self.available, currency), currency)
    }

    /// What will be available later.
    pub fn pending(&self, currency: Currency) -> Money {
        Money::new(held(&self.pending, currency), currency)
    }
}

fn held(rows: &[Held], currency: Currency) -> i64 {
    rows.iter().find(|row| currency::parse(&row.currency) == Some(currency)).map_or(0, |row| row.amount)
}

/// A window of creation times, in unix seconds: `from` inclusive, `until` exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    pub from: Option<i64>,
    pub until: Option<i64>,
}

impl Created {
    pub(crate) fn query(self) -> Form {
        let mut window = Form::new();
        if let Some(from) = self.from {
            window = window.integer("gte", from);
        }
        if let Some(until) = self.until {
            window = window.integer("lt", until);
        }
        Form::new().map("created", window)
    }
}

impl Client {
    /// `GET /v1/balance`
    pub async fn retrieve_balance(&self) -> Result<Balance, StripeError> {
        self.get("/v1/balance", &Form::new(), None).await
    }

    /// `GET /v1/balance_transactions` of a window, newest first. Ask with an overlap of three days and keep by id.
    pub async fn list_balance_transactions(&self, created: Created) -> Result<Vec<BalanceTransaction>, StripeError> {
        self.get_all("/v1/balance_transactions", &created.query(), |row: &BalanceTransaction| row.id.as_str()).await
    }

    /// `GET /v1/balance_transactions?payout=`: what an automatic payout consists of.
    pub async fn list_payout_transactions(&self, payout: &PayoutId) -> Result<Vec<BalanceTransaction>, StripeError> {
        let query = Form::new().text("payout", payout.as_str());
        self.get_all("/v1/balance_transactions", &query, |row: &BalanceTransaction| row.id.as_str()).await
    }
}
