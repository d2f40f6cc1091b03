//! Customers and their payment methods.

use serde_json::{Value, json};

use super::{Request, Ruling, World};
use crate::answer::{Refusal, member, metadata, text};
use crate::method::{self, TestMethod};

impl World {
    pub(super) fn create_customer(&mut self, request: &Request<'_>) -> Ruling {
        let id = self.seed.id("cus");
        let params = &request.params;
        let customer = json!({
            "id": id, "object": "customer", "address": null, "balance": 0, "created": self.now_s(), "currency": null,
            "default_source": null, "delinquent": false, "description": member(params, "description"), "discount": null,
            "email": member(params, "email"), "livemode": false, "metadata": metadata(params), "name": member(params, "name"),
            "invoice_settings": { "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null },
            "phone": member(params, "phone"), "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": null,
        });
        let customer = self.keep(customer, request.account.as_deref());
        self.emit("customer.created", &customer, request.account.as_deref());
        if let Some(method) = request.text("payment_method") {
            self.attach(method, &id)?;
        }
        Ok(customer)
    }

    pub(super) fn attach_method(&mut self, request: &Request<'_>) -> Ruling {
        let Some(customer) = request.text("customer").map(str::to_owned) else {
            return Err(Refusal::invalid(Some("parameter_missing"), "Missing required param: customer.").param("customer"));
        };
        self.attach(request.id(), &customer)
    }

    fn attach(&mut self, method: &str, customer: &str) -> Ruling {
        if self.of_kind("customer", customer).is_none() {
            return Err(Refusal::missing("customer", customer, "customer"));
        }
        let (id, known) = self.method(method)?;
        let owner = known.get("customer").and_then(Value::as_str);
        if owner.is_some_and(|owner| owner != customer) {
            return Err(Refusal::invalid(None, "This payment method has already been attached to another customer."));
        }
        let attached = self.change(&id, |method| method["customer"] = json!(customer));
        self.emit("payment_method.attached", &attached, None);
        Ok(attached)
    }

    /// The method of an id. A documented test id gives a new method each time, as at Stripe.
    pub(super) fn method(&mut self, id: &str) -> Result<(String, Value), Refusal> {
        if let Some(known) = self.of_kind("payment_method", id) {
            return Ok((id.to_owned(), known.clone()));
        }
        let Some(test_method) = method::find(id) else {
            return Err(Refusal::missing("PaymentMethod", id, "payment_method"));
        };
        let fresh = self.seed.id("pm");
        self.methods.insert(fresh.clone(), test_method);
        let object = test_method.object(&fresh, self.now_s(), Value::Null);
        Ok((fresh, self.keep(object, None)))
    }

    /// How a known method behaves.
    pub(super) fn behaviour(&self, id: &str) -> Option<TestMethod> {
        self.methods.get(id).copied()
    }

    pub(super) fn list_customer_methods(&self, request: &Request<'_>) -> Ruling {
        let customer = request.id();
        if self.of_kind("customer", customer).is_none() {
            return Err(Refusal::missing("customer", customer, "id"));
        }
        let kind = request.text("type");
        self.page(request, &format!("/v1/customers/{customer}/payment_methods"), |object| {
            text(object, "object") == Some("payment_method")
                && text(object, "customer") == Some(customer)
                && kind.is_none_or(|kind| text(object, "type") == Some(kind))
        })
    }
}
