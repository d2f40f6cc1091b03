//! Everything that looks random, from one seed.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes ids and draws chances. The same seed and the same questions give the same answers.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    seed: u64,
    count: u64,
}

impl Seed {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    fn next(&mut self, purpose: &str) -> [u8; 32] {
        self.count += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(self.count.to_be_bytes());
        hash.update(purpose.as_bytes());
        hash.finalize().into()
    }

    /// An id such as `ch_3Q…`: the prefix, an underscore and 24 letters or digits.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        let bytes = self.next(prefix);
        let tail: String = bytes.iter().take(24).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])).collect();
        format!("{prefix}_{tail}")
    }

    /// Whether something with this chance happens now.
    pub(crate) fn happens(&mut self, per_mille: u32) -> bool {
        let bytes = self.next("chance");
        let draw = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        draw % 1_000 < per_mille
    }
}
