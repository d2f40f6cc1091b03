//! Transfers to connected accounts and their reversals.

use serde_json::{Value, json};

use super::ledger::Movement;
use super::{Request, Ruling, World};
use crate::answer::{Refusal, int, member, metadata, text};
use crate::books::{BookAccount, TransferRecord};

impl World {
    pub(super) fn create_transfer(&mut self, request: &Request<'_>) -> Ruling {
        let params = &request.params;
        let currency = request.text("currency").unwrap_or_default().to_ascii_lowercase();
        let destination = request.text("destination").unwrap_or_default().to_owned();
        let Some(account) = self.of_kind("account", &destination) else {
            return Err(Refusal::missing("destination", &destination, "destination"));
        };
        if account.pointer("/capabilities/transfers") != Some(&json!("active")) {
            let message =
                "Your destination account needs to have at least one of the following capabilities enabled: transfers, legacy_payments";
            return Err(Refusal::invalid(Some("insufficient_capabilities_for_transfer"), message));
        }
        let charge = match request.text("source_transaction") {
            Some(id) => Some(self.source(id, &currency)?),
            None => None,
        };
        // Without an amount, the whole of the source is meant.
        let given = params.get("amount").and_then(Value::as_i64);
        let Some(amount) = given.or_else(|| charge.as_ref().map(|charge| int(charge, "amount"))) else {
            return Err(Refusal::invalid(Some("parameter_missing"), "Missing required param: amount.").param("amount"));
        };
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refusal::invalid(Some("parameter_invalid_integer"), message).param("amount"));
        }
        let available_on_s = match &charge {
            Some(charge) => self.spend(charge, amount)?,
            None if self.available(None, &currency) < amount => {
                let message =
                    "You have insufficient available funds in your Stripe account. Transfer funds cannot exceed the available balance.";
                return Err(Refusal::invalid(Some("balance_insufficient"), message).executed());
            }
            None => self.now_s(),
        };
        let id = self.seed.id("tr");
        let charge_id = charge.as_ref().and_then(|charge| text(charge, "id")).map(str::to_owned);
        let group = match (request.text("transfer_group"), &charge) {
            (Some(group), _) => Some(group.to_owned()),
            (None, Some(charge)) => Some(text(charge, "transfer_group").map_or_else(|| format!("group_{id}"), str::to_owned)),
            (None, None) => None,
        };
        let transaction = self.report(&Movement {
            owner: None,
            kind: "transfer",
            amount: -amount,
            fee: 0,
            currency: &currency,
            source: &id,
            available_on_s,
        });
        let payment = self.seed.id("py");
        self.report(&Movement {
            owner: Some(&destination),
            kind: "payment",
            amount,
            fee: 0,
            currency: &currency,
            source: &payment,
            available_on_s,
        });
        let legs = [(BookAccount::Platform, -amount), (BookAccount::Connected(destination.clone()), amount)];
        self.book(&id, &currency, &legs);
        self.books.transfers.push(TransferRecord {
            id: id.clone(),
            destination: destination.clone(),
            amount,
            reversed: 0,
            currency: currency.clone(),
            source_transaction: charge_id.clone(),
            transfer_group: group.clone(),
        });
        let transfer = json!({
            "id": id, "object": "transfer", "amount": amount, "amount_reversed": 0, "balance_transaction": transaction,
            "created": self.now_s(), "currency": currency, "description": member(params, "description"), "destination": destination,
            "destination_payment": payment, "livemode": false, "metadata": metadata(params),
            "reversals": { "object": "list", "data": [], "has_more": false, "url": format!("/v1/transfers/{id}/reversals") },
            "reversed": false, "source_transaction": charge_id, "source_type": "card", "transfer_group": group,
        });
        let transfer = self.keep(transfer, None);
        self.emit("transfer.created", &transfer, None);
        Ok(transfer)
    }

    /// The succeeded charge that a transfer draws on.
    ///
    /// Stripe also takes pending charges; we wait for success, so the simulator refuses what would be our mistake.
    fn source(&self, id: &str, currency: &str) -> Ruling {
        let Some(charge) = self.of_kind("charge", id) else {
            return Err(Refusal::missing("charge", id, "source_transaction"));
        };
        let refuse = |message: &str| Err(Refusal::invalid(None, message).param("source_transaction"));
        if text(charge, "status") != Some("succeeded") {
            return refuse("The source transaction has not succeeded.");
        }
        if text(charge, "currency") != Some(currency) {
            return refuse("The currency of source_transaction's balance transaction must be the same as the transfer currency.");
        }
        Ok(charge.clone())
    }

    /// Checks that a charge still covers `amount`; returns when its money is available.
    fn spend(&self, charge: &Value, amount: i64) -> Result<i64, Refusal> {
        let id = text(charge, "id");
        let drawn = self.books.transfers.iter().filter(|transfer| transfer.source_transaction.as_deref() == id);
        let drawn: i64 = drawn.map(|transfer| transfer.amount).sum();
        if drawn.saturating_add(amount) > int(charge, "amount") {
            let message = format!(
                "Transfers using this transaction as a source must not exceed the source amount of {}. (There is already {drawn} transferred using this source_transaction.)",
                int(charge, "amount")
            );
            return Err(Refusal::invalid(None, &message).param("amount").executed());
        }
        let transaction = text(charge, "balance_transaction").and_then(|id| self.of_kind("balance_transaction", id));
        Ok(transaction.map_or(0, |transaction| int(transaction, "available_on")).max(self.now_s()))
    }

    pub(super) fn reverse_transfer(&mut self, request: &Request<'_>) -> Ruling {
        let Some(transfer) = self.of_kind("transfer", request.id()).cloned() else {
            return Err(Refusal::missing("transfer", request.id(), "id"));
        };
        let left = int(&transfer, "amount") - int(&transfer, "amount_reversed");
        let amount = request.params.get("amount").and_then(Value::as_i64).unwrap_or(left);
        if amount < 1 || amount > left {
            let message = format!("Reversal amount ({amount}) is greater than unreversed amount on transfer ({left}), or not positive.");
            return Err(Refusal::invalid(None, &message).param("amount"));
        }
        let currency = text(&transfer, "currency").unwrap_or_default().to_owned();
        let destination = text(&transfer, "destination").unwrap_or_default().to_owned();
        if self.held(Some(&destination), &currency) < amount {
            let message = "The recipient of this transfer does not have enough funds in their Stripe balance to reverse this amount.";
            return Err(Refusal::invalid(Some("balance_insufficient"), message).executed());
        }
        // Pending money is taken back before it is ever available.
        let original = text(&transfer, "balance_transaction").and_then(|id| self.of_kind("balance_transaction", id));
        let available_on_s = original.map_or(0, |transaction| int(transaction, "available_on")).max(self.now_s());
        let id = self.seed.id("trr");
        let (now_s, params) = (self.now_s(), &request.params);
        let transaction = self.report(&Movement {
            owner: None,
            kind: "transfer_refund",
            amount,
            fee: 0,
            currency: &currency,
            source: &id,
            available_on_s,
        });
        self.report(&Movement {
            owner: Some(&destination),
            kind: "payment_refund",
            amount: -amount,
            fee: 0,
            currency: &currency,
            source: &id,
            available_on_s,
        });
        let legs = [(BookAccount::Connected(destination), -amount), (BookAccount::Platform, amount)];
        self.book(&id, &currency, &legs);
        if let Some(record) = self.books.transfers.iter_mut().find(|record| record.id == request.id()) {
            record.reversed += amount;
        }
        let reversal = json!({
            "id": id, "object": "transfer_reversal", "amount": amount, "balance_transaction": transaction, "created": now_s,
            "currency": currency, "destination_payment_refund": null, "metadata": metadata(params), "source_refund": null,
            "transfer": request.id(),
        });
        let reversal = self.keep(reversal, None);
        let transfer = self.change(request.id(), |transfer| {
            transfer["amount_reversed"] = json!(int(transfer, "amount_reversed") + amount);
            transfer["reversed"] = json!(int(transfer, "amount_reversed") == int(transfer, "amount"));
            if let Some(reversals) = transfer["reversals"]["data"].as_array_mut() {
                reversals.insert(0, reversal.clone());
            }
        });
        self.emit("transfer.reversed", &transfer, None);
        Ok(reversal)
    }

    pub(super) fn list_reversals(&self, request: &Request<'_>) -> Ruling {
        if self.of_kind("transfer", request.id()).is_none() {
            return Err(Refusal::missing("transfer", request.id(), "id"));
        }
        self.page(request, &format!("/v1/transfers/{}/reversals", request.id()), |object| {
            text(object, "object") == Some("transfer_reversal") && text(object, "transfer") == Some(request.id())
        })
    }
}
