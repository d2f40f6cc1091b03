//! The collector, put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Clock, ExitCode};
use store::{FlushError, ManifestError, OpenError, Options, Store, WalError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::Admin;
use crate::config::Config;
use crate::ingest::{Ingest, IngestError};
use crate::live::Live;
use crate::mqtt::{Speaker, Subscriber};

const LOG_FILE_BYTES: u64 = 16 << 20;
/// An answer that is being written when we stop gets this long.
const ADMIN_GRACE: Duration = Duration::from_secs(2);

/// Why the collector did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("could not open the store in {}", dir.display())]
    Store {
        dir: PathBuf,
        #[source]
        err: OpenError,
    },
    #[error("could not listen on {addr}: is another program using the port?")]
    Listen {
        addr: SocketAddr,
        #[source]
        err: std::io::Error,
    },
    #[error("the admin pages on {addr} have failed")]
    Admin {
        addr: SocketAddr,
        #[source]
        err: std::io::Error,
    },
    #[error("the collector stops: what it has acknowledged is durable, and nothing else was acknowledged")]
    Ingest(#[source] IngestError),
    #[error("readings stay in the log, from where the next start takes them")]
    Flush(#[source] FlushError),
    #[error("a task of the collector has panicked")]
    Panicked,
}

impl ServeError {
    /// What the process says when it ends with this.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Store { err, .. } => exit_code_of(err),
            Self::Listen { .. } | Self::Admin { .. } => ExitCode::DependencyDown,
            Self::Ingest(_) | Self::Flush(_) => ExitCode::TryAgain,
            Self::Panicked => ExitCode::Bug,
        }
    }
}

/// A store that contradicts itself does not get better by starting again.
pub(crate) fn exit_code_of(err: &OpenError) -> ExitCode {
    match err {
        OpenError::Contradiction { .. }
        | OpenError::Manifest(ManifestError::Format { .. } | ManifestError::Corrupt { .. })
        | OpenError::Wal(WalError::Damaged { .. } | WalError::Unknown { .. } | WalError::Hole { .. }) => ExitCode::DataRefused,
        _ => ExitCode::DependencyDown,
    }
}

/// A collector that runs.
#[derive(Debug)]
pub struct Served {
    addr: SocketAddr,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    /// Where the admin pages are.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until it has ended.
    pub async fn ended(self) -> Result<(), ServeError> {
        self.task.await.map_err(|_panicked| ServeError::Panicked)?
    }
}

/// Runs a collector until `stop`, and then until what has arrived is durable and in segments.
pub async fn serve(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<(), ServeError> {
    start(config, clock, stop).await?.ended().await
}

/// Opens the store and the admin pages, and runs the rest in tasks. It need not reach the broker to have started.
pub async fn start(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Served, ServeError> {
    let config = Arc::new(config);
    let store = Arc::new(open(&config).await?);
    let listen = |err| ServeError::Listen { addr: config.listen, err };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    info!(store = %config.store.display(), listen = %addr, broker = %format_args!("{}:{}", config.broker.0, config.broker.1), "the collector runs");
    let task = tokio::spawn(run(config, store, clock, stop, listener, addr));
    Ok(Served { addr, task })
}

async fn open(config: &Config) -> Result<Store, ServeError> {
    let (dir, options) = (config.store.clone(), Options { flush_rows: config.flush_rows, wal_file_bytes: LOG_FILE_BYTES });
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, options)).await.map_err(|_panicked| ServeError::Panicked)?;
    opened.map_err(|err| ServeError::Store { dir: config.store.clone(), err })
}

async fn run(
    config: Arc<Config>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    listener: TcpListener,
    addr: SocketAddr,
) -> Result<(), ServeError> {
    let (live, speaker) = (Arc::new(Live::default()), Arc::new(Speaker::default()));
    // Ends with us, and also when a part of us fails.
    let stop = stop.child_token();
    let drained = CancellationToken::new();
    let (sender, receiver) = mpsc::channel(usize::from(config.receive_maximum));
    let subscriber = Subscriber { config: config.clone(), live: live.clone(), speaker: speaker.clone() };
    let subscriber = tokio::spawn(subscriber.run(sender, stop.clone(), drained.clone()));
    let admin = Admin { live: live.clone(), store: store.clone(), clock: clock.clone() };
    let admin = tokio::spawn(axum::serve(listener, admin.router()).with_graceful_shutdown(drained.clone().cancelled_owned()).into_future());
    let ingest = Ingest { config, live, store: store.clone(), speaker, clock };
    let ingested = ingest.run(receiver, stop.clone()).await;
    stop.cancel();
    drained.cancel();
    subscriber.await.map_err(|_panicked| ServeError::Panicked)?;
    match tokio::time::timeout(ADMIN_GRACE, admin).await {
        Ok(ended) => ended.map_err(|_panicked| ServeError::Panicked)?.map_err(|err| ServeError::Admin { addr, err })?,
        Err(_late) => warn!("a request to the admin pages was cut off"),
    }
    ingested.map_err(ServeError::Ingest)?;
    tokio::task::spawn_blocking(move || store.flush()).await.map_err(|_panicked| ServeError::Panicked)?.map_err(ServeError::Flush)?;
    info!("the collector has stopped; what arrived is durable");
    Ok(())
}
