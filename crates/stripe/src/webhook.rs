//! Webhooks: is it Stripe who speaks, and about what.
//!
//! An event is a hint. Events arrive late, twice and out of order, so whoever receives one fetches the object's present state.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::balance::Created;
use crate::client::Client;
use crate::error::StripeError;
use crate::object::{AccountId, EventId, open_enum};

/// How far the signature's time may lie from ours, either way.
pub const TOLERANCE_S: i64 = 300;

/// An endpoint's signing secret, `whsec_…` as a whole. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

open_enum! {
    /// What happened. Every other kind is kept as its text.
    pub enum EventKind {
        AccountUpdated = "account.updated",
        AccountDeauthorized = "account.application.deauthorized",
        BalanceAvailable = "balance.available",
        CapabilityUpdated = "capability.updated",
        ChargeDisputeClosed = "charge.dispute.closed",
        ChargeDisputeCreated = "charge.dispute.created",
        ChargeFailed = "charge.failed",
        ChargePending = "charge.pending",
        ChargeRefunded = "charge.refunded",
        ChargeSucceeded = "charge.succeeded",
        ChargeUpdated = "charge.updated",
        MandateUpdated = "mandate.updated",
        PaymentIntentCanceled = "payment_intent.canceled",
        PaymentIntentCreated = "payment_intent.created",
        PaymentIntentFailed = "payment_intent.payment_failed",
        PaymentIntentProcessing = "payment_intent.processing",
        PaymentIntentRequiresAction = "payment_intent.requires_action",
        PaymentIntentSucceeded = "payment_intent.succeeded",
        PaymentMethodAttached = "payment_method.attached",
        PaymentMethodDetached = "payment_method.detached",
        PayoutCreated = "payout.created",
        PayoutFailed = "payout.failed",
        PayoutPaid = "payout.paid",
        RefundFailed = "refund.failed",
        TransferCreated = "transfer.created",
        TransferReversed = "transfer.reversed",
        TransferUpdated = "transfer.updated",
    }
}

/// Something that happened at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique per endpoint: what duplicates are told by.
    pub id: EventId,
    pub kind: EventKind,
    /// The connected account it happened on; absent for the platform's own.
    pub account: Option<AccountId>,
    /// The id of the object to fetch; absent for `balance.available`.
    pub object_id: Option<String>,
    /// Unix seconds.
    pub created: i64,
}

/// Why a delivery is not believed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the Stripe-Signature header has no time or no v1 signature")]
    Malformed,
    #[error("the webhook was signed {skew_s} s away from now, more than {TOLERANCE_S} s")]
    Stale { skew_s: i64 },
    #[error("no signature of the webhook matches a secret of ours")]
    Forged,
    #[error("the signed webhook holds no event")]
    NotAnEvent {
        #[source]
        source: serde_json::Error,
    },
}

/// Checks the signature over the raw body and reads the event.
///
/// * Units: `now_s` in unix seconds.
/// * Accepts any v1 signature made with any of `secrets`, so that a secret can be rolled; compares in constant time.
/// * Errors: signed too long ago or in the future, no match, or no event.
/// * Source: Stripe documentation, "Verify webhook signatures manually".
pub fn verify(body: &[u8], header: &str, secrets: &[WebhookSecret], now_s: i64) -> Result<Event, WebhookError> {
    let (time_text, signatures) = parse(header).ok_or(WebhookError::Malformed)?;
    let time_s: i64 = time_text.parse().map_err(|_not_a_number| WebhookError::Malformed)?;
    let mut matched = false;
    for secret in secrets.iter().filter(|secret| !secret.0.is_empty()) {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(time_text.as_bytes());
        mac.update(b".");
        mac.update(body);
        for signature in &signatures {
            matched |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if !matched {
        return Err(WebhookError::Forged);
    }
    let skew_s = now_s.saturating_sub(time_s);
    if skew_s.saturating_abs() > TOLERANCE_S {
        return Err(WebhookError::Stale { skew_s });
    }
    serde_json::from_slice(body).map_err(|source| WebhookError::NotAnEvent { source })
}

/// The time's text and every v1 signature that is lower-case hexadecimal of the right length.
fn parse(header: &str) -> Option<(&str, Vec<[u8; 32]>)> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", text) => time = Some(text),
            ("v1", text) if !text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                let mut signature = [0; 32];
                if hex::decode_to_slice(text, &mut signature).is_ok() {
                    signatures.push(signature);
                }
            }
            _ => {}
        }
    }
    let time = time.filter(|_| !signatures.is_empty())?;
    Some((time, signatures))
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            id: EventId,
            #[serde(rename = "type")]
            kind: EventKind,
            account: Option<AccountId>,
            created: i64,
            data: RawData,
        }
        #[derive(Deserialize)]
        struct RawData {
            object: RawObject,
        }
        #[derive(Deserialize)]
        struct RawObject {
            id: Option<String>,
        }
        let raw = Raw::deserialize(deserializer)?;
        Ok(Self { id: raw.id, kind: raw.kind, account: raw.account, object_id: raw.data.object.id, created: raw.created })
    }
}

impl Client {
    /// `GET /v1/events` of a window, newest first: finds what no webhook delivered. Stripe keeps 30 days.
    pub async fn list_events(&self, created: Created) -> Result<Vec<Event>, StripeError> {
        self.get_all("/v1/events", &created.query(), |event: &Event| event.id.as_str()).await
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
