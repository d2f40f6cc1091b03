//! A broker, a collector and gateways on loopback: whatever is cut, killed or repeated, every reading arrives once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod field;
mod opening;
mod sinks_of_it;
#[expect(dead_code, reason = "the tests of the sinks alone ask it for more")]
#[path = "../../../crates/sinks/tests/sinks/stub.rs"]
mod stub;
mod vee;
mod writes;

use std::time::Duration;

use field::{Field, POINTS, TestGateway, frame, messages};
use store::Reader;
use wire::Message as _;

#[test]
fn every_reading_arrives_once_whatever_is_killed_cut_and_repeated() {
    let field = Field::new();
    let mut collector = field.collector();
    let mut gateway = TestGateway::new(&field, "gw-1", 400);
    gateway.deliver_until(&field, 100);
    // Killed: what was committed and not yet acknowledged will come again.
    collector.kill();
    collector = field.collector();
    gateway.deliver_until(&field, 200);
    field.cut();
    gateway.deliver_until(&field, 300);
    collector.kill();
    collector = field.collector();
    gateway.deliver_until(&field, 400);
    let status = collector.status();
    collector.stop();

    let reader = Reader::open(field.store()).unwrap();
    let totals = reader.totals();
    let counters = totals.counters;
    assert_eq!((counters.accepted, counters.conflict, counters.dead_letter), (400 * POINTS, 0, 0));
    assert_eq!(counters.received(), status["points"]["received"].as_u64().unwrap());
    assert_eq!(totals.rows, 400 * POINTS);
    for info in reader.all_series() {
        let samples = reader.scan(info.id, i64::MIN..i64::MAX).unwrap();
        let expected: Vec<_> = (1..=400_u64).map(|seq| (field::tick_ms(seq), Some(field::raw(seq, &info.key.point)), seq)).collect();
        assert_eq!(samples.iter().map(|sample| (sample.ts_ms, sample.raw, sample.seq)).collect::<Vec<_>>(), expected);
    }
    assert!(totals.segments > 0, "a stop moves everything to segments");
}

#[test]
fn a_repeated_frame_is_acknowledged_again() {
    let field = Field::new();
    let collector = field.collector();
    let mut gateway = TestGateway::new(&field, "gw-1", 3);
    gateway.deliver_until(&field, 3);
    // The gateway has missed the acknowledgement, and does not know where it stands.
    let mut forgetful = TestGateway::new(&field, "gw-1", 3);
    forgetful.deliver_until(&field, 3);
    let status = collector.status();
    assert_eq!(status["points"]["accepted"], 3 * POINTS);
    assert_eq!(status["points"]["duplicate"], 3 * POINTS);
    assert_eq!(status["repeated_batches"], 3);
    let metrics = collector.get("/metrics").1;
    let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().to_owned();
    assert_eq!(value("negawatt_points_late_total"), (3 * POINTS).to_string(), "all of it is old, and none is counted again");
    assert_eq!(value("negawatt_publish_to_queryable_seconds_count"), value("negawatt_messages_total"));
    assert_eq!((value("negawatt_wal_oldest_unacked_seconds").as_str(), value("negawatt_channel_fill_ratio").as_str()), ("0.000000", "0"));
    collector.stop();
}

#[test]
fn bad_messages_are_kept_told_and_stop_nothing() {
    let field = Field::new();
    let collector = field.collector();
    // Messages that no gateway would send again need a subscriber.
    collector.wait_for(|status| status["connected"] == true);
    let mut gateway = TestGateway::new(&field, "gw-1", 6);
    // Number 2 is from the future, number 4 names a unit that does not exist.
    gateway.replace(2, wire::Frame { tick_ms: i64::MAX / 1_000_000 * 4, ..frame(2) });
    let mut strange = frame(4);
    strange.devices[0].points[0].unit = 9_999;
    gateway.replace(4, strange);
    let rubbish: Vec<(String, Vec<u8>)> = [("acme/hall/gw-1/data", b"\xff".to_vec()), ("Acme/hall/gw-1/data", b"x".to_vec())]
        .map(|(topic, payload)| (format!("nw/1/{topic}"), payload))
        .to_vec();
    messages(&field, &rubbish);
    gateway.deliver_until(&field, 6);
    collector.wait_for(|status| status["points"]["dead_letter"] == POINTS + 1 + 2);
    collector.says(&[
        "negawatt_dlq_total{reason=\"clock_window\"} 1",
        "negawatt_dlq_total{reason=\"point\"} 1",
        "negawatt_dlq_total{reason=\"envelope\"} 1",
        "negawatt_dlq_total{reason=\"topic\"} 1",
        "negawatt_conservation_difference 0",
    ]);
    collector.stop();
    let reader = Reader::open(field.store()).unwrap();
    assert_eq!(reader.totals().counters.accepted, 4 * POINTS + POINTS - 1);
    let letters = reader.dead_letters();
    assert_eq!(letters.len(), 4);
    assert!(letters.iter().any(|letter| letter.payload == b"\xff" && letter.reason == "envelope"));
}

#[test]
fn what_a_gateway_had_to_give_up_leaves_no_hole_and_is_told() {
    let field = Field::new();
    let collector = field.collector();
    let mut gateway = TestGateway::new(&field, "gw-1", 5);
    let gone =
        |why: wire::Lost| wire::Frame { schema: wire::SCHEMA, tick_ms: field::tick_ms(9), lost: why.code(), ..wire::Frame::default() };
    gateway.replace(2, gone(wire::Lost::MadeRoom));
    gateway.replace(3, gone(wire::Lost::Damaged));
    let mut thinner = frame(4);
    thinner.devices[0].points.remove(0);
    thinner.left_out = 1;
    gateway.replace(4, thinner);
    gateway.deliver_until(&field, 5);
    collector.wait_for(|status| status["points"]["accepted"] == 3 * POINTS - 1);
    let status = collector.status();
    assert_eq!(status["gateways"][0]["holes"], serde_json::json!([]));
    // What stands for a lost frame is not the latest that was read.
    assert_eq!(status["latest"][0]["tick_ms"], field::tick_ms(5));
    collector.says(&[
        "negawatt_gateway_frames_lost_total 2",
        "negawatt_gateway_points_left_out_total 1",
        "negawatt_conservation_difference 0",
    ]);
    collector.stop();
}

#[test]
fn who_is_connected_is_told_by_states_and_last_wills() {
    let field = Field::new();
    let state = |gateway: &str, online: bool| {
        let state = wire::GatewayState {
            schema: wire::STATE_SCHEMA.to_owned(),
            online,
            spool_id: "07".repeat(16),
            boot_id: 1,
            version: "0.1.0".to_owned(),
            facts: None,
        };
        (format!("nw/1/acme/hall/{gateway}/state"), serde_json::to_vec(&state).unwrap())
    };
    // Before there is a collector, and while there is one.
    field::publish(&field, true, &[state("gw-1", true), state("gw-2", true), state("gw-3", false)]);
    let collector = field.collector();
    collector.wait_for(|status| status["connected"] == true);
    collector.says(&["negawatt_gateways_connected 2"]);
    field::publish(&field, true, &[state("gw-1", false), state("gw-3", true), state("gw-4", true)]);
    collector.says(&["negawatt_gateways_connected 3"]);
    // Somebody clears what is retained of a gateway that was taken down, and somebody writes what is no state.
    field::publish(&field, true, &[("nw/1/acme/hall/gw-4/state".to_owned(), Vec::new())]);
    messages(&field, &[("nw/1/acme/hall/gw-3/state".to_owned(), b"online".to_vec())]);
    collector.says(&["negawatt_gateways_connected 1", "negawatt_messages_total 0", "negawatt_points_dead_letter_total 0"]);
    // What was known stays over a new connection, on which news come as before.
    field.cut();
    collector.says(&["negawatt_broker_reconnects_total 1", "negawatt_broker_connected 1"]);
    field::publish(&field, true, &[state("gw-3", true)]);
    collector.says(&["negawatt_gateways_connected 2", "negawatt_gateways 0"]);
    collector.stop();
}

#[test]
fn the_admin_pages_say_how_it_is() {
    let field = Field::new();
    let collector = field.collector();
    collector.wait_for(|status| status["connected"] == true);
    assert_eq!(collector.get("/livez").0, 200);
    assert_eq!(collector.get("/startupz"), (200, "started\n".to_owned()));
    assert_eq!(collector.get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(collector.get("/nowhere").0, 404);
    let mut gateway = TestGateway::new(&field, "gw-1", 2);
    gateway.deliver_until(&field, 2);
    collector.wait_for(|status| status["points"]["accepted"] == 2 * POINTS);
    let status = collector.status();
    assert_eq!(status["gateways"][0]["contiguous_seq"], 2);
    assert_eq!(status["gateways"][0]["last_tick_ms"], field::tick_ms(2));
    assert_eq!(status["latest"][0]["points"]["v1"], serde_json::json!({"value": "230.2", "unit": "V", "quality": "good"}));
    let file = "start,value\n2016-01-01T00:00:00Z,1.5\n2016-01-01T01:00:00Z,x\n2016-01-01T02:00:00Z,\n";
    let query = "/v1/imports?tenant=acme&facility=hall&device=utility-meter&point=e_int&unit=kWh";
    let (code, body) = collector.post(query, file);
    let imported: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &imported["accepted"], &imported["rejected"][0]["line"]), (200, &1.into(), &3.into()));
    assert_eq!(collector.post("/v1/imports?tenant=acme&facility=hall&device=d&point=p&unit=furlong", file).0, 422);
    assert_eq!(collector.post("/v1/flush", "").0, 200);
    let page = collector.get("/metrics").1;
    for line in
        ["negawatt_segments{level=\"0\"} 2", "negawatt_segments{level=\"1\"} 0", "negawatt_flushes_total 1", "negawatt_compactions_total 0"]
    {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    let spent = page.lines().find_map(|line| line.strip_prefix("negawatt_flush_seconds_total ")).expect("a time");
    assert!(spent.parse::<f64>().unwrap() > 0.0, "{spent}");
    collector.stop();
}

#[test]
fn without_a_broker_it_runs_and_says_so() {
    let field = Field::new();
    field.cut();
    field.refuse(true);
    let collector = field.collector();
    std::thread::sleep(Duration::from_millis(100));
    let (code, text) = collector.get("/readyz");
    assert_eq!((code, text.contains("no connection to the broker")), (503, true), "{text}");
    field.refuse(false);
    collector.wait_for(|status| status["connected"] == true);
    assert_eq!(collector.get("/readyz").0, 200);
    collector.stop();
}

#[test]
fn the_published_bytes_are_what_a_gateway_sends() {
    let bytes = field::envelope(7, &frame(7));
    let envelope = wire::Envelope::decode(bytes.as_slice()).unwrap();
    assert_eq!((envelope.seq, envelope.validate().is_ok()), (7, true));
}

#[test]
fn gateways_of_others_send_json() {
    let field = Field::new();
    let collector = field.collector();
    collector.wait_for(|status| status["connected"] == true);
    let reading = |point: &str, value: &str| format!(r#"{{"device":"main","point":"{point}","unit":"kWh","value":{value}}}"#);
    let message = |gateway: &str, time: &str, readings: &[String]| {
        let readings = readings.join(",");
        format!(r#"{{"schema":"negawatt.readings/1","gateway":"acme/hall/{gateway}","time":"{time}","readings":[{readings}]}}"#)
            .into_bytes()
    };
    let topic = "nw/1/acme/hall/gw-9/data".to_owned();
    let good = message("gw-9", "2025-01-01T00:00:00Z", &[reading("e_imp", "12.5"), reading("e_exp", "\"0.25\"")]);
    let back = message("gw-9", "2025-01-01T00:01:00Z", &[reading("e_imp", "12.4"), reading("E", "1")]);
    let stranger = message("gw-8", "2025-01-01T00:00:00Z", &[reading("e_imp", "1")]);
    messages(&field, &[(topic.clone(), good.clone()), (topic.clone(), good), (topic.clone(), back), (topic, stranger)]);
    collector.wait_for(|status| status["points"]["received"] == 7);
    let points = &collector.status()["points"];
    assert_eq!((&points["accepted"], &points["duplicate"], &points["dead_letter"]), (&3.into(), &2.into(), &2.into()));
    // The store counts before this process does.
    collector.wait_for(|_| collector.get("/metrics").1.contains("negawatt_conservation_difference 0\n"));
    collector.stop();
    let reader = Reader::open(field.store()).unwrap();
    let import = reader.all_series().into_iter().find(|info| info.key.point == "e_imp").unwrap();
    let samples: Vec<_> = reader.scan(import.id, i64::MIN..i64::MAX).unwrap();
    let told: Vec<_> = samples.iter().map(|sample| (sample.raw, sample.quality.to_string())).collect();
    assert_eq!(told, [(Some(12_500_000), "good".to_owned()), (Some(12_400_000), "uncertain:counter_reset".to_owned())]);
    let mut reasons: Vec<_> = reader.dead_letters().into_iter().map(|letter| letter.reason).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["identity", "name"]);
}

#[test]
fn who_watches_is_told_what_is_committed_and_does_not_hold_up_a_stop() {
    use std::io::BufRead as _;

    let field = Field::new();
    let collector = field.collector();
    let mut stream = collector.watch("/v1/live?tenant=acme&facility=hall", "a-place-of-long-ago");
    let mut next = |start: &str| loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended before `{start}`");
        if let Some(rest) = line.strip_prefix(start) {
            return rest.trim().to_owned();
        }
    };
    assert_eq!(next("event: "), "gap");
    let mut gateway = TestGateway::new(&field, "gw-1", 2);
    gateway.deliver_until(&field, 2);
    let mut told = serde_json::Value::Null;
    // Both frames in one event, or one after the other.
    while told["ts_ms"] != field::tick_ms(2) {
        assert_eq!(next("event: "), "readings");
        let data: serde_json::Value = serde_json::from_str(&next("data: ")).unwrap();
        told = data["devices"]["main"]["v1"].clone();
    }
    assert_eq!(told, serde_json::json!({"ts_ms": field::tick_ms(2), "value": "230.2", "unit": "V", "quality": "good"}));
    assert!(collector.get("/metrics").1.contains("negawatt_sse_clients 1"));
    let started = std::time::Instant::now();
    collector.stop();
    assert!(started.elapsed() < Duration::from_secs(10));
}
