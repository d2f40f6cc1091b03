//! Customers and their payment methods: who pays, and with what.

use serde::Deserialize;

use crate::client::{Client, path};
use crate::error::StripeError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::object::{CustomerId, Expandable, PaymentMethodId};
use crate::payment_intent::PaymentMethodType;

/// A payer as we register it.
#[derive(Clone, Debug, Default)]
pub struct NewCustomer {
    pub name: String,
    pub email: Option<String>,
    /// Ours: tenant and facility at least.
    pub metadata: Vec<(String, String)>,
}

/// A payer.
#[derive(Clone, Debug, Deserialize)]
pub struct Customer {
    pub id: CustomerId,
    pub name: Option<String>,
    pub email: Option<String>,
}

/// A card or a bank account.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentMethod {
    pub id: PaymentMethodId,
    #[serde(rename = "type")]
    pub kind: PaymentMethodType,
    pub customer: Option<Expandable<Customer>>,
}

impl Client {
    /// `POST /v1/customers`
    pub async fn create_customer(&self, new: &NewCustomer, key: &IdempotencyKey) -> Result<Customer, StripeError> {
        let form = Form::new().text("name", &new.name).optional("email", new.email.as_deref()).metadata(&new.metadata);
        self.post("/v1/customers", &form, key, None).await
    }

    /// `GET /v1/customers/{id}`
    pub async fn retrieve_customer(&self, id: &CustomerId) -> Result<Customer, StripeError> {
        self.get(&path("customers", id.as_str(), ""), &Form::new(), None).await
    }

    /// `POST /v1/payment_methods/{id}/attach`. Attaching a documented test method gives a new method: use the answer's id.
    pub async fn attach_payment_method(
        &self,
        method: &PaymentMethodId,
        customer: &CustomerId,
        key: &IdempotencyKey,
    ) -> Result<PaymentMethod, StripeError> {
        let form = Form::new().text("customer", customer.as_str());
        self.post(&path("payment_methods", method.as_str(), "/attach"), &form, key, None).await
    }

    /// `GET /v1/payment_methods/{id}`
    pub async fn retrieve_payment_method(&self, id: &PaymentMethodId) -> Result<PaymentMethod, StripeError> {
        self.get(&path("payment_methods", id.as_str(), ""), &Form::new(), None).await
    }
}
