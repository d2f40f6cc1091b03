//! Which readings are there, and which are missing.

use std::ops::Range;

use crate::flushed::SegmentError;
use crate::reader::Reader;
use crate::row::Sample;
use crate::series::SeriesId;

/// How much of a series there is in a range, interval by interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// Intervals of the range; a last one that is shorter counts.
    pub expected: u64,
    /// Of these: with a reading, whatever it says.
    pub present: u64,
    /// Of the present: with a value that may be used.
    pub usable: u64,
    /// Without a reading: UTC milliseconds, half-open, lowest first, at most [`Completeness::GAPS_MAX`] of them.
    pub gaps: Vec<Range<i64>>,
    /// Gaps behind these.
    pub more_gaps: u64,
}

impl Completeness {
    /// Gaps that are named.
    pub const GAPS_MAX: usize = 1_000;
    /// Longer ranges are not asked: two years of seconds.
    const INTERVALS_MAX: i64 = 64_000_000;

    fn of(samples: &[Sample], range: &Range<i64>, interval_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        let expected = intervals(range, interval_ms).min(Self::INTERVALS_MAX);
        let mut found = Self { expected: expected.cast_unsigned(), present: 0, usable: 0, gaps: Vec::new(), more_gaps: 0 };
        let mut next = 0;
        for of_interval in samples.chunk_by(|one, other| {
            let interval = |sample: &Sample| (sample.ts_ms - range.start) / interval_ms;
            interval(one) == interval(other)
        }) {
            let Some(interval) = of_interval.first().map(|sample| (sample.ts_ms - range.start) / interval_ms) else { continue };
            found.gap(range, interval_ms, next..interval);
            next = interval + 1;
            found.present += 1;
            found.usable += u64::from(of_interval.iter().any(|sample| sample.raw.is_some() && sample.quality.is_usable()));
        }
        found.gap(range, interval_ms, next..expected);
        found
    }

    fn gap(&mut self, range: &Range<i64>, interval_ms: i64, intervals: Range<i64>) {
        if intervals.is_empty() {
            return;
        }
        if self.gaps.len() < Self::GAPS_MAX {
            let at = |interval: i64| range.start.saturating_add(interval.saturating_mul(interval_ms)).min(range.end);
            self.gaps.push(at(intervals.start)..at(intervals.end));
        } else {
            self.more_gaps += 1;
        }
    }
}

impl Reader {
    /// How complete a series is: `interval_ms` apart, counted from `range.start`.
    pub fn completeness(&self, series: SeriesId, range: Range<i64>, interval_ms: i64) -> Result<Completeness, SegmentError> {
        Ok(Completeness::of(&self.scan(series, range.clone())?, &range, interval_ms))
    }

    /// As [`Reader::scan`] would have answered when the entry `lsn` of the log was the last.
    ///
    /// * Exact for the last entry of a flush, such as that of a seal; between two flushes a reading counts as of the
    ///   second one as soon as it is in a segment.
    pub fn as_of(&self, series: SeriesId, range: Range<i64>, lsn: u64) -> Result<Vec<Sample>, SegmentError> {
        let mut samples = self.history(series, range)?;
        samples.retain(|sample| sample.lsn <= lsn);
        newest(&mut samples);
        Ok(samples)
    }
}

/// How many intervals a range has; a last one that is shorter counts.
pub(crate) fn intervals(range: &Range<i64>, interval_ms: i64) -> i64 {
    let length = range.end.saturating_sub(range.start).max(0);
    length / interval_ms + i64::from(length % interval_ms != 0)
}

/// Keeps the newest version of each time. Versions of one time stand together, the newest last.
pub(crate) fn newest(samples: &mut Vec<Sample>) {
    samples.dedup_by(|next, kept| {
        let same = next.ts_ms == kept.ts_ms;
        if same {
            *kept = *next;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{batch, folder, open, row};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn counts_what_a_plain_set_counts(minutes in proptest::collection::btree_set(0_i64..200, 0..80), interval in 1_i64..7, flushed: bool) {
            let dir = folder();
            let store = open(dir.path());
            // The first makes the series, outside of the range.
            let rows = std::iter::once(-60).chain(minutes.iter().copied()).map(|minute| {
                let mut row = row("d0", minute * 60_000 + 11, minute);
                if minute % 5 == 0 {
                    (row.raw, row.words, row.quality) = (None, None, units::Quality::SILENT);
                }
                row
            });
            store.commit(&[batch(1, rows.collect())]).unwrap();
            if flushed {
                store.flush().unwrap();
            }
            let found = Reader::open(dir.path()).unwrap().completeness(SeriesId(1), 0..200 * 60_000, interval * 60_000).unwrap();
            let present: std::collections::BTreeSet<i64> = minutes.iter().map(|minute| minute / interval).collect();
            let usable: std::collections::BTreeSet<i64> = minutes.iter().filter(|minute| *minute % 5 != 0).map(|minute| minute / interval).collect();
            let expected = (200 + interval - 1) / interval;
            prop_assert_eq!((found.expected, found.present, found.usable), (expected.cast_unsigned(), present.len() as u64, usable.len() as u64));
            let missing: i64 = found.gaps.iter().map(|gap| (gap.end - gap.start + interval * 60_000 - 1) / (interval * 60_000)).sum();
            prop_assert_eq!(missing, expected - i64::try_from(present.len()).unwrap());
            prop_assert!(found.gaps.iter().all(|gap| (gap.start / 60_000..gap.end / 60_000).all(|minute| !minutes.contains(&minute))));
        }
    }

    #[test]
    fn as_of_an_earlier_flush_the_answer_stays() {
        let dir = folder();
        let store = open(dir.path());
        let values = |reader: &Reader, lsn: u64| {
            let samples = reader.as_of(SeriesId(1), 0..300_000, lsn).unwrap();
            samples.iter().map(|sample| (sample.ts_ms / 60_000, sample.raw.unwrap())).collect::<Vec<_>>()
        };
        store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 60_000, 1)])]).unwrap();
        store.flush().unwrap();
        let billed = Reader::open(dir.path()).unwrap().last_lsn();
        store.commit(&[batch(2, vec![row("d0", 0, 2), row("d0", 120_000, 3)])]).unwrap();
        for step in 0..3 {
            let reader = Reader::open(dir.path()).unwrap();
            assert_eq!(values(&reader, billed), [(0, 1), (1, 1)], "step {step}");
            assert_eq!(values(&reader, reader.last_lsn()), [(0, 2), (1, 1), (2, 3)], "step {step}");
            if step == 0 { store.flush().unwrap() } else { store.compact().unwrap() }
        }
    }
}
