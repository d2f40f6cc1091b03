//! What there is to read: a simulated Eastron SDM630 on a load.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use simulator::{DrivenClock, Grid, Load, Meter};

pub(crate) const PROFILE: &str = "eastron-sdm630";

pub(crate) fn start() -> Timestamp {
    "2025-06-01T00:00:00Z".parse().unwrap()
}

pub(crate) fn minute(count: i64) -> Timestamp {
    start() + SignedDuration::from_mins(count)
}

/// A clock that stands at the start.
pub(crate) fn clock() -> DrivenClock {
    DrivenClock::new(start(), start())
}

/// A meter that has counted 1 234 567 Wh before the start.
pub(crate) fn meter(clock: &DrivenClock) -> Arc<Meter> {
    let day: Vec<(Timestamp, i64)> = (0..48).map(|hour| (minute(60 * hour), 40_000 + 900 * (hour % 24))).collect();
    let load = Load::hourly(&day).unwrap();
    let profile = devices::find(PROFILE).unwrap();
    Arc::new(Meter::electrical(profile, &load, Grid::EUROPE, 7, 1_234_567, Arc::new(clock.clone())))
}
