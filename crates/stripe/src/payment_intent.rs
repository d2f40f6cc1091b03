//! Payment intents: one per attempt to collect an invoice.

use money::{Currency, Money};
use serde::Deserialize;

use crate::charge::Charge;
use crate::client::{Client, path};
use crate::currency;
use crate::error::StripeError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::object::{ChargeId, CustomerId, Expandable, PaymentIntentId, PaymentMethodId, open_enum};

open_enum! {
    /// How money is taken.
    pub enum PaymentMethodType { Card = "card", UsBankAccount = "us_bank_account", CustomerBalance = "customer_balance", Link = "link" }
}

open_enum! {
    /// Where an intent stands. A bank debit is `Processing` for days; a bank failure after `Succeeded` arrives as a dispute.
    pub enum IntentStatus {
        RequiresPaymentMethod = "requires_payment_method",
        RequiresConfirmation = "requires_confirmation",
        RequiresAction = "requires_action",
        Processing = "processing",
        RequiresCapture = "requires_capture",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

/// One attempt to collect, confirmed at once and without the payer being present.
#[derive(Clone, Debug)]
pub struct NewPaymentIntent {
    pub amount: Money,
    pub customer: CustomerId,
    pub payment_method: PaymentMethodId,
    /// At least one.
    pub allowed: Vec<PaymentMethodType>,
    /// Our invoice id: ties the charge and its transfers together, and is what we look up by.
    pub transfer_group: String,
    pub description: Option<String>,
    /// Ours: tenant, invoice, attempt.
    pub metadata: Vec<(String, String)>,
}

/// One attempt to collect.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentIntent {
    pub id: PaymentIntentId,
    pub status: IntentStatus,
    amount: i64,
    amount_received: i64,
    #[serde(deserialize_with = "currency::deserialize")]
    currency: Currency,
    pub customer: Option<Expandable<serde_json::Value>>,
    pub transfer_group: Option<String>,
    #[serde(default)]
    pub metadata: std::collections::BTreeMap<String, String>,
    latest_charge: Option<Expandable<Charge>>,
    last_payment_error: Option<PaymentFailure>,
}

#[derive(Clone, Debug, Deserialize)]
struct PaymentFailure {
    code: Option<String>,
    decline_code: Option<String>,
}

impl PaymentIntent {
    /// What was asked for.
    pub fn amount(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    /// What was received: zero until it succeeded.
    pub fn amount_received(&self) -> Money {
        Money::new(self.amount_received, self.currency)
    }

    /// The charge of the last attempt: the `source_transaction` of the transfers to come.
    pub fn latest_charge(&self) -> Option<ChargeId> {
        self.latest_charge.as_ref().map(|charge| ChargeId::new(charge.id()))
    }

    /// The most telling code of the last failure: the decline code, else the error code.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_payment_error.as_ref().and_then(|error| error.decline_code.as_deref().or(error.code.as_deref()))
    }
}

impl Client {
    /// `POST /v1/payment_intents`, created and confirmed in one call, off session.
    ///
    /// * Errors: [`StripeError::Card`] carries the id of the intent, which exists and waits for another method.
    pub async fn create_payment_intent(&self, new: &NewPaymentIntent, key: &IdempotencyKey) -> Result<PaymentIntent, StripeError> {
        let allowed: Vec<&str> = new.allowed.iter().map(PaymentMethodType::as_str).collect();
        let form = Form::new()
            .integer("amount", new.amount.minor)
            .text("currency", &currency::code(new.amount.currency))
            .text("customer", new.customer.as_str())
            .text("payment_method", new.payment_method.as_str())
            .list("allowed_payment_method_types", &allowed)
            .flag("confirm", true)
            .flag("off_session", true)
            .text("transfer_group", &new.transfer_group)
            .optional("description", new.description.as_deref())
            .metadata(&new.metadata);
        self.post("/v1/payment_intents", &form, key, None).await
    }

    /// `GET /v1/payment_intents/{id}`
    pub async fn retrieve_payment_intent(&self, id: &PaymentIntentId) -> Result<PaymentIntent, StripeError> {
        self.get(&path("payment_intents", id.as_str(), ""), &Form::new(), None).await
    }

    /// `GET /v1/payment_intents` of a customer, newest first: how an attempt of unknown outcome is found (by its metadata).
    pub async fn list_payment_intents(&self, customer: &CustomerId) -> Result<Vec<PaymentIntent>, StripeError> {
        let query = Form::new().text("customer", customer.as_str());
        self.get_all("/v1/payment_intents", &query, |intent: &PaymentIntent| intent.id.as_str()).await
    }
}
