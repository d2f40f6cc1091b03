use std::path::Path;

use config::FromMachine;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(default)]
    sink: Vec<RawSink>,
}

fn parsed(text: &str) -> Result<Vec<SinkConfig>, Faults> {
    config::parse(Path::new("collector.toml"), text, &[], |raw: Whole, faults| validate(raw.sink, &FromMachine, faults))
}

#[test]
fn what_is_left_out_has_a_default() {
    let text = r#"
[[sink]]
name     = "vm"
kind     = "influx2"
url      = "http://127.0.0.1:8428"
read_api = "victoria-metrics"
"#;
    let sinks = parsed(text).unwrap();
    insta::assert_debug_snapshot!(sinks);
    assert_eq!((sinks[0].target.kind(), sinks[0].target.destination().as_str()), ("influx2", "http://127.0.0.1:8428 org  bucket "));
    assert!(parsed("").unwrap().is_empty());
}

#[test]
fn all_faults_of_all_sinks_are_told_at_once() {
    let text = r#"
[[sink]]
name       = "A b"
kind       = "influx2"
url        = "localhost:8086"
bucket     = ""
schema     = "x"
batch_rows = 0
timeout    = "0s"
read_api   = "sql"

[[sink]]
name           = "twice"
kind           = "kafka"
facilities     = ["hall"]
reconcile_days = 4000
reconcile_at   = "25h"
interval       = "1ms"

[[sink]]
name  = "twice"
kind  = "influx2"
url   = "http://127.0.0.1:1"
org   = "o"
bucket = "b"
token = { file = "/nowhere/at/all" }
"#;
    insta::assert_snapshot!(parsed(text).unwrap_err());
}
