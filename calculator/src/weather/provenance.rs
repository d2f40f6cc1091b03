//! Where weather came from, frozen when it is used for money.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where a file of weather came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Who published it.
    pub provider: String,
    /// The station at its provider, or the name of the facility's own sensor.
    pub station: String,
    /// From the facility to the station, km.
    pub distance_km: f64,
    /// How much higher the station stands, m.
    pub elevation_difference_m: f64,
    /// When it was fetched.
    pub retrieved_at: Timestamp,
    /// Bytes of the file.
    pub bytes: usize,
    /// SHA-256 of the file as it was fetched.
    pub sha256: String,
}

/// A file that is not the one that was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the weather of station {station} is not what was used: SHA-256 {found}, used was {used}")]
pub struct Changed {
    /// The station.
    pub station: String,
    /// What the file has.
    pub found: String,
    /// What was used.
    pub used: String,
}

impl Provenance {
    /// Whether a file is the one that was used.
    ///
    /// * Errors: its hash is another; sources revise their files.
    pub fn check(&self, raw: &[u8]) -> Result<(), Changed> {
        let found = sha256(raw);
        if found == self.sha256 { Ok(()) } else { Err(Changed { station: self.station.clone(), found, used: self.sha256.clone() }) }
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
