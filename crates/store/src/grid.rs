//! When a series is expected to have a reading: read off the readings themselves, because nobody else knows.

use std::ops::Range;

use crate::derived::Quarter;

/// Steps that gateways and files use, in milliseconds.
const STEPS: [i64; 13] =
    [1_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 86_400_000];
/// Fewer readings do not say how often there is one.
const READINGS_MIN: usize = 3;

/// Evenly spaced moments, and the reading that is nearest to one belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    interval_ms: i64,
    /// The time of every moment, modulo the interval.
    phase_ms: i64,
}

impl Grid {
    #[must_use]
    pub fn new(interval_ms: i64, phase_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        Self { interval_ms, phase_ms: phase_ms.rem_euclid(interval_ms) }
    }

    /// The grid of times in order: their commonest step, so that gaps do not matter.
    ///
    /// None when there are too few to tell.
    #[must_use]
    pub fn of(times: &[i64]) -> Option<Self> {
        if times.len() < READINGS_MIN {
            return None;
        }
        let mut counts = [0_usize; STEPS.len()];
        for pair in times.windows(2) {
            let [one, next] = pair else { continue };
            if let Some(count) = nearest(next - one).and_then(|step| counts.get_mut(step)) {
                *count += 1;
            }
        }
        let most = *counts.iter().max()?;
        // Of two that are as common, the shorter: the longer is then a gap.
        let step = counts.iter().position(|count| *count == most && most > 0)?;
        let interval_ms = *STEPS.get(step)?;
        let off = |ts_ms: &i64| (ts_ms + interval_ms / 10).rem_euclid(interval_ms) <= interval_ms / 5;
        let aligned = times.iter().filter(|ts_ms| off(ts_ms)).count() * 2 > times.len();
        let phase_ms = if aligned { 0 } else { times.last()?.rem_euclid(interval_ms) };
        Some(Self::new(interval_ms, phase_ms))
    }

    /// As [`Self::of`], of what is known of every quarter of an hour, in order.
    pub(crate) fn of_quarters(quarters: &[Quarter]) -> Option<Self> {
        let total: u64 = quarters.iter().map(|quarter| u64::from(quarter.readings)).sum();
        let mut votes = [0_u64; STEPS.len()];
        let mut vote = |step_ms: i64, count: u64| {
            if let Some(votes) = nearest(step_ms).and_then(|step| votes.get_mut(step)) {
                *votes += count;
            }
        };
        for quarter in quarters.iter().filter(|quarter| quarter.step_ms > 0) {
            vote(quarter.step_ms, u64::from(quarter.readings) - 1);
        }
        for pair in quarters.windows(2) {
            let [one, next] = pair else { continue };
            vote(next.from_ms - one.to_ms, 1);
        }
        let most = *votes.iter().max().filter(|most| **most > 0)?;
        let interval_ms = *STEPS.get(votes.iter().position(|count| *count == most)?)?;
        if total < READINGS_MIN as u64 {
            return None;
        }
        let off = |ts_ms: i64| (ts_ms + interval_ms / 10).rem_euclid(interval_ms) <= interval_ms / 5;
        let aligned: u64 = quarters.iter().filter(|quarter| off(quarter.from_ms)).map(|quarter| u64::from(quarter.readings)).sum();
        let phase_ms = if aligned * 2 > total { 0 } else { quarters.last()?.to_ms.rem_euclid(interval_ms) };
        Some(Self::new(interval_ms, phase_ms))
    }

    /// Whether three quarters of the steps between these times are its interval, to a tenth: readings that come every
    /// four to six minutes are no grid of five.
    #[must_use]
    pub fn is_of_most(self, times: &[i64]) -> bool {
        let is_step = |pair: &&[i64]| matches!(pair, [one, next] if is_about(next - one, self.interval_ms));
        times.windows(2).filter(is_step).count() * 4 >= times.len().saturating_sub(1) * 3
    }

    #[must_use]
    pub const fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    #[must_use]
    pub const fn phase_ms(self) -> i64 {
        self.phase_ms
    }

    /// The moment that a time belongs to, counted from 1970.
    #[must_use]
    pub fn slot(self, ts_ms: i64) -> i64 {
        (ts_ms - self.phase_ms + self.interval_ms / 2).div_euclid(self.interval_ms)
    }

    /// The time of a moment.
    #[must_use]
    pub fn at(self, slot: i64) -> i64 {
        slot * self.interval_ms + self.phase_ms
    }

    /// The moments with `range.start <= at < range.end`.
    #[must_use]
    pub fn slots(self, range: &Range<i64>) -> Range<i64> {
        let first_from = |ts_ms: i64| {
            let (since, interval) = (ts_ms - self.phase_ms, self.interval_ms);
            since.div_euclid(interval) + i64::from(since.rem_euclid(interval) != 0)
        };
        first_from(range.start)..first_from(range.end).max(first_from(range.start))
    }
}

/// The usual step that is commonest between these times, in milliseconds; 0 when there is none.
pub(crate) fn commonest_step(times: impl Iterator<Item = i64>) -> i64 {
    let mut counts = [0_u32; STEPS.len()];
    let (mut last, mut known) = (None, (0, None));
    for ts_ms in times {
        if let Some(last) = last {
            let step: i64 = ts_ms - last;
            // Steps come many times over.
            if known.0 != step {
                known = (step, nearest(step));
            }
            if let Some(count) = known.1.and_then(|place: usize| counts.get_mut(place)) {
                *count += 1;
            }
        }
        last = Some(ts_ms);
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|count| *count == most && most > 0).and_then(|place| STEPS.get(place)).copied().unwrap_or(0)
}

/// The usual step that is within a tenth of this one.
fn nearest(step_ms: i64) -> Option<usize> {
    STEPS.iter().position(|usual| is_about(step_ms, *usual))
}

/// Whether a step is this interval, to a tenth of it.
const fn is_about(step_ms: i64, interval_ms: i64) -> bool {
    (step_ms - interval_ms).abs() * 10 <= interval_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is missing and however times tremble: the step is found, and each moment is the nearest of its reading.
        #[test]
        fn is_found_among_gaps(step in 0_usize..13, first in 0_i64..100_000, phase in 0_i64..86_400_000, missing in prop::collection::btree_set(0_i64..60, 0..12)) {
            let interval = STEPS[step];
            let phase = phase.rem_euclid(interval);
            let times: Vec<i64> = (0..60).filter(|at| !missing.contains(at)).map(|at| (first + at) * interval + phase).collect();
            let grid = Grid::of(&times).unwrap();
            prop_assert_eq!(grid.interval_ms(), interval);
            for pair in times.windows(2) {
                prop_assert_eq!(grid.slot(pair[1]) - grid.slot(pair[0]), (pair[1] - pair[0]) / interval);
                prop_assert!((grid.at(grid.slot(pair[0])) - pair[0]).abs() * 2 <= interval);
            }
        }

        #[test]
        fn the_moments_of_a_range_lie_in_it(interval in 1_i64..10_000, phase in 0_i64..10_000, from in -100_000_i64..100_000, length in 0_i64..100_000) {
            let grid = Grid::new(interval, phase);
            let range = from..from + length;
            let slots = grid.slots(&range);
            prop_assert!(slots.clone().all(|slot| range.contains(&grid.at(slot)) && grid.slot(grid.at(slot)) == slot));
            prop_assert!(!range.contains(&grid.at(slots.start - 1)) && !range.contains(&grid.at(slots.end)));
        }
    }

    #[test]
    fn too_few_or_too_wild_say_nothing() {
        assert_eq!(Grid::of(&[0, 60_000]), None);
        assert_eq!(Grid::of(&[0, 17_000, 190_000, 990_000]), None);
        let grid = Grid::of(&[120, 60_090, 120_110, 300_100]).unwrap();
        assert_eq!((grid.interval_ms(), grid.phase_ms()), (60_000, 0), "milliseconds of trembling are no phase");
    }
}
