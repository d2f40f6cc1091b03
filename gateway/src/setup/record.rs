//! The commissioning record: what was found and proven at a device, signed by whoever proved it.
//!
//! ```text
//! {"digests":{"/device":"…","/findings/0":"…",…},"key":"…","record":{…},"schema":"negawatt.commissioning/1","signature":"…"}
//! ```
//!
//! The file is canonical: keys sorted, nothing between them, one line feed at its end. Each part of the record has its SHA-256 in
//! `digests`, and the signature is Ed25519 over the canonical text of `{"digests":…,"schema":…}`. So whoever changes a byte is not
//! only caught: the part that was changed is named.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    Finding, Identity, Latency, State,
    key::{SigningKey, is_signed},
    worst,
};

const SCHEMA: &str = "negawatt.commissioning/1";

/// What was found and proven at a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When the last check was made.
    pub made_at: Timestamp,
    /// What made it: `negawatt-gateway 0.1.0`.
    pub program: String,
    /// The order that this work belongs to.
    pub work_order: String,
    /// Who did it.
    pub technician: String,
    /// Whose gateway, where: `tenant/facility/gateway`.
    pub gateway: String,
    /// The device's name in the facility.
    pub device: String,
    /// How it is reached.
    pub url: String,
    /// Its unit id.
    pub unit: u8,
    /// Profile and the hash of what its registers mean.
    pub profile: String,
    /// SHA-256 of the profile.
    pub profile_hash: String,
    /// SHA-256 of the configuration that was commissioned.
    pub config_hash: String,
    /// The points that are read from now on.
    pub points: Vec<String>,
    /// What the technician knew without the bus.
    pub known: BTreeMap<String, String>,
    /// What the device says of itself.
    pub identity: Identity,
    /// How it answers.
    pub latency: Option<Latency>,
    /// Every check.
    pub findings: Vec<Finding>,
    /// The registers as they were read, first to last.
    pub samples: Vec<RecordedSample>,
}

/// The registers of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSample {
    /// When.
    pub at: Timestamp,
    /// Point id, register words in hex, and the value they stand for.
    pub points: Vec<RecordedPoint>,
}

/// One point: its words and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedPoint {
    /// Point id.
    pub point: String,
    /// Register words, four hex digits each.
    pub words: String,
    /// The value, or nothing where the words say so.
    pub value: Option<String>,
}

/// A record whose signature holds.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The record.
    pub record: Record,
    /// The public key that signed it, in hex.
    pub key: String,
}

/// Why a file is not a record as it was signed.
#[derive(Debug, thiserror::Error)]
pub enum Forgery {
    /// It breaks off, or is not JSON.
    #[error("byte {at}: this is not JSON any more")]
    Syntax {
        /// Counted from 0.
        at: usize,
        /// What the parser said.
        #[source]
        err: serde_json::Error,
    },
    /// The same content, written otherwise than we write it.
    #[error("byte {at} is not as it was written")]
    Form {
        /// Counted from 0.
        at: usize,
    },
    /// Something is missing or of another kind.
    #[error("{place} is not what it must be in a record of {SCHEMA}")]
    Shape {
        /// JSON pointer.
        place: String,
    },
    /// A part does not match its digest.
    #[error("/record{place} was changed after it was signed")]
    Changed {
        /// JSON pointer into the record.
        place: String,
    },
    /// The list of digests, or the signature itself, was changed.
    #[error("the signature does not hold: /signature, /key or /digests was changed, or another key signed")]
    Signature,
}

impl Record {
    /// The worst of all checks.
    #[must_use]
    pub fn verdict(&self) -> State {
        worst(&self.findings)
    }

    /// The file: canonical bytes with their signature.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let record = serde_json::to_value(self).expect("texts, numbers and lists become JSON");
        let digests = digests(&record);
        let signature = key.sign(signed_text(&digests).as_bytes());
        let file = serde_json::json!({
            "schema": SCHEMA,
            "record": record,
            "digests": digests,
            "key": hex::encode(key.public()),
            "signature": hex::encode(signature),
        });
        let mut bytes = canonical(&file).into_bytes();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a file and checks every byte of it.
    ///
    /// * Errors: the first thing that is not as it was signed.
    pub fn verify(bytes: &[u8]) -> Result<Verified, Forgery> {
        let file: Value = serde_json::from_slice(bytes).map_err(|err| Forgery::Syntax { at: offset_of(bytes, &err), err })?;
        let shape = |place: &str| Forgery::Shape { place: place.to_owned() };
        let members = ["digests", "key", "record", "schema", "signature"];
        let object = file.as_object().ok_or_else(|| shape("/"))?;
        if let Some(stranger) = object.keys().find(|key| !members.contains(&key.as_str())) {
            return Err(shape(&format!("/{stranger}")));
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str).ok_or_else(|| shape(&format!("/{name}")));
        if text("schema")? != SCHEMA {
            return Err(shape("/schema"));
        }
        let record = object.get("record").filter(|record| record.is_object()).ok_or_else(|| shape("/record"))?;
        let digests_said = object.get("digests").and_then(Value::as_object).ok_or_else(|| shape("/digests"))?;
        let digests_found = digests(record);
        for (place, digest) in &digests_found {
            if digests_said.get(place).and_then(Value::as_str) != Some(digest) {
                return Err(Forgery::Changed { place: place.clone() });
            }
        }
        if let Some(place) = digests_said.keys().find(|place| !digests_found.contains_key(*place)) {
            return Err(Forgery::Changed { place: place.clone() });
        }
        let mut again = canonical(&file).into_bytes();
        again.push(b'\n');
        if again != bytes {
            let at = again.iter().zip(bytes).position(|(one, other)| one != other).unwrap_or(again.len().min(bytes.len()));
            return Err(Forgery::Form { at });
        }
        let bytes_of = |name: &str| hex::decode(text(name)?).map_err(|_err| shape(&format!("/{name}")));
        if !is_signed(&bytes_of("key")?, signed_text(&digests_found).as_bytes(), &bytes_of("signature")?) {
            return Err(Forgery::Signature);
        }
        let record = serde_json::from_value(record.clone()).map_err(|_err| shape("/record"))?;
        Ok(Verified { record, key: text("key")?.to_owned() })
    }
}

fn signed_text(digests: &BTreeMap<String, String>) -> String {
    canonical(&serde_json::json!({ "digests": digests, "schema": SCHEMA }))
}

/// The SHA-256 of every member, lists by their elements, under its JSON pointer.
fn digests(record: &Value) -> BTreeMap<String, String> {
    let digest = |value: &Value| hex::encode(Sha256::digest(canonical(value).as_bytes()));
    let mut digests = BTreeMap::new();
    for (name, value) in record.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(list) => {
                digests.extend(list.iter().enumerate().map(|(index, element)| (format!("/{name}/{index}"), digest(element))));
                digests.insert(format!("/{name}"), digest(&Value::from(list.len())));
            }
            None => {
                digests.insert(format!("/{name}"), digest(value));
            }
        }
    }
    digests
}

/// JSON with its keys sorted and nothing between them.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            let members: Vec<String> =
                sorted.into_iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Where the parser stopped.
fn offset_of(bytes: &[u8], err: &serde_json::Error) -> usize {
    let before: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(err.line().saturating_sub(1)).map(<[u8]>::len).sum();
    before + err.column().saturating_sub(1)
}

mod text;

#[cfg(test)]
mod tests;
