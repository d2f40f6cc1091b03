//! A receiver of OpenTelemetry beside the collector: it is told what the page says, may be down, and holds nothing up.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use negawatt_tests::program::program;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use wire::Message as _;

use super::Collector;

const WRITE: &str = "/api/v2/write?org=acme&bucket=hall&precision=s";

#[derive(Debug, Default)]
struct Held {
    down: bool,
    refused: usize,
    taken: Vec<ExportMetricsServiceRequest>,
}

/// One that is strict about what it takes.
#[derive(Clone, Debug, Default)]
struct Receiver(Arc<Mutex<Held>>);

impl Receiver {
    fn start(&self, runtime: &tokio::runtime::Runtime) -> SocketAddr {
        let router = Router::new().route("/otlp/v1/metrics", post(take)).with_state(self.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        addr
    }

    fn with<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// What it was told last.
    fn told(&self) -> Vec<Metric> {
        self.with(|held| held.taken.last().map(|one| one.resource_metrics[0].scope_metrics[0].metrics.clone())).unwrap_or_default()
    }

    /// The newest value of a counter without labels.
    fn value(&self, name: &str) -> Option<i64> {
        let found = self.told().into_iter().find(|metric| metric.name == name)?;
        match found.data? {
            metric::Data::Sum(sum) => match sum.data_points.first()?.value? {
                number_data_point::Value::AsInt(value) => Some(value),
                number_data_point::Value::AsDouble(_) => None,
            },
            _ => None,
        }
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.with(|held| {
        if held.down || headers["content-type"] != "application/x-protobuf" || headers["authorization"] != "t0p" {
            held.refused += 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let read = ExportMetricsServiceRequest::decode(body.clone()).unwrap();
        assert_eq!(read.encode_to_vec(), body, "there is nothing in it that OpenTelemetry does not know");
        held.taken.push(read);
        StatusCode::OK
    })
}

fn line(value: i64) -> Vec<u8> {
    format!("energy,device=main,unit=kWh value={value} {}\n", 1_700_000_000 + 60 * value).into_bytes()
}

#[test]
fn what_the_page_says_is_told_also_after_the_receiver_was_away() {
    let (runtime, receiver) = (tokio::runtime::Runtime::new().unwrap(), Receiver::default());
    receiver.with(|held| held.down = true);
    let addr = receiver.start(&runtime);
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(
        folder.path(),
        &format!("[otlp]\nendpoint = \"http://{addr}/otlp\"\nevery = \"500ms\"\nheaders = {{ authorization = {{ env = \"T0P\" }} }}\n"),
    );
    assert_eq!(collector.post(WRITE, &line(1)).code, 204);
    collector.until("it was refused twice", |one| {
        receiver.with(|held| held.refused) > 1 && one.metric("negawatt_otlp_exports_total{outcome=\"failed\"}") > Some(1.0)
    });
    assert_eq!(collector.metric("negawatt_otlp_exports_total{outcome=\"taken\"}"), Some(0.0));
    receiver.with(|held| held.down = false);
    collector.until("it is told", |_| receiver.value("negawatt_points_accepted_total") == Some(1));
    collector.until("it is counted", |one| one.metric("negawatt_otlp_exports_total{outcome=\"taken\"}") > Some(0.0));

    // Whatever has a number on the page is told, under the same name.
    let page = collector.get("/metrics").body;
    let told: BTreeSet<String> = receiver.told().into_iter().map(|metric| metric.name).collect();
    let has_number = |name: &&str| page.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{', '_'])));
    let heads = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).map(|(name, _)| name);
    let missing: Vec<&str> = heads.filter(has_number).filter(|name| !told.contains(*name)).collect();
    assert!(missing.is_empty() && told.len() > 30, "{missing:?} of {}", told.len());
    assert_eq!(collector.metric("negawatt_otlp_unread_lines_total"), Some(0.0));
    let resource = receiver.with(|held| format!("{:?}", held.taken[0].resource_metrics[0].resource));
    assert!(resource.contains("service.name") && resource.contains("\"negawatt-collector\""), "{resource}");

    // What is counted last is told when it stops.
    assert_eq!(collector.post(WRITE, &line(2)).code, 204);
    collector.stop();
    assert_eq!(receiver.value("negawatt_points_accepted_total"), Some(2));
}

#[test]
fn a_receiver_that_never_answers_holds_nothing_up() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let otlp = format!("[otlp]\nendpoint = \"http://{}\"\nevery = \"200ms\"\n", deaf.local_addr().unwrap());
    let collector = Collector::writable(folder.path(), &otlp);
    collector.until("it was not heard", |one| one.metric("negawatt_otlp_exports_total{outcome=\"failed\"}") > Some(0.0));
    for value in 1..=20 {
        assert_eq!(collector.post(WRITE, &line(value)).code, 204);
    }
    assert_eq!(collector.metric("negawatt_points_accepted_total"), Some(20.0));
    let begun = Instant::now();
    collector.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?} to stop", begun.elapsed());
}

#[test]
fn a_table_that_is_wrong_is_told_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    let check = |otlp: &str| {
        std::fs::write(&file, format!("store = \"s\"\n[broker]\nurl = \"mqtt://b\"\n[otlp]\n{otlp}")).unwrap();
        let done = program("negawatt").args(["collector", "check", "--config"]).arg(&file).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    assert_eq!(check("endpoint = \"https://otlp.example\"\nevery = \"15s\"\n"), (Some(0), String::new()));
    let (code, said) =
        check("endpoint = \"otlp.example:4318\"\nevery = \"10s\"\ntimeout = \"1m\"\nheaders = { authorization = { env = \"N0NE\" } }\n");
    assert_eq!(code, Some(78), "{said}");
    for fault in ["3 faults", "otlp.endpoint: ", "otlp.timeout: ", "otlp.headers.authorization: environment variable N0NE is not set"] {
        assert!(said.contains(fault), "{fault}: {said}");
    }
}
