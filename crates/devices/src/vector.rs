//! Test vectors: what a device sent, and what that means, kept inside the profile.

use crate::decode::{DecodeError, decode};
use crate::profile::Profile;

/// What a vector's words must decode to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This decimal text, in the point's unit.
    Value(String),
    /// The device's own "no value".
    Absent,
}

/// Register words of one point, with their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    pub point: String,
    /// In the order of their addresses; the scale factor last.
    pub words: Vec<u16>,
    pub expected: Expected,
}

/// A vector that the profile does not reproduce.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vector of {point}: expected {expected}, found {found}")]
pub struct VectorMismatch {
    pub point: String,
    pub expected: String,
    pub found: String,
}

impl Profile {
    /// Decodes every test vector and compares.
    ///
    /// * Errors: the first vector that does not come out as written.
    pub fn verify(&self) -> Result<(), VectorMismatch> {
        self.mismatches().into_iter().next().map_or(Ok(()), Err)
    }

    /// All vectors that do not come out as written.
    #[must_use]
    pub fn mismatches(&self) -> Vec<VectorMismatch> {
        self.vectors().iter().filter_map(|vector| self.mismatch(vector)).collect()
    }

    fn mismatch(&self, vector: &Vector) -> Option<VectorMismatch> {
        let expected = match &vector.expected {
            Expected::Value(text) => text.clone(),
            Expected::Absent => "not available".to_owned(),
        };
        let found = match self.point(&vector.point).map(|point| decode(point, &vector.words)) {
            None => "no such point".to_owned(),
            Some(Ok(measured)) => measured.decimal_text(),
            Some(Err(DecodeError::NotAvailable { .. })) => "not available".to_owned(),
            Some(Err(err)) => err.to_string(),
        };
        (found != expected).then(|| VectorMismatch { point: vector.point.clone(), expected, found })
    }
}
