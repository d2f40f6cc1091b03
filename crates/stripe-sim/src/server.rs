//! The socket, and the handle that a test holds.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Refusal};
use crate::books::Books;
use crate::config::{SimConfig, WebhookFaults, WebhookTarget};
use crate::courier::{self, Delivery};
use crate::cut::{Cut, CutListener};
use crate::fault::Fault;
use crate::form;
use crate::idempotency::Admission;
use crate::spec::{Operation, Spec};
use crate::validate;
use crate::world::{API_VERSION, Request, World};

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not listen on {addr}")]
    Listen {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not set up the webhook client")]
    Courier {
        #[source]
        source: reqwest::Error,
    },
}

#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) posted: Notify,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running simulator. Dropping it stops it; [`Sim::stop`] also waits.
#[derive(Debug)]
pub struct Sim {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Sim {
    /// Listens and serves until stopped.
    pub async fn start(config: SimConfig) -> Result<Self, StartError> {
        let requested = config.addr;
        let listen = |source| StartError::Listen { addr: requested, source };
        let listener = TcpListener::bind(requested).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        if rustls::crypto::CryptoProvider::get_default().is_none() && rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another thread installed the TLS provider first");
        }
        // Endpoints are on this machine: no certificates to look for, no proxy in between.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(courier::PATIENCE).build();
        let http = http.map_err(|source| StartError::Courier { source })?;
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(config)),
            posted: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let service = Router::new().fallback(handle).with_state(Arc::clone(&shared)).into_make_service_with_connect_info::<Cut>();
        let stop = shared.stop.clone();
        let serve = axum::serve(CutListener(listener), service).with_graceful_shutdown(stop.cancelled_owned());
        shared.tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        shared.tasks.spawn(courier::deliver_all(Arc::clone(&shared), http));
        Ok(Self { addr, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client is given as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        self.shared.world().books.clone()
    }

    /// The next request of `operation`, such as `POST /v1/transfers`, suffers `fault`. Faults queue up.
    pub fn inject(&self, operation: &str, fault: Fault) {
        self.shared.world().faults.push(operation, fault);
    }

    /// How often an operation was executed: replays and refusals of validation do not count.
    pub fn executed(&self, operation: &str) -> u64 {
        self.shared.world().executed.get(operation).copied().unwrap_or(0)
    }

    /// Delivers events from now on to this endpoint too.
    pub fn add_webhook(&self, target: WebhookTarget) {
        self.shared.world().config.webhooks.push(target);
    }

    /// Changes how reliable delivery is from now on.
    pub fn set_webhook_faults(&self, faults: WebhookFaults) {
        self.shared.world().config.webhook_faults = faults;
    }

    /// Every try to deliver an event, in order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.world().deliveries.clone()
    }

    /// Waits until every event was delivered or given up.
    pub async fn delivered(&self) {
        while self.shared.world().outstanding > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// A payee completes onboarding. False when there is no such account.
    pub fn onboard(&self, account: &str) -> bool {
        self.then_post(|world| world.onboard(account).is_some())
    }

    /// The bank decides about a debit, as its test method says. False when it is not processing.
    pub fn settle_bank_debit(&self, payment_intent: &str) -> bool {
        self.then_post(|world| world.settle_bank_debit(payment_intent))
    }

    /// The bank decides about every debit that is processing; how many there were.
    pub fn settle_bank_debits(&self) -> usize {
        self.then_post(|world| {
            let processing = world.processing();
            processing.iter().filter(|intent| world.settle_bank_debit(intent)).count()
        })
    }

    /// The bank pays a payout, or returns it with a failure code such as `account_closed`. False when it cannot.
    pub fn settle_payout(&self, payout: &str, failure_code: Option<&str>) -> bool {
        self.then_post(|world| world.settle_payout(payout, failure_code))
    }

    /// Replies and events that did not match the published shapes: empty unless the simulator is wrong.
    pub fn drift(&self) -> Vec<String> {
        self.shared.world().drift.clone()
    }

    /// Stops serving and delivering, and waits until both have ended.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn then_post<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let result = act(&mut self.shared.world());
        self.shared.posted.notify_one();
        result
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// A request that may be executed.
struct Admitted<'r> {
    operation: &'static Operation,
    request: Request<'r>,
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request_id = shared.world().requests.id("req");
    let name = Spec::get().operation(method.as_str(), uri.path()).map(|(operation, _)| operation.name());
    let fault = name.as_deref().and_then(|name| shared.world().faults.take(name));
    match fault {
        Some(Fault::ResetBefore) => {
            cut.now();
            return respond(&server_error(), &request_id, None, false);
        }
        Some(Fault::ErrorBefore) => return respond(&server_error(), &request_id, None, false),
        Some(Fault::RateLimit) => return respond(&limited("rate_limit"), &request_id, None, false),
        Some(Fault::LockTimeout) => return respond(&limited("lock_timeout"), &request_id, None, false),
        _ => {}
    }
    let key = header(&headers, "idempotency-key").map(str::to_owned);
    let admitted = match admit(&shared, &method, &uri, &headers, &body, &request_id) {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(replay)) => return respond(&replay, &request_id, key.as_deref(), true),
        Err(refusal) => return respond(&refusal.0, &request_id, key.as_deref(), false),
    };
    if let Some(Fault::Slow(pause)) = fault {
        tokio::time::sleep(pause).await;
    }
    let answer = execute(&shared, &admitted, fault);
    shared.posted.notify_one();
    match fault {
        Some(Fault::ErrorAfter | Fault::StoredErrorAfter) => return respond(&server_error(), &request_id, None, false),
        Some(Fault::TimeoutAfter) => shared.stop.cancelled().await,
        Some(Fault::ResetAfter) => cut.now(),
        _ => {}
    }
    respond(&answer, &request_id, key.as_deref(), false)
}

/// Authorises, finds, reads, validates and claims the key. The inner error is a replay.
fn admit<'r>(
    shared: &Shared,
    method: &Method,
    uri: &'r Uri,
    headers: &HeaderMap,
    body: &Bytes,
    request_id: &str,
) -> Result<Result<Admitted<'r>, Answer>, Refusal> {
    let spec = Spec::get();
    let mut world = shared.world();
    let authorised = header(headers, "authorization").and_then(|text| text.strip_prefix("Bearer "));
    if authorised != Some(world.config.secret_key.as_str()) {
        let message = if authorised.is_some() { "Invalid API Key provided" } else { "You did not provide an API key." };
        return Err(Refusal::new(401, "invalid_request_error", None, message));
    }
    if let Some(version) = header(headers, "stripe-version").filter(|version| *version != API_VERSION) {
        return Err(Refusal::invalid(None, &format!("Invalid Stripe API version: {version}")));
    }
    let Some((operation, ids)) = spec.operation(method.as_str(), uri.path()) else {
        let message = format!("Unrecognized request URL ({method}: {}).", uri.path());
        return Err(Refusal::new(404, "invalid_request_error", None, &message));
    };
    let text = if *method == Method::GET { uri.query().unwrap_or_default() } else { std::str::from_utf8(body).unwrap_or("[") };
    let tree = form::decode(text).map_err(|name| Refusal::invalid(None, "Invalid request").param(&name))?;
    let params = validate::request(spec, operation.params(), &tree)
        .map_err(|violation| Refusal::invalid(violation.code, &violation.message).param(&violation.param))?;
    let account = header(headers, "stripe-account").map(str::to_owned);
    // Keys mean something on POST only.
    let key = header(headers, "idempotency-key").filter(|_| *method == Method::POST).map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 255) {
        return Err(Refusal::invalid(None, "The idempotency key must have between 1 and 255 characters."));
    }
    if let Some(key) = &key {
        let mut hash = Sha256::new();
        for part in [method.as_str(), uri.path(), account.as_deref().unwrap_or_default(), &params.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let now_s = world.now_s();
        match world.keys.admit(key, hash.finalize().into(), now_s) {
            Admission::Execute => {}
            Admission::Replay(answer) => return Ok(Err(answer)),
            Admission::Refuse(refusal) => return Err(refusal),
        }
    }
    let request_id = request_id.to_owned();
    let name = operation.name();
    Ok(Ok(Admitted { operation, request: Request { operation: name, ids, params, account, request_id, key } }))
}

fn execute(shared: &Shared, admitted: &Admitted<'_>, fault: Option<Fault>) -> Answer {
    let spec = Spec::get();
    let mut world = shared.world();
    let answer = world.execute(&admitted.request);
    let schema = if answer.status == 200 { Some(admitted.operation.reply()) } else { spec.schema("Error") };
    if let Some(schema) = schema
        && let Err(reason) = validate::reply(spec, schema, &answer.body)
    {
        world.drift.push(format!("{}: {reason}", admitted.request.operation));
    }
    if let Some(key) = &admitted.request.key {
        let kept = if fault == Some(Fault::StoredErrorAfter) { server_error() } else { answer.clone() };
        world.keys.settle(key, &kept);
    }
    answer
}

fn server_error() -> Answer {
    let refusal = Refusal::new(500, "api_error", None, "An unknown error occurred.").executed();
    *refusal.0
}

fn limited(code: &str) -> Answer {
    *Refusal::new(429, "invalid_request_error", Some(code), "Too many requests.").0
}

fn respond(answer: &Answer, request_id: &str, key: Option<&str>, replayed: bool) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::from(format!("{:#}", answer.body)));
    *response.status_mut() = status;
    let mut set = |name: &'static str, text: &str| {
        if let Ok(value) = text.parse() {
            response.headers_mut().insert(name, value);
        }
    };
    set("content-type", "application/json");
    set("request-id", request_id);
    set("stripe-version", API_VERSION);
    if let Some(key) = key {
        set("idempotency-key", key);
    }
    if replayed {
        set("idempotent-replayed", "true");
    }
    if answer.status == 409 || answer.status == 429 {
        set("stripe-should-retry", "true");
    }
    response
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
