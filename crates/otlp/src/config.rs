//! `[otlp]`: who is told, and how often.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{DurationText, Fault, Faults, SecretRef, SecretSource};
use reqwest::Url;
use reqwest::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use serde::Deserialize;

/// Where our metrics are pushed to.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// The whole address, `http://HOST:4318/v1/metrics`.
    pub(crate) url: Url,
    pub(crate) every: Duration,
    /// An export that takes longer has failed; never longer than `every`.
    pub(crate) timeout: Duration,
    /// Sent along; each is marked as a secret.
    pub(crate) headers: HeaderMap,
    /// `service.name`, when it is not the program's own.
    pub(crate) service: Option<String>,
}

/// An `[otlp]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOtlp {
    endpoint: String,
    every: Option<DurationText>,
    timeout: Option<DurationText>,
    #[serde(default)]
    headers: BTreeMap<String, SecretRef>,
    service: Option<String>,
}

const EVERY: Duration = Duration::from_secs(60);
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(3_600);
const TIMEOUT: Duration = Duration::from_secs(10);
const SERVICE_LENGTH_MAX: usize = 255;
const HEADERS_MAX: usize = 16;
const METRICS: &str = "/v1/metrics";
/// What the body and the connection are is not for a configuration to say.
const OURS: [HeaderName; 6] = [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING];

/// The real one, secrets fetched.
pub fn validate(raw: RawOtlp, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<OtlpConfig> {
    let url = faults.keep(address(&raw.endpoint));
    let every = raw.every.map_or(EVERY, DurationText::duration);
    if !(EVERY_MIN..=EVERY_MAX).contains(&every) {
        faults.add(Fault::at("otlp.every", "is not a useful interval").allowed("100ms–1h"));
    }
    let timeout = raw.timeout.map_or_else(|| TIMEOUT.min(every), DurationText::duration);
    if timeout.is_zero() || timeout > every {
        let fault =
            Fault::at("otlp.timeout", "an export has to be over before the next one").allowed("more than 0, and no more than `every`");
        faults.add(fault.help("leave it out: 10s, or `every` when that is shorter"));
    }
    if raw.service.as_ref().is_some_and(|name| name.trim().is_empty() || name.len() > SERVICE_LENGTH_MAX) {
        faults.add(Fault::at("otlp.service", "is not a name").allowed("1 to 255 bytes"));
    }
    let headers = headers(&raw.headers, secrets, faults);
    Some(OtlpConfig { url: url?, every, timeout, headers, service: raw.service })
}

fn address(text: &str) -> Result<Url, Fault> {
    let fault = |said: &str| {
        Fault::at("otlp.endpoint", format_args!("\"{text}\" {said}")).allowed("http://HOST:4318 or https://HOST, a path may follow")
    };
    // Not repeated: a password may be in it.
    let hidden = Fault::at("otlp.endpoint", "has a user or a password in it").help("headers = { authorization = { env = \"NAME\" } }");
    let mut url = Url::parse(text).map_err(|_unread| fault("is not an address"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(hidden);
    }
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(fault("is not an address"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault("has more than a path"));
    }
    let base = url.path().trim_end_matches('/').to_owned();
    if base.ends_with(METRICS) {
        return Err(fault("names the path of metrics").help("leave /v1/metrics out: it is added"));
    }
    url.set_path(&format!("{base}{METRICS}"));
    Ok(url)
}

fn headers(raw: &BTreeMap<String, SecretRef>, secrets: &dyn SecretSource, faults: &mut Faults) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if raw.len() > HEADERS_MAX {
        faults.add(Fault::at("otlp.headers", format_args!("{} are too many", raw.len())).allowed(format_args!("{HEADERS_MAX} at most")));
    }
    for (name, reference) in raw {
        let key = format!("otlp.headers.{name}");
        let header = HeaderName::try_from(name).ok().filter(|header| !OURS.contains(header));
        let header =
            faults.keep(header.ok_or_else(|| Fault::at(&key, "is not a header that can be set").allowed("authorization and the like")));
        let value = reference.resolve(secrets).map_err(|err| Fault::at(&key, daemon::chain(&err)));
        let value = value.and_then(|secret| {
            HeaderValue::try_from(secret.expose()).map_err(|_unfit| {
                Fault::at(&key, format_args!("what is in {} cannot be a header", reference.place())).allowed("one line of text")
            })
        });
        if let (Some(header), Some(mut value)) = (header, faults.keep(value)) {
            value.set_sensitive(true);
            headers.insert(header, value);
        }
    }
    headers
}
