//! What is stored already, beside what an import brings.

use std::ops::Range;

use store::{Reader, Sample, SegmentError, SeriesInfo};
use units::Reason;

use crate::import::series::{Bulk, EXPONENT, Reading, Series};

/// What would become of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing is stored for its time.
    New,
    /// This very value is.
    Same,
    /// Another value is.
    Contradicts,
    /// The file has no value where the store has one: nothing is said against it.
    Silent,
    /// There is a reading without a value, because nobody knew one or because an import was undone: an amendment says it.
    Returns,
}

/// The fate of every reading, by series and place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) fates: Vec<Vec<Fate>>,
    /// Readings that lie in a range that was billed: new ones are kept and not read until somebody approves them.
    pub(crate) sealed: u64,
}

impl Comparison {
    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.fates.iter().flatten().filter(|one| **one == fate).count() as u64
    }

    pub(crate) fn fate(&self, series: usize, place: usize) -> Fate {
        self.fates.get(series).and_then(|fates| fates.get(place)).copied().unwrap_or(Fate::New)
    }

    /// What there is without a store.
    pub(crate) fn with_nothing(bulk: &Bulk) -> Self {
        Self { fates: bulk.series.iter().map(|series| vec![Fate::New; series.readings.len()]).collect(), sealed: 0 }
    }

    pub(crate) fn with(bulk: &Bulk, reader: &Reader) -> Result<Self, SegmentError> {
        let known = reader.series(&bulk.tenant, &bulk.facility);
        let seals = reader.seals(&bulk.tenant, &bulk.facility);
        let mut comparison = Self::default();
        for series in &bulk.series {
            let sealed = |reading: &&Reading| seals.iter().any(|seal| (seal.from_ms..seal.to_ms).contains(&reading.ts_ms));
            comparison.sealed += series.readings.iter().filter(sealed).count() as u64;
            let history = match known.iter().find(|info| is_of(series, info)) {
                Some(info) => reader.history(info.id, span(&series.readings))?,
                None => Vec::new(),
            };
            comparison.fates.push(fates(&series.readings, &history));
        }
        Ok(comparison)
    }
}

fn is_of(series: &Series, info: &SeriesInfo) -> bool {
    let key = &info.key;
    key.device == series.device && key.point == series.point && key.unit == series.unit && key.exponent == EXPONENT
}

fn span(readings: &[Reading]) -> Range<i64> {
    let first = readings.first().map_or(0, |reading| reading.ts_ms);
    first..readings.last().map_or(first, |reading| reading.ts_ms.saturating_add(1))
}

/// Both are in order of time.
fn fates(readings: &[Reading], history: &[Sample]) -> Vec<Fate> {
    let mut rest = history;
    readings
        .iter()
        .map(|reading| {
            let earlier = rest.partition_point(|sample| sample.ts_ms < reading.ts_ms);
            let from = rest.get(earlier..).unwrap_or_default();
            let (versions, behind) = from.split_at(from.partition_point(|sample| sample.ts_ms == reading.ts_ms));
            rest = behind;
            fate(reading, versions)
        })
        .collect()
}

fn fate(reading: &Reading, versions: &[Sample]) -> Fate {
    let Some(newest) = versions.last() else { return Fate::New };
    if newest.raw == reading.raw {
        return Fate::Same;
    }
    if reading.raw.is_none() {
        return Fate::Silent;
    }
    if newest.raw.is_none() { Fate::Returns } else { Fate::Contradicts }
}

/// Whether somebody has taken the value away.
pub(crate) fn is_undone(sample: &Sample) -> bool {
    sample.seq == 0 && sample.raw.is_none() && sample.quality.has(Reason::Edited) && sample.quality.has(Reason::NoValue)
}
