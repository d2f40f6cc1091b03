//! Payouts from a balance to a bank.

use serde_json::{Value, json};

use super::ledger::{Movement, book_account};
use super::{Request, Ruling, World};
use crate::answer::{Refusal, int, member, metadata, text};
use crate::books::BookAccount;

/// How long a bank takes, in seconds.
const ARRIVAL_S: i64 = 2 * 24 * 3_600;

impl World {
    pub(super) fn create_payout(&mut self, request: &Request<'_>) -> Ruling {
        let owner = request.account.as_deref();
        let currency = request.text("currency").unwrap_or_default().to_ascii_lowercase();
        let amount = int(&request.params, "amount");
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refusal::invalid(Some("parameter_invalid_integer"), message).param("amount"));
        }
        if self.available(owner, &currency) < amount {
            let message = "You have insufficient funds in your Stripe account for this payout.";
            return Err(Refusal::invalid(Some("balance_insufficient"), message).executed());
        }
        let id = self.seed.id("po");
        let (now_s, bank) = (self.now_s(), self.seed.id("ba"));
        let transaction = self.report(&Movement {
            owner,
            kind: "payout",
            amount: -amount,
            fee: 0,
            currency: &currency,
            source: &id,
            available_on_s: now_s,
        });
        self.book(&id, &currency, &[(book_account(owner), -amount), (BookAccount::Banks, amount)]);
        let payout = json!({
            "id": id, "object": "payout", "amount": amount, "application_fee": null, "application_fee_amount": null,
            "arrival_date": now_s + ARRIVAL_S, "automatic": false, "balance_transaction": transaction, "created": now_s,
            "currency": currency, "description": member(&request.params, "description"), "destination": bank,
            "failure_balance_transaction": null, "failure_code": null, "failure_message": null, "livemode": false,
            "metadata": metadata(&request.params), "method": "standard", "original_payout": null, "payout_method": null,
            "reconciliation_status": "not_applicable", "reversed_by": null, "source_type": "card", "statement_descriptor": null,
            "status": "pending", "trace_id": null, "type": "bank_account",
        });
        let payout = self.keep(payout, owner);
        self.emit("payout.created", &payout, owner);
        Ok(payout)
    }

    /// The bank has decided: paid, or failed with a code, which brings the money back. A paid payout can still fail.
    /// Returns whether the payout was in a state to be decided about.
    pub(crate) fn settle_payout(&mut self, id: &str, failure_code: Option<&str>) -> bool {
        let Some(payout) = self.of_kind("payout", id).cloned() else { return false };
        let owner = self.objects.get(id).and_then(|stored| stored.owner.clone());
        let status = text(&payout, "status").unwrap_or_default();
        match (status, failure_code) {
            ("pending" | "in_transit", None) => {
                let paid = self.change(id, |payout| payout["status"] = json!("paid"));
                self.emit("payout.paid", &paid, owner.as_deref());
                true
            }
            ("pending" | "in_transit" | "paid", Some(code)) => {
                let (amount, currency) = (int(&payout, "amount"), text(&payout, "currency").unwrap_or_default());
                let transaction = self.report(&Movement {
                    owner: owner.as_deref(),
                    kind: "payout_failure",
                    amount,
                    fee: 0,
                    currency,
                    source: id,
                    available_on_s: self.now_s(),
                });
                self.book(id, currency, &[(BookAccount::Banks, -amount), (book_account(owner.as_deref()), amount)]);
                let failed = self.change(id, |payout| {
                    payout["status"] = json!("failed");
                    payout["failure_code"] = json!(code);
                    payout["failure_message"] = json!("The bank refused the payout.");
                    payout["failure_balance_transaction"] = Value::String(transaction);
                });
                self.emit("payout.failed", &failed, owner.as_deref());
                true
            }
            _ => false,
        }
    }
}
