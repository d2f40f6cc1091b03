//! The transport: one request, its key, its repetitions.

use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::error::{Outcome, StripeError};
use crate::form::{Form, component};
use crate::idempotency::IdempotencyKey;
use crate::object::{AccountId, List};
use crate::reply;
use crate::retry::RetryPolicy;
use crate::secret::SecretKey;

/// The version every request is pinned to. Webhook endpoints are created with the same.
pub const API_VERSION: &str = "2026-10-28.endive";

/// Where Stripe itself listens.
pub const LIVE_URL: &str = "https://api.stripe.com";

/// How many objects one page of a list asks for: Stripe's maximum.
const PAGE: i64 = 100;

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// How long one try may take from connecting to the last byte.
    pub timeout: Duration,
    pub retry: RetryPolicy,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), retry: RetryPolicy::default() }
    }
}

/// Speaks to Stripe, or to whatever answers like it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    secret: SecretKey,
    options: ClientOptions,
}

struct Call<'a> {
    method: Method,
    path: &'a str,
    form: String,
    key: Option<&'a IdempotencyKey>,
    account: Option<&'a AccountId>,
}

struct Failure {
    error: StripeError,
    /// `Stripe-Should-Retry`, which overrides our own judgement.
    should_retry: Option<bool>,
    retry_after: Option<Duration>,
}

impl Client {
    /// A client with the usual patience.
    ///
    /// * Errors: [`StripeError::Setup`] when the machine has no certificate store and `base_url` is https.
    pub fn new(base_url: &str, secret: SecretKey) -> Result<Self, StripeError> {
        Self::with_options(base_url, secret, ClientOptions::default())
    }

    /// A client for `base_url`, such as [`LIVE_URL`] or a simulator's `http://127.0.0.1:PORT`.
    pub fn with_options(base_url: &str, secret: SecretKey, options: ClientOptions) -> Result<Self, StripeError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() && rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another thread installed the TLS provider first");
        }
        let mut http = reqwest::Client::builder().timeout(options.timeout).redirect(reqwest::redirect::Policy::none());
        if base_url.starts_with("http://") {
            // Plain text is for a simulator on this machine: no certificates to look for, no proxy in between.
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|source| StripeError::Setup { source })?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), secret, options })
    }

    /// Sends a POST, at most once in effect.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        form: &Form,
        key: &IdempotencyKey,
        account: Option<&AccountId>,
    ) -> Result<T, StripeError> {
        self.send(&Call { method: Method::POST, path, form: form.encode(), key: Some(key), account }).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &Form, account: Option<&AccountId>) -> Result<T, StripeError> {
        self.send(&Call { method: Method::GET, path, form: query.encode(), key: None, account }).await
    }

    /// Follows a list to its end, newest first.
    pub(crate) async fn get_all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Form,
        id: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, StripeError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let page = query.clone().integer("limit", PAGE).optional("starting_after", all.last().map(&id));
            let page: List<T> = self.get(path, &page, None).await?;
            let more = page.has_more && !page.data.is_empty();
            all.extend(page.data);
            if !more {
                return Ok(all);
            }
        }
    }

    async fn send<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, StripeError> {
        let mut tries = 0;
        let mut maybe_executed = false;
        loop {
            tries += 1;
            let failure = match self.once(call).await {
                Ok(body) => {
                    return serde_json::from_slice(&body).map_err(|source| StripeError::Unreadable { operation: call.name(), source });
                }
                Err(failure) => failure,
            };
            maybe_executed |= failure.error.outcome() == Outcome::Unknown;
            if tries >= self.options.retry.tries_max || !failure.should_retry.unwrap_or(failure.error.is_retryable()) {
                return Err(call.conclude(failure.error, maybe_executed));
            }
            tracing::debug!(stripe.path = call.path, tries, error = %failure.error, "asking stripe again");
            tokio::time::sleep(self.options.retry.delay(tries, failure.retry_after)).await;
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
        let mut url = format!("{}{}", self.base_url, call.path);
        if call.method == Method::GET && !call.form.is_empty() {
            url.push('?');
            url.push_str(&call.form);
        }
        let mut request =
            self.http.request(call.method.clone(), url).bearer_auth(self.secret.expose()).header("stripe-version", API_VERSION);
        if let Some(key) = call.key {
            request = request
                .header("idempotency-key", key.as_str())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(call.form.clone());
        }
        if let Some(account) = call.account {
            request = request.header("stripe-account", account.as_str());
        }
        let reply = request.send().await.map_err(|source| call.unanswered(source))?;
        let status = reply.status().as_u16();
        let headers = reply.headers().clone();
        let body = reply.bytes().await.map_err(|source| call.unanswered(source))?;
        if (200..300).contains(&status) {
            return Ok(body.to_vec());
        }
        Err(Failure {
            error: reply::error(status, &headers, &body),
            should_retry: reply::header(&headers, "stripe-should-retry").map(|text| text == "true"),
            retry_after: reply::header(&headers, "retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs),
        })
    }
}

impl Call<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn unanswered(&self, source: reqwest::Error) -> Failure {
        let operation = self.name();
        let source = source.without_url();
        let error = if source.is_connect() {
            StripeError::Unreachable { operation, source }
        } else {
            StripeError::UnknownOutcome { operation, source: Box::new(source) }
        };
        Failure { error, should_retry: None, retry_after: None }
    }

    /// The last error as it must be judged in the light of the earlier tries: an early try that may have been executed is
    /// not undone by a later one that could not connect.
    fn conclude(&self, last: StripeError, maybe_executed: bool) -> StripeError {
        if maybe_executed && last.outcome() == Outcome::NotExecuted {
            return StripeError::UnknownOutcome { operation: self.name(), source: Box::new(last) };
        }
        last
    }
}

/// `/v1/{collection}/{id}{rest}` with the id encoded, so that no id can name another path.
pub(crate) fn path(collection: &str, id: &str, rest: &str) -> String {
    format!("/v1/{collection}/{}{rest}", component(id))
}
