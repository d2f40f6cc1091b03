//! A whole API in a temporary folder, with a clock that tests set.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use config::Secret;
use daemon::Clock;
use ids::{IdSource, Slug};
use jiff::Timestamp;
use serde_json::{Value, json};
use stripe_sim::{Sim, SimConfig, WebhookTarget};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::{Config, DeviceProfile, StatusPage, Stripe, Tenant};
use crate::db::keys::{self, Role};
use crate::state::Api;
use crate::{http, serve, worker};

pub(super) const KEY: &str = "nwk_demo_0123456789abcdef";
pub(super) const OTHER_KEY: &str = "nwk_other_0123456789abcdef";
pub(super) const AUDITOR_KEY: &str = "nwk_audit_0123456789abcdef";
const WEBHOOK_SECRET: &str = "whsec_test";

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub(super) struct TestClock(AtomicI64);

impl TestClock {
    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now() < at {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }
}

/// An API with its surroundings.
pub(super) struct Room {
    pub(super) api: Api,
    app: Router,
    pub(super) sim: Sim,
    pub(super) clock: Arc<TestClock>,
    pub(super) config: Config,
    _folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    #[track_caller]
    pub(super) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Room {
    pub(super) async fn new() -> Self {
        Self::seeded(7).await
    }

    pub(super) async fn seeded(seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let start: Timestamp = "2026-02-03T10:00:00Z".parse().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(start.as_millisecond())));
        let told = Arc::clone(&clock);
        let mut sim = SimConfig::new(seed, stripe_sim::Clock::new(move || told.now().as_second()));
        sim.webhook_tries_max = 2;
        let sim = Sim::start(sim).await.unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        let tenant =
            |slug: &str, key: &str| Tenant { slug: Slug::parse(slug).unwrap(), name: slug.to_owned(), admin_key: Secret::new(key) };
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database: path("api.sqlite"),
            store: path("store"),
            partitions: Vec::new(),
            evidence: path("evidence"),
            collector: None,
            status_page: StatusPage::Public,
            otlp: None,
            stripe: Some(Stripe {
                base_url: sim.base_url(),
                secret_key: Secret::new("sk_test_negawatt"),
                webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
            }),
            tenants: vec![tenant("demo", KEY), tenant("other", OTHER_KEY)],
            profiles: vec![DeviceProfile { id: "test-meter".to_owned(), hash: "ab".repeat(32), text: "id = \"test-meter\"\n".to_owned() }],
        };
        let ids = IdSource::seeded(seed);
        let api = serve::prepare(&config, Arc::clone(&clock) as Arc<dyn Clock>, ids, CancellationToken::new()).await.unwrap();
        let demo = keys::tenant_by_slug(api.db.read(), &config.tenants[0].slug).await.unwrap().unwrap();
        let mut tx = api.db.write().await.unwrap();
        keys::insert_key(&mut tx, api.new_id(), demo, AUDITOR_KEY, Role::Auditor, api.now_ms()).await.unwrap();
        tx.commit().await.unwrap();
        Self { app: http::router(api.clone()), api, sim, clock, config, _folder: folder }
    }

    /// The same folder after a restart of the process: nothing in memory survives.
    pub(super) async fn restart(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.api.stop.cancel();
        self.api.db.close().await;
        self.api = serve::prepare(&self.config, clock, IdSource::seeded(99), CancellationToken::new()).await.unwrap();
        self.app = http::router(self.api.clone());
    }

    pub(super) fn store(&self) -> &Path {
        &self.config.store
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// The answer to a GET before its body has come.
    pub(super) async fn stream(&self, path: &str) -> Response {
        self.app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    pub(super) async fn get_as(&self, key: &str, path: &str) -> Answer {
        self.send(Request::get(path).header("authorization", format!("Bearer {key}")).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.get_as(KEY, path).await
    }

    pub(super) async fn post_as(&self, key: &str, path: &str, idempotency: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        if let Some(idempotency) = idempotency {
            request = request.header("idempotency-key", idempotency);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Posts, and reads the made resource.
    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        self.make_as(KEY, path, body).await
    }

    /// As [`post`](Self::post), for the owner of `key`.
    pub(super) async fn make_as(&self, key: &str, path: &str, body: Value) -> Value {
        let idempotency = evidence::sha256_hex(format!("{path} {body}").as_bytes());
        let answer = self.post_as(key, path, Some(&idempotency), &body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer.json()
    }

    pub(super) async fn facility(&self, key: &str, slug: &str) -> String {
        let body = json!({ "slug": slug, "name": "North Hall", "zone": "America/Chicago" });
        let made = self.post_as(key, "/v1/facilities", None, &body).await.expect(StatusCode::CREATED);
        id(&made.json())
    }

    /// Serves the router on a socket and tells the processor to send its webhooks there.
    pub(super) async fn listen_for_webhooks(&self) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/webhooks/stripe", listener.local_addr().unwrap());
        let (app, stop) = (self.app.clone(), self.api.stop.clone());
        tokio::spawn(async move {
            axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await.unwrap();
        });
        self.sim.add_webhook(WebhookTarget { url, secrets: vec![WEBHOOK_SECRET.to_owned()] });
    }

    /// Lets the worker do everything that is due now.
    pub(super) async fn work(&self) {
        worker::work(&self.api, &self.api.stop).await.unwrap();
    }
}

/// The identifier of a resource.
#[track_caller]
pub(super) fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_else(|| panic!("no id in {resource}")).to_owned()
}
