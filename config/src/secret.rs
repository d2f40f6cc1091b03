//! Secrets: a configuration names where one is kept, never the secret itself.

use std::{fmt, io, path::Path, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

/// A secret in memory. `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that was made or received in this process.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is kept: `{ env = "NEGAWATT_STRIPE_KEY" }` or `{ file = "/run/credentials/stripe" }`.
///
/// A secret written into the file itself is refused, without repeating it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretRef(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Env(String),
    File(PathBuf),
    Given(Secret),
}

impl SecretRef {
    /// Of an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Self(Place::Env(name.into()))
    }

    /// Of a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// Of a secret that this process made itself; no file can say this.
    pub fn given(secret: Secret) -> Self {
        Self(Place::Given(secret))
    }

    /// Fetches the secret.
    ///
    /// * Shape: one trailing line break is dropped, as editors add one to a file.
    pub fn resolve(&self, source: &dyn SecretSource) -> Result<Secret, SecretError> {
        let text = match &self.0 {
            Place::Given(secret) => return Ok(secret.clone()),
            Place::Env(name) => source.env(name).ok_or_else(|| SecretError::NoVariable { name: name.clone() })?,
            Place::File(path) => source.file(path).map_err(|err| SecretError::Unreadable { path: path.clone(), err })?,
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err(SecretError::Empty { place: self.place() });
        }
        Ok(Secret::new(text))
    }

    /// Where it is kept, for a message: `environment variable NAME`, `file PATH`.
    pub fn place(&self) -> String {
        match &self.0 {
            Place::Env(name) => format!("environment variable {name}"),
            Place::File(path) => format!("file {}", path.display()),
            Place::Given(_) => "this process".to_owned(),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RefVisitor)
    }
}

struct RefVisitor;

const SHAPE: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

impl<'de> Visitor<'de> for RefVisitor {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a reference to a secret; {SHAPE}")
    }

    // The value is not repeated: it may be the secret.
    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
        Err(E::custom(format_args!("a secret is not written into this file; {SHAPE}")))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretRef, E> {
        self.visit_str("")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretRef, E> {
        self.visit_str("")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let mut place = None;
        while let Some(key) = map.next_key::<String>()? {
            let found = match key.as_str() {
                "env" => SecretRef::env(map.next_value::<String>()?),
                "file" => SecretRef::file(map.next_value::<PathBuf>()?),
                _ => return Err(de::Error::unknown_field(&key, &["env", "file"])),
            };
            if place.replace(found).is_some() {
                return Err(de::Error::custom(format_args!("a secret is kept in one place; {SHAPE}")));
            }
        }
        place.ok_or_else(|| de::Error::custom(format_args!("no place is named; {SHAPE}")))
    }
}

/// Who looks the places up: the machine, or a table in a test.
pub trait SecretSource {
    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The content of a file.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// Looks up the real environment and the real files.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromMachine;

impl SecretSource for FromMachine {
    #[expect(clippy::disallowed_methods, reason = "the one place where our processes read their environment")]
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Why a secret could not be had. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or is not text.
    #[error("environment variable {name} is not set")]
    NoVariable { name: String },
    /// The file could not be read.
    #[error("could not read the secret in {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    /// There is a place, and nothing in it.
    #[error("the secret in {place} is empty")]
    Empty { place: String },
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug)]
    struct Cupboard(BTreeMap<&'static str, &'static str>);

    impl SecretSource for Cupboard {
        fn env(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&text| text.to_owned())
        }
        fn file(&self, path: &Path) -> io::Result<String> {
            let found = path.to_str().and_then(|path| self.0.get(path));
            found.map(|&text| text.to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn a_secret_comes_from_its_place_and_never_prints() {
        let cupboard = Cupboard(BTreeMap::from([("KEY", "sk_test_1"), ("/run/key", "sk_test_2\n"), ("EMPTY", "")]));
        let of = |reference: SecretRef| reference.resolve(&cupboard).map(|secret| secret.expose().to_owned());
        assert_eq!(of(SecretRef::env("KEY")).unwrap(), "sk_test_1");
        assert_eq!(of(SecretRef::file("/run/key")).unwrap(), "sk_test_2");
        assert_eq!(of(SecretRef::given(Secret::new("own"))).unwrap(), "own");
        assert!(matches!(of(SecretRef::env("EMPTY")), Err(SecretError::Empty { .. })));
        assert!(matches!(of(SecretRef::env("OTHER")), Err(SecretError::NoVariable { .. })));
        assert!(matches!(of(SecretRef::file("/none")), Err(SecretError::Unreadable { .. })));
        let secret = SecretRef::env("KEY").resolve(&cupboard).unwrap();
        let printed = format!("{secret} {secret:?} {:?} {}", SecretRef::env("KEY"), SecretRef::given(secret.clone()));
        assert_eq!(printed, "*** *** *** ***");
    }
}
