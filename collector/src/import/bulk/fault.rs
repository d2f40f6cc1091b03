//! What is wrong with a row, by file, row and rule.

use serde::Serialize;

/// Faults that are told one by one; all are counted.
pub(crate) const FAULTS_MAX: usize = 10_000;

/// The rule that a row breaks. The names stand in plans, and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// The row has fewer fields than it needs.
    Fields,
    /// A field is not UTF-8.
    Encoding,
    /// There is no time.
    TimeMissing,
    /// The time is not written as the mapping says.
    TimeFormat,
    /// The time says no zone, and the mapping names none.
    TimeZone,
    /// The clocks of the zone skip this time.
    TimeSkipped,
    /// The clocks of the zone show this time twice, and the order of rows does not say which is meant.
    TimeTwice,
    /// The time is in the future.
    TimeFuture,
    /// The time lies before 1980: electronic meters have none such.
    TimeEarly,
    /// The time is not one of the interval's.
    TimeGrid,
    /// Another row has this time with another value.
    TimeRepeated,
    /// There is no value, and the mapping calls this a fault.
    ValueMissing,
    /// The value is no number.
    ValueFormat,
    /// The value is larger than any reading can be.
    ValueTooLarge,
    /// The value is beyond what the mapping allows.
    ValueRange,
    /// A counter went back.
    CounterBack,
    /// The store has another value for this time.
    Contradiction,
}

impl Rule {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fields => "fields",
            Self::Encoding => "encoding",
            Self::TimeMissing => "time_missing",
            Self::TimeFormat => "time_format",
            Self::TimeZone => "time_zone",
            Self::TimeSkipped => "time_skipped",
            Self::TimeTwice => "time_twice",
            Self::TimeFuture => "time_future",
            Self::TimeEarly => "time_early",
            Self::TimeGrid => "time_grid",
            Self::TimeRepeated => "time_repeated",
            Self::ValueMissing => "value_missing",
            Self::ValueFormat => "value_format",
            Self::ValueTooLarge => "value_too_large",
            Self::ValueRange => "value_range",
            Self::CounterBack => "counter_back",
            Self::Contradiction => "contradiction",
        }
    }
}

/// A row that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    pub(crate) file: String,
    /// Counted from 1: a line of CSV, a row of Parquet, an IntervalReading of Green Button.
    pub(crate) row: u64,
    /// The point that it would have been a reading of.
    pub(crate) point: String,
    pub(crate) rule: Rule,
    pub(crate) reason: String,
}

/// All faults of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) told: Vec<Fault>,
    pub(crate) by_rule: std::collections::BTreeMap<Rule, u64>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        *self.by_rule.entry(fault.rule).or_default() += 1;
        if self.told.len() < FAULTS_MAX {
            self.told.push(fault);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.by_rule.values().sum()
    }
}
