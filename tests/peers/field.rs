//! What there is to read: a simulated Eastron SDM630 on a load.

use std::{collections::BTreeMap, process::Command, sync::Arc};

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

/// Lets a script of theirs read the meter's registers, and compares every point. The script takes spans as its last argument and prints
/// words by their address.
pub(crate) fn check_words(command: &mut Command, meter: &Meter, at: Timestamp) {
    let spans: Vec<[u16; 2]> = meter.profile().plan(&[]).unwrap().blocks.iter().map(|block| [block.address, block.count]).collect();
    let read = crate::peer::answer(command.arg(serde_json::json!(spans).to_string()));
    let read: BTreeMap<u16, u16> = serde_json::from_value(read).unwrap();
    for point in meter.profile().points() {
        let words = [read[&point.address], read[&(point.address + 1)]];
        let shown = devices::decode(point, &words).unwrap();
        assert_eq!(Some(shown), meter.truth(&point.id, at), "{}", point.id);
    }
}
