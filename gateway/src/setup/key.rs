//! The technician's key: Ed25519, in the form that other programs read (PKCS#8, PEM), readable by its owner alone.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};

/// Everything of the form but the seed (RFC 8410, section 7).
const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const SEED_BYTES: usize = 32;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be read or written.
    #[error("the key {} could not be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// Others may read it.
    #[error("the key {} can be read by others (mode {mode:o}): run chmod 600 on it, or make a new one", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not a private key of this kind.
    #[error("{} is not an Ed25519 private key in PEM", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system gave no randomness for a key")]
    Randomness,
}

/// A key that signs commissioning records.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", hex::encode(self.public()))
    }
}

impl SigningKey {
    /// Makes a key and keeps it in a new file with mode 0600.
    ///
    /// * Errors: the file exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let mut seed = [0; SEED_BYTES];
        SystemRandom::new().fill(&mut seed).map_err(|_unspecified| KeyError::Randomness)?;
        let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode([&PREFIX[..], &seed].concat()));
        let file = |err| KeyError::File { path: path.to_owned(), err };
        let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(file)?;
        opened.write_all(pem.as_bytes()).and_then(|()| opened.sync_all()).map_err(file)?;
        Self::from_seed(&seed, path)
    }

    /// Reads a key.
    ///
    /// * Errors: not there, not a key, or readable by others.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let file = |err| KeyError::File { path: path.to_owned(), err };
        let mode = fs::metadata(path).map_err(file)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(file)?;
        let shape = || KeyError::Shape { path: path.to_owned() };
        let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).map_err(|_err| shape())?;
        let seed = der.strip_prefix(&PREFIX).filter(|seed| seed.len() == SEED_BYTES).ok_or_else(shape)?;
        Self::from_seed(seed, path)
    }

    fn from_seed(seed: &[u8], path: &Path) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_rejected| KeyError::Shape { path: path.to_owned() })
    }

    /// The public half, 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The signature over some bytes, 64 bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

/// Whether a signature is of these bytes and this key.
pub(super) fn is_signed(public: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(bytes, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("technician.pem");
        let made = SigningKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let loaded = SigningKey::load(&path).unwrap();
        assert_eq!(made.public(), loaded.public());
        assert!(is_signed(made.public(), b"V1 is 230 V", &loaded.sign(b"V1 is 230 V")));
        assert!(!is_signed(made.public(), b"V1 is 231 V", &loaded.sign(b"V1 is 230 V")));
        assert!(matches!(SigningKey::create(&path), Err(KeyError::File { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Shape { .. })));
    }

    #[test]
    fn the_key_of_the_standard_is_read() {
        // RFC 8410, section 10.3, and RFC 8032, 7.1, TEST 1 for the signature.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc.pem");
        let pem =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        fs::write(&path, pem).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let key = SigningKey::load(&path).unwrap();
        assert_eq!(hex::encode(key.public()), "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    }
}
