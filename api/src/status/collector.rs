//! What the collector says of itself, as far as the page shows it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::http::instant;
use crate::state::Api;

/// Point rows shown at most; a facility with more has its own tools.
const POINTS_MAX: usize = 200;

/// What is known of the readings.
#[derive(Debug)]
pub(super) enum Readings {
    /// No address is configured.
    NotAsked,
    /// It did not answer.
    Silent(String),
    /// It did.
    Known(Known),
}

/// What the collector answered.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Why it hears nothing, when it does not.
    pub(super) problem: Option<String>,
    /// What is counted since the store was made.
    pub(super) counters: Vec<(&'static str, u64)>,
    /// The latest value of each point.
    pub(super) points: Vec<Point>,
}

/// The latest value of one point.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) facility: String,
    pub(super) device: String,
    pub(super) point: String,
    pub(super) value: String,
    pub(super) quality: String,
    pub(super) at: String,
}

/// Schema `negawatt.collector.status/1`; fields that a later one adds are not needed here.
#[derive(Debug, Deserialize)]
struct Status {
    connected: bool,
    problem: Option<String>,
    points: Counters,
    batches: u64,
    #[serde(default)]
    latest: Vec<Device>,
}

#[derive(Debug, Deserialize)]
struct Counters {
    received: u64,
    accepted: u64,
    duplicate: u64,
    conflict: u64,
    dead_letter: u64,
}

#[derive(Debug, Deserialize)]
struct Device {
    facility: String,
    device: String,
    tick_ms: i64,
    points: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Value {
    value: Option<String>,
    unit: String,
    quality: String,
}

/// Asks the collector.
pub(super) async fn ask(api: &Api) -> Readings {
    let Some(collector) = &api.collector else { return Readings::NotAsked };
    let answer = async { api.http.get(format!("{collector}/v1/status")).send().await?.error_for_status()?.bytes().await };
    match answer.await {
        Ok(bytes) => match serde_json::from_slice::<Status>(&bytes) {
            Ok(status) => Readings::Known(status.into()),
            Err(err) => Readings::Silent(format!("its answer cannot be read: {err}")),
        },
        Err(err) => Readings::Silent(daemon::chain(&err.without_url())),
    }
}

impl From<Status> for Known {
    fn from(status: Status) -> Self {
        let problem = status.problem.or_else(|| (!status.connected).then(|| "it is not connected to the broker".to_owned()));
        let counted = status.points;
        let counters = vec![
            ("points received", counted.received),
            ("stored", counted.accepted),
            ("duplicate", counted.duplicate),
            ("conflicting", counted.conflict),
            ("dead letters", counted.dead_letter),
            ("frames", status.batches),
        ];
        let mut points = Vec::new();
        for device in status.latest {
            for (point, latest) in device.points {
                points.push(Point {
                    facility: device.facility.clone(),
                    device: device.device.clone(),
                    point,
                    value: latest
                        .value
                        .map_or_else(|| "no value".to_owned(), |value| format!("{value} {}", latest.unit).trim_end().to_owned()),
                    quality: latest.quality,
                    at: instant(device.tick_ms),
                });
            }
        }
        points.truncate(POINTS_MAX);
        Self { problem, counters, points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collectors_answer_becomes_rows() {
        let text = r#"{"schema":"negawatt.collector.status/1","connected":false,"problem":null,"points":{"received":5,"accepted":3,
            "duplicate":1,"conflict":0,"dead_letter":1},"batches":2,"repeated_batches":0,"inflight":0,"gateways":[],
            "latest":[{"tenant":"demo","facility":"north-hall","device":"m1","profile":"p","tick_ms":0,
            "points":{"p":{"value":null,"unit":"W","quality":"bad:comm_error"},"v1":{"value":"230.1","unit":"V","quality":"good"}}}]}"#;
        let known = Known::from(serde_json::from_str::<Status>(text).unwrap());
        assert_eq!(known.problem.as_deref(), Some("it is not connected to the broker"));
        assert_eq!(known.counters[1], ("stored", 3));
        assert_eq!((known.points[0].value.as_str(), known.points[1].value.as_str()), ("no value", "230.1 V"));
        assert_eq!(known.points[1].at, "1970-01-01T00:00:00Z");
    }
}
