//! What there is to read: a simulated Eastron SDM630 on a load.

use std::{collections::BTreeMap, process::Command, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{DrivenClock, Grid, Load, Meter};

use crate::peer::{answer, ours, output, text};

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

/// That meter, so many minutes after the start.
pub(crate) fn meter_at(count: i64) -> Arc<Meter> {
    let clock = clock();
    clock.advance_to(minute(count));
    meter(&clock)
}

/// The registers of the meter, for a meter of theirs; what lies between them is zero.
pub(crate) fn registers(meter: &Meter) -> String {
    let mut words: BTreeMap<String, u16> = BTreeMap::new();
    for block in &meter.profile().plan(&[]).unwrap().blocks {
        let answer = meter.read(block.table, block.address, block.count).unwrap();
        words.extend((block.address..).map(|address| address.to_string()).zip(answer));
    }
    json!(words).to_string()
}

/// What `probe` has to print of a meter of theirs with those registers.
pub(crate) fn expected(meter: &Meter, count: i64) -> Value {
    let points = meter.profile().points().iter().map(|point| {
        let value = meter.truth(&point.id, minute(count)).unwrap().decimal_text();
        json!({"id": point.id, "value": value, "unit": point.unit.symbol(), "quality": "good"})
    });
    json!({"schema": "negawatt.probe/1", "points": points.collect::<Vec<_>>()})
}

/// What our gateway prints of a meter of theirs, or why it does not.
pub(crate) fn probe(url: &str, unit: &str) -> Result<Value, String> {
    let done = output(&ours("negawatt-gateway"), ["probe", url, "--unit", unit, "--device", PROFILE, "--output", "json"]);
    if done.status.success() { Ok(serde_json::from_slice(&done.stdout).unwrap()) } else { Err(text(&done.stderr)) }
}

/// Lets a script of theirs read the meter's registers, and compares every point. The script takes spans as its last argument and prints
/// words by their address.
pub(crate) fn check_words(command: &mut Command, meter: &Meter, at: Timestamp) {
    let spans: Vec<[u16; 2]> = meter.profile().plan(&[]).unwrap().blocks.iter().map(|block| [block.address, block.count]).collect();
    let read = answer(command.arg(json!(spans).to_string()));
    let read: BTreeMap<u16, u16> = serde_json::from_value(read).unwrap();
    for point in meter.profile().points() {
        let words = [read[&point.address], read[&(point.address + 1)]];
        let shown = devices::decode(point, &words).unwrap();
        assert_eq!(Some(shown), meter.truth(&point.id, at), "{}", point.id);
    }
}
