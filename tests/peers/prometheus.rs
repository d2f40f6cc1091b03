//! Prometheus: our alert rules in its own unit tests, our pages of metrics under its own lint, and every metric that a rule or the
//! dashboard asks for on one of these pages.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use negawatt_tests::program::free_address;
use serde_json::Value;

use crate::{
    peer::{http, installed, run, text},
    site::Site,
};

/// What our metrics begin with.
const OURS: &str = "negawatt_";

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/monitoring")
}

fn promtool() -> Command {
    Command::new(installed("promtool", "prometheus"))
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with(OURS)).map(str::to_owned).collect()
}

/// The metrics of a page, and their parts where they have any.
fn on(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.is_empty());
    samples.flat_map(named).collect()
}

#[test]
fn each_alert_speaks_when_it_has_to_and_only_then() {
    for verb in ["check", "test"] {
        let file = monitoring().join(if verb == "check" { "alerts.yml" } else { "alerts_test.yml" });
        let done = run(promtool().args([verb, "rules"]).arg(&file));
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    }
    // None of them is left out of the tests.
    let names = |file: &str, key: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(monitoring().join(file)).unwrap();
        text.lines().filter_map(|line| line.split_once(key)).map(|(_, name)| name.trim().to_owned()).collect()
    };
    assert_eq!(names("alerts.yml", "- alert:"), names("alerts_test.yml", "alertname:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_metrics_are_well_kept_and_have_what_is_asked_of_them() {
    let site = Site::new().await;
    let address = free_address();
    let _broker = site.mosquitto(address, "");
    let collector = site.collector(address).await;
    let page = free_address();
    let gateway = site.gateway(&format!("url = \"mqtt://{address}\"\n[http]\nlisten = \"{page}\"\n"));
    site.poll(3, &gateway).await;
    gateway.confirmed().await;
    let pages = [collector.address(), page].map(|address| http(address, "GET", "/metrics", ""));
    let mut offered = BTreeSet::new();
    for (code, page) in pages {
        assert_eq!(code, 200);
        let mut lint =
            promtool().args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        lint.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let done = lint.wait_with_output().unwrap();
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
        offered.extend(on(&page));
    }
    let rules = fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let dashboard = fs::read_to_string(monitoring().join("dashboard.json")).unwrap();
    let panels: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(panels["panels"].as_array().unwrap().len() > 8);
    // The API's page is asked in the API's own tests.
    let asked = named(&rules).into_iter().chain(named(&dashboard)).filter(|name| !name.starts_with("negawatt_api_"));
    let missing: Vec<String> = asked.filter(|name| !offered.contains(name)).collect();
    assert!(missing.is_empty(), "nobody offers {missing:?}");
    gateway.end().await;
    collector.end().await;
}
