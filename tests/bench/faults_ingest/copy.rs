//! Another database that copies go to, and that does what others do: it is away, slow, refuses a reading, hangs up after
//! it has taken everything, or says yes and forgets.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use flate2::read::GzDecoder;
use ids::IdSource;
use tokio::runtime::Runtime;

use super::Result;
use super::field::{Key, Ledger, below};
use super::rig::own_address;

/// How long a collector waits for it; it makes others wait longer.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);
/// One of so many readings is none to its taste.
const POISON_ONE_IN: u64 = 400;
/// Four of so many writes go wrong.
const ONE_IN: u64 = 60;
/// For so long it has everything to catch up.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// What it does at one write, instead of taking it.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Away,
    Slow,
    TakeAndCut,
    Forget,
}

#[derive(Debug)]
struct Held {
    random: IdSource,
    ledger: Ledger,
    poison: BTreeSet<Key>,
    taken: Ledger,
    /// Lines that are not what was offered.
    strange: u64,
    /// Writes that were confirmed and forgotten.
    forgotten: u64,
    honest: bool,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) address: SocketAddr,
    held: Arc<Mutex<Held>>,
    /// It serves as long as this lives.
    _runtime: Runtime,
}

/// What became of the copy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copied {
    pub(crate) readings: u64,
    pub(crate) refused: u64,
    pub(crate) forgotten: u64,
    pub(crate) whole: bool,
}

impl Copy {
    pub(crate) fn start(seed: u64, ledger: &Ledger) -> Result<Self> {
        let random = IdSource::seeded(seed);
        let poison = ledger.keys().filter(|_| below(&random, POISON_ONE_IN) == 0).cloned().collect();
        let held = Held { random, ledger: ledger.clone(), poison, taken: Ledger::new(), strange: 0, forgotten: 0, honest: false };
        let held = Arc::new(Mutex::new(held));
        let router = Router::new().route("/api/v2/write", post(write)).with_state(held.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind((own_address(), 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, held, _runtime: runtime })
    }

    /// From now on it takes everything, and keeps it. True when somebody has to send again what it forgot.
    pub(crate) fn mend(&self) -> bool {
        let mut held = locked(&self.held);
        held.honest = true;
        held.forgotten > 0
    }

    /// Waits until it has everything but what it refuses; `meanwhile` keeps going what sends.
    pub(crate) fn caught_up(&self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<Copied> {
        let began = Instant::now();
        loop {
            let held = locked(&self.held);
            let refused = u64::try_from(held.poison.len()).unwrap_or(u64::MAX);
            let readings = u64::try_from(held.taken.len()).unwrap_or(u64::MAX);
            let there = held.taken.len() + held.poison.len() == held.ledger.len() && held.strange == 0;
            let copied = Copied { readings, refused, forgotten: held.forgotten, whole: there };
            drop(held);
            if there || began.elapsed() > PATIENCE {
                return Ok(copied);
            }
            meanwhile()?;
            std::thread::sleep(POLL);
        }
    }
}

fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(State(held): State<Arc<Mutex<Held>>>, body: Bytes) -> Response {
    let manner = {
        let held = locked(&held);
        let manners = [Manner::Away, Manner::Slow, Manner::TakeAndCut, Manner::Forget];
        let drawn = usize::try_from(below(&held.random, ONE_IN)).unwrap_or(0);
        manners.get(drawn).copied().filter(|_| !held.honest)
    };
    match manner {
        Some(Manner::Away) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Manner::Slow) => {
            tokio::time::sleep(TIMEOUT * 2).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Some(Manner::TakeAndCut) => {
            take(&mut locked(&held), &body);
            // The connection ends without an answer. Nothing is printed.
            std::panic::resume_unwind(Box::new("cut"))
        }
        Some(Manner::Forget) => {
            locked(&held).forgotten += 1;
            StatusCode::NO_CONTENT.into_response()
        }
        None => take(&mut locked(&held), &body),
    }
}

/// All of it or, when one reading is none to its taste, nothing.
fn take(held: &mut Held, body: &[u8]) -> Response {
    let mut text = String::new();
    let parsed: Option<Vec<(Key, i64)>> = match GzDecoder::new(body).read_to_string(&mut text) {
        Ok(_) => text.lines().map(parsed).collect(),
        Err(_) => None,
    };
    let Some(readings) = parsed else {
        held.strange += 1;
        return StatusCode::BAD_REQUEST.into_response();
    };
    if readings.iter().any(|(key, _)| held.poison.contains(key)) {
        return (StatusCode::BAD_REQUEST, r#"{"code":"invalid","message":"not to my taste"}"#).into_response();
    }
    for (key, raw) in readings {
        held.strange += u64::from(held.ledger.get(&key) != Some(&raw));
        held.taken.insert(key, raw);
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Of a line: device, point, time, and the whole number that was measured.
fn parsed(line: &str) -> Option<(Key, i64)> {
    let mut parts = line.split(' ');
    let (head, fields, ts_ms) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    let of = |text: &str, key: &str| text.split(',').find_map(|pair| Some(pair.strip_prefix(key)?.strip_prefix('=')?.to_owned()));
    let raw = of(fields, "raw")?.strip_suffix('i')?.parse().ok()?;
    Some(((of(head, "device")?, of(head, "point")?, ts_ms), raw))
}
