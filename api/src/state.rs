//! What every request and every job shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use daemon::Clock;
use ids::{Id, IdSource};
use jiff::Timestamp;
use otlp::Exports;
use sha2::{Digest, Sha256};
use stripe::webhook::WebhookSecret;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DeviceProfile, StatusPage};
use crate::db::Db;
use crate::service::ServiceError;
use crate::stores::Stores;

/// The running API. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: IdSource,
    stripe: Option<stripe::Client>,
    pub(crate) webhook_secrets: Vec<WebhookSecret>,
    pub(crate) stores: Stores,
    pub(crate) evidence: PathBuf,
    pub(crate) profiles: Vec<DeviceProfile>,
    pub(crate) collector: Option<String>,
    pub(crate) status_page: StatusPage,
    pub(crate) http: reqwest::Client,
    /// Held by whoever moves money: one at a time, so that a request and the worker never race on one payment.
    pub(crate) till: Mutex<()>,
    /// Held by whoever issues an invoice, so that its number does not change while its evidence is made.
    pub(crate) desk: Mutex<()>,
    /// Wakes the worker.
    pub(crate) kick: Notify,
    /// Counts committed changes, for the live page.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) metrics: Metrics,
    /// What became of telling OpenTelemetry.
    pub(crate) exports: Arc<Exports>,
    /// Cancelled when the process stops: live pages end then.
    pub(crate) stop: CancellationToken,
    requests: AtomicU64,
    #[cfg(test)]
    pub(crate) crash_at: std::sync::Mutex<Option<&'static str>>,
}

/// What is counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) requests: AtomicU64,
    pub(crate) problems: AtomicU64,
    pub(crate) webhooks: AtomicU64,
    pub(crate) webhook_duplicates: AtomicU64,
    pub(crate) webhooks_refused: AtomicU64,
    pub(crate) jobs_done: AtomicU64,
    pub(crate) jobs_failed: AtomicU64,
    pub(crate) transfers: AtomicU64,
}

impl Metrics {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Api {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    /// Puts the parts together; nothing is bound or sent yet.
    ///
    /// * Errors: the HTTP client cannot be made, because the machine has no certificate store.
    pub(crate) fn new(
        config: &Config,
        db: Db,
        clock: Arc<dyn Clock>,
        ids: IdSource,
        stop: CancellationToken,
    ) -> Result<Self, stripe::StripeError> {
        let stripe = match &config.stripe {
            Some(stripe) => {
                let secret = stripe::SecretKey::new(stripe.secret_key.expose());
                Some(stripe::Client::with_options(&stripe.base_url, secret, patience())?)
            }
            None => None,
        };
        let mut http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(3));
        if config.collector.as_deref().is_none_or(|url| url.starts_with("http://")) {
            // Plain text is for a collector on this machine: no certificates to look for, no proxy in between.
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|source| stripe::StripeError::Setup { source })?;
        Ok(Self(Arc::new(Inner {
            db,
            clock,
            ids,
            stripe,
            webhook_secrets: config
                .stripe
                .iter()
                .flat_map(|stripe| &stripe.webhook_secrets)
                .map(|secret| WebhookSecret::new(secret.expose()))
                .collect(),
            stores: Stores::new(config),
            evidence: config.evidence.clone(),
            profiles: config.profiles.clone(),
            collector: config.collector.clone(),
            status_page: config.status_page,
            http,
            till: Mutex::new(()),
            desk: Mutex::new(()),
            kick: Notify::new(),
            changes: watch::Sender::new(0),
            metrics: Metrics::default(),
            exports: Arc::default(),
            stop,
            requests: AtomicU64::new(0),
            #[cfg(test)]
            crash_at: std::sync::Mutex::new(None),
        })))
    }

    /// The payment processor.
    pub(crate) fn stripe(&self) -> Result<&stripe::Client, ServiceError> {
        self.stripe.as_ref().ok_or(ServiceError::NoProvider)
    }

    /// The time, in whole milliseconds: what is written down is what was read.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// The time in UTC milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// A new identifier for something a request makes.
    pub(crate) fn new_id<X: Id>(&self) -> X {
        self.ids.next(unsigned(self.now_ms()))
    }

    /// A name for a request, for logs and problem bodies. Not from the identifier source: what strangers ask must not
    /// change which identifiers a seeded run gives.
    pub(crate) fn request_name(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("req_{:x}_{number:x}", self.now_ms())
    }

    /// Tells the worker and the live page that something was committed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.kick.notify_one();
    }

    /// Where a test may pretend that the process died: the work stops here, nothing after it runs.
    #[cfg(test)]
    pub(crate) fn crash_point(&self, name: &'static str) -> Result<(), ServiceError> {
        let mut crash_at = self.crash_at.lock().unwrap();
        if *crash_at == Some(name) {
            *crash_at = None;
            return Err(ServiceError::Crashed { at: name });
        }
        Ok(())
    }

    #[cfg(not(test))]
    pub(crate) fn crash_point(&self, _: &'static str) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// The identifier of something that follows from something else: the same cause has the same effect, also after a
/// crash and also in another order.
///
/// * Units: `created_ms` is when the cause was made, so that identifiers still sort by age.
pub(crate) fn derived_id<X: Id>(created_ms: i64, cause: &str) -> X {
    let digest = Sha256::digest(format!("{}\0{cause}", X::PREFIX));
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    X::from_parts(unsigned(created_ms), random)
}

/// Times before 1970 do not occur; they would sort first.
fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

#[cfg(not(test))]
fn patience() -> stripe::ClientOptions {
    stripe::ClientOptions::default()
}

/// Tests bring their own faults and do not wait for the client's pauses.
#[cfg(test)]
fn patience() -> stripe::ClientOptions {
    use std::time::Duration;
    let retry = stripe::RetryPolicy { tries_max: 2, base: Duration::from_millis(1), cap: Duration::from_millis(2) };
    stripe::ClientOptions { retry, ..stripe::ClientOptions::default() }
}
