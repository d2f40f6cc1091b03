//! The limits of CalTRACK 2.0 that more than one table of rows is held against.

/// Days of a baseline (3.1.3).
pub(crate) const BASELINE_DAYS: u16 = 365;
/// Least share of a period that has energy and weather (2.2.1.2, 2.2.3.2).
pub(crate) const COVERAGE: f64 = 0.9;
/// A day needs a temperature in more hours than this (2.2.2.3, as the published program has it: strictly more than half a day).
pub(crate) const HALF_DAY_HOURS: u32 = 12;
