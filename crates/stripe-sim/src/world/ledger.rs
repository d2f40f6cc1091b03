//! Balances: every movement is a balance transaction for its owner and an entry in the books.

use serde_json::{Value, json};

use super::World;
use crate::answer::{int, text};
use crate::books::{BookAccount, Entry, Leg};

/// One side of a movement as its owner's balance shows it.
#[derive(Debug)]
pub(super) struct Movement<'m> {
    /// A connected account; none for the platform.
    pub(super) owner: Option<&'m str>,
    pub(super) kind: &'m str,
    pub(super) amount: i64,
    pub(super) fee: i64,
    pub(super) currency: &'m str,
    pub(super) source: &'m str,
    pub(super) available_on_s: i64,
}

pub(super) fn book_account(owner: Option<&str>) -> BookAccount {
    owner.map_or(BookAccount::Platform, |id| BookAccount::Connected(id.to_owned()))
}

impl World {
    /// Reports a movement on its owner's balance; returns the balance transaction's id.
    pub(super) fn report(&mut self, movement: &Movement<'_>) -> String {
        let id = self.seed.id("txn");
        let now_s = self.now_s();
        let net = movement.amount - movement.fee;
        let fee_details = if movement.fee == 0 {
            json!([])
        } else {
            json!([{ "amount": movement.fee, "application": null, "currency": movement.currency,
                     "description": "Stripe processing fees", "type": "stripe_fee" }])
        };
        let reporting_category = match movement.kind {
            "payment" => "charge",
            "transfer_refund" => "transfer_reversal",
            "payout_failure" => "payout_reversal",
            kind => kind,
        };
        let transaction = json!({
            "id": id, "object": "balance_transaction", "amount": movement.amount, "available_on": movement.available_on_s,
            "balance_type": "payments", "created": now_s, "currency": movement.currency, "description": null,
            "exchange_rate": null, "fee": movement.fee, "fee_details": fee_details, "net": net,
            "reporting_category": reporting_category, "source": movement.source,
            "status": if movement.available_on_s <= now_s { "available" } else { "pending" }, "type": movement.kind,
        });
        self.keep(transaction, movement.owner);
        let key = (book_account(movement.owner), movement.currency.to_owned());
        *self.books.reported.entry(key).or_default() += net;
        id
    }

    /// Writes an entry into the books.
    pub(super) fn book(&mut self, source: &str, currency: &str, legs: &[(BookAccount, i64)]) {
        let legs = legs.iter().map(|(account, amount)| Leg { account: account.clone(), amount: *amount });
        let entry = Entry { at_s: self.now_s(), source: source.to_owned(), currency: currency.to_owned(), legs: legs.collect() };
        self.books.entries.push(entry);
    }

    /// Sums of an owner's movements, available and pending, by currency.
    fn sums(&self, owner: Option<&str>) -> std::collections::BTreeMap<String, (i64, i64)> {
        let now_s = self.now_s();
        let mut sums: std::collections::BTreeMap<String, (i64, i64)> = std::collections::BTreeMap::new();
        for stored in self.objects.values().filter(|stored| stored.owner.as_deref() == owner) {
            if text(&stored.value, "object") != Some("balance_transaction") {
                continue;
            }
            let currency = text(&stored.value, "currency").unwrap_or_default().to_owned();
            let sum = sums.entry(currency).or_default();
            if int(&stored.value, "available_on") <= now_s {
                sum.0 += int(&stored.value, "net");
            } else {
                sum.1 += int(&stored.value, "net");
            }
        }
        sums
    }

    /// What an owner may spend now.
    pub(super) fn available(&self, owner: Option<&str>, currency: &str) -> i64 {
        self.sums(owner).get(currency).map_or(0, |(available, _)| *available)
    }

    /// Everything an owner holds, available or not.
    pub(super) fn held(&self, owner: Option<&str>, currency: &str) -> i64 {
        self.sums(owner).get(currency).map_or(0, |(available, pending)| available + pending)
    }

    pub(super) fn balance(&self, owner: Option<&str>) -> Value {
        let mut sums = self.sums(owner);
        if sums.is_empty() {
            sums.insert("usd".to_owned(), (0, 0));
        }
        let rows = |pick: fn(&(i64, i64)) -> i64| -> Vec<Value> {
            sums.iter().map(|(currency, sum)| json!({ "amount": pick(sum), "currency": currency })).collect()
        };
        json!({ "object": "balance", "available": rows(|sum| sum.0), "pending": rows(|sum| sum.1), "livemode": false })
    }
}
