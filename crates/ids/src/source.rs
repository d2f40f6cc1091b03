//! Where new identifiers come from.

use std::sync::Mutex;

use crate::Id;

/// Makes identifiers: the caller says when, this supplies the randomness.
///
/// A seeded source makes a whole run repeatable, down to the identifiers in an evidence bundle. A daemon seeds it from
/// the operating system. Identifiers are names, not secrets: the generator (`SplitMix64`) is not cryptographic.
#[derive(Debug)]
pub struct IdSource {
    state: Mutex<[u64; 2]>,
}

impl IdSource {
    /// The source that always makes the same sequence.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: Mutex::new([seed, seed.rotate_left(32) ^ 0x6e65_6761_7761_7474]) }
    }

    /// The source for a daemon, from sixteen bytes of the operating system's randomness.
    #[must_use]
    pub fn from_entropy(entropy: [u8; 16]) -> Self {
        let [a, b] = split(entropy);
        Self { state: Mutex::new([a, b]) }
    }

    /// The next identifier of a kind.
    ///
    /// * Units: `unix_ms` in milliseconds since 1970 UTC.
    pub fn next<X: Id>(&self, unix_ms: u64) -> X {
        let mut random = [0; 10];
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let [first, second] = [step(&mut state[0]), step(&mut state[1])];
        random[..8].copy_from_slice(&first.to_be_bytes());
        random[8..].copy_from_slice(&second.to_be_bytes()[..2]);
        X::from_parts(unix_ms, random)
    }

    /// Sixty-four random bits, for things that are not identifiers (a boot, a jitter).
    pub fn next_u64(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let [first, second] = [step(&mut state[0]), step(&mut state[1])];
        first ^ second.rotate_left(17)
    }
}

fn split(entropy: [u8; 16]) -> [u64; 2] {
    let (head, tail) = entropy.split_at(8);
    let (mut a, mut b) = ([0; 8], [0; 8]);
    a.copy_from_slice(head);
    b.copy_from_slice(tail);
    [u64::from_be_bytes(a), u64::from_be_bytes(b)]
}

/// Advances a `SplitMix64` state (Steele, Lea and Flood, 2014).
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InvoiceId;

    #[test]
    fn a_seed_fixes_the_sequence_and_nothing_repeats() {
        let (a, b) = (IdSource::seeded(7), IdSource::seeded(7));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let id: InvoiceId = a.next(1_000);
            assert_eq!(id, b.next::<InvoiceId>(1_000));
            assert!(seen.insert(id));
        }
        assert_ne!(IdSource::seeded(8).next::<InvoiceId>(1_000), IdSource::seeded(7).next::<InvoiceId>(1_000));
    }
}
