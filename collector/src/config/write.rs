//! Who may write over HTTP, and how their names become ours.

use std::collections::HashMap;
use std::net::SocketAddr;

use config::{ByteSizeText, Fault, Faults, Secret, SecretRef, SecretSource};
use ids::Slug;
use serde::Deserialize;
use units::Unit;

/// The endpoint for clients of InfluxDB.
#[derive(Clone, Debug)]
pub struct WriteConfig {
    /// Its own address; when there is none, it is served beside the admin pages.
    pub listen: Option<SocketAddr>,
    /// Without any, every write is refused.
    pub tokens: Vec<WriteToken>,
    /// The largest body, after decompression.
    pub body_bytes_max: usize,
    /// Bodies in memory at once; other requests wait unread.
    pub requests_max: usize,
    pub names: Names,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self { listen: None, tokens: Vec::new(), body_bytes_max: 16 << 20, requests_max: 4, names: Names::default() }
    }
}

/// A writer: what it proves itself with, and where it may write.
#[derive(Clone, Debug)]
pub struct WriteToken {
    pub token: Secret,
    /// The `org` of its requests.
    pub tenant: Slug,
    /// The `bucket` of its requests; any facility of the tenant when empty.
    pub facilities: Vec<Slug>,
    /// The gateway in whose name its readings are stored.
    pub gateway: Slug,
    /// More than this for long is answered with 429.
    pub points_per_second: Option<u32>,
}

/// What of a line names the device and the point.
#[derive(Clone, Debug)]
pub struct Names {
    /// The first of these tags that a line has names its device.
    pub device_tags: Vec<String>,
    /// The values of these tags are part of the point's name.
    pub point_tags: Vec<String>,
    /// Tags that say nothing of which reading it is. Any other tag is refused: without it two series would be one.
    pub ignored_tags: Vec<String>,
    /// By measurement and field.
    pub points: HashMap<(String, String), PointRule>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            device_tags: vec!["device".to_owned(), "host".to_owned()],
            point_tags: Vec::new(),
            ignored_tags: Vec::new(),
            points: HashMap::new(),
        }
    }
}

/// What a field of a measurement is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointRule {
    pub point: Option<String>,
    pub unit: Option<Unit>,
    /// The power of ten that values are kept with.
    pub exponent: Option<i8>,
    /// The field is no reading.
    pub ignored: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWrite {
    listen: Option<String>,
    body_bytes_max: ByteSizeText,
    requests_max: usize,
    device_tags: Vec<String>,
    point_tags: Vec<String>,
    ignored_tags: Vec<String>,
    token: Vec<RawToken>,
    point: Vec<RawPoint>,
}

impl Default for RawWrite {
    fn default() -> Self {
        let WriteConfig { requests_max, names, .. } = WriteConfig::default();
        Self {
            listen: None,
            body_bytes_max: ByteSizeText::from_bytes(16 << 20),
            requests_max,
            device_tags: names.device_tags,
            point_tags: names.point_tags,
            ignored_tags: names.ignored_tags,
            token: Vec::new(),
            point: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    token: SecretRef,
    tenant: Slug,
    #[serde(default)]
    facilities: Vec<Slug>,
    gateway: Option<Slug>,
    points_per_second: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPoint {
    measurement: String,
    field: String,
    point: Option<String>,
    unit: Option<Unit>,
    exponent: Option<i8>,
    #[serde(default)]
    ignored: bool,
}

/// A refused line is kept whole, and the log takes no more than 64 MiB at once.
const BODY_BYTES_MAX: u64 = 32 << 20;
const EXPONENTS: std::ops::RangeInclusive<i8> = -18..=18;

pub(super) fn validate(raw: RawWrite, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<WriteConfig> {
    let before = faults.is_empty();
    let listen = raw.listen.as_ref().and_then(|text| {
        let fault = |_unread| Fault::at("write.listen", format_args!("\"{text}\" is not an address")).allowed("an IP address and a port");
        faults.keep(text.parse().map_err(fault))
    });
    if !(1..=BODY_BYTES_MAX).contains(&raw.body_bytes_max.bytes()) {
        faults.add(Fault::at("write.body_bytes_max", format_args!("{} is not a useful limit", raw.body_bytes_max)).allowed("1B–32MiB"));
    }
    if raw.requests_max == 0 {
        faults.add(Fault::at("write.requests_max", "0 would let nothing in").allowed("1 or more"));
    }
    if raw.device_tags.is_empty() {
        faults.add(Fault::at("write.device_tags", "no tag would name the device").allowed("one tag or more"));
    }
    let tokens = raw.token.into_iter().enumerate().filter_map(|(at, raw)| token(at, raw, secrets, faults)).collect();
    let points = raw.point.into_iter().enumerate().filter_map(|(at, raw)| point(at, raw, faults)).collect();
    let names = Names { device_tags: raw.device_tags, point_tags: raw.point_tags, ignored_tags: raw.ignored_tags, points };
    (before == faults.is_empty()).then(|| WriteConfig {
        listen,
        tokens,
        body_bytes_max: usize::try_from(raw.body_bytes_max.bytes()).unwrap_or(usize::MAX),
        requests_max: raw.requests_max,
        names,
    })
}

fn token(at: usize, raw: RawToken, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<WriteToken> {
    if raw.points_per_second == Some(0) {
        faults.add(Fault::at(format_args!("write.token[{at}].points_per_second"), "0 would let nothing in").allowed("1 or more"));
    }
    let fault = |err| Fault::at(format_args!("write.token[{at}].token"), daemon::chain(&err));
    let secret = faults.keep(raw.token.resolve(secrets).map_err(fault))?;
    let gateway = raw.gateway.or_else(|| Slug::parse("http").ok())?;
    let RawToken { tenant, facilities, points_per_second, .. } = raw;
    Some(WriteToken { token: secret, tenant, facilities, gateway, points_per_second })
}

fn point(at: usize, raw: RawPoint, faults: &mut Faults) -> Option<((String, String), PointRule)> {
    let key = |name: &str| format!("write.point[{at}].{name}");
    if let Some(name) = raw.point.as_ref().filter(|name| !crate::ingest::is_point_name(name)) {
        let allowed = "1 to 64 lower-case letters, digits, `_`, `-` and `.`";
        faults.add(Fault::at(key("point"), format_args!("\"{name}\" is not the name of a point")).allowed(allowed));
    }
    if let Some(exponent) = raw.exponent.filter(|exponent| !EXPONENTS.contains(exponent)) {
        faults.add(Fault::at(key("exponent"), format_args!("{exponent} is not a power of ten that is kept")).allowed("-18 to 18"));
    }
    let RawPoint { measurement, field, point, unit, exponent, ignored } = raw;
    Some(((measurement, field), PointRule { point, unit, exponent, ignored }))
}
