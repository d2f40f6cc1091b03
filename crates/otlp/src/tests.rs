//! A receiver that is strict, and not always well.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{future, io};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use config::{Faults, SecretSource};
use daemon::SystemClock;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Published;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint, number_data_point};
use prost::Message as _;
use serde::Deserialize;
use tokio::time::Instant;

use crate::message::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse, PartialSuccess, Resource, ResourceMetrics, Scope, ScopeMetrics, Status, text,
};
use crate::receiver::{ExportError, Receiver};
use crate::{Exporting, Exports, Identity, OtlpConfig, RawOtlp, start, validate};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    otlp: RawOtlp,
}

#[derive(Debug)]
struct Cupboard;

impl SecretSource for Cupboard {
    fn env(&self, name: &str) -> Option<String> {
        [("TOKEN", "Bearer t0p"), ("LINES", "one\ntwo")].into_iter().find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    }
    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn parsed(lines: &str) -> Result<OtlpConfig, Faults> {
    let text = format!("[otlp]\n{lines}");
    config::parse(Path::new("collector.toml"), &text, &[], |file: File, faults| {
        let config = validate(file.otlp, &Cupboard, faults);
        config.filter(|_| faults.is_empty())
    })
}

/// What it does with the next request.
#[derive(Clone, Debug)]
enum Mood {
    Takes,
    Says(u16, Vec<(&'static str, &'static str)>, Vec<u8>),
    Sleeps,
}

#[derive(Debug, Default)]
struct Held {
    moods: VecDeque<Mood>,
    taken: Vec<Published>,
    asked: Vec<Instant>,
    headers: HeaderMap,
}

#[derive(Clone, Debug, Default)]
struct Stub(Arc<Mutex<Held>>);

impl Stub {
    async fn start(moods: impl IntoIterator<Item = Mood>) -> (Self, String) {
        let stub = Self::default();
        stub.with(|held| held.moods.extend(moods));
        let router = Router::new().route("/v1/metrics", post(metrics)).with_state(stub.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (stub, format!("http://{addr}"))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

async fn metrics(State(stub): State<Stub>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mood = stub.with(|held| {
        held.asked.push(Instant::now());
        held.headers = headers;
        held.moods.pop_front().unwrap_or(Mood::Takes)
    });
    match mood {
        Mood::Takes => {
            stub.with(|held| held.taken.push(strictly(&body)));
            ([("content-type", "application/x-protobuf")], ExportMetricsServiceResponse::default().encode_to_vec()).into_response()
        }
        Mood::Says(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            response.headers_mut().remove("content-type");
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Mood::Sleeps => future::pending().await,
    }
}

/// Reads it with the published messages: nothing is in it that they do not know.
fn strictly(body: &[u8]) -> Published {
    let read = Published::decode(body).unwrap();
    assert_eq!(prost::Message::encode_to_vec(&read), body, "field by field");
    read
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "it never came to that: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn started(lines: &str, exports: &Arc<Exports>, page: impl Fn() -> Option<String> + Send + Sync + 'static) -> Exporting {
    let who = Identity { service: "negawatt-collector", version: "1.2.3", instance: "east", conventions: &CONVENTIONS };
    start(&parsed(lines).unwrap(), who, Arc::new(SystemClock), exports.clone(), move || future::ready(page())).unwrap()
}

fn value(told: &Published, name: &str) -> Option<i64> {
    let metrics = &told.resource_metrics[0].scope_metrics[0].metrics;
    match metrics.iter().find(|metric| metric.name == name)?.data.as_ref()? {
        Data::Sum(sum) => match sum.data_points[0].value? {
            number_data_point::Value::AsInt(value) => Some(value),
            number_data_point::Value::AsDouble(_) => None,
        },
        _ => None,
    }
}

const PAGE: &str = r#"# HELP points_total Points that came.
# TYPE points_total counter
points_total 18
# HELP letters_total Dead letters.
# TYPE letters_total counter
letters_total{reason="not \"utf-8\"\\, at all",kind="a,b=c"} 3
letters_total{reason="late"} 0
# HELP difference What is missing.
# TYPE difference gauge
difference -7
# HELP disk_free_ratio Free.
# TYPE disk_free_ratio gauge
disk_free_ratio 0.25
# HELP wal_bytes Log.
# TYPE wal_bytes gauge
wal_bytes 9223372036854775808
# HELP nobody_total Of nobody.
# TYPE nobody_total counter
# HELP commit_seconds Time.
# TYPE commit_seconds histogram
commit_seconds_bucket{disk="a",le="0.001000"} 2
commit_seconds_bucket{disk="a",le="0.500000"} 5
commit_seconds_bucket{disk="a",le="+Inf"} 6
commit_seconds_sum{disk="a"} 1.250000
commit_seconds_count{disk="a"} 6
"#;

const CONVENTIONS: [crate::Convention; 3] = [
    crate::Convention {
        family: "points_total",
        name: "messaging.client.consumed.messages",
        unit: "{message}",
        attributes: &[("messaging.system", "mqtt")],
    },
    crate::Convention {
        family: "commit_seconds",
        name: "messaging.process.duration",
        unit: "s",
        attributes: &[("messaging.system", "mqtt")],
    },
    crate::Convention { family: "nobody_total", name: "nobody", unit: "", attributes: &[] },
];

/// What has a convention is told twice, with what the convention wants to be said.
#[test]
fn what_has_a_name_by_convention_is_told_by_it_too() {
    let (mut metrics, _) = crate::metrics::of_page(PAGE, 1);
    let before = metrics.clone();
    crate::metrics::follow(&CONVENTIONS, &mut metrics);
    assert_eq!(&metrics[..before.len()], before.as_slice());
    let request = |metrics| {
        let scoped = ScopeMetrics { scope: None, metrics };
        strictly(
            &ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { resource: None, scope_metrics: vec![scoped] }] }
                .encode_to_vec(),
        )
        .resource_metrics
        .remove(0)
        .scope_metrics
        .remove(0)
        .metrics
    };
    let also = request(metrics.split_off(before.len()));
    let names: Vec<_> = also.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    assert_eq!(names, [("messaging.client.consumed.messages", "{message}"), ("messaging.process.duration", "s")]);
    let (Some(Data::Sum(consumed)), Some(Data::Histogram(process))) = (&also[0].data, &also[1].data) else { panic!("{also:?}") };
    assert_eq!(consumed.data_points[0].value, Some(number_data_point::Value::AsInt(18)));
    assert_eq!(consumed.data_points[0].attributes.len(), 1);
    let keys: Vec<_> = process.data_points[0].attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!((keys.as_slice(), process.data_points[0].count), (["disk", "messaging.system"].as_slice(), 6));
}

fn told(page: &str) -> (Vec<Metric>, u64) {
    let (metrics, unread) = crate::metrics::of_page(page, 1_700_000_000_000_000_001);
    let scope = Some(Scope { name: "s".to_owned(), version: "1".to_owned() });
    let resource = Some(Resource { attributes: vec![text("service.name", "x")] });
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics: vec![ScopeMetrics { scope, metrics }] }],
    };
    (strictly(&request.encode_to_vec()).resource_metrics.remove(0).scope_metrics.remove(0).metrics, unread)
}

#[test]
fn a_page_is_told_in_the_published_messages() {
    let (metrics, unread) = told(PAGE);
    let names: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.description.as_str(), metric.unit.as_str())).collect();
    let expected = [
        ("points_total", "Points that came.", ""),
        ("letters_total", "Dead letters.", ""),
        ("difference", "What is missing.", ""),
        ("disk_free_ratio", "Free.", "1"),
        ("wal_bytes", "Log.", "By"),
        ("commit_seconds", "Time.", "s"),
    ];
    assert_eq!((names.as_slice(), unread), (expected.as_slice(), 0), "what has no number is not told");
    let label = |point: &NumberDataPoint, at: usize| format!("{:?}", point.attributes[at]);
    let Some(Data::Sum(letters)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
    assert_eq!((letters.is_monotonic, letters.aggregation_temporality), (true, AggregationTemporality::Cumulative.into()));
    assert_eq!((letters.data_points.len(), letters.data_points[0].attributes.len()), (2, 2));
    let (reason, kind) = (label(&letters.data_points[0], 0), label(&letters.data_points[0], 1));
    assert!(reason.contains(r#""not \"utf-8\"\\, at all""#) && kind.contains("\"a,b=c\""), "{reason} {kind}");
    let numbers = |metric: &Metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points[0].clone(),
        Some(Data::Sum(sum)) => sum.data_points[0].clone(),
        other => panic!("{other:?}"),
    };
    let values: Vec<_> = [0, 2, 3, 4].map(|at| numbers(&metrics[at])).iter().map(|point| (point.time_unix_nano, point.value)).collect();
    use number_data_point::Value::{AsDouble, AsInt};
    let now = 1_700_000_000_000_000_001;
    // What is more than a whole number of OpenTelemetry can be is told as what is next to it.
    let expected = [AsInt(18), AsInt(-7), AsDouble(0.25), AsDouble(9_223_372_036_854_775_808.0)];
    assert_eq!(values, expected.map(|value| (now, Some(value))));
    let Some(Data::Histogram(commits)) = &metrics[5].data else { panic!("{:?}", metrics[5]) };
    let point = &commits.data_points[0];
    assert_eq!((point.count, point.sum, &point.bucket_counts, &point.explicit_bounds), (6, Some(1.25), &vec![2, 3, 1], &vec![0.001, 0.5]));
    assert_eq!((point.attributes.len(), commits.data_points.len(), point.time_unix_nano), (1, 1, now));
}

#[test]
fn what_cannot_be_read_is_counted_and_the_rest_is_told() {
    let page = "stray 1\n# HELP a A\n# TYPE a counter\na 1\na{b=\"c} 2\nb 3\na NaN\na_max 4\na_sum 5\n# TYPE a summary\n# HELP h H\n# TYPE h histogram\nh 1\nh_bucket{le=\"x\"} 1\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 3\nh_count 4\n";
    let (metrics, unread) = told(page);
    assert_eq!((metrics.len(), unread), (2, 10), "{metrics:?}");
}

#[tokio::test]
async fn an_answer_decides() {
    let partial = PartialSuccess { rejected_data_points: 3, error_message: "too\nold".to_owned() };
    let response = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let refusal = Status { message: "no such tenant".to_owned() }.encode_to_vec();
    let protobuf = vec![("content-type", "application/x-protobuf")];
    let moods = [
        Mood::Takes,
        Mood::Says(200, protobuf.clone(), response),
        Mood::Says(200, Vec::new(), b"{}".to_vec()),
        Mood::Says(400, protobuf, refusal),
        Mood::Says(401, Vec::new(), b"who\r\nare you".to_vec()),
        Mood::Says(307, vec![("location", "http://127.0.0.1:9/v1/metrics")], Vec::new()),
        Mood::Says(429, vec![("retry-after", "7")], Vec::new()),
        Mood::Says(503, Vec::new(), vec![b'x'; 100_000]),
        Mood::Says(500, Vec::new(), Vec::new()),
    ];
    let (stub, endpoint) = Stub::start(moods).await;
    let config = parsed(&format!("endpoint = \"{endpoint}/\"\nheaders = {{ Authorization = {{ env = \"TOKEN\" }} }}")).unwrap();
    let receiver = Receiver::new(config).unwrap();
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.push(receiver.take(&ExportMetricsServiceRequest::default()).await);
    }
    assert_eq!(stub.with(|held| held.headers["authorization"].clone()), "Bearer t0p");
    let taken: Vec<_> =
        answers.drain(..3).map(|answer| answer.unwrap()).map(|some| (some.rejected_data_points, some.error_message)).collect();
    assert_eq!(taken, [(0, String::new()), (3, "too old".to_owned()), (0, String::new())]);
    let said: Vec<String> = answers.iter().map(|answer| answer.as_ref().unwrap_err().to_string().replace(&endpoint, "R")).collect();
    let expected = [
        "R/v1/metrics refused it: 400 Bad Request no such tenant".to_owned(),
        "R/v1/metrics refused it: 401 Unauthorized who are you".to_owned(),
        "R/v1/metrics refused it: 307 Temporary Redirect ".to_owned(),
        "R/v1/metrics cannot take it now: 429 Too Many Requests ".to_owned(),
        format!("R/v1/metrics cannot take it now: 503 Service Unavailable {}", "x".repeat(200)),
        "R/v1/metrics refused it: 500 Internal Server Error ".to_owned(),
    ];
    assert_eq!(said, expected);
    assert!(matches!(&answers[3], Err(ExportError::Busy { after: Some(after), .. }) if after.as_secs() == 7));
    let long = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: vec![text("x", &"y".repeat(5 << 20))] }),
            ..ResourceMetrics::default()
        }],
    };
    assert!(matches!(receiver.take(&long).await, Err(ExportError::TooLong { bytes }) if bytes > 5 << 20));
    assert_eq!(stub.with(|held| held.asked.len()), 9, "it was not even sent");
}

#[tokio::test]
async fn a_receiver_that_is_away_is_told_later_and_never_before_it_wants_to_be() {
    let moods = [
        Mood::Says(503, Vec::new(), Vec::new()),
        Mood::Sleeps,
        Mood::Says(429, vec![("retry-after", "2")], Vec::new()),
        Mood::Takes,
        Mood::Takes,
    ];
    let (stub, endpoint) = Stub::start(moods).await;
    let (exports, made) = (Arc::new(Exports::default()), Arc::new(AtomicU64::new(0)));
    let counted = made.clone();
    let exporting = started(&format!("endpoint = \"{endpoint}\"\nevery = \"500ms\"\nservice = \"hall\""), &exports, move || {
        Some(format!("# HELP pages_total Pages.\n# TYPE pages_total counter\npages_total {}\n", counted.fetch_add(1, Ordering::SeqCst)))
    });
    until("two were taken", || stub.with(|held| held.taken.len()) >= 2).await;
    made.store(1_000, Ordering::SeqCst);
    exporting.ended().await;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    stub.with(|held| {
        assert_eq!((get(&exports.failed), get(&exports.taken)), (3, held.taken.len() as u64));
        assert!(get(&exports.left_out) >= 2, "{exports:?}");
        let waited = held.asked[3] - held.asked[2];
        assert!(waited >= Duration::from_millis(1_990), "it was asked again after {waited:?}");
        assert_eq!(value(held.taken.last().unwrap(), "pages_total"), Some(1_000), "the last numbers are told at the end");
        let resource = held.taken[0].resource_metrics[0].resource.clone().unwrap();
        let said = format!("{:?}", resource.attributes);
        for part in ["service.name", "\"hall\"", "service.version", "\"1.2.3\"", "service.instance.id", "\"east\""] {
            assert!(said.contains(part), "{part}: {said}");
        }
    });
    let mut page = String::new();
    exports.append_to(&mut page);
    let (told, unread) = told(&page);
    assert_eq!((told.len(), unread), (3, 0), "it can be told, too");
    assert!(page.contains("negawatt_otlp_exports_total{outcome=\"failed\"} 3\n"), "{page}");
}

#[tokio::test]
async fn who_cuts_us_off_or_has_no_page_holds_nothing_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (endpoint, cuts) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicU64::new(0)));
    let cut = cuts.clone();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            cut.fetch_add(1, Ordering::SeqCst);
        }
    });
    let exports = Arc::new(Exports::default());
    let exporting = started(&format!("endpoint = \"{endpoint}\"\nevery = \"100ms\""), &exports, || Some(String::new()));
    until("it was cut off twice", || cuts.load(Ordering::SeqCst) >= 2 && exports.failed.load(Ordering::Relaxed) >= 2).await;
    exporting.ended().await;
    assert_eq!(exports.taken.load(Ordering::Relaxed), 0);

    let (stub, endpoint) = Stub::start([Mood::Sleeps]).await;
    let exports = Arc::new(Exports::default());
    let exporting = started(&format!("endpoint = \"{endpoint}\"\nevery = \"1h\"\ntimeout = \"30m\""), &exports, || Some(String::new()));
    until("it sleeps", || stub.with(|held| held.asked.len()) == 1).await;
    let begun = Instant::now();
    exporting.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "what is under way does not keep us: {:?}", begun.elapsed());
    assert_eq!((stub.with(|held| held.taken.len()), exports.taken.load(Ordering::Relaxed)), (1, 1), "and the last one is told");

    let exports = Arc::new(Exports::default());
    let exporting = started(&format!("endpoint = \"{endpoint}\"\nevery = \"100ms\""), &exports, || None);
    until("no page", || exports.failed.load(Ordering::Relaxed) >= 1).await;
    exporting.ended().await;
    assert_eq!(stub.with(|held| held.taken.len()), 1, "there was nothing to tell");
}

#[test]
fn an_address_is_completed_and_what_is_secret_is_not_shown() {
    let url = |endpoint: &str| parsed(&format!("endpoint = \"{endpoint}\"")).map(|config| config.url.to_string());
    assert_eq!(url("http://localhost:4318").unwrap(), "http://localhost:4318/v1/metrics");
    assert_eq!(url("https://otlp.example/otlp/").unwrap(), "https://otlp.example/otlp/v1/metrics");
    let config = parsed("endpoint = \"http://h\"\nevery = \"5s\"\nheaders = { authorization = { env = \"TOKEN\" } }").unwrap();
    assert_eq!((config.every, config.timeout, config.headers.len()), (Duration::from_secs(5), Duration::from_secs(5), 1));
    assert!(!format!("{config:?}").contains("t0p"), "{config:?}");
}

#[test]
fn all_faults_are_told_at_once() {
    let lines = r#"
endpoint = "http://localhost:4318/v1/metrics"
every    = "2h"
timeout  = "3h"
service  = " "
headers  = { "content-type" = { env = "TOKEN" }, "a b" = { env = "TOKEN" }, x-scope = { env = "ABSENT" }, authorization = { env = "LINES" } }
"#;
    insta::assert_snapshot!(parsed(lines).unwrap_err());
    let endpoints = ["localhost:4318", "ftp://h", "http://h/?a=b", "http://"];
    let said: Vec<String> = endpoints.iter().map(|text| parsed(&format!("endpoint = \"{text}\"")).unwrap_err().to_string()).collect();
    insta::assert_snapshot!("endpoints", said.join("\n"));
    let hidden = parsed("endpoint = \"http://me:t0p@h\"").unwrap_err().to_string();
    assert!(hidden.contains("has a user or a password") && !hidden.contains("t0p"), "{hidden}");
}
