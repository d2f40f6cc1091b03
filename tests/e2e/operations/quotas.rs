//! A tenant that brings too much: what has to come again, what is kept aside, and that nothing valid is lost.

use super::Collector;

const WRITE: &str = "/api/v2/write?org=acme&bucket=hall&precision=s";

fn lines(device: &str, from: i64, count: i64) -> Vec<u8> {
    let line = |at: i64| format!("energy,device={device},unit=kWh value={at}.5 {}\n", 1_700_000_000 + at * 60);
    (from..from + count).map(line).collect::<String>().into_bytes()
}

#[test]
fn what_comes_too_fast_comes_again_and_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(folder.path(), "[[quota]]\ntenant = \"acme\"\npoints_per_second = 100\n");
    assert_eq!(collector.post(WRITE, &lines("main", 0, 1_050)).code, 204, "a burst of ten seconds is taken");
    let refused = collector.post(WRITE, &lines("main", 1_050, 10));
    assert_eq!((refused.code, refused.json()["code"].as_str()), (429, Some("too many requests")), "{}", refused.body);
    assert!(refused.head.contains("retry-after: 1") && refused.body.contains("quota of acme"), "{}{}", refused.head, refused.body);
    assert_eq!(collector.metric("negawatt_tenant_put_off_total{tenant=\"acme\"}"), Some(1.0));
    collector.until("its turn comes", |one| one.post(WRITE, &lines("main", 1_050, 10)).code == 204);
    assert_eq!(collector.metric("negawatt_tenant_points_total{tenant=\"acme\"}"), Some(1_060.0));
    assert_eq!(collector.metric("negawatt_points_accepted_total"), Some(1_060.0));
    assert_eq!(collector.metric("negawatt_conservation_difference"), Some(0.0));
    collector.stop();
}

#[test]
fn a_series_too_many_is_kept_aside_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let quota = |series: usize| format!("[[quota]]\nseries = {series}\n");
    let collector = Collector::writable(folder.path(), &quota(2));
    assert_eq!(collector.post(WRITE, &[lines("one", 0, 2), lines("two", 0, 2)].concat()).code, 204);
    let partly = collector.post(WRITE, &[lines("three", 0, 2), lines("one", 2, 1)].concat());
    assert_eq!((partly.code, partly.json()["line"].as_u64()), (422, Some(1)), "{}", partly.body);
    assert!(partly.body.contains("tenant_series") && partly.body.contains("1 of 3 lines are stored"), "{}", partly.body);
    for (name, value) in [
        ("negawatt_tenant_series{tenant=\"acme\"}", 2.0),
        ("negawatt_tenant_series_max{tenant=\"acme\"}", 2.0),
        ("negawatt_tenant_refused_points_total{tenant=\"acme\"}", 2.0),
        ("negawatt_points_accepted_total", 5.0),
        ("negawatt_points_dead_letter_total", 2.0),
        ("negawatt_conservation_difference", 0.0),
    ] {
        assert_eq!(collector.metric(name), Some(value), "{name}");
    }
    collector.stop();
    // After a start those that are stored may go on, though the quota has shrunk.
    let collector = Collector::writable(folder.path(), &quota(1));
    assert_eq!(collector.post(WRITE, &[lines("one", 3, 1), lines("two", 3, 1)].concat()).code, 204);
    assert_eq!(collector.post(WRITE, &lines("four", 0, 1)).code, 422);
    collector.stop();
    // There is room: what was kept aside is read again.
    let collector = Collector::writable(folder.path(), &quota(9));
    let replayed = collector.post("/v1/dead-letters/replay?reason=tenant_series", b"").json();
    let accepted: u64 = replayed["replayed"].as_array().unwrap().iter().map(|one| one["accepted"].as_u64().unwrap()).sum();
    assert_eq!(accepted, 3, "{replayed}");
    assert_eq!(collector.metric("negawatt_points_accepted_total"), Some(10.0));
    collector.stop();
}
