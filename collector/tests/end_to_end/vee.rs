//! Days, gaps and changes, of a collector that runs and is killed.

use serde_json::{Value, json};

use crate::field::{Field, Running, TestGateway, raw, tick_ms};

fn asked(collector: &Running, path: &str) -> Value {
    let (status, body) = collector.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn days(collector: &Running) -> Vec<(i64, String)> {
    let events = asked(collector, "/v1/vee/events?topic=facility_day_complete");
    let events = events["events"].as_array().unwrap().clone();
    events.iter().map(|event| (event["id"].as_i64().unwrap(), event["subject"].as_str().unwrap().to_owned())).collect()
}

fn time(seq: u64) -> String {
    jiff::Timestamp::from_millisecond(tick_ms(seq)).unwrap().to_string()
}

#[test]
fn days_are_told_once_and_readings_changed_and_changed_back() {
    let field = Field::new();
    let collector = field.collector();
    let mut gateway = TestGateway::new(&field, "gw-1", 400);
    // The spool was full for five minutes.
    for seq in 200..205 {
        let gone = wire::Frame { schema: wire::SCHEMA, tick_ms: tick_ms(seq), lost: wire::Lost::MadeRoom.code(), ..wire::Frame::default() };
        gateway.replace(seq, gone);
    }
    gateway.deliver_until(&field, 400);
    collector.stop();

    // What is there is looked at when it starts; then it is killed, and looks again.
    let mut told = Vec::new();
    for _ in 0..3 {
        let collector = field.collector();
        collector.wait_for(|_| days(&collector).len() == 2);
        let now = days(&collector);
        assert!(told.is_empty() || told == now, "{told:?} then {now:?}");
        told = now;
        collector.kill();
    }
    assert_eq!(told, [(1, "2023-11-14".to_owned()), (2, "2023-11-15".to_owned())]);

    let collector = field.collector();
    let of = format!("tenant=acme&facility=hall&from={}&to={}", time(1), time(401));
    let gaps = asked(&collector, &format!("/v1/vee/gaps?{of}&device=main"));
    assert_eq!(gaps["series"].as_array().unwrap().len(), 3);
    let counter = &gaps["series"][0];
    assert_eq!((&counter["point"], &counter["expected"], &counter["usable"]), (&json!("e_imp"), &json!(400), &json!(395)));
    assert_eq!(counter["gaps"], json!([{ "from": time(200), "to": time(205), "readings": 5, "cause": "spool_full" }]));

    let change = |change: Value| {
        let request = json!({ "tenant": "acme", "facility": "hall", "change": change, "actor": "anna", "reason": "tried" });
        let headers = [("content-type", "application/json")];
        let (status, _, body) = collector.post_with("/v1/vee/changes", &headers, request.to_string().as_bytes());
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let estimated = change(json!({ "estimate": { "point": "e_imp", "from": time(1), "to": time(401) } })).1;
    assert_eq!(estimated["changes"], json!([{ "id": 1, "way": "linear/1", "readings": 5, "audit_entry": 1 }]));
    // Of three steps a minute, a line misses none.
    let readings = |from: u64, to: u64| {
        let reader = store::Reader::open(field.store()).unwrap();
        let counter = reader.all_series().into_iter().find(|info| info.key.point == "e_imp").unwrap();
        let samples = reader.scan(counter.id, tick_ms(from)..tick_ms(to)).unwrap();
        samples.iter().map(|sample| sample.raw).collect::<Vec<_>>()
    };
    assert_eq!(readings(1, 401), (1..401).map(|seq| Some(raw(seq, "e_imp"))).collect::<Vec<_>>());
    assert_eq!(change(json!({ "undo": { "id": 1 } })).1["changes"][0]["readings"], 5);
    assert_eq!(readings(199, 206), [Some(raw(199, "e_imp")), None, None, None, None, None, Some(raw(205, "e_imp"))]);
    let (status, problem) = change(json!({ "undo": { "id": 1 } }));
    assert_eq!((status, &problem["code"]), (409, &json!("change")));
    assert_eq!(change(json!({ "undo": { "id": 77 } })).0, 404);
    assert_eq!(change(json!({ "set": { "device": "main", "point": "e_imp", "at": time(3), "value": "x" } })).0, 422);
    let changes = asked(&collector, "/v1/vee/changes?tenant=acme&facility=hall");
    assert_eq!(changes["changes"][1]["undone_by"], 2);
    let changed = asked(&collector, "/v1/vee/events?after=2");
    assert_eq!(changed["events"].as_array().unwrap().len(), 2, "what was told of the day has changed twice: {changed}");

    let marks = asked(&collector, "/v1/vee/watermarks");
    assert_eq!(marks["facilities"][0]["next_day"], "2023-11-16");
    collector.says(&[
        "negawatt_vee_events_total{topic=\"facility_day_complete\"} 2",
        "negawatt_devices_stale 0",
        "negawatt_vee_looks_failed_total 0",
    ]);
    collector.stop();
}
