//! What is done beside the commits, and how long it takes: whoever watches a store sees whether it keeps up.

use std::time::{Duration, Instant};

/// Work beside the commits since the store was opened. Work that failed is in it, for it took its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Readings moved from memory to segments.
    pub flushes: Spent,
    /// Segments made of several.
    pub merges: Spent,
    /// Files of quarters of an hour made or made anew.
    pub derivations: Spent,
}

/// How often, and how long on the wall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub times: u64,
    pub time: Duration,
}

impl Spent {
    pub(crate) fn add(&mut self, began: Instant) {
        self.times += 1;
        self.time += began.elapsed();
    }
}
