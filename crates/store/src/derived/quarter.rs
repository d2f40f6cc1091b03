//! What the readings of one series come to in a quarter of an hour.
//!
//! It is a function of these readings alone, so it is as true as they are: nothing of it depends on its neighbours, on a
//! zone or on a configuration. What does (what a counter says has passed, how many readings there should be) is put
//! together from quarters when somebody asks.

use units::{Quality, Reason, Severity};

use crate::grid::commonest_step;
use crate::row::Sample;

/// A quarter of an hour, in milliseconds. Every zone of today is so many of them apart from UTC.
pub(crate) const QUARTER_MS: i64 = 900_000;

/// The quarter that a time lies in, by its first moment.
pub(crate) fn quarter_of(ts_ms: i64) -> i64 {
    ts_ms - ts_ms.rem_euclid(QUARTER_MS)
}

/// A quarter of an hour of one series, of which there is at least one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quarter {
    /// Its first moment.
    pub(crate) start_ms: i64,
    /// Times that were read, those without a usable value included.
    pub(crate) readings: u32,
    /// Of these, with a value of good quality, and with one of uncertain quality.
    pub(crate) good: u32,
    pub(crate) uncertain: u32,
    /// Of the usable: what no meter said.
    pub(crate) estimated: u32,
    pub(crate) edited: u32,
    /// The worst of the severities, and every reason.
    pub(crate) quality: Quality,
    /// Times of the first and of the last reading.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// The commonest step between readings; 0 where there is none.
    pub(crate) step_ms: i64,
    /// Over the usable values.
    pub(crate) figures: Option<Figures>,
    /// The first and the last entry of the log that a reading of it came with.
    pub(crate) lsn_from: u64,
    pub(crate) lsn_to: u64,
}

/// What usable values come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) smallest: i64,
    pub(crate) largest: i64,
    pub(crate) sum: i128,
    /// Time and value.
    pub(crate) first: (i64, i64),
    pub(crate) last: (i64, i64),
    /// How often a value is smaller than the one before it.
    pub(crate) falls: u32,
}

impl Quarter {
    pub(crate) fn usable(&self) -> u32 {
        self.good + self.uncertain
    }

    /// Whether its readings are among those that were dropped, up to an entry of the log; none were when that is 0.
    pub(crate) fn was_dropped(&self, dropped_lsn: u64) -> bool {
        dropped_lsn > 0 && self.lsn_to <= dropped_lsn
    }

    /// Its readings: the newest version of each time, in order.
    fn of(start_ms: i64, samples: &[Sample]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let mut quarter = Self {
            start_ms,
            readings: u32::try_from(samples.len()).unwrap_or(u32::MAX),
            good: 0,
            uncertain: 0,
            estimated: 0,
            edited: 0,
            quality: Quality::GOOD,
            from_ms: first.ts_ms,
            to_ms: last.ts_ms,
            step_ms: commonest_step(samples.iter().map(|sample| sample.ts_ms)),
            figures: None,
            lsn_from: u64::MAX,
            lsn_to: 0,
        };
        let mut worst = Worst::default();
        for sample in samples {
            worst.add(sample.quality);
            quarter.lsn_from = quarter.lsn_from.min(sample.lsn);
            quarter.lsn_to = quarter.lsn_to.max(sample.lsn);
            if let Some(raw) = sample.raw.filter(|_| sample.quality.is_usable()) {
                quarter.add(sample, raw);
            }
        }
        quarter.quality = worst.quality();
        Some(quarter)
    }

    fn add(&mut self, sample: &Sample, raw: i64) {
        let is = |reason| u32::from(sample.quality.has(reason));
        match sample.quality.severity() {
            Severity::Good => self.good += 1,
            _ => self.uncertain += 1,
        }
        self.estimated += is(Reason::Estimated) | is(Reason::Substituted);
        self.edited += is(Reason::Edited);
        let now = (sample.ts_ms, raw);
        self.figures = Some(match self.figures {
            None => Figures { smallest: raw, largest: raw, sum: i128::from(raw), first: now, last: now, falls: 0 },
            Some(Figures { smallest, largest, sum, first, last, falls }) => Figures {
                smallest: smallest.min(raw),
                largest: largest.max(raw),
                sum: sum + i128::from(raw),
                first,
                last: now,
                falls: falls + u32::from(raw < last.1),
            },
        });
    }
}

/// The quarters of readings that are in order of time, the newest version of each.
pub(crate) fn quarters(samples: &[Sample]) -> Vec<Quarter> {
    let mut found = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let start_ms = quarter_of(first.ts_ms);
        let end_ms = start_ms.saturating_add(QUARTER_MS);
        // A quarter is short: this is sooner done than halving.
        let count = rest.iter().position(|sample| sample.ts_ms >= end_ms).unwrap_or(rest.len());
        let (here, later) = rest.split_at(count);
        found.extend(Quarter::of(start_ms, here));
        rest = later;
    }
    found
}

/// Qualities put together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    reasons: u16,
    severity: u16,
}

impl Worst {
    const SEVERITY: u16 = 0b11 << 14;

    pub(crate) fn add(&mut self, quality: Quality) {
        let severity = match quality.severity() {
            Severity::Good => 0,
            Severity::Uncertain => 1 << 14,
            Severity::Bad => 2 << 14,
        };
        self.reasons |= quality.bits() & !Self::SEVERITY;
        self.severity = self.severity.max(severity);
    }

    pub(crate) fn quality(self) -> Quality {
        Quality::from_bits(self.severity | self.reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(ts_ms: i64, raw: Option<i64>, quality: u16, lsn: u64) -> Sample {
        Sample { ts_ms, raw, quality: Quality::from_bits(quality), words: None, seq: 1, version: 0, lsn }
    }

    proptest! {
        /// Each quarter is what a plain sum over its readings is, and every reading is in one.
        #[test]
        fn is_what_a_plain_sum_is(rows in proptest::collection::btree_map(-5_000_000_i64..5_000_000, (proptest::option::of(any::<i64>()), any::<u16>(), 1_u64..9), 0..60)) {
            let samples: Vec<Sample> = rows.iter().map(|(ts_ms, (raw, quality, lsn))| sample(*ts_ms, *raw, *quality, *lsn)).collect();
            let found = quarters(&samples);
            prop_assert!(found.windows(2).all(|pair| pair[0].start_ms < pair[1].start_ms));
            prop_assert_eq!(found.iter().map(|quarter| quarter.readings as usize).sum::<usize>(), samples.len());
            for quarter in found {
                let here: Vec<&Sample> = samples.iter().filter(|sample| sample.ts_ms.div_euclid(QUARTER_MS) * QUARTER_MS == quarter.start_ms).collect();
                let usable: Vec<i64> = here.iter().filter(|sample| sample.quality.is_usable()).filter_map(|sample| sample.raw).collect();
                prop_assert_eq!((quarter.readings as usize, quarter.usable() as usize), (here.len(), usable.len()));
                prop_assert_eq!(quarter.figures.map(|figures| figures.sum), (!usable.is_empty()).then(|| usable.iter().map(|raw| i128::from(*raw)).sum()));
                prop_assert_eq!(quarter.figures.map(|figures| (figures.smallest, figures.largest, figures.first.1, figures.last.1)),
                    usable.iter().min().map(|smallest| (*smallest, *usable.iter().max().unwrap(), usable[0], usable[usable.len() - 1])));
                prop_assert_eq!((quarter.lsn_from, quarter.lsn_to), (here.iter().map(|sample| sample.lsn).min().unwrap(), here.iter().map(|sample| sample.lsn).max().unwrap()));
                prop_assert_eq!(quarter.quality.severity(), here.iter().map(|sample| sample.quality.severity()).max().unwrap());
            }
        }
    }
}
