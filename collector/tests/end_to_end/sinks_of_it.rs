//! A collector with sinks: what comes in goes on, whatever becomes of the copies, and the copies become whole.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use config::Secret;
use sinks::{InfluxConfig, ReadApi, SinkConfig, TargetConfig};
use store::Reader;
use tokio::runtime::Runtime;

use crate::field::{Field, Running};
use crate::stub::{BUCKET, Fault, ORG, Stub, TOKEN};

const PATH: &str = "/api/v2/write?org=acme&bucket=hall&precision=s";
const PATIENCE: Duration = Duration::from_secs(30);

fn sink(name: &str, url: String) -> SinkConfig {
    let target = TargetConfig::Influx(InfluxConfig {
        url,
        org: ORG.to_owned(),
        bucket: BUCKET.to_owned(),
        token: Some(Secret::new(TOKEN)),
        timeout: Duration::from_secs(1),
        read_api: ReadApi::Flux,
        create_bucket: false,
    });
    SinkConfig {
        name: name.to_owned(),
        tenant: None,
        facilities: Vec::new(),
        batch_rows: 100,
        interval: Duration::from_millis(20),
        reconcile_days: 0,
        reconcile_at: Duration::ZERO,
        target,
    }
}

fn write(collector: &Running, from: i64) {
    let lines: String =
        (from..from + 300).map(|at| format!("energy,device=main,unit=kWh value={at}.5 {}\n", 1_700_000_000 + at * 60)).collect();
    let begin = Instant::now();
    assert_eq!(collector.post_with(PATH, &[("Authorization", "Token any")], lines.as_bytes()).0, 204);
    assert!(begin.elapsed() < Duration::from_secs(5), "a writer waited for a sink");
}

fn status(collector: &Running, name: &str) -> serde_json::Value {
    let (code, body) = collector.get("/v1/sinks");
    assert_eq!(code, 200, "{body}");
    let all: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
    all.into_iter().find(|sink| sink["name"] == name).unwrap()
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn truth(store: &std::path::Path) -> BTreeMap<(String, i64), Option<i64>> {
    let reader = Reader::open(store).unwrap();
    let mut truth = BTreeMap::new();
    for info in reader.all_series() {
        let samples = reader.scan(info.id, i64::MIN..i64::MAX).unwrap();
        truth.extend(samples.into_iter().map(|sample| ((info.key.device.to_string(), sample.ts_ms), sample.raw)));
    }
    truth
}

#[test]
fn a_sink_that_is_down_lags_and_another_does_not_and_both_become_whole() {
    let runtime = Runtime::new().unwrap();
    let (good, bad) = (runtime.block_on(Stub::start()), runtime.block_on(Stub::start()));
    let sinks = || vec![sink("good", format!("http://{}", good.addr)), sink("bad", format!("http://{}", bad.addr))];
    bad.with(|held| held.faults.extend([Fault::Cut, Fault::Status(503, Some(2)), Fault::TakeAndCut]));
    let field = Field::new();
    let mut collector = field.collector_with(sinks());
    write(&collector, 0);
    until("the good one has everything", || status(&collector, "good")["written"] == 300);
    until("the bad one says why it waits", || status(&collector, "bad")["problem"].is_string());
    let metrics = collector.get("/metrics").1;
    assert!(metrics.contains("negawatt_sink_written_total{sink=\"good\",kind=\"influx2\"} 300\n"), "{metrics}");
    for (sink, points) in [("good", 0), ("bad", 300)] {
        assert!(metrics.contains(&format!("negawatt_sink_lag_points{{sink=\"{sink}\",kind=\"influx2\"}} {points}\n")), "{metrics}");
    }
    for line in ["negawatt_sink_lag_lsn", "negawatt_sink_lag_seconds", "negawatt_sink_retried_total", "negawatt_sink_rejected_total"] {
        assert!(metrics.contains(&format!("{line}{{sink=\"bad\",kind=\"influx2\"}}")), "{metrics}");
    }
    assert!(status(&collector, "bad")["lag_lsn"].as_u64().unwrap() > 0);
    // The collector dies while one of them is behind, and more comes.
    collector.kill();
    collector = field.collector_with(sinks());
    write(&collector, 300);
    for name in ["good", "bad"] {
        until("it has everything", || {
            let status = status(&collector, name);
            status["lag_lsn"] == 0 && status["problem"].is_null()
        });
    }
    collector.stop();
    let expected = truth(field.store());
    assert_eq!(expected.len(), 600);
    assert_eq!((good.raw(), bad.raw()), (expected.clone(), expected));
}

#[test]
fn the_command_line_says_how_far_it_is_and_starts_it_again() {
    let runtime = Runtime::new().unwrap();
    let stub = runtime.block_on(Stub::start());
    let field = Field::new();
    let collector = field.collector_with(vec![sink("copy", format!("http://{}", stub.addr))]);
    write(&collector, 0);
    until("it has everything", || stub.raw().len() == 300);
    until("it says so", || status(&collector, "copy")["written"] == 300);
    let folder = tempfile::tempdir().unwrap();
    let (file, token) = (folder.path().join("collector.toml"), folder.path().join("token"));
    std::fs::write(&token, TOKEN).unwrap();
    let text = format!(
        "store = {:?}\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n[[sink]]\nname = \"copy\"\nkind = \"influx2\"\nurl = \"http://{}\"\norg = \"{ORG}\"\nbucket = \"{BUCKET}\"\ntoken = {{ file = {token:?} }}\n",
        field.store(),
        stub.addr,
    );
    std::fs::write(&file, text).unwrap();
    let run = |words: &[&str]| {
        use clap::Parser as _;
        let all = ["sink", "--config", file.to_str().unwrap()].into_iter().chain(words.iter().copied());
        negawatt_collector::cli::run_sink(&Line::parse_from(all).sink)
    };
    assert!(matches!(run(&["status"]), daemon::ExitCode::Ok));
    assert!(matches!(run(&["status", "--output", "json"]), daemon::ExitCode::Ok));
    assert!(matches!(run(&["rewind", "other", "--lsn", "0"]), daemon::ExitCode::Usage));
    let onboarded = run(&["onboard", "copy", "--check"]);
    if cfg!(feature = "influx2") {
        assert!(matches!(onboarded, daemon::ExitCode::Ok));
    } else {
        assert!(matches!(onboarded, daemon::ExitCode::Configuration), "it has to be built with it");
    }
    stub.with(|held| held.points.clear());
    assert!(matches!(run(&["rewind", "copy", "--lsn", "0"]), daemon::ExitCode::Ok));
    until("it is all there again", || stub.raw().len() == 300);
    until("it says so", || status(&collector, "copy")["written"] == 600);
    collector.stop();
    assert_eq!(stub.raw(), truth(field.store()));
}

/// The command line as the one binary has it.
#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    sink: negawatt_collector::cli::Sink,
}
