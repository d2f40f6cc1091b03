//! The candidates of a search, in canonical order.
//!
//! A search compares thousands of candidates and takes one. What became of each of the others follows from a few numbers
//! of each balance point, so it is written out when somebody asks, and is then what the search saw.

use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::candidate::{Candidate, Estimate, Outcome};
use super::kernel::Solved;

/// Every candidate of a search in canonical order, losers included: a slice of [`Candidate`].
///
/// * Wire: an array of them.
#[derive(Clone, Default)]
pub struct Candidates {
    /// What they follow from, where they are not listed yet.
    solved: Option<Box<Solved>>,
    /// The place and the final numbers of the winner.
    winner: Option<(usize, Estimate)>,
    listed: OnceLock<Vec<Candidate>>,
}

impl Candidates {
    /// Those of a method that has none.
    pub const fn none() -> Self {
        Self { solved: None, winner: None, listed: OnceLock::new() }
    }

    pub(super) fn solved(solved: Solved, winner: Option<(usize, Estimate)>) -> Self {
        Self { solved: Some(Box::new(solved)), winner, listed: OnceLock::new() }
    }

    pub(super) fn listed(mut candidates: Vec<Candidate>, winner: Option<(usize, Estimate)>) -> Self {
        crown(&mut candidates, winner);
        Self { listed: OnceLock::from(candidates), ..Self::none() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match (self.listed.get(), &self.solved) {
            (Some(listed), _) => listed.len(),
            (None, Some(solved)) => solved.len(),
            (None, None) => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Candidate] {
        self.listed.get_or_init(|| {
            let mut candidates = self.solved.as_ref().map(|solved| solved.candidates()).unwrap_or_default();
            crown(&mut candidates, self.winner);
            candidates
        })
    }
}

/// The winner's numbers are those of its rows.
fn crown(candidates: &mut [Candidate], winner: Option<(usize, Estimate)>) {
    if let Some((index, estimate)) = winner
        && let Some(candidate) = candidates.get_mut(index)
    {
        candidate.outcome = Outcome::Qualified(estimate);
    }
}

impl Deref for Candidates {
    type Target = [Candidate];

    fn deref(&self) -> &[Candidate] {
        self.as_slice()
    }
}

impl<'a> IntoIterator for &'a Candidates {
    type Item = &'a Candidate;
    type IntoIter = std::slice::Iter<'a, Candidate>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

impl PartialEq for Candidates {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl std::fmt::Debug for Candidates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(formatter)
    }
}

impl Serialize for Candidates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Candidates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|candidates| Self::listed(candidates, None))
    }
}

/// Candidates this close to the best are fitted again from the raw rows.
pub(super) const CLOSE: f64 = 1e-9;

/// The candidates that come close to the best, found in one walk over all of them.
#[derive(Debug)]
pub(super) struct Finalists {
    best: f64,
    /// Those that came close to the best before them, with their scores.
    close: Vec<(usize, f64)>,
}

impl Finalists {
    pub(super) fn new() -> Self {
        Self { best: f64::NEG_INFINITY, close: Vec::with_capacity(64) }
    }

    /// The score from which on a candidate is close to the best so far.
    pub(super) fn bar(&self) -> f64 {
        self.best - CLOSE
    }

    /// * Shape: what must not take part has a score without end below zero.
    #[inline]
    pub(super) fn offer(&mut self, place: usize, score: f64) {
        if score >= self.bar() && score > f64::NEG_INFINITY {
            self.best = self.best.max(score);
            self.close.push((place, score));
        }
    }

    /// The places of those that come close to the best of all, in canonical order.
    pub(super) fn places(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.close.iter().filter(|(_, score)| *score >= self.bar()).map(|(place, _)| *place).collect();
        places.sort_unstable();
        places
    }
}
