//! Payment intents and the charges they make.

use serde_json::{Value, json};

use super::ledger::Movement;
use super::{Request, Ruling, World};
use crate::answer::{Refusal, int, member, metadata, text};
use crate::books::BookAccount;
use crate::method::{Behaviour, Means, TestMethod};

/// Stripe's smallest and largest charge in US cents.
const SMALLEST: i64 = 50;
const LARGEST: i64 = 99_999_999;

impl World {
    pub(super) fn create_intent(&mut self, request: &Request<'_>) -> Ruling {
        let params = &request.params;
        let amount = int(params, "amount");
        if amount < SMALLEST {
            return Err(Refusal::invalid(Some("amount_too_small"), "Amount must be at least $0.50 usd").param("amount"));
        }
        if amount > LARGEST {
            return Err(Refusal::invalid(Some("amount_too_large"), "Amount must be no more than $999,999.99").param("amount"));
        }
        let customer = request.text("customer");
        if let Some(customer) = customer
            && self.of_kind("customer", customer).is_none()
        {
            return Err(Refusal::missing("customer", customer, "customer"));
        }
        let confirm = params.get("confirm") == Some(&json!(true));
        if params.get("off_session").is_some() && !confirm {
            let message = "The parameter `off_session` cannot be passed when creating a PaymentIntent unless `confirm` is set to true.";
            return Err(Refusal::invalid(None, message).param("off_session"));
        }
        let method = self.checked_method(request, customer, params.get("allowed_payment_method_types"))?;
        let id = self.seed.id("pi");
        let allowed = member(params, "allowed_payment_method_types");
        let types = if allowed.is_array() { allowed.clone() } else { json!(["card", "us_bank_account"]) };
        let automatic = if allowed.is_array() { Value::Null } else { json!({ "enabled": true }) };
        let intent = json!({
            "id": id, "object": "payment_intent", "allowed_payment_method_types": allowed, "amount": amount,
            "amount_capturable": 0, "amount_received": 0, "application": null, "application_fee_amount": null,
            "automatic_payment_methods": automatic, "canceled_at": null, "cancellation_reason": null,
            "capture_method": "automatic_async", "client_secret": format!("{id}_secret_simulated"), "confirmation_method": "automatic",
            "created": self.now_s(), "currency": text(params, "currency").unwrap_or_default().to_ascii_lowercase(),
            "customer": member(params, "customer"), "customer_account": null, "description": member(params, "description"),
            "excluded_payment_method_types": null, "last_payment_error": null, "latest_charge": null, "livemode": false,
            "managed_payments": null, "metadata": metadata(params), "next_action": null, "on_behalf_of": null,
            "payment_method": method, "payment_method_configuration_details": null, "payment_method_options": {},
            "payment_method_types": types, "payment_record": null, "processing": null, "receipt_email": member(params, "receipt_email"),
            "setup_future_usage": member(params, "setup_future_usage"), "shipping": null, "source": null, "statement_descriptor": null,
            "statement_descriptor_suffix": null, "transfer_group": member(params, "transfer_group"),
            "status": if method.is_some() { "requires_confirmation" } else { "requires_payment_method" },
        });
        let intent = self.keep(intent, None);
        self.emit("payment_intent.created", &intent, None);
        if confirm { self.attempt(&id) } else { Ok(intent) }
    }

    pub(super) fn confirm_intent(&mut self, request: &Request<'_>) -> Ruling {
        let Some(intent) = self.of_kind("payment_intent", request.id()).cloned() else {
            return Err(Refusal::missing("payment_intent", request.id(), "intent"));
        };
        let status = text(&intent, "status").unwrap_or_default();
        if !matches!(status, "requires_confirmation" | "requires_payment_method" | "requires_action") {
            let message = format!("This PaymentIntent's status is {status} and it cannot be confirmed.");
            return Err(Refusal::invalid(Some("payment_intent_unexpected_state"), &message));
        }
        let method = self.checked_method(request, text(&intent, "customer"), intent.get("payment_method_types"))?;
        if let Some(method) = method {
            self.change(request.id(), |intent| intent["payment_method"] = json!(method));
        }
        self.attempt(request.id())
    }

    pub(super) fn cancel_intent(&mut self, request: &Request<'_>) -> Ruling {
        let Some(intent) = self.of_kind("payment_intent", request.id()).cloned() else {
            return Err(Refusal::missing("payment_intent", request.id(), "intent"));
        };
        let status = text(&intent, "status").unwrap_or_default();
        if matches!(status, "succeeded" | "canceled" | "processing") {
            let message = format!("You cannot cancel this PaymentIntent because it has a status of {status}.");
            return Err(Refusal::invalid(Some("payment_intent_unexpected_state"), &message));
        }
        let now_s = self.now_s();
        let reason = member(&request.params, "cancellation_reason");
        let canceled = self.change(request.id(), |intent| {
            intent["status"] = json!("canceled");
            intent["canceled_at"] = json!(now_s);
            intent["cancellation_reason"] = reason;
        });
        self.emit("payment_intent.canceled", &canceled, None);
        Ok(canceled)
    }

    /// The id of the method that a request names, if it exists, is the customer's and is of an allowed type.
    fn checked_method(
        &mut self,
        request: &Request<'_>,
        customer: Option<&str>,
        allowed: Option<&Value>,
    ) -> Result<Option<String>, Refusal> {
        let Some(named) = request.text("payment_method") else { return Ok(None) };
        let (id, method) = self.method(named)?;
        let owner = text(&method, "customer");
        if owner.is_some() && owner != customer {
            let message = format!("The provided PaymentMethod {id} belongs to another customer.");
            return Err(Refusal::invalid(None, &message).param("payment_method"));
        }
        if let Some(Value::Array(allowed)) = allowed
            && !allowed.contains(&method["type"])
        {
            let message = format!("The provided PaymentMethod has type {}, which this PaymentIntent does not allow.", method["type"]);
            return Err(Refusal::invalid(None, &message).param("payment_method"));
        }
        Ok(Some(id))
    }

    /// Tries to take the money of an intent with its method.
    fn attempt(&mut self, intent_id: &str) -> Ruling {
        let intent = self.change(intent_id, |_| {});
        let method = text(&intent, "payment_method").unwrap_or_default().to_owned();
        let Some(test_method) = self.behaviour(&method) else {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            return Err(Refusal::invalid(Some("payment_intent_unexpected_state"), message));
        };
        match (test_method.means, test_method.behaviour) {
            (_, Behaviour::WantsThePayer) => {
                Err(self.refuse_intent(&intent, None, "authentication_required", "authentication_required", None))
            }
            (Means::Card, Behaviour::Succeeds) => {
                let charge = self.new_charge(&intent, &method, test_method, "succeeded");
                Ok(self.settle(intent_id, &charge))
            }
            (Means::Card, Behaviour::Declines { code, decline_code, advice_code }) => {
                let charge = self.new_charge(&intent, &method, test_method, "failed");
                let charge = self.fail_charge(&charge, code, decline_code);
                Err(self.refuse_intent(&intent, Some(&charge), code, decline_code, advice_code))
            }
            (Means::BankAccount, _) => {
                let charge = self.new_charge(&intent, &method, test_method, "pending");
                self.emit("charge.pending", &charge, None);
                let processing = self.change(intent_id, |intent| {
                    intent["status"] = json!("processing");
                    intent["latest_charge"] = charge["id"].clone();
                });
                self.emit("payment_intent.processing", &processing, None);
                Ok(processing)
            }
        }
    }

    fn new_charge(&mut self, intent: &Value, method: &str, test_method: TestMethod, status: &str) -> Value {
        let prefix = if test_method.means == Means::Card { "ch" } else { "py" };
        let id = self.seed.id(prefix);
        let paid = status == "succeeded";
        let charge = json!({
            "id": id, "object": "charge", "amount": intent["amount"], "amount_captured": if paid { intent["amount"].clone() } else { json!(0) },
            "amount_refunded": 0, "application": null, "application_fee": null, "application_fee_amount": null, "balance_transaction": null,
            "billing_details": { "address": null, "email": null, "name": null, "phone": null, "tax_id": null },
            "calculated_statement_descriptor": null, "captured": status != "failed", "created": self.now_s(), "currency": intent["currency"],
            "customer": intent["customer"], "description": intent["description"], "disputed": false,
            "failure_balance_transaction": null, "failure_code": null, "failure_message": null, "livemode": false,
            "metadata": intent["metadata"], "on_behalf_of": null, "outcome": null, "paid": paid, "payment_intent": intent["id"],
            "payment_method": method, "payment_method_details": { "type": test_method.means.as_str() }, "receipt_email": null,
            "receipt_number": null, "receipt_url": null, "refunded": false, "shipping": null, "source": null, "source_transfer": null,
            "statement_descriptor": null, "statement_descriptor_suffix": null, "status": status, "transfer_data": null,
            "transfer_group": intent["transfer_group"],
        });
        self.keep(charge, None)
    }

    /// The money of a charge has come: fee, balance, books, events.
    fn settle(&mut self, intent_id: &str, charge: &Value) -> Value {
        let charge_id = text(charge, "id").unwrap_or_default().to_owned();
        let currency = text(charge, "currency").unwrap_or_default().to_owned();
        let amount = int(charge, "amount");
        let card = charge_id.starts_with("ch_");
        let rule = if card { self.config.card_fee } else { self.config.bank_debit_fee };
        let fee = rule.fee(amount);
        let transaction = self.report(&Movement {
            owner: None,
            kind: if card { "charge" } else { "payment" },
            amount,
            fee,
            currency: &currency,
            source: &charge_id,
            available_on_s: self.now_s() + self.config.settlement_s,
        });
        let legs = [(BookAccount::Payers, -amount), (BookAccount::Platform, amount - fee), (BookAccount::Fees, fee)];
        self.book(&charge_id, &currency, &legs);
        self.books.charges.insert(charge_id.clone(), amount);
        let charge = self.change(&charge_id, |charge| {
            charge["status"] = json!("succeeded");
            charge["paid"] = json!(true);
            charge["amount_captured"] = json!(amount);
            charge["balance_transaction"] = json!(transaction);
        });
        self.emit("charge.succeeded", &charge, None);
        let intent = self.change(intent_id, |intent| {
            intent["status"] = json!("succeeded");
            intent["amount_received"] = json!(amount);
            intent["latest_charge"] = json!(charge_id);
            intent["last_payment_error"] = Value::Null;
        });
        self.emit("payment_intent.succeeded", &intent, None);
        intent
    }

    fn fail_charge(&mut self, charge: &Value, code: &str, decline_code: &str) -> Value {
        let failed = self.change(text(charge, "id").unwrap_or_default(), |charge| {
            charge["status"] = json!("failed");
            charge["captured"] = json!(false);
            charge["failure_code"] = json!(code);
            charge["failure_message"] = json!(format!("The payment was declined: {decline_code}."));
        });
        self.emit("charge.failed", &failed, None);
        failed
    }

    /// Puts an intent back to waiting for a method and words the 402 of it.
    fn refuse_intent(
        &mut self,
        intent: &Value,
        charge: Option<&Value>,
        code: &str,
        decline_code: &str,
        advice_code: Option<&str>,
    ) -> Refusal {
        let message = format!("Your payment was declined: {decline_code}.");
        let charge_id = charge.map_or(Value::Null, |charge| charge["id"].clone());
        let mut error = json!({ "type": "card_error", "code": code, "decline_code": decline_code, "message": message });
        if let Some(advice_code) = advice_code {
            error["advice_code"] = json!(advice_code);
        }
        let intent = self.change(text(intent, "id").unwrap_or_default(), |intent| {
            intent["status"] = json!("requires_payment_method");
            intent["latest_charge"] = charge_id.clone();
            intent["last_payment_error"] = error;
            intent["payment_method"] = Value::Null;
        });
        self.emit("payment_intent.payment_failed", &intent, None);
        let mut refusal = Refusal::new(402, "card_error", Some(code), &message)
            .executed()
            .with("decline_code", json!(decline_code))
            .with("payment_intent", intent);
        if let Some(advice_code) = advice_code {
            refusal = refusal.with("advice_code", json!(advice_code));
        }
        match charge_id {
            Value::String(id) => refusal.with("charge", json!(id)),
            _ => refusal,
        }
    }

    /// The bank has decided about a debit that is processing. Returns whether there was one.
    pub(crate) fn settle_bank_debit(&mut self, intent_id: &str) -> bool {
        let Some(intent) = self.of_kind("payment_intent", intent_id).cloned() else { return false };
        let Some(charge) = text(&intent, "latest_charge").and_then(|id| self.of_kind("charge", id)).cloned() else {
            return false;
        };
        if text(&intent, "status") != Some("processing") {
            return false;
        }
        match text(&intent, "payment_method").and_then(|method| self.behaviour(method)).map(|method| method.behaviour) {
            Some(Behaviour::Declines { code, decline_code, advice_code }) => {
                let charge = self.fail_charge(&charge, code, decline_code);
                self.refuse_intent(&intent, Some(&charge), code, decline_code, advice_code);
            }
            _ => {
                self.settle(intent_id, &charge);
            }
        }
        true
    }

    /// Every bank debit that is still processing.
    pub(crate) fn processing(&self) -> Vec<String> {
        let intents = self.objects.iter().filter(|(_, stored)| {
            text(&stored.value, "object") == Some("payment_intent") && text(&stored.value, "status") == Some("processing")
        });
        intents.map(|(id, _)| id.clone()).collect()
    }
}
