//! The receiver, as we speak with it. An answer decides:
//!
//! | answer | what it means here |
//! |---|---|
//! | 2xx | taken; what it refused of it is counted |
//! | 429, 502, 503, 504 | not now: nothing more before `Retry-After`, or the next time |
//! | any other, cut off, too slow | the next time; somebody has to look, and the log says so |

use std::time::Duration;

use prost::Message as _;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::config::OtlpConfig;
use crate::message::{ExportMetricsServiceRequest, ExportMetricsServiceResponse, PartialSuccess, Status};

const PROTOBUF: &str = "application/x-protobuf";
/// Receivers take 4 MiB and more: a page that is longer is not a page of ours.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Of what a receiver says, so many bytes are read ...
const SAID_BYTES_MAX: usize = 4 << 10;
/// ... and so many characters told.
const SAID_CHARS_MAX: usize = 200;

/// Why an export was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("the page of metrics was not made")]
    NoPage,
    #[error("the page of metrics comes to {bytes} bytes, and no more than {BODY_BYTES_MAX} are sent")]
    TooLong { bytes: usize },
    #[error("{url} did not take it within {} ms", after.as_millis())]
    Slow { url: String, after: Duration },
    #[error("{url} did not answer")]
    Unreachable {
        url: String,
        #[source]
        err: reqwest::Error,
    },
    #[error("{url} cannot take it now: {status} {said}")]
    Busy { url: String, status: StatusCode, said: String, after: Option<Duration> },
    #[error("{url} refused it: {status} {said}")]
    Refused { url: String, status: StatusCode, said: String },
}

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    http: reqwest::Client,
    config: OtlpConfig,
}

impl Receiver {
    /// * Errors: the machine has no certificates, and the address is https.
    pub(crate) fn new(config: OtlpConfig) -> Result<Self, reqwest::Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() && rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another thread installed the TLS provider first");
        }
        let mut http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if config.url.scheme() == "http" {
            // Plain HTTP is for a receiver on this machine or beside it: no proxy, no certificates.
            http = http.no_proxy().tls_certs_only([]);
        }
        Ok(Self { http: http.build()?, config })
    }

    pub(crate) fn url(&self) -> String {
        self.config.url.as_str().to_owned()
    }

    /// Gives what was refused of it.
    pub(crate) async fn take(&self, request: &ExportMetricsServiceRequest) -> Result<PartialSuccess, ExportError> {
        let (body, url) = (request.encode_to_vec(), self.url());
        if body.len() > BODY_BYTES_MAX {
            return Err(ExportError::TooLong { bytes: body.len() });
        }
        let request = self.http.post(self.config.url.clone()).headers(self.config.headers.clone()).header(CONTENT_TYPE, PROTOBUF);
        let unreachable = |err: reqwest::Error| ExportError::Unreachable { url: url.clone(), err: err.without_url() };
        let mut answer = request.body(body).send().await.map_err(unreachable)?;
        let status = answer.status();
        let said = said(&mut answer).await;
        if status.is_success() {
            // One that says nothing that can be understood has taken it all the same.
            let response = ExportMetricsServiceResponse::decode(said.as_slice()).unwrap_or_default();
            let partial = response.partial_success.unwrap_or_default();
            return Ok(PartialSuccess { error_message: shortened(&partial.error_message), ..partial });
        }
        let is_protobuf = header(answer.headers(), CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROTOBUF));
        let said = match Status::decode(said.as_slice()) {
            Ok(status) if is_protobuf => shortened(&status.message),
            _ => shortened(&String::from_utf8_lossy(&said)),
        };
        match status.as_u16() {
            429 | 502..=504 => Err(ExportError::Busy { url, status, said, after: retry_after(answer.headers()) }),
            _ => Err(ExportError::Refused { url, status, said }),
        }
    }
}

/// What an answer says; one that breaks off says as much as it says.
async fn said(answer: &mut reqwest::Response) -> Vec<u8> {
    let mut said = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        said.extend_from_slice(&chunk);
        if said.len() > SAID_BYTES_MAX {
            said.truncate(SAID_BYTES_MAX);
            break;
        }
    }
    said
}

/// In one line.
fn shortened(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(SAID_CHARS_MAX).collect()
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds, or a date; that is seen from the receiver's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER)?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    Duration::try_from(at(text)?.duration_since(at(header(headers, DATE)?)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_wait_is_said_in_seconds_or_by_a_date() {
        let waits = |after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
            retry_after(&headers).map(|after| after.as_secs())
        };
        let date = Some("Sun, 22 Nov 2026 04:00:00 GMT");
        assert_eq!(waits("30", None), Some(30));
        assert_eq!(waits("Sun, 22 Nov 2026 04:00:05 GMT", date), Some(5));
        assert_eq!(waits("Sun, 22 Nov 2026 03:59:00 GMT", date), None, "it is over");
        assert_eq!((waits("Sun, 22 Nov 2026 04:00:05 GMT", None), waits("soon", date), retry_after(&HeaderMap::new())), (None, None, None));
    }

    #[test]
    fn what_a_receiver_says_is_told_in_a_short_line() {
        assert_eq!(shortened(" no\r\n\tsuch\u{1b}[31m \u{0}tenant\n"), "no such [31m tenant");
        assert_eq!(shortened(&"é".repeat(1_000)).chars().count(), SAID_CHARS_MAX);
    }
}
