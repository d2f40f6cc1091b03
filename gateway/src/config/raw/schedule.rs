//! `[poll]`: how often, and how the file writes a duration.

use std::{fmt, time::Duration};

use config::{DurationText, Fault, Faults};
use serde::Deserialize;

const MILLIS_PER_DAY: u128 = 86_400_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPoll {
    pub(super) interval: Option<DurationText>,
    pub(super) jitter_budget: Option<DurationText>,
}

/// How late a poll may begin, where the file says nothing.
pub(super) const JITTER_BUDGET: Duration = Duration::from_millis(100);

/// A duration as the file writes it.
pub(super) struct DurationTextOf(pub(super) Duration);

impl fmt::Display for DurationTextOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DurationText::from_millis(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)).fmt(f)
    }
}

pub(super) fn check_interval(key: &str, text: DurationText, faults: &mut Faults) -> Option<Duration> {
    let millis = text.duration().as_millis();
    if millis >= 1_000 && MILLIS_PER_DAY.is_multiple_of(millis) {
        return Some(text.duration());
    }
    let fault = Fault::at(key, format_args!("{text} does not divide a day, so polls would drift against the clock"));
    faults.add(fault.allowed("1s, 10s, 15s, 30s, 1m, 5m, 15m, 1h and others that divide a day"));
    None
}
