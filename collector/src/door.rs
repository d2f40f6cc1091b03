//! The address of the admin pages, from the first moment on: what is asked before the store is open is answered, too.
//!
//! ```text
//! listens -> the log is read (503, and how much of it there is) -> all pages -> the first readings can come (/startupz 200)
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::admin::{Problem, version};
use crate::serve::ServeError;

/// Who comes too early is told to come again after so many seconds.
const RETRY_SECONDS: u64 = 1;

/// A listening address whose pages come when there is something to show.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    opened: Arc<OnceLock<Router>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Door {
    /// Listens, and says of everything that the log of the store in `store` is being read.
    pub(crate) async fn listen(addr: SocketAddr, store: &Path, closing: CancellationToken) -> Result<Self, ServeError> {
        let failed = |err| ServeError::Listen { addr, err };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (opened, early) = (Arc::new(OnceLock::new()), early(store.to_owned()));
        let router = Router::new().fallback(knock).with_state(Knocked { opened: opened.clone(), early });
        let server = axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned());
        Ok(Self { addr, opened, server: tokio::spawn(server.into_future()) })
    }

    /// From now on these pages answer. Gives the task that serves them.
    pub(crate) fn open(self, pages: Router) -> JoinHandle<std::io::Result<()>> {
        self.opened.set(pages).expect("a door that is open is gone");
        self.server
    }

    /// Stops listening: there will be no pages.
    pub(crate) async fn shut(self) {
        self.server.abort();
        // Whoever listens next finds the address free.
        drop(self.server.await);
    }
}

#[derive(Clone, Debug)]
struct Knocked {
    opened: Arc<OnceLock<Router>>,
    early: Router,
}

async fn knock(State(Knocked { opened, early }): State<Knocked>, request: Request) -> Response {
    let pages = opened.get().cloned().unwrap_or(early);
    pages.oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// A store whose log is being read.
#[derive(Clone, Debug)]
struct Early {
    store: PathBuf,
    since: Instant,
}

/// The pages while the store is not open.
fn early(store: PathBuf) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/version", get(version))
        .route("/startupz", get(reading))
        .route("/readyz", get(reading))
        .fallback(too_early)
        .with_state(Early { store, since: Instant::now() })
}

impl Early {
    fn said(&self) -> String {
        let Self { store, since } = self;
        let bytes: u64 = std::fs::read_dir(store.join("wal"))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .map(|found| found.len())
            .sum();
        let seconds = since.elapsed().as_secs();
        format!("the store in {} is being opened for {seconds} s: {bytes} bytes of its log are read", store.display())
    }
}

async fn reading(State(early): State<Early>) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, early.said() + "\n")
}

async fn too_early(State(early): State<Early>) -> Response {
    let mut answer = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", early.said()).into_response();
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    answer
}
