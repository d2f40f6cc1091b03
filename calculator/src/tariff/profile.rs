//! A load profile: the energy of equal intervals without a gap, and the days that a bill covers.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// The energy of equal intervals without a gap.
///
/// * Units: Wh; positive is taken from the grid, negative is given to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    start: Timestamp,
    interval_minutes: u8,
    wh: Vec<i64>,
}

/// Energy of one interval beyond which it is a mistake: a terawatt-hour.
const WH_MAX: i64 = 1_000_000_000_000;

/// Rows that are no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Intervals that no window of an hour fits.
    #[error("intervals of {minutes} minutes do not divide an hour: give 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60")]
    Interval {
        /// Their length.
        minutes: u8,
    },
    /// The first interval begins between two of the hour's.
    #[error("the profile begins at {start}, which is no whole interval of {minutes} minutes")]
    Start {
        /// Where it begins.
        start: Timestamp,
        /// The length of its intervals.
        minutes: u8,
    },
    /// Nothing to bill.
    #[error("the profile has no intervals")]
    Empty,
    /// More energy than an interval can have.
    #[error("the interval at {start} has {wh} Wh, which is beyond a terawatt-hour: check the unit")]
    Range {
        /// The interval.
        start: Timestamp,
        /// Its energy.
        wh: i64,
    },
}

impl Profile {
    /// * Shape: one value for each interval, the first beginning at `start`.
    /// * Errors: intervals that do not divide an hour or are not aligned to it, none at all, energy beyond all measure.
    pub fn new(start: Timestamp, interval_minutes: u8, wh: Vec<i64>) -> Result<Self, ProfileError> {
        if interval_minutes == 0 || 60 % interval_minutes != 0 {
            return Err(ProfileError::Interval { minutes: interval_minutes });
        }
        if start.as_millisecond().rem_euclid(i64::from(interval_minutes) * 60_000) != 0 {
            return Err(ProfileError::Start { start, minutes: interval_minutes });
        }
        if wh.is_empty() {
            return Err(ProfileError::Empty);
        }
        let profile = Self { start, interval_minutes, wh };
        if let Some(index) = profile.wh.iter().position(|wh| !(-WH_MAX..=WH_MAX).contains(wh)) {
            return Err(ProfileError::Range { start: profile.start_of(index), wh: profile.wh[index] });
        }
        Ok(profile)
    }

    /// Where it begins.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// The length of its intervals.
    pub const fn interval_minutes(&self) -> u8 {
        self.interval_minutes
    }

    /// The energy of each interval, Wh.
    pub fn wh(&self) -> &[i64] {
        &self.wh
    }

    /// Another energy of the same intervals.
    ///
    /// * Errors: energy beyond all measure.
    pub fn with(&self, wh: Vec<i64>) -> Result<Self, ProfileError> {
        Self::new(self.start, self.interval_minutes, wh)
    }

    fn start_of(&self, index: usize) -> Timestamp {
        let minutes = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(i64::from(self.interval_minutes));
        self.start.checked_add(minutes.minutes()).unwrap_or(Timestamp::MAX)
    }
}

/// The local days of one bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillPeriod {
    /// The day of the first read: the first day of the bill.
    pub first: Date,
    /// The day of the next read: the day after the last of the bill.
    pub end: Date,
}

impl BillPeriod {
    /// How many days it has; none where it ends before it begins.
    pub fn days(self) -> u16 {
        self.first.until(self.end).ok().and_then(|span| u16::try_from(span.get_days()).ok()).unwrap_or(0)
    }
}

/// The calendar months from one day to another, the first and the last cut where they begin or end inside a month.
pub fn calendar_months(first: Date, end: Date) -> Vec<BillPeriod> {
    let mut months = Vec::new();
    let mut next = first;
    while next < end {
        let month_end = next.last_of_month().tomorrow().unwrap_or(end).min(end);
        months.push(BillPeriod { first: next, end: month_end });
        next = month_end;
    }
    months
}
