//! Tables that follow from the readings: quarters of an hour, kept as files, and hours and local days put together of them.
//!
//! ```text
//! derived/0000000042.parquet     the quarters of one facility and month of UTC, as of an entry of the log
//! ```
//!
//! * A file says up to which entry of the log the readings are in it. What came since is found by that number, and only
//!   the quarters it lies in are made anew: when somebody asks, for the answer; and beside the merges, for the file. So an
//!   answer is never older than the readings, and the same whether a file is new, old, or gone.
//! * Nothing rests on the files: whoever deletes them waits a little longer for his first answer. Where the readings of a
//!   month were dropped on purpose, its file is all that is left, and is kept like a segment.

mod ask;
mod build;
mod differences;
mod passing;
mod quarter;
mod table;

#[cfg(test)]
pub(crate) use ask::By;
pub use ask::{Bucket, Passing, Resolution};
pub(crate) use build::Derivation;
pub(crate) use quarter::{Quarter, quarters};
pub(crate) use table::Table;

use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::audit::{Action, AuditEntry};
use crate::head::DAY_MS;

/// A file of quarters that is part of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DerivedRow {
    /// Relative to the store's folder.
    pub(crate) path: String,
    pub(crate) tenant: String,
    pub(crate) facility: String,
    /// `2026-01`, UTC.
    pub(crate) month: String,
    /// Everything up to this entry of the log is in it.
    pub(crate) through_lsn: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl DerivedRow {
    pub(crate) fn is_of(&self, tenant: &str, facility: &str, month: &str) -> bool {
        self.tenant == tenant && self.facility == facility && self.month == month
    }

    /// Whether readings that it was made of were dropped: no other file says what it says.
    pub(crate) fn is_all_there_is(&self, audit: &[AuditEntry]) -> bool {
        let range = month_range(&self.month).unwrap_or_default();
        audit.iter().any(|entry| {
            let of_place = entry.tenant.as_str() == self.tenant && entry.facility.as_str() == self.facility;
            entry.action == Action::Drop && of_place && entry.from_ms < range.end && entry.to_ms > range.start
        })
    }
}

/// The month of UTC that a time lies in: `2026-01`.
pub(crate) fn month_of(ts_ms: i64) -> String {
    // The beginning of the day: the calendar ends within one.
    Timestamp::from_millisecond(ts_ms - ts_ms.rem_euclid(DAY_MS)).unwrap_or_default().to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

/// From the first moment of a month to the first of the next; `None` when it is no month.
pub(crate) fn month_range(month: &str) -> Option<Range<i64>> {
    let (year, number) = month.rsplit_once('-')?;
    let first = Date::new(year.parse().ok()?, number.parse().ok()?, 1).ok()?;
    let at = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond());
    // The last month of the calendar has no next one.
    Some(at(first)?..first.checked_add(1.month()).ok().and_then(at).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_tile_time() {
        assert_eq!(month_range("2026-02"), Some(1_769_904_000_000..1_772_323_200_000));
        for ts_ms in [-1, 0, 1_769_903_999_999, 1_769_904_000_000, -62_135_596_800_001, Timestamp::MAX.as_millisecond()] {
            let month = month_of(ts_ms);
            let range = month_range(&month).unwrap_or_else(|| panic!("{month}"));
            assert!(range.contains(&ts_ms), "{ts_ms} in {month}: {range:?}");
        }
        assert_eq!(month_range("x"), None);
    }
}
