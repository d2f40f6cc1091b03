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
use crate::sinks::Sinks;
use crate::write::{self, Writes};

const LOG_FILE_BYTES: u64 = 16 << 20;
/// An answer that is being written when we stop gets this long.
const SERVER_GRACE: Duration = Duration::from_secs(2);

/// Why the collector did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("could not open the store in {}", dir.display())]
    Store {
        dir: PathBuf,
        #[source]
        err: Box<OpenError>,
    },
    #[error("could not listen on {addr}: is another program using the port?")]
    Listen {
        addr: SocketAddr,
        #[source]
        err: std::io::Error,
    },
    #[error("the pages on {addr} have failed")]
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
    write_addr: SocketAddr,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    /// Where the admin pages are.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where line protocol is taken.
    #[must_use]
    pub fn write_addr(&self) -> SocketAddr {
        self.write_addr
    }

    /// Waits until it has ended.
    pub async fn ended(self) -> Result<(), ServeError> {
        self.task.await.map_err(|_panicked| ServeError::Panicked)?
    }
}

/// Runs a collector until `stop`, and then until what has arrived is durable and in segments.
pub async fn serve(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<(), ServeError> {
    let served = start(config, clock, stop.clone()).await?;
    daemon::service::ready();
    tokio::spawn(async move {
        stop.cancelled().await;
        daemon::service::stopping();
    });
    served.ended().await
}

/// Opens the store and the admin pages, and runs the rest in tasks. It need not reach the broker to have started.
pub async fn start(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Served, ServeError> {
    let config = Arc::new(config);
    let store = Arc::new(open(&config).await?);
    let (listener, addr) = listen(config.listen).await?;
    let write_listener = match config.write.listen {
        Some(addr) => Some(listen(addr).await?),
        None => None,
    };
    let write_addr = write_listener.as_ref().map_or(addr, |(_, addr)| *addr);
    info!(store = %config.store.display(), listen = %addr, broker = %format_args!("{}:{}", config.broker.0, config.broker.1), "the collector runs");
    let task = tokio::spawn(run(config, store, clock, stop, (listener, addr), write_listener));
    Ok(Served { addr, write_addr, task })
}

async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |err| ServeError::Listen { addr, err };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

async fn open(config: &Config) -> Result<Store, ServeError> {
    let (dir, options) = (config.store.clone(), Options { flush_rows: config.flush_rows, wal_file_bytes: LOG_FILE_BYTES });
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, options)).await.map_err(|_panicked| ServeError::Panicked)?;
    opened.map_err(|err| ServeError::Store { dir: config.store.clone(), err: Box::new(err) })
}

async fn run(
    config: Arc<Config>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    admin: (TcpListener, SocketAddr),
    write_listener: Option<(TcpListener, SocketAddr)>,
) -> Result<(), ServeError> {
    let (live, speaker) = (Arc::new(Live::default()), Arc::new(Speaker::default()));
    // Ends with us, and also when a part of us fails.
    let stop = stop.child_token();
    let drained = CancellationToken::new();
    let (sender, receiver) = mpsc::channel(usize::from(config.receive_maximum));
    let subscriber = Subscriber { config: config.clone(), live: live.clone(), speaker: speaker.clone() };
    let subscriber = tokio::spawn(subscriber.run(sender, stop.clone(), drained.clone()));
    let sinks = Sinks::start(&config, &store, &clock, &stop);
    let writes = Arc::new(Writes::new(config.clone(), live.clone(), store.clone(), clock.clone(), stop.clone()));
    let (listener, addr) = admin;
    let admin = Admin {
        config: config.clone(),
        live: live.clone(),
        store: store.clone(),
        clock: clock.clone(),
        sinks: sinks.shown(),
        closing: drained.clone(),
    }
    .router();
    let mut servers = Vec::new();
    match write_listener {
        None => servers.push((addr, listener, admin.merge(write::router(writes.clone())))),
        Some((write_listener, write_addr)) => {
            servers.push((addr, listener, admin));
            servers.push((write_addr, write_listener, write::router(writes.clone())));
        }
    }
    let serving = servers.into_iter().map(|(addr, listener, router)| {
        let server = axum::serve(listener, router).with_graceful_shutdown(drained.clone().cancelled_owned());
        (addr, tokio::spawn(server.into_future()))
    });
    let serving: Vec<_> = serving.collect();
    let ingest = Ingest { config, live, store: store.clone(), speaker, clock };
    let ingested = ingest.run(receiver, stop.clone()).await;
    stop.cancel();
    drained.cancel();
    subscriber.await.map_err(|_panicked| ServeError::Panicked)?;
    let grace = tokio::time::Instant::now() + SERVER_GRACE;
    for (addr, mut server) in serving {
        match tokio::time::timeout_at(grace, &mut server).await {
            Ok(ended) => ended.map_err(|_panicked| ServeError::Panicked)?.map_err(|err| ServeError::Admin { addr, err })?,
            Err(_late) => {
                server.abort();
                warn!(listen = %addr, "a request was cut off");
            }
        }
    }
    sinks.ended().await;
    ingested.map_err(ServeError::Ingest)?;
    if let Some(err) = writes.failure() {
        return Err(ServeError::Ingest(IngestError::Store(err)));
    }
    tokio::task::spawn_blocking(move || store.flush()).await.map_err(|_panicked| ServeError::Panicked)?.map_err(ServeError::Flush)?;
    info!("the collector has stopped; what arrived is durable");
    Ok(())
}
