//! Keys of those who may give orders: Ed25519, as 64 hexadecimal digits behind `ed25519:`.

use std::fmt;

use ring::signature::{ED25519, UnparsedPublicKey};
use wire::command::{from_hex, to_hex};

const PREFIX: &str = "ed25519:";

/// A key that orders are checked with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes of a key.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(Self)
    }

    /// Reads `ed25519:` and 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(PREFIX).and_then(from_hex).map(Self)
    }

    /// The digits alone, as a command carries them.
    pub(crate) fn hex(&self) -> String {
        to_hex(&self.0)
    }

    pub(crate) fn from_hex(digits: &str) -> Option<Self> {
        from_hex(digits).map(Self)
    }

    /// Whether the owner of this key signed these bytes.
    pub(crate) fn verifies(&self, signed: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(signed, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_test_vector_of_rfc_8032() {
        let key = PublicKey::parse("ed25519:fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025").unwrap();
        let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
        let signature = from_hex(signature).unwrap();
        assert!(key.verifies(&[0xaf, 0x82], &signature));
        assert!(!key.verifies(&[0xaf, 0x83], &signature));
        assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
        assert_eq!(PublicKey::parse("ed25519:12"), None);
    }

    #[test]
    fn what_openssl_signed_is_signed() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/wire/command-v1.json");
        let read = wire::Command::read(&std::fs::read(golden).unwrap()).unwrap();
        let key = PublicKey::from_hex(&read.command.key).unwrap();
        assert!(key.verifies(&read.signed, &read.signature));
        let other = wire::Command { to: "acme/hall/gw-2".to_owned(), ..read.command };
        assert!(!key.verifies(&other.signed_bytes().unwrap(), &read.signature));
    }
}
