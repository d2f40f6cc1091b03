//! A strict server of the InfluxDB 2 API on a loopback socket: what is not exactly right is refused, and it can be told to
//! misbehave in every way that servers do.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "s3cret";
pub(crate) const ORG: &str = "acme";
pub(crate) const BUCKET: &str = "energy";

/// What it does at a write, instead of what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers with a status, and perhaps when to come again.
    Status(u16, Option<u64>),
    /// Closes the connection.
    Cut,
    /// Takes everything, and closes the connection.
    TakeAndCut,
    /// Answers after longer than anybody waits.
    Slow,
    /// Takes everything, and answers after longer than anybody waits.
    TakeAndSlow,
    /// Says yes, and forgets.
    Lie,
}

/// What it does about a line that it does not like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes none of the request: 400, as 2.x.
    #[default]
    Whole,
    /// Takes the good ones: 422, as 2.x says of partial writes.
    Unprocessable,
    /// Takes the good ones: 400, as 3.x.
    Partial,
}

/// The tags of a line, as text.
pub(crate) type Tags = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Held {
    /// By tags and time: fields. A later write of a field takes the place of an earlier one.
    pub(crate) points: BTreeMap<(Tags, i64), BTreeMap<String, String>>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) manner: Manner,
    /// Times it does not like.
    pub(crate) poison: Vec<i64>,
    pub(crate) bytes_max: usize,
    /// Answers, in order.
    pub(crate) answers: Vec<u16>,
    pub(crate) buckets: Vec<String>,
    pub(crate) deletes: usize,
    /// Writes that were taken, and not answered.
    pub(crate) unanswered: usize,
    /// What it says of its health.
    pub(crate) well: bool,
    /// Nobody is known to it yet, and no token.
    pub(crate) fresh: bool,
    /// What it answers to a query instead, with 200.
    pub(crate) says: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Stub {
    pub(crate) addr: SocketAddr,
    pub(crate) held: Arc<Mutex<Held>>,
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let held = Held { bytes_max: 1 << 20, buckets: vec![BUCKET.to_owned()], well: true, ..Held::default() };
        let held = Arc::new(Mutex::new(held));
        let router = Router::new()
            .route("/api/v2/write", post(write))
            .route("/api/v2/delete", post(delete))
            .route("/api/v2/query", post(query))
            .route("/api/v2/buckets", get(buckets).post(new_bucket))
            .route("/api/v2/orgs", get(orgs))
            .route("/api/v2/setup", get(is_setup).post(set_up))
            .route("/health", get(health))
            .with_state(held.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, held }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap())
    }

    /// Raw values by device and time.
    pub(crate) fn raw(&self) -> BTreeMap<(String, i64), Option<i64>> {
        let raw = |fields: &BTreeMap<String, String>| fields.get("raw").map(|text| text.strip_suffix('i').unwrap().parse().unwrap());
        self.with(|held| held.points.iter().map(|((tags, ts), fields)| ((tags["device"].clone(), *ts), raw(fields))).collect())
    }
}

type Shared = State<Arc<Mutex<Held>>>;
type Asked = Query<BTreeMap<String, String>>;

fn problem(status: u16, code: &str, message: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), json!({ "code": code, "message": message }).to_string()).into_response()
}

fn stranger(headers: &HeaderMap) -> Option<Response> {
    let known = headers.get("authorization").is_some_and(|value| value == format!("Token {TOKEN}").as_str());
    (!known).then(|| problem(401, "unauthorized", "unauthorized access"))
}

/// The connection ends without an answer. Nothing is printed.
fn cut() -> ! {
    std::panic::resume_unwind(Box::new("cut"))
}

async fn write(State(held): Shared, Query(asked): Asked, headers: HeaderMap, body: Bytes) -> Response {
    let fault = held.lock().unwrap().faults.pop_front();
    let answer = match fault {
        Some(Fault::Status(status, after)) => {
            let mut answer = problem(status, "fault", "as told");
            if let Some(after) = after {
                answer.headers_mut().insert("retry-after", after.to_string().parse().unwrap());
            }
            answer
        }
        Some(Fault::Cut) => cut(),
        Some(Fault::Slow) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            problem(500, "late", "late")
        }
        Some(Fault::Lie) => StatusCode::NO_CONTENT.into_response(),
        Some(Fault::TakeAndCut) => {
            take(&held, &asked, &headers, &body);
            held.lock().unwrap().unanswered += 1;
            cut()
        }
        Some(Fault::TakeAndSlow) => {
            take(&held, &asked, &headers, &body);
            held.lock().unwrap().unanswered += 1;
            tokio::time::sleep(Duration::from_secs(60)).await;
            problem(500, "late", "late")
        }
        None => take(&held, &asked, &headers, &body),
    };
    held.lock().unwrap().answers.push(answer.status().as_u16());
    answer
}

fn take(held: &Mutex<Held>, asked: &BTreeMap<String, String>, headers: &HeaderMap, body: &[u8]) -> Response {
    let mut held = held.lock().unwrap();
    if let Some(answer) = stranger(headers) {
        return answer;
    }
    let get = |key: &str| asked.get(key).map_or("", String::as_str);
    if get("org") != ORG || !held.buckets.iter().any(|known| known == get("bucket")) {
        return problem(404, "not found", "bucket not found");
    }
    assert_eq!((get("precision"), asked.len()), ("ms", 3), "the query of a write");
    assert_eq!(headers["content-encoding"], "gzip");
    if body.len() > held.bytes_max {
        return problem(413, "request too large", "too large");
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for line in text.lines() {
        match parsed(line) {
            Some(point) if !held.poison.contains(&point.0.1) => good.push(point),
            _ => bad.push(line.to_owned()),
        }
    }
    if bad.is_empty() || held.manner != Manner::Whole {
        for (key, fields) in good {
            held.points.entry(key).or_default().extend(fields);
        }
    }
    match (bad.first(), held.manner) {
        (None, _) => StatusCode::NO_CONTENT.into_response(),
        (Some(line), Manner::Unprocessable) => problem(422, "unprocessable entity", &format!("failure writing points: '{line}'")),
        (Some(line), Manner::Whole | Manner::Partial) => problem(400, "invalid", &format!("unable to parse '{line}': not liked")),
    }
}

type Point = ((Tags, i64), BTreeMap<String, String>);

/// A line of the names that tests use: without anything that is escaped.
fn parsed(line: &str) -> Option<Point> {
    let mut parts = line.split(' ');
    let (head, fields, time) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let tags: Tags = head.strip_prefix("reading,")?.split(',').map(pair).collect::<Option<_>>()?;
    let fields: BTreeMap<_, _> = fields.split(',').map(pair).collect::<Option<_>>()?;
    let right = |(key, value): (&String, &String)| {
        if key == "value" {
            value.parse::<f64>().is_ok()
        } else {
            value.strip_suffix('i').is_some_and(|whole| whole.parse::<i64>().is_ok())
        }
    };
    let names = ["device", "exponent", "facility", "point", "tenant", "unit"];
    (parts.next().is_none() && tags.keys().eq(names) && fields.iter().all(right)).then_some(((tags, time), fields))
}

async fn delete(State(held): Shared, Query(asked): Asked, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(answer) = stranger(&headers) {
        return answer;
    }
    assert_eq!((asked["org"].as_str(), asked["bucket"].as_str()), (ORG, BUCKET));
    let told: Value = serde_json::from_slice(&body).unwrap();
    let at = |key: &str| told[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let predicate = told["predicate"].as_str().unwrap();
    let mut conditions = predicate.split(" AND ").map(|condition| condition.split_once('=').unwrap());
    assert_eq!(conditions.next(), Some(("_measurement", "\"reading\"")));
    let wanted: Tags = conditions.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect();
    let mut held = held.lock().unwrap();
    held.deletes += 1;
    let (from, to) = (at("start"), at("stop"));
    held.points.retain(|(tags, ts), _| !(*tags == wanted && (from..=to).contains(ts)));
    StatusCode::NO_CONTENT.into_response()
}

/// How many readings there are, in one row; none where there is none.
fn count(held: &Held, flux: &str) -> Response {
    let asked = format!(
        "from(bucket: \"{BUCKET}\")\n  |> range(start: 0)\n  |> filter(fn: (r) => r._measurement == \"reading\" and r._field == \"quality\")\n  |> group()\n  |> count()"
    );
    assert_eq!(flux, asked);
    let count = held.points.values().filter(|fields| fields.contains_key("quality")).count();
    let row = format!(
        "#datatype,string,long,long\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,{count}\r\n\r\n"
    );
    if count == 0 { "\r\n".into_response() } else { row.into_response() }
}

async fn is_setup(State(held): Shared) -> Response {
    json!({ "allowed": held.lock().unwrap().fresh }).to_string().into_response()
}

/// The first user is made once, and its token is the one that is known from then on.
async fn set_up(State(held): Shared, body: Bytes) -> Response {
    let told: Value = serde_json::from_slice(&body).unwrap();
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    let mut held = held.lock().unwrap();
    if !held.fresh {
        return problem(422, "conflict", "onboarding has already been completed");
    }
    if text("password").len() < 8 {
        return problem(400, "invalid", "passwords must be at least 8 characters long");
    }
    assert_eq!((text("username").as_str(), text("org").as_str()), ("root", ORG));
    held.fresh = false;
    let name = text("bucket");
    held.buckets.push(name.clone());
    let auth = json!({ "id": "0123456789abcde0", "token": TOKEN, "status": "active", "orgID": "0123456789abcdef", "permissions": [] });
    let user = json!({ "id": "0123456789abcde1", "name": "root", "status": "active" });
    let made = json!({ "user": user, "org": { "id": "0123456789abcdef", "name": ORG }, "bucket": bucket(&name), "auth": auth });
    (StatusCode::CREATED, made.to_string()).into_response()
}

/// Answers the two questions we ask, and no other.
async fn query(State(held): Shared, Query(asked): Asked, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(answer) = stranger(&headers) {
        return answer;
    }
    assert_eq!(asked["org"], ORG);
    let told: Value = serde_json::from_slice(&body).unwrap();
    let flux = told["query"].as_str().unwrap();
    let held = held.lock().unwrap();
    if let Some(says) = &held.says {
        return says.clone().into_response();
    }
    if flux.ends_with("|> count()") {
        return count(&held, flux);
    }
    let between = |from: &str, to: &str| flux.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    assert_eq!(between("from(bucket: \"", "\""), BUCKET);
    let at = |text: String| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let (start, stop) = (at(between("range(start: ", ",")), at(between("stop: ", ")")));
    let (tenant, facility) = (between("r.tenant == \"", "\""), between("r.facility == \"", "\""));
    let mut tables: BTreeMap<&Tags, Vec<i64>> = BTreeMap::new();
    for ((tags, ts), fields) in &held.points {
        if tags["tenant"] == tenant && tags["facility"] == facility && (start..stop).contains(ts) {
            let raw = fields.get("raw").map(|raw| raw.strip_suffix('i').unwrap().parse::<i64>().unwrap());
            tables.entry(tags).or_default().extend(raw);
        }
    }
    let mut csv = String::new();
    for (table, (tags, values)) in tables.iter().filter(|(_, values)| !values.is_empty()).enumerate() {
        if table == 0 {
            csv.push_str("#datatype,string,long,string,string,string,string,long,long,long,long\r\n");
            csv.push_str("#group,false,false,true,true,true,true,false,false,false,false\r\n");
            csv.push_str("#default,_result,,,,,,,,,\r\n");
            csv.push_str(",result,table,device,exponent,point,unit,count,greatest,least,sum\r\n");
        }
        let (least, greatest) = (values.iter().min().unwrap(), values.iter().max().unwrap());
        let (count, sum) = (values.len(), values.iter().sum::<i64>());
        let [device, exponent, point, unit] = ["device", "exponent", "point", "unit"].map(|key| &tags[key]);
        csv.push_str(&format!(",,{table},{device},{exponent},{point},{unit},{count},{greatest},{least},{sum}\r\n"));
    }
    csv.push_str("\r\n");
    csv.into_response()
}

async fn health(State(held): Shared) -> Response {
    let well = held.lock().unwrap().well;
    let (status, said) = if well { (StatusCode::OK, "pass") } else { (StatusCode::SERVICE_UNAVAILABLE, "fail") };
    let body = json!({ "name": "influxdb", "message": "as told", "status": said, "checks": [], "version": "v2.7.0", "commit": "0" });
    (status, body.to_string()).into_response()
}

async fn orgs(headers: HeaderMap) -> Response {
    if let Some(answer) = stranger(&headers) {
        return answer;
    }
    json!({ "orgs": [{ "id": "0123456789abcdef", "name": ORG }] }).to_string().into_response()
}

async fn buckets(State(held): Shared, Query(asked): Asked, headers: HeaderMap) -> Response {
    if let Some(answer) = stranger(&headers) {
        return answer;
    }
    let held = held.lock().unwrap();
    let found: Vec<Value> = held.buckets.iter().filter(|name| **name == asked["name"]).map(bucket).collect();
    if found.is_empty() { problem(404, "not found", "bucket not found") } else { json!({ "buckets": found }).to_string().into_response() }
}

fn bucket(name: &String) -> Value {
    json!({ "id": "1", "orgID": "0123456789abcdef", "name": name, "retentionRules": [], "labels": [] })
}

async fn new_bucket(State(held): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(answer) = stranger(&headers) {
        return answer;
    }
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["orgID"], "0123456789abcdef");
    let name = told["name"].as_str().unwrap().to_owned();
    let mut held = held.lock().unwrap();
    held.buckets.push(name.clone());
    (StatusCode::CREATED, bucket(&name).to_string()).into_response()
}
