//! Keys of those who may give orders: Ed25519, as 64 hexadecimal digits behind `ed25519:`.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use wire::command::{from_hex, to_hex};

const PREFIX: &str = "ed25519:";
const SECRET_PREFIX: &str = "ed25519-secret:";

/// A key that orders are checked with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// A key that orders are signed with.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("could not read the key in {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("{} holds no signing key: make one with `negawatt-gateway command keygen`", path.display())]
    Shape { path: PathBuf },
    #[error("could not write the key to {}: it must not be there yet", path.display())]
    Write {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
}

impl PublicKey {
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

impl SigningKey {
    /// A key of 32 random bytes.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed");
        let public = PublicKey(<[u8; 32]>::try_from(pair.public_key().as_ref()).expect("a public key has 32 bytes"));
        Self { pair, public }
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        <[u8; 64]>::try_from(self.pair.sign(bytes).as_ref()).expect("a signature has 64 bytes")
    }

    /// Reads a key that [`write`](Self::write) wrote.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(|err| KeyError::Read { path: path.to_owned(), err })?;
        let seed = text.trim().strip_prefix(SECRET_PREFIX).and_then(from_hex::<32>);
        seed.map(|seed| Self::from_seed(&seed)).ok_or_else(|| KeyError::Shape { path: path.to_owned() })
    }

    /// Writes a new key for its owner alone; never over another.
    pub(crate) fn write(seed: &[u8; 32], path: &Path) -> Result<Self, KeyError> {
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            writeln!(file, "{SECRET_PREFIX}{}", to_hex(seed))?;
            file.sync_all()
        };
        write().map_err(|err| KeyError::Write { path: path.to_owned(), err })?;
        Ok(Self::from_seed(seed))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_test_vector_of_rfc_8032() {
        let seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::from_seed(&seed);
        assert_eq!(key.public().to_string(), "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let signature = key.sign(b"");
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        assert_eq!(to_hex(&signature), expected);
        assert!(key.public().verifies(b"", &signature));
        assert!(!key.public().verifies(b"x", &signature));
        assert_eq!(PublicKey::parse(&key.public().to_string()), Some(key.public()));
        assert_eq!(PublicKey::parse("ed25519:12"), None);
    }

    #[test]
    fn a_key_is_written_for_its_owner_alone_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ops.key");
        let key = SigningKey::write(&[3; 32], &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::read(&path).unwrap().public(), key.public());
        assert!(matches!(SigningKey::write(&[4; 32], &path), Err(KeyError::Write { .. })));
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(SigningKey::read(&path), Err(KeyError::Shape { .. })));
    }
}
