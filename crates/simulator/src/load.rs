//! The consumption of a building, as a counter that never goes back.
//!
//! Data comes as energy per interval; meters show a running total. Inside an interval the energy is taken to flow evenly. Everything
//! is whole milliwatt-hours, so that the differences of a meter's counter add up to the data again, to the last digit.

use std::sync::Arc;

use jiff::Timestamp;

/// Why intervals are not a load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("interval {index} at {start} begins before the one before it ends")]
    Overlap { index: usize, start: Timestamp },
    #[error("interval {index} at {start} has no length")]
    Empty { index: usize, start: Timestamp },
    #[error("interval {index} at {start} has negative energy: {energy_wh} Wh")]
    Negative { index: usize, start: Timestamp, energy_wh: i64 },
    #[error("the load's total energy does not fit a counter")]
    Overflow,
    #[error("shares must add up to {}, found {found}", Load::WHOLE)]
    Shares { found: u64 },
}

/// Energy that was used in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub start: Timestamp,
    pub length_ms: i64,
    pub energy_wh: i64,
}

/// A running total over time. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Load {
    /// Start and length of each interval, in milliseconds since 1970.
    spans: Arc<[(i64, i64)]>,
    /// Energy of each interval and the total before it, in mWh.
    energy: Arc<[(i64, i64)]>,
}

impl Load {
    /// What shares add up to: they are parts per million.
    pub const WHOLE: u32 = 1_000_000;

    /// A load from intervals in order of time. Where data is missing between two intervals, nothing is used.
    ///
    /// * Errors: intervals that overlap, have no length or negative energy; a total beyond 9 PWh.
    pub fn new(intervals: &[Interval]) -> Result<Self, LoadError> {
        let (mut spans, mut energy) = (Vec::with_capacity(intervals.len()), Vec::with_capacity(intervals.len()));
        let (mut before_mwh, mut end_ms) = (0_i64, i64::MIN);
        for (index, interval) in intervals.iter().enumerate() {
            let start = interval.start;
            let start_ms = start.as_millisecond();
            if start_ms < end_ms {
                return Err(LoadError::Overlap { index, start });
            }
            if interval.length_ms <= 0 {
                return Err(LoadError::Empty { index, start });
            }
            if interval.energy_wh < 0 {
                return Err(LoadError::Negative { index, start, energy_wh: interval.energy_wh });
            }
            let energy_mwh = interval.energy_wh.checked_mul(1000).ok_or(LoadError::Overflow)?;
            spans.push((start_ms, interval.length_ms));
            energy.push((energy_mwh, before_mwh));
            before_mwh = before_mwh.checked_add(energy_mwh).ok_or(LoadError::Overflow)?;
            end_ms = start_ms.checked_add(interval.length_ms).ok_or(LoadError::Overflow)?;
        }
        Ok(Self { spans: spans.into(), energy: energy.into() })
    }

    /// A load from hourly energies with their start times.
    ///
    /// * Errors: as [`Load::new`].
    pub fn hourly(hours: &[(Timestamp, i64)]) -> Result<Self, LoadError> {
        let hour = |&(start, energy_wh)| Interval { start, length_ms: 3_600_000, energy_wh };
        Self::new(&hours.iter().map(hour).collect::<Vec<_>>())
    }

    /// Splits the load into parts, interval by interval, so that the parts of every interval add up to it.
    ///
    /// * Shape: `shares` in parts per million, together [`Load::WHOLE`].
    /// * Errors: shares with another sum.
    pub fn split(&self, shares: &[u32]) -> Result<Vec<Self>, LoadError> {
        let found: u64 = shares.iter().map(|share| u64::from(*share)).sum();
        if found != u64::from(Self::WHOLE) {
            return Err(LoadError::Shares { found });
        }
        let mut parts = Vec::with_capacity(shares.len());
        let mut below = 0_u32;
        for share in shares {
            let above = below + share;
            let mut before_mwh = 0_i64;
            let part = self.energy.iter().map(|&(energy_mwh, _)| {
                let part = portion(energy_mwh, above) - portion(energy_mwh, below);
                let row = (part, before_mwh);
                before_mwh += part;
                row
            });
            parts.push(Self { spans: Arc::clone(&self.spans), energy: part.collect() });
            below = above;
        }
        Ok(parts)
    }

    /// The running total at a moment, in mWh: 0 before the data begins, constant after it ends, never decreasing.
    #[must_use]
    pub fn energy_mwh(&self, at: Timestamp) -> i64 {
        let at_ms = at.as_millisecond();
        let Some(index) = self.index(at_ms) else { return 0 };
        let ((start_ms, length_ms), (energy_mwh, before_mwh)) = (self.spans[index], self.energy[index]);
        let elapsed_ms = (at_ms - start_ms).min(length_ms);
        let part = i128::from(energy_mwh) * i128::from(elapsed_ms) / i128::from(length_ms);
        before_mwh + i64::try_from(part).unwrap_or(energy_mwh)
    }

    /// The power at a moment, in mW: the slope of the running total.
    #[must_use]
    pub fn power_mw(&self, at: Timestamp) -> i64 {
        let at_ms = at.as_millisecond();
        let Some(index) = self.index(at_ms) else { return 0 };
        let ((start_ms, length_ms), (energy_mwh, _)) = (self.spans[index], self.energy[index]);
        if at_ms >= start_ms + length_ms {
            return 0;
        }
        i64::try_from(i128::from(energy_mwh) * 3_600_000 / i128::from(length_ms)).unwrap_or(i64::MAX)
    }

    /// When the data begins and ends; `None` for an empty load.
    #[must_use]
    pub fn period(&self) -> Option<(Timestamp, Timestamp)> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let at = |ms| Timestamp::from_millisecond(ms).ok();
        Some((at(first.0)?, at(last.0 + last.1)?))
    }

    /// The last interval that has begun.
    fn index(&self, at_ms: i64) -> Option<usize> {
        self.spans.partition_point(|(start_ms, _)| *start_ms <= at_ms).checked_sub(1)
    }
}

/// The first `share` parts per million of an energy that is not negative.
fn portion(energy_mwh: i64, share: u32) -> i64 {
    let part = i128::from(energy_mwh) * i128::from(share) / i128::from(Load::WHOLE);
    i64::try_from(part).unwrap_or(energy_mwh)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;

    fn hour(n: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + n.hours()
    }

    proptest! {
        #[test]
        fn parts_add_up_and_never_go_back(
            energies in proptest::collection::vec(0_i64..1_000_000, 1..40),
            cuts in proptest::collection::btree_set(1_u32..Load::WHOLE, 0..4),
            step_ms in 1_i64..4_000_000,
        ) {
            let hours: Vec<_> = (0..).map(hour).zip(energies.iter().copied()).collect();
            let load = Load::hourly(&hours).unwrap();
            let mut edges = vec![0];
            edges.extend(cuts);
            edges.push(Load::WHOLE);
            let shares: Vec<u32> = edges.windows(2).map(|edge| edge[1] - edge[0]).collect();
            let parts = load.split(&shares).unwrap();
            let mut sum_mwh = 0;
            for (n, energy_wh) in (1..).zip(&energies) {
                sum_mwh += energy_wh * 1000;
                prop_assert_eq!(load.energy_mwh(hour(n)), sum_mwh);
                prop_assert_eq!(parts.iter().map(|part| part.energy_mwh(hour(n))).sum::<i64>(), sum_mwh);
            }
            let mut shown = vec![0; parts.len()];
            for n in 0..50 {
                let at = Timestamp::from_millisecond(n * step_ms).unwrap();
                for (part, last) in parts.iter().zip(&mut shown) {
                    let now = part.energy_mwh(at);
                    prop_assert!(now >= *last);
                    *last = now;
                }
                let sum: i64 = shown.iter().sum();
                prop_assert!((load.energy_mwh(at) - sum).abs() <= i64::try_from(parts.len()).unwrap());
            }
        }
    }

    #[test]
    fn energy_flows_evenly_inside_an_interval_and_rests_in_gaps() {
        let load = Load::hourly(&[(hour(1), 600), (hour(3), 1200)]).unwrap();
        assert_eq!(load.energy_mwh(hour(0)), 0);
        assert_eq!(load.energy_mwh(hour(1) + 1.minute()), 10_000);
        assert_eq!(load.energy_mwh(hour(2) + 30.minutes()), 600_000);
        assert_eq!(load.energy_mwh(hour(9)), 1_800_000);
        assert_eq!(load.power_mw(hour(1)), 600_000);
        assert_eq!((load.power_mw(hour(2)), load.power_mw(hour(4))), (0, 0));
        assert_eq!(load.period(), Some((hour(1), hour(4))));
    }

    #[test]
    fn nonsense_is_refused() {
        let overlap =
            [Interval { start: hour(0), length_ms: 7_200_000, energy_wh: 1 }, Interval { start: hour(1), length_ms: 1, energy_wh: 1 }];
        assert!(matches!(Load::new(&overlap), Err(LoadError::Overlap { index: 1, .. })));
        assert!(matches!(Load::hourly(&[(hour(0), -1)]), Err(LoadError::Negative { .. })));
        assert_eq!(Load::hourly(&[(hour(0), 1)]).unwrap().split(&[1, 2]).unwrap_err(), LoadError::Shares { found: 3 });
    }
}
