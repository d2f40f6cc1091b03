//! A sampled quantity over time, such as the outdoor temperature of each hour.

use std::sync::Arc;

use jiff::Timestamp;

/// Why samples are not a series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    #[error("sample {index} at {at} is not later than the one before it")]
    Order { index: usize, at: Timestamp },
}

/// Samples in thousandths of a unit, joined by straight lines. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Series(Arc<[(i64, i64)]>);

impl Series {
    /// A series from samples in order of time, in thousandths of the unit (23.4 degrees are 23400).
    ///
    /// * Errors: samples out of order.
    pub fn new(samples: &[(Timestamp, i64)]) -> Result<Self, SeriesError> {
        if let Some(index) = samples.windows(2).position(|pair| pair[1].0 <= pair[0].0) {
            return Err(SeriesError::Order { index: index + 1, at: samples[index + 1].0 });
        }
        Ok(Self(samples.iter().map(|(at, milli)| (at.as_millisecond(), *milli)).collect()))
    }

    /// The value at a moment, in thousandths; before the first and after the last sample it stays as it is there.
    ///
    /// * Errors: `None` for an empty series.
    #[must_use]
    pub fn milli(&self, at: Timestamp) -> Option<i64> {
        let at_ms = at.as_millisecond();
        let next = self.0.partition_point(|(sample_ms, _)| *sample_ms <= at_ms);
        let after = self.0.get(next);
        let before = next.checked_sub(1).and_then(|index| self.0.get(index));
        match (before, after) {
            (Some((from_ms, from)), Some((to_ms, to))) => {
                let rise = i128::from(to - from) * i128::from(at_ms - from_ms) / i128::from(to_ms - from_ms);
                Some(from + i64::try_from(rise).unwrap_or(0))
            }
            (Some((_, milli)), None) | (None, Some((_, milli))) => Some(*milli),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn values_lie_on_straight_lines() {
        let start = Timestamp::UNIX_EPOCH;
        let series = Series::new(&[(start, 10_000), (start + 1.hour(), -2_000)]).unwrap();
        let at = |minutes: i64| series.milli(start + minutes.minutes()).unwrap();
        assert_eq!([at(-5), at(0), at(15), at(30), at(60), at(600)], [10_000, 10_000, 7_000, 4_000, -2_000, -2_000]);
        assert!(Series::new(&[(start, 1), (start, 2)]).is_err());
    }
}
