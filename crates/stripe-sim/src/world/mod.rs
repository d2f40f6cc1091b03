//! The state: objects, balances, keys, events; and the dispatch of an operation to the rule that executes it.

mod accounts;
mod intents;
mod ledger;
mod lists;
mod payers;
mod payouts;
mod transfers;

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal, text};
use crate::books::Books;
use crate::config::SimConfig;
use crate::courier::{Delivery, Parcel};
use crate::fault::Faults;
use crate::idempotency::Keys;
use crate::method::TestMethod;
use crate::seed::Seed;

/// The version that the simulator speaks.
pub(crate) const API_VERSION: &str = "2026-10-28.endive";

/// What a rule may answer.
pub(crate) type Ruling = Result<Value, Refusal>;

/// One request, judged and typed.
#[derive(Debug)]
pub(crate) struct Request<'r> {
    pub(crate) operation: String,
    pub(crate) ids: Vec<&'r str>,
    pub(crate) params: Value,
    /// `Stripe-Account`.
    pub(crate) account: Option<String>,
    pub(crate) request_id: String,
    pub(crate) key: Option<String>,
}

impl Request<'_> {
    pub(crate) fn id(&self) -> &str {
        self.ids.first().copied().unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        text(&self.params, name)
    }
}

/// An object and whose it is.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    /// A connected account; none for the platform's own.
    pub(crate) owner: Option<String>,
    /// Creation order, for lists.
    order: usize,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) seed: Seed,
    /// Drawn from separately, so that webhook faults do not change ids.
    pub(crate) chance: Seed,
    /// Request ids, apart too, so that reading does not change what writing gives.
    pub(crate) requests: Seed,
    pub(crate) objects: BTreeMap<String, Stored>,
    pub(crate) methods: BTreeMap<String, TestMethod>,
    pub(crate) books: Books,
    pub(crate) keys: Keys,
    pub(crate) faults: Faults,
    pub(crate) parcels: VecDeque<Parcel>,
    pub(crate) held: Option<Parcel>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Parcels not yet delivered or given up.
    pub(crate) outstanding: usize,
    /// Replies that did not match the published shapes: always empty.
    pub(crate) drift: Vec<String>,
    pub(crate) executed: BTreeMap<String, u64>,
    /// What caused the events of the running request.
    cause: (Option<String>, Option<String>),
}

impl World {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            seed: Seed::new(config.seed),
            chance: Seed::new(config.seed ^ 0x5EED),
            requests: Seed::new(config.seed ^ 0x0EA5),
            config,
            objects: BTreeMap::new(),
            methods: BTreeMap::new(),
            books: Books::default(),
            keys: Keys::default(),
            faults: Faults::default(),
            parcels: VecDeque::new(),
            held: None,
            deliveries: Vec::new(),
            outstanding: 0,
            drift: Vec::new(),
            executed: BTreeMap::new(),
            cause: (None, None),
        }
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.config.clock.now_s()
    }

    /// Executes a request that was authorised, validated and admitted.
    pub(crate) fn execute(&mut self, request: &Request<'_>) -> Answer {
        *self.executed.entry(request.operation.clone()).or_default() += 1;
        self.cause = (Some(request.request_id.clone()), request.key.clone());
        let ruling = self.rule(request).and_then(|value| self.expand(value, &request.params));
        self.cause = (None, None);
        match ruling {
            Ok(body) => Answer::ok(body),
            Err(refusal) => *refusal.0,
        }
    }

    fn rule(&mut self, request: &Request<'_>) -> Ruling {
        if let Some(account) = &request.account
            && self.of_kind("account", account).is_none()
        {
            let message = format!("The provided key does not have access to account '{account}' (or that account does not exist).");
            return Err(Refusal::new(403, "invalid_request_error", Some("account_invalid"), &message));
        }
        match request.operation.as_str() {
            "POST /v1/customers" => self.create_customer(request),
            "GET /v1/customers/{id}" => self.retrieve("customer", request),
            "POST /v1/payment_methods/{id}/attach" => self.attach_method(request),
            "GET /v1/payment_methods/{id}" => self.retrieve("payment_method", request),
            "GET /v1/customers/{id}/payment_methods" => self.list_customer_methods(request),
            "POST /v1/payment_intents" => self.create_intent(request),
            "GET /v1/payment_intents" => self.list("payment_intent", request, &["customer"]),
            "GET /v1/payment_intents/{id}" => self.retrieve("payment_intent", request),
            "POST /v1/payment_intents/{id}/confirm" => self.confirm_intent(request),
            "POST /v1/payment_intents/{id}/cancel" => self.cancel_intent(request),
            "GET /v1/charges" => self.list("charge", request, &["customer", "payment_intent", "transfer_group"]),
            "GET /v1/charges/{id}" => self.retrieve("charge", request),
            "POST /v1/accounts" => self.create_account(request),
            "GET /v1/accounts/{id}" => self.retrieve("account", request),
            "POST /v1/account_links" => self.create_account_link(request),
            "POST /v1/transfers" => self.create_transfer(request),
            "GET /v1/transfers" => self.list("transfer", request, &["destination", "transfer_group"]),
            "GET /v1/transfers/{id}" => self.retrieve("transfer", request),
            "POST /v1/transfers/{id}/reversals" => self.reverse_transfer(request),
            "GET /v1/transfers/{id}/reversals" => self.list_reversals(request),
            "POST /v1/payouts" => self.create_payout(request),
            "GET /v1/payouts" => self.list("payout", request, &["status", "destination"]),
            "GET /v1/payouts/{id}" => self.retrieve("payout", request),
            "GET /v1/balance" => Ok(self.balance(request.account.as_deref())),
            "GET /v1/balance_transactions" => self.list("balance_transaction", request, &["currency", "payout", "source", "type"]),
            "GET /v1/balance_transactions/{id}" => self.retrieve("balance_transaction", request),
            "GET /v1/events" => self.list_events(request),
            "GET /v1/events/{id}" => self.retrieve("event", request),
            other => Err(Refusal::new(404, "invalid_request_error", None, &format!("Unrecognized request: {other}"))),
        }
    }

    /// The object of this kind and id.
    pub(crate) fn of_kind(&self, kind: &str, id: &str) -> Option<&Value> {
        self.objects.get(id).map(|stored| &stored.value).filter(|value| text(value, "object") == Some(kind))
    }

    /// Keeps a new object.
    pub(crate) fn keep(&mut self, value: Value, owner: Option<&str>) -> Value {
        let id = text(&value, "id").unwrap_or_default().to_owned();
        let order = self.objects.len();
        self.objects.insert(id, Stored { value: value.clone(), owner: owner.map(str::to_owned), order });
        value
    }

    /// Changes an object in place and returns it as it is then.
    pub(crate) fn change(&mut self, id: &str, change: impl FnOnce(&mut Value)) -> Value {
        match self.objects.get_mut(id) {
            Some(stored) => {
                change(&mut stored.value);
                stored.value.clone()
            }
            None => Value::Null,
        }
    }

    fn retrieve(&self, kind: &str, request: &Request<'_>) -> Ruling {
        let stored = self.objects.get(request.id()).filter(|stored| text(&stored.value, "object") == Some(kind));
        let visible = stored.filter(|stored| stored.owner == request.account);
        match visible {
            Some(stored) => Ok(stored.value.clone()),
            None => Err(Refusal::missing(&kind.replace('_', " "), request.id(), "id")),
        }
    }

    /// Records that something happened and posts it to every endpoint.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, account: Option<&str>) {
        let id = self.seed.id("evt");
        let now_s = self.now_s();
        let mut event = json!({
            "id": id, "object": "event", "api_version": API_VERSION, "created": now_s, "livemode": false, "type": kind,
            "data": { "object": object }, "pending_webhooks": self.config.webhooks.len(),
            "request": { "id": self.cause.0, "idempotency_key": self.cause.1 },
        });
        if let Some(account) = account {
            event["account"] = json!(account);
        }
        // Events of connected accounts are listed for the platform too: it is who asks.
        let event = self.keep(event, None);
        self.post(&id, &event);
    }
}
