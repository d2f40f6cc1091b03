//! Idempotency keys as Stripe keeps them.
//!
//! The first answer after execution began is kept, a 500 included; refusals of validation are not. The same key with other
//! parameters is an error, and so is a second request while the first is running. Keys are forgotten after 24 hours.

use std::collections::HashMap;

use crate::answer::{Answer, Refusal};

/// How long a key is remembered, in seconds.
const KEPT_S: i64 = 24 * 3_600;

#[derive(Debug)]
struct Slot {
    fingerprint: [u8; 32],
    since_s: i64,
    /// None while the first request is running.
    answer: Option<Answer>,
}

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Admission {
    Execute,
    Replay(Answer),
    Refuse(Refusal),
}

#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<String, Slot>);

impl Keys {
    /// Claims `key` for a request, or says what became of the one before.
    pub(crate) fn admit(&mut self, key: &str, fingerprint: [u8; 32], now_s: i64) -> Admission {
        if self.0.get(key).is_some_and(|slot| slot.answer.is_some() && now_s - slot.since_s >= KEPT_S) {
            self.0.remove(key);
        }
        match self.0.get(key) {
            None => {
                self.0.insert(key.to_owned(), Slot { fingerprint, since_s: now_s, answer: None });
                Admission::Execute
            }
            Some(slot) if slot.fingerprint != fingerprint => {
                let message = format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
                );
                Admission::Refuse(Refusal::new(400, "idempotency_error", None, &message))
            }
            Some(Slot { answer: Some(answer), .. }) => Admission::Replay(answer.clone()),
            Some(Slot { answer: None, .. }) => {
                let message = format!("There is currently another in-progress request using this Idempotent Key ({key}).");
                Admission::Refuse(Refusal::new(409, "invalid_request_error", Some("idempotency_key_in_use"), &message))
            }
        }
    }

    /// Ends the claim: keeps the answer if execution had begun.
    pub(crate) fn settle(&mut self, key: &str, answer: &Answer) {
        if !answer.stored {
            self.0.remove(key);
        } else if let Some(slot) = self.0.get_mut(key) {
            slot.answer = Some(answer.clone());
        }
    }
}
