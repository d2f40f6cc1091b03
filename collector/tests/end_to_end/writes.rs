//! Clients of InfluxDB 2 on the wire: every answer they may get.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use store::Reader;

use crate::field::{Field, Running};

const PATH: &str = "/api/v2/write?org=acme&bucket=hall&precision=s";
const ANY: (&str, &str) = ("Authorization", "Token any");

fn lines(from: i64, count: i64) -> String {
    (from..from + count).map(|at| format!("energy,device=main,unit=kWh value={at}.5 {}\n", 1_700_000_000 + at * 60)).collect()
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn refused(collector: &Running, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, serde_json::Value) {
    let (code, _, body) = collector.post_with(path, headers, body);
    (code, serde_json::from_str(&body).unwrap())
}

#[test]
fn what_was_answered_with_204_is_there_after_a_kill() {
    let field = Field::new();
    let mut collector = field.collector();
    assert_eq!(collector.post_with(PATH, &[ANY], lines(0, 300).as_bytes()).0, 204);
    assert_eq!(collector.post_with(PATH, &[ANY, ("Content-Encoding", "gzip")], &gzip(&lines(300, 300))).0, 204);
    collector.kill();
    collector = field.collector();
    // A client that did not hear the answer sends again.
    assert_eq!(collector.post_with(PATH, &[("authorization", "Bearer hall-only")], lines(0, 600).as_bytes()).0, 204);
    let status = collector.status();
    assert_eq!((&status["points"]["accepted"], &status["points"]["duplicate"]), (&600.into(), &600.into()));
    collector.says(&[
        "negawatt_conservation_difference 0",
        "negawatt_write_requests_total{status=\"204\"} 1",
        "negawatt_points_late_total 0",
    ]);
    collector.stop();
    let reader = Reader::open(field.store()).unwrap();
    let series = reader.all_series();
    let samples = reader.scan(series[0].id, i64::MIN..i64::MAX).unwrap();
    let expected: Vec<_> = (0..600_i64).map(|at| (1_700_000_000_000 + at * 60_000, Some(at * 1_000_000 + 500_000))).collect();
    assert_eq!((series.len(), samples.iter().map(|sample| (sample.ts_ms, sample.raw)).collect::<Vec<_>>()), (1, expected));
}

#[test]
fn a_line_that_is_refused_is_told_by_its_number_and_the_others_are_stored() {
    let field = Field::new();
    let collector = field.collector();
    let body = format!("{}kw,device=a,unit=kW value=abc 1700000000\n{}", lines(0, 2), lines(2, 1));
    let (code, answer) = refused(&collector, PATH, &[ANY], body.as_bytes());
    assert_eq!((code, &answer["code"], &answer["line"]), (400, &"invalid".into(), &3.into()));
    insta::assert_snapshot!(answer["message"].as_str().unwrap(), @"partial write: 3 of 4 lines are stored, 1 are kept as dead letters; line 3 has a value that is no number (value)");
    let body = format!("kw,device=a value=1 1700000000\n{}", lines(2, 2));
    let (code, answer) = refused(&collector, PATH, &[ANY], body.as_bytes());
    assert_eq!((code, &answer["code"], &answer["line"]), (422, &"unprocessable entity".into(), &1.into()));
    let points = &collector.status()["points"];
    assert_eq!((&points["accepted"], &points["duplicate"], &points["dead_letter"]), (&4.into(), &1.into(), &2.into()));
    collector.stop();
}

#[test]
fn each_refusal_has_the_code_that_clients_know() {
    let field = Field::new();
    let collector = field.collector();
    let body = lines(0, 1);
    let told = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let (code, answer) = refused(&collector, path, headers, body);
        assert!(!answer["message"].as_str().unwrap().is_empty());
        (code, answer["code"].as_str().unwrap().to_owned())
    };
    let is = |code: u16, name: &str| (code, name.to_owned());
    for headers in [&[][..], &[("Authorization", "Token other")], &[("Authorization", "any")], &[("Authorization", "Basic any")]] {
        assert_eq!(told(PATH, headers, body.as_bytes()), is(401, "unauthorized"), "{headers:?}");
    }
    let hall_only = ("Authorization", "Token hall-only");
    for path in ["/api/v2/write?org=other&bucket=hall", "/api/v2/write?org=acme&bucket=attic", "/api/v2/write?org=acme&bucket=No"] {
        assert_eq!(told(path, &[hall_only], body.as_bytes()), is(404, "not found"), "{path}");
    }
    assert_eq!(told("/api/v2/write?org=acme", &[ANY], body.as_bytes()), is(400, "invalid"));
    assert_eq!(told(&PATH.replace("=s", "=h"), &[ANY], body.as_bytes()), is(400, "invalid"));
    assert_eq!(told(PATH, &[ANY, ("Content-Encoding", "br")], body.as_bytes()), is(400, "invalid"));
    assert_eq!(told(PATH, &[ANY, ("Content-Encoding", "gzip")], body.as_bytes()), is(400, "invalid"));
    assert_eq!(told(PATH, &[ANY], lines(0, 4_000).as_bytes()), is(413, "invalid"));
    // Small on the wire, large in memory.
    let bomb = gzip(&"#".repeat(5_000_000));
    assert!(bomb.len() < 100_000);
    assert_eq!(told(PATH, &[ANY, ("Content-Encoding", "gzip")], &bomb), is(413, "invalid"));
    let slow = ("Authorization", "Token slow");
    assert_eq!(collector.post_with(PATH, &[slow], lines(0, 50).as_bytes()).0, 204, "a burst is taken");
    let (code, head, _) = collector.post_with(PATH, &[slow], body.as_bytes());
    assert!(code == 429 && head.contains("retry-after: "), "{head}");
    assert_eq!(told(PATH, &[slow], body.as_bytes()), is(429, "too many requests"));
    assert_eq!(collector.get("/ping").0, 204);
    assert!(collector.get("/health").1.contains("\"status\":\"pass\""));
    assert_eq!(collector.status()["points"]["received"], 50, "nothing of what was refused as a whole");
    collector.stop();
}

#[test]
fn a_dead_letter_can_be_looked_at_and_read_again() {
    let field = Field::new();
    let collector = field.collector();
    let body = format!("kw,device=a value=1 1700000000\n{}kw,device=a,unit=kW value=2\n", lines(0, 1));
    assert_eq!(collector.post_with(PATH, &[ANY], body.as_bytes()).0, 400);
    let list = |query: &str| {
        let (code, body) = collector.get(&format!("/v1/dead-letters{query}"));
        assert_eq!(code, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["dead_letters"].as_array().unwrap().clone()
    };
    assert_eq!((list("").len(), list("?limit=1").len(), list("?reason=no_time").len()), (2, 1, 1));
    let id = list("?reason=unit")[0]["id"].as_str().unwrap().to_owned();
    let (code, shown) = collector.get(&format!("/v1/dead-letters/{id}"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["text"], &shown["reason"]), (200, &"kw,device=a value=1 1700000000\n".into(), &"unit".into()));
    assert_eq!(collector.get("/v1/dead-letters/0000").0, 404);
    let (code, replayed) = collector.post(&format!("/v1/dead-letters/{id}/replay"), "");
    let replayed: serde_json::Value = serde_json::from_str(&replayed).unwrap();
    assert_eq!((code, &replayed["accepted"], &replayed["refused"]["unit"]), (200, &0.into(), &1.into()), "nothing has changed");
    assert_eq!(collector.post("/v1/dead-letters/replay", "").0, 200);
    collector.stop();
    // The configuration learns the unit.
    let text = "
        store = \"STORE\"
        [broker]
        url = \"mqtt://127.0.0.1:1\"
        [[write.point]]
        measurement = \"kw\"
        field = \"value\"
        unit = \"kW\"
        ";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    std::fs::write(&file, text.replace("STORE", field.store().to_str().unwrap())).unwrap();
    let deadletters = |words: &[&str]| {
        use clap::Parser as _;
        let all = ["deadletters", "--config", file.to_str().unwrap()].into_iter().chain(words.iter().copied());
        negawatt_collector::cli::run_dead_letters(&Line::parse_from(all).letters)
    };
    assert!(matches!(deadletters(&["list"]), daemon::ExitCode::Ok));
    assert!(matches!(deadletters(&["show", &id]), daemon::ExitCode::Ok));
    assert!(matches!(deadletters(&["show", "0000"]), daemon::ExitCode::Usage));
    assert!(matches!(deadletters(&["replay", &id, "--output", "json"]), daemon::ExitCode::Ok));
    assert!(matches!(deadletters(&["replay", "--reason", "no_time"]), daemon::ExitCode::DataRefused));
    let reader = Reader::open(field.store()).unwrap();
    let stored: Vec<_> = reader.all_series().iter().map(|info| (info.key.point.clone(), info.key.unit)).collect();
    assert_eq!(stored, [("energy".to_owned(), units::Unit::KilowattHour), ("kw".to_owned(), units::Unit::Kilowatt)]);
    assert_eq!(reader.totals().counters.accepted, 2);
}

/// The command line as the one binary has it.
#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    letters: negawatt_collector::cli::DeadLetters,
}
