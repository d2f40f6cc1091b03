//! Writing to everything that speaks the write API of InfluxDB 2.
//!
//! Bodies are gzipped lines with `precision=ms`. An answer decides:
//!
//! | answer | what it means here |
//! |---|---|
//! | 2xx | taken |
//! | 400, 413, 422 | one of the lines is bad, or there are too many: halved until the bad one stands alone |
//! | 408, 429, 5xx, cut off, too slow | later, after `Retry-After` or a growing wait: the cursor does not move |
//! | 401, 403, 404, any other | somebody has to change a configuration: later, and said loudly |

use std::io::Write as _;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};

use crate::deliver::{Take, WriteError};
use crate::digest::{DAY_MS, Digest, Digests};
use crate::places::InfluxConfig;
use crate::reading::{Reading, Series};

/// Of what a server says of its refusal, so many bytes are read.
const SAID_BYTES_MAX: usize = 4 << 10;

/// A server that takes lines.
#[derive(Clone, Debug)]
pub struct Influx {
    pub(crate) config: InfluxConfig,
    http: reqwest::Client,
}

impl Influx {
    /// * Errors: the machine has no certificates, and the address is https.
    pub fn new(config: InfluxConfig) -> Result<Self, reqwest::Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() && rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another thread installed the TLS provider first");
        }
        let mut http = reqwest::Client::builder().timeout(config.timeout).redirect(reqwest::redirect::Policy::none());
        if config.url.starts_with("http://") {
            http = http.no_proxy().tls_certs_only([]);
        }
        Ok(Self { http: http.build()?, config })
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> String {
        let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{}{path}?{query}", self.config.url.trim_end_matches('/'))
    }

    fn unreachable(&self, err: reqwest::Error) -> WriteError {
        // The address is in the message already, and what it carries is nobody's business.
        WriteError::Unreachable { destination: self.config.url.clone(), err: Box::new(err.without_url()) }
    }

    async fn post(&self, url: String, content_type: &'static str, encoding: Option<&'static str>, body: Vec<u8>) -> Result<(), WriteError> {
        let mut request = self.http.post(url).header(CONTENT_TYPE, content_type).body(body);
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if let Some(token) = &self.config.token {
            request = request.header(AUTHORIZATION, format!("Token {}", token.expose()));
        }
        let answer = request.send().await.map_err(|err| self.unreachable(err))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(self.judge(answer).await)
    }

    async fn judge(&self, mut answer: reqwest::Response) -> WriteError {
        let (status, destination) = (answer.status(), self.config.url.clone());
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let after = header(RETRY_AFTER).and_then(|text| retry_after(text, header(reqwest::header::DATE)));
        let mut said = Vec::new();
        // An answer that breaks off says as much as it says.
        while let Ok(Some(chunk)) = answer.chunk().await {
            said.extend_from_slice(&chunk);
            if said.len() > SAID_BYTES_MAX {
                said.truncate(SAID_BYTES_MAX);
                break;
            }
        }
        let said = message(&String::from_utf8_lossy(&said));
        let code = status.as_u16().to_string();
        match status {
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                WriteError::Refused { destination, status: code, said }
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => WriteError::Busy { destination, status: code, said, after },
            status if status.is_server_error() => WriteError::Busy { destination, status: code, said, after },
            _ => WriteError::Denied { destination, status: code, said },
        }
    }

    /// Removes what the server has of a series on a day, so that what it should have can be sent.
    pub(crate) async fn delete_day(&self, series: &Series, day_ms: i64) -> Result<(), WriteError> {
        let key = &series.key;
        let tags = [
            ("device", key.device.as_str()),
            ("exponent", &key.exponent.to_string()),
            ("facility", key.facility.as_str()),
            ("point", &key.point),
            ("tenant", key.tenant.as_str()),
            ("unit", key.unit.symbol()),
        ];
        let mut predicate = format!("_measurement=\"{}\"", wire::line_protocol::MEASUREMENT);
        for (tag, value) in tags {
            predicate.push_str(&format!(" AND {tag}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")));
        }
        // The last nanosecond belongs to the day.
        let body = serde_json::json!({ "start": rfc3339(day_ms), "stop": rfc3339(day_ms + DAY_MS - 1), "predicate": predicate });
        let url = self.url("/api/v2/delete", &[("org", &self.config.org), ("bucket", &self.config.bucket)]);
        self.post(url, "application/json", None, body.to_string().into_bytes()).await
    }

    /// What VictoriaMetrics has of a facility on a day.
    pub(crate) async fn exported_day(&self, tenant: &str, facility: &str, day_ms: i64) -> Result<Digests, WriteError> {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let matching = format!("{{__name__=\"reading_raw\",tenant=\"{}\",facility=\"{}\"}}", quoted(tenant), quoted(facility));
        let (start, end) = (seconds(day_ms), seconds(day_ms + DAY_MS - 1));
        let url = self.url("/api/v1/export", &[("match[]", &matching), ("start", &start), ("end", &end)]);
        let mut answer = self.http.get(url).send().await.map_err(|err| self.unreachable(err))?;
        if !answer.status().is_success() {
            return Err(self.judge(answer).await);
        }
        let (mut digests, mut line) = (Digests::new(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|err| self.unreachable(err))? {
            for byte in chunk {
                if byte == b'\n' {
                    self.exported_line(&line, &mut digests)?;
                    line.clear();
                } else {
                    line.push(byte);
                }
            }
        }
        self.exported_line(&line, &mut digests)?;
        Ok(digests)
    }

    fn exported_line(&self, line: &[u8], digests: &mut Digests) -> Result<(), WriteError> {
        if line.is_empty() {
            return Ok(());
        }
        let understood = exported(line).ok_or_else(|| self.not_understood("a line of its export"))?;
        if let (name, Some(digest)) = understood {
            digests.insert(name, digest);
        }
        Ok(())
    }

    pub(crate) fn not_understood(&self, what: &str) -> WriteError {
        let (status, said) = ("200".to_owned(), format!("{what} could not be understood"));
        WriteError::Busy { destination: self.config.url.clone(), status, said, after: None }
    }
}

impl Take for Influx {
    async fn take(&self, readings: &[Reading]) -> Result<(), WriteError> {
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        for line in readings.iter().filter_map(|reading| reading.line().ok()) {
            body.write_all(line.as_bytes()).and_then(|()| body.write_all(b"\n")).expect("memory takes every byte");
        }
        let body = body.finish().expect("memory takes every byte");
        let InfluxConfig { org, bucket, .. } = &self.config;
        let url = self.url("/api/v2/write", &[("org", org), ("bucket", bucket), ("precision", "ms")]);
        self.post(url, "text/plain; charset=utf-8", Some("gzip"), body).await
    }
}

pub(crate) fn rfc3339(ts_ms: i64) -> String {
    Timestamp::from_millisecond(ts_ms).unwrap_or_default().to_string()
}

fn seconds(ts_ms: i64) -> String {
    format!("{}.{:03}", ts_ms.div_euclid(1_000), ts_ms.rem_euclid(1_000))
}

/// Seconds, or a date; that is seen from the server's own clock.
fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    Duration::try_from(at(text)?.duration_since(at(date?)?)).ok()
}

/// What an answer says: the `message` of its JSON, or its text.
fn message(text: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let member = |key: &str| Some(json.as_ref()?.get(key)?.as_str()?.to_owned());
    member("message").or_else(|| member("error")).unwrap_or_else(|| text.trim().to_owned())
}

/// A line of an export: the series, and its values. One that came twice counts once.
fn exported(line: &[u8]) -> Option<(crate::reading::SeriesName, Option<Digest>)> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let label = |key: &str| Some(line.get("metric")?.get(key)?.as_str()?.to_owned());
    let name = (label("device")?, label("point")?, label("unit")?, label("exponent")?.parse().ok()?);
    let (values, times) = (line.get("values")?.as_array()?, line.get("timestamps")?.as_array()?);
    let mut digest = None;
    let mut before = None;
    for (value, at) in values.iter().zip(times) {
        if before.replace(at) != Some(at) {
            Digest::add(&mut digest, whole(value)?);
        }
    }
    Some((name, digest))
}

/// A number without a fraction, as floats are written.
fn whole(value: &serde_json::Value) -> Option<i64> {
    /// Beyond this a float no longer has every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)?;
        format!("{float:.0}").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_both_ways() {
        assert_eq!(retry_after("17", None), Some(Duration::from_secs(17)));
        let (date, later) = ("Sat, 21 Nov 2026 10:00:00 GMT", "Sat, 21 Nov 2026 10:01:30 GMT");
        assert_eq!(retry_after(later, Some(date)), Some(Duration::from_secs(90)));
        assert_eq!((retry_after(date, Some(later)), retry_after(later, None), retry_after("soon", Some(date))), (None, None, None));
    }

    #[test]
    fn an_export_is_read_exactly_or_not_at_all() {
        let line = |values: &str, times: &str| {
            let labels = r#""__name__":"reading_raw","device":"d","point":"p","unit":"V","exponent":"-1""#;
            format!("{{\"metric\":{{{labels}}},\"values\":[{values}],\"timestamps\":[{times}]}}")
        };
        let (name, digest) = exported(line("1,2e3,-7,-7", "1,2,3,3").as_bytes()).unwrap();
        assert_eq!(name, ("d".to_owned(), "p".to_owned(), "V".to_owned(), -1));
        assert_eq!(digest, Some(Digest { count: 3, min: -7, max: 2_000, sum: 1_994 }));
        assert_eq!(exported(line("1.5", "1").as_bytes()), None);
        assert_eq!(exported(line("null", "1").as_bytes()), None);
    }

    #[test]
    fn what_was_said_is_found() {
        assert_eq!(message(r#"{"code":"invalid","message":"unable to parse 'x'"}"#), "unable to parse 'x'");
        assert_eq!((message("plain\n").as_str(), message(r#"{"error":"partial write"}"#).as_str()), ("plain", "partial write"));
    }
}
