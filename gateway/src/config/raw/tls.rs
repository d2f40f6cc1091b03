//! `[broker.tls]`: who the broker must be, and who we are.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use config::{Fault, Faults, FromMachine, SecretRef};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::uplink::tls::{self, Identity, Tls, TlsError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<Key>,
    server_name: Option<String>,
}

/// The private key: the path of a file, or a reference to a secret.
enum Key {
    File(PathBuf),
    Secret(SecretRef),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file, or { env = \"NAME\" }")
            }

            fn visit_str<E>(self, path: &str) -> Result<Key, E> {
                Ok(Key::File(PathBuf::from(path)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Key, A::Error> {
                SecretRef::deserialize(MapAccessDeserializer::new(map)).map(Key::Secret)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

/// Others may neither read a private key nor write it.
const FORBIDDEN_MODE: u32 = 0o027;

/// * `now`: certificates that are not in force then are faults; without it nobody asks.
pub(super) fn check(raw: RawTls, host: &str, now: Option<Timestamp>, faults: &mut Faults) -> Option<Tls> {
    let before = faults.iter().count();
    let authorities = raw.ca.as_deref().map(|path| (path, read(path, "broker.tls.ca", faults)));
    let certificate = raw.certificate.as_deref().map(|path| (path, read(path, "broker.tls.certificate", faults)));
    let key = raw.key.map(|key| read_key(key, faults));
    match (&certificate, &key) {
        (Some(_), None) => faults.add(Fault::at("broker.tls.key", "missing: a certificate is nothing without its key")),
        (None, Some(_)) => faults.add(Fault::at("broker.tls.certificate", "missing: a key is nothing without its certificate")),
        _ => {}
    }
    let mut keep = |key: &str, err: TlsError| faults.add(Fault::at(key, daemon::chain(&err)));
    let roots = match &authorities {
        Some((path, Some(pem))) => tls::authorities(pem).map_err(|err| keep("broker.tls.ca", err.of(path))).ok(),
        Some((_, None)) => None,
        None => tls::authorities_of_the_machine().map_err(|err| keep("broker.tls.ca", err)).ok(),
    };
    let identity = match (&certificate, &key) {
        (Some((path, Some(pem))), Some(Some(key))) => match Identity::read(pem, key) {
            Ok(identity) => Some(Some(identity)),
            Err(err @ TlsError::Key | err @ TlsError::Mismatch) => {
                keep("broker.tls.key", err);
                None
            }
            Err(err) => {
                keep("broker.tls.certificate", err.of(path));
                None
            }
        },
        (Some((path, Some(pem))), _) => {
            if let Err(err) = tls::certificates(pem) {
                keep("broker.tls.certificate", err.of(path));
            }
            None
        }
        _ => Some(None),
    };
    if let (Some(now), Some((path, Some(pem)))) = (now, &certificate)
        && let Ok(chain) = tls::certificates(pem)
        && let Err(err) = tls::in_force(chain.first(), now)
    {
        faults.add(Fault::at("broker.tls.certificate", daemon::chain(&err.of(path))).help("renew it; readings are kept meanwhile"));
    }
    if let (Some(now), Some((path, Some(pem)))) = (now, &authorities)
        && let Ok(chain) = tls::certificates(pem)
    {
        let refused: Vec<TlsError> = chain.iter().filter_map(|certificate| tls::in_force(Some(certificate), now).err()).collect();
        // A bundle may hold old ones beside those that count.
        if refused.len() == chain.len() {
            for err in refused {
                faults.add(Fault::at("broker.tls.ca", daemon::chain(&err.of(path))));
            }
        }
    }
    let name = raw.server_name.as_deref().unwrap_or(host);
    let name = tls::server_name(name).map_err(|err| faults.add(Fault::at("broker.tls.server_name", err))).ok();
    if faults.iter().count() > before {
        return None;
    }
    match Tls::new(roots?, identity?, raw.server_name.is_some().then_some(name?)) {
        Ok(tls) => Some(tls),
        Err(err) => {
            faults.add(Fault::at("broker.tls", daemon::chain(&err)));
            None
        }
    }
}

fn read(path: &Path, key: &str, faults: &mut Faults) -> Option<Vec<u8>> {
    faults.keep(fs::read(path).map_err(|err| unreadable(path, key, &err)))
}

fn unreadable(path: &Path, key: &str, err: &io::Error) -> Fault {
    Fault::at(key, format_args!("could not read {}: {err}", path.display())).help("the gateway's user must be able to read it")
}

fn read_key(key: Key, faults: &mut Faults) -> Option<Vec<u8>> {
    match key {
        Key::File(path) => {
            let bytes = read(&path, "broker.tls.key", faults)?;
            let mode = fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
            if mode & FORBIDDEN_MODE != 0 {
                let fault = Fault::at("broker.tls.key", format_args!("{} is open to others (mode {mode:04o})", path.display()));
                faults.add(fault.allowed("0600, 0400 or 0640").help(format_args!("chmod 0600 {}", path.display())));
            }
            Some(bytes)
        }
        Key::Secret(secret) => {
            let place = secret.place();
            let resolved = secret.resolve(&FromMachine);
            let resolved = resolved
                .map_err(|err| Fault::at("broker.tls.key", daemon::chain(&err)).help(format_args!("provide the {place} to the gateway")));
            faults.keep(resolved).map(|secret| secret.expose().as_bytes().to_vec())
        }
    }
}
