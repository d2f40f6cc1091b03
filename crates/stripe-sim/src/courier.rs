//! Webhooks: signed, delivered, repeated, and made unreliable on request.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::answer::text;
use crate::config::WebhookTarget;
use crate::server::Shared;
use crate::spec::Spec;
use crate::validate;
use crate::world::World;

/// How long a parcel that should come after its successor waits for one.
const HELD_AT_MOST: Duration = Duration::from_millis(20);

/// How long an endpoint may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// One event on its way to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    event: String,
    body: String,
    target: WebhookTarget,
    wait: Duration,
    tries: u32,
}

/// One try to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `evt_…`
    pub event: String,
    pub url: String,
    /// From 1.
    pub tries: u32,
    /// The endpoint's answer; none when there was none.
    pub status: Option<u16>,
}

impl World {
    /// Posts an event to every endpoint, as reliably as configured.
    pub(crate) fn post(&mut self, id: &str, event: &Value) {
        self.watch_event(event);
        let body = format!("{event:#}");
        for target in self.config.webhooks.clone() {
            let faults = self.config.webhook_faults;
            let parcel = Parcel { event: id.to_owned(), body: body.clone(), target, wait: Duration::ZERO, tries: 0 };
            if self.chance.happens(faults.drop_per_mille) {
                continue;
            }
            if self.chance.happens(faults.delay_per_mille) {
                self.send(Parcel { wait: faults.delay, ..parcel });
                continue;
            }
            if self.chance.happens(faults.reorder_per_mille) && self.held.is_none() {
                self.outstanding += 1;
                self.held = Some(parcel);
                continue;
            }
            if self.chance.happens(faults.duplicate_per_mille) {
                self.send(parcel.clone());
            }
            self.send(parcel);
            if let Some(held) = self.held.take() {
                self.parcels.push_back(held);
            }
        }
    }

    fn send(&mut self, parcel: Parcel) {
        self.outstanding += 1;
        self.parcels.push_back(parcel);
    }

    /// Compares an event and what it carries with the published shapes.
    fn watch_event(&mut self, event: &Value) {
        let spec = Spec::get();
        let object = event.pointer("/data/object").unwrap_or(&Value::Null);
        let kind = text(object, "object").unwrap_or_default();
        let name: String = kind.split('_').map(capitalised).collect();
        let known = text(event, "type").is_some_and(|kind| spec.events().iter().any(|known| known == kind) || kind == "customer.created");
        if !known {
            self.drift.push(format!("event {}: not a known kind", event["type"]));
        }
        for (schema, value) in [("Event", event), (name.as_str(), object)] {
            if let Some(schema) = spec.schema(schema)
                && let Err(reason) = validate::reply(spec, schema, value)
            {
                self.drift.push(format!("event {}: {reason}", event["type"]));
            }
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// `t=…,v1=…[,v1=…]`: one signature per secret, keyed with the secret's whole text.
pub(crate) fn sign(body: &str, secrets: &[String], now_s: i64) -> String {
    let mut header = format!("t={now_s}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(format!("{now_s}.{body}").as_bytes());
        header.push_str(",v1=");
        header.push_str(&hex::encode(mac.finalize().into_bytes()));
    }
    header
}

/// Delivers parcels one after the other until the simulator stops.
pub(crate) async fn deliver_all(shared: Arc<Shared>, http: reqwest::Client) {
    loop {
        let next = shared.world().parcels.pop_front();
        match next {
            Some(parcel) if parcel.wait.is_zero() => deliver(&shared, &http, parcel).await,
            Some(parcel) => later(&shared, &http, parcel),
            None => {
                let holding = shared.world().held.is_some();
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = shared.posted.notified() => {}
                    () = tokio::time::sleep(HELD_AT_MOST), if holding => {
                        let mut world = shared.world();
                        if let Some(held) = world.held.take() {
                            world.parcels.push_back(held);
                        }
                    }
                }
            }
        }
        if shared.stop.is_cancelled() {
            return;
        }
    }
}

/// Puts a parcel back when its time has come.
fn later(shared: &Arc<Shared>, http: &reqwest::Client, mut parcel: Parcel) {
    let (shared, http) = (Arc::clone(shared), http.clone());
    let wait = std::mem::take(&mut parcel.wait);
    shared.tasks.clone().spawn(async move {
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => deliver(&shared, &http, parcel).await,
        }
    });
}

async fn deliver(shared: &Arc<Shared>, http: &reqwest::Client, mut parcel: Parcel) {
    parcel.tries += 1;
    let signature = sign(&parcel.body, &parcel.target.secrets, shared.world().now_s());
    let request = http
        .post(&parcel.target.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature)
        .body(parcel.body.clone());
    let status = tokio::select! {
        () = shared.stop.cancelled() => return,
        reply = request.send() => reply.ok().map(|reply| reply.status().as_u16()),
    };
    let accepted = status.is_some_and(|status| (200..300).contains(&status));
    let (tries_max, first_retry) = {
        let mut world = shared.world();
        let (event, url) = (parcel.event.clone(), parcel.target.url.clone());
        world.deliveries.push(Delivery { event, url, tries: parcel.tries, status });
        (world.config.webhook_tries_max, world.config.webhook_retry)
    };
    if accepted || parcel.tries >= tries_max {
        shared.world().outstanding -= 1;
        return;
    }
    parcel.wait = first_retry.saturating_mul(1 << (parcel.tries - 1).min(16));
    shared.world().parcels.push_back(parcel);
    shared.posted.notify_one();
}
