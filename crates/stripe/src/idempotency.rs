//! Keys that make a repeated POST the same POST.

use std::fmt;

use sha2::{Digest, Sha256};

/// Names one attempt of one operation to Stripe, so that sending it twice does it once.
///
/// * Derived, never random: the same operation and attempt always give the same key, also after a crash.
/// * A definitive refusal (4xx) is followed by `attempt + 1`; everything else is repeated under the same key.
/// * Stripe forgets keys from 24 h on: an operation older than 20 h is looked up first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Derives the key of `attempt` (from 1) of the operation named `operation`, such as `payout:pay_…:transfer`.
    pub fn derive(operation: &str, attempt: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"negawatt/1\0");
        hash.update(operation.as_bytes());
        hash.update([0]);
        hash.update(attempt.to_be_bytes());
        Self(format!("nw1-{}", hex::encode(hash.finalize())))
    }

    /// The header's text: 68 ASCII characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_operation_and_attempt_only() {
        let first = IdempotencyKey::derive("payout:pay_1:transfer", 1);
        assert_eq!(first, IdempotencyKey::derive("payout:pay_1:transfer", 1));
        assert_ne!(first, IdempotencyKey::derive("payout:pay_1:transfer", 2));
        assert_ne!(first, IdempotencyKey::derive("payout:pay_2:transfer", 1));
        assert_eq!(first.as_str().len(), 68);
    }
}
