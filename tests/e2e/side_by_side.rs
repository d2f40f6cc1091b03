//! A small run of `cargo xtask bench side-by-side`: ours, and those peers that are quickly asked.

use negawatt_tests::program::{program, stderr, stdout};
use serde_json::Value;

/// What the object has of each, as its readers know it.
const OURS: [&str; 11] = [
    "bytes_per_point",
    "durable_points_per_core_second",
    "facility_year_seconds",
    "kill_lost",
    "line_protocol_points_per_cpu_second",
    "mqtt_points_per_second",
    "queryable_p99_ms",
    "replay_seconds",
    "rss_mib",
    "series_year_ms",
    "sse_p99_ms",
];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn ours_and_theirs_take_the_same_bodies_and_we_lose_nothing_by_a_kill() {
    let output =
        program("side-by-side").args(["--points", "20000", "--seed", "20261121", "--peers", "influxdb,mosquitto"]).output().unwrap();
    let text = stdout(&output);
    let object: Value = serde_json::from_str(&text).unwrap_or_else(|err| panic!("{err}: {text}{}", stderr(&output)));
    assert!(output.status.success(), "{object}\n{}", stderr(&output));
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    assert_eq!(keys(&object), ["ours", "peers", "ratios"]);
    assert_eq!(keys(&object["ours"]), OURS);
    for key in OURS {
        assert!(object["ours"][key].is_number(), "{key}: {object}\n{}", stderr(&output));
    }
    assert_eq!(object["ours"]["kill_lost"], 0.0, "{object}");
    assert_eq!(keys(&object["peers"]), ["influxdb", "mosquitto", "postgresql", "victoriametrics"]);
    for (name, peer) in object["peers"].as_object().unwrap() {
        // Null with the reason told, or measured; never invented.
        assert!(peer.is_null() && stderr(&output).contains(&format!("{name}: not measured")) || peer["kill_lost"].is_number(), "{object}");
        let unknown = peer.as_object().into_iter().flatten().find(|(key, _)| !OURS.contains(&key.as_str()));
        assert_eq!(unknown, None, "{name}");
    }
    assert!(object["peers"]["victoriametrics"].is_null(), "it was not asked for: {object}");
    for (name, key) in [("influxdb", "line_protocol_points_per_cpu_second"), ("mosquitto", "mqtt_points_per_second")] {
        assert_eq!(object["peers"][name][key].is_number(), object["ratios"][key][name].is_number(), "{name}: {object}");
    }
}
