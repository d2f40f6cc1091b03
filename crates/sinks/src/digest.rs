//! What a series says on a day, in four numbers: by these a sink is compared with the store.

use std::collections::BTreeMap;

use store::Sample;

use crate::reading::SeriesName;

/// Milliseconds of a UTC day.
pub const DAY_MS: i64 = 86_400_000;

/// Count, least, greatest and sum of the values of a series on a UTC day. Readings without a value do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    pub count: u64,
    pub min: i64,
    pub max: i64,
    pub sum: i128,
}

/// By series: what a facility says on a day. A series without values is not in it.
pub type Digests = BTreeMap<SeriesName, Digest>;

impl Digest {
    /// Adds a value.
    pub fn add(digest: &mut Option<Self>, raw: i64) {
        let sum = i128::from(raw);
        *digest = Some(match *digest {
            None => Self { count: 1, min: raw, max: raw, sum },
            Some(known) => Self { count: known.count + 1, min: known.min.min(raw), max: known.max.max(raw), sum: known.sum + sum },
        });
    }

    /// Of the newest versions of a series.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let mut digest = None;
        samples.iter().filter_map(|sample| sample.raw).for_each(|raw| Self::add(&mut digest, raw));
        digest
    }
}
