//! The collector, put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::{Clock, ExitCode};
use otlp::{Convention, Exporting, Identity};
use store::{FlushError, ManifestError, OpenError, Options, Reader, Store, WalError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::Admin;
use crate::config::Config;
use crate::door::Door;
use crate::ingest::{Ingest, IngestError};
use crate::live::Live;
use crate::mqtt::{Speaker, Subscriber};
use crate::quota::Quotas;
use crate::sinks::Sinks;
use crate::vee::{ChangeError, Desk, Job, Journal, JournalError};
use crate::write::{self, Writes};

const LOG_FILE_BYTES: u64 = 16 << 20;
/// How often the store is asked whether it still takes anything.
const STORE_WATCH: Duration = Duration::from_secs(1);
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
    #[error("could not open the journal of the store")]
    Journal(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    #[error("the collector cannot be part of its group")]
    Cluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this program has no [cluster]: build it with the feature `cluster`")]
    NoCluster,
    #[error("a task of the collector has panicked")]
    Panicked,
}

impl ServeError {
    /// What the process says when it ends with this.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Store { err, .. } => exit_code_of(err),
            Self::Listen { .. } | Self::Admin { .. } | Self::Journal(_) => ExitCode::DependencyDown,
            Self::Ingest(_) | Self::Flush(_) => ExitCode::TryAgain,
            Self::Cluster(_) | Self::NoCluster => ExitCode::Configuration,
            Self::Panicked => ExitCode::Bug,
        }
    }

    /// Another process has the store now.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_in_use(&self) -> bool {
        matches!(self, Self::Store { err, .. } if matches!(**err, OpenError::InUse { .. }))
    }
}

impl From<JournalError> for ServeError {
    fn from(err: JournalError) -> Self {
        Self::Journal(Box::new(err))
    }
}

impl From<ChangeError> for ServeError {
    fn from(err: ChangeError) -> Self {
        Self::Journal(Box::new(err))
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

/// Runs a collector, or the part of this process in a group, until `stop`; and then until what has arrived is durable and in
/// segments.
pub async fn serve(mut config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<(), ServeError> {
    if let Some(cluster) = config.cluster.take() {
        #[cfg(feature = "cluster")]
        return crate::cluster::serve(config, cluster, clock, stop).await;
        #[cfg(not(feature = "cluster"))]
        {
            drop(cluster);
            return Err(ServeError::NoCluster);
        }
    }
    let served = start(config, clock, stop.clone()).await?;
    daemon::service::ready();
    tokio::spawn(async move {
        stop.cancelled().await;
        daemon::service::stopping();
    });
    served.ended().await
}

/// Opens the admin pages and the store, and runs the rest in tasks. It need not reach the broker to have started.
///
/// While the log is read the pages say so, and `/startupz` is 503.
pub async fn start(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Served, ServeError> {
    let (config, drained) = (Arc::new(config), CancellationToken::new());
    let door = Door::listen(config.listen, &config.store, drained.clone()).await?;
    match Opened::open(&config, clock.as_ref()).await {
        Ok(opened) => Ok(Beginning { config, opened, clock, stop, door, drained }.begin().await),
        Err(err) => {
            door.shut().await;
            Err(err)
        }
    }
}

/// As [`start`], the store first: whoever has it still, has its address, too.
#[cfg(feature = "cluster")]
pub(crate) async fn start_after_another(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Served, ServeError> {
    let (config, drained) = (Arc::new(config), CancellationToken::new());
    let opened = Opened::open(&config, clock.as_ref()).await?;
    let door = Door::listen(config.listen, &config.store, drained.clone()).await?;
    Ok(Beginning { config, opened, clock, stop, door, drained }.begin().await)
}

/// What has to be there before a reading is taken.
struct Opened {
    store: Arc<Store>,
    desk: Desk,
    quotas: Arc<Quotas>,
    write: Option<(TcpListener, SocketAddr)>,
}

impl Opened {
    async fn open(config: &Config, clock: &dyn Clock) -> Result<Self, ServeError> {
        let store = Arc::new(open(config).await?);
        let journal = Journal::open(&config.store).await?;
        let desk = Desk::new(store.clone(), journal, Arc::new(config.vee.clone())).await?;
        let write = match config.write.listen {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };
        let stored = if config.quotas.is_empty() { Vec::new() } else { desk.reading(Reader::all_series).await? };
        let quotas = Quotas::new(config.quotas.clone(), stored.iter().map(|info| &info.key), clock.now().as_millisecond());
        Ok(Self { store, desk, quotas: Arc::new(quotas), write })
    }
}

/// Everything that is needed to run.
struct Beginning {
    config: Arc<Config>,
    opened: Opened,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    door: Door,
    drained: CancellationToken,
}

impl Beginning {
    /// Runs in a task, and returns when all pages answer.
    async fn begin(self) -> Served {
        let (config, addr) = (&self.config, self.door.addr);
        let write_addr = self.opened.write.as_ref().map_or(addr, |(_, addr)| *addr);
        info!(store = %config.store.display(), listen = %addr, broker = %format_args!("{}:{}", config.broker.0, config.broker.1), "the collector runs");
        let (shown, seen) = oneshot::channel();
        let task = tokio::spawn(run(self, shown));
        // Nothing is said when it has ended before: whoever waits for its end is told why.
        drop(seen.await);
        Served { addr, write_addr, task }
    }
}

pub(crate) async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |err| ServeError::Listen { addr, err };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

async fn open(config: &Config) -> Result<Store, ServeError> {
    let dir = config.store.clone();
    let options = Options { flush_rows: config.flush_rows, wal_file_bytes: LOG_FILE_BYTES, quarters_from: config.quarters_from };
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, options)).await.map_err(|_panicked| ServeError::Panicked)?;
    opened.map_err(|err| ServeError::Store { dir: config.store.clone(), err: Box::new(err) })
}

/// Takes note of how many readings there are, once a second.
///
/// A store that takes nothing more may have said so to nobody who waits: to a flush, or to an amendment. Then we end, and whoever
/// starts us again has it read back what there is.
async fn ends_with_its_store(store: Arc<Store>, live: Arc<Live>, stop: CancellationToken) {
    loop {
        live.marks.note(store.last_lsn(), store.counters().accepted);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(STORE_WATCH) => {}
        }
        let asked = store.clone();
        if tokio::task::spawn_blocking(move || asked.has_stopped()).await.unwrap_or(true) {
            error!(store = %store.dir().display(), "the store takes nothing more: the collector ends");
            stop.cancel();
        }
    }
}

/// What the conventions for messaging call ours: the messages of the broker, and from their arrival to where they are durable.
const CONVENTIONS: [Convention; 2] = [
    Convention {
        family: "negawatt_messages_total",
        name: "messaging.client.consumed.messages",
        unit: "{message}",
        attributes: &[("messaging.system", "mqtt"), ("messaging.operation.name", "receive")],
    },
    Convention {
        family: "negawatt_publish_to_queryable_seconds",
        name: "messaging.process.duration",
        unit: "s",
        attributes: &[("messaging.system", "mqtt"), ("messaging.operation.name", "process")],
    },
];

/// Tells OpenTelemetry what is counted, where the configuration has an `[otlp]`.
fn exporting(admin: &Admin) -> Option<Exporting> {
    let (config, exports) = (&admin.config, admin.live.exports.clone());
    let who = Identity {
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        instance: &config.client_id,
        conventions: &CONVENTIONS,
    };
    let page = admin.clone();
    let page = move || {
        let admin = page.clone();
        async move { admin.metrics_page().await.ok() }
    };
    otlp::start(config.otlp.as_ref()?, who, admin.clock.clone(), exports, page)
}

async fn run(beginning: Beginning, shown: oneshot::Sender<()>) -> Result<(), ServeError> {
    let Beginning { config, opened, clock, stop, door, drained } = beginning;
    let Opened { store, desk, quotas, write: write_listener } = opened;
    let (live, speaker) = (Arc::new(Live::default()), Arc::new(Speaker::default()));
    // Ends with us, and also when a part of us fails.
    let stop = stop.child_token();
    let (sender, receiver) = mpsc::channel(usize::from(config.receive_maximum));
    let subscriber = Subscriber { config: config.clone(), live: live.clone(), speaker: speaker.clone() };
    let subscriber = tokio::spawn(subscriber.run(sender, stop.clone(), drained.clone()));
    let sinks = Sinks::start(&config, &store, &clock, &stop);
    let writes = Writes::new(config.clone(), live.clone(), store.clone(), quotas.clone(), clock.clone(), stop.clone());
    let writes = Arc::new(writes);
    let job = Job { desk: desk.clone(), live: live.clone(), clock: clock.clone() };
    let job = tokio::spawn(job.run(stop.clone()));
    let watch = tokio::spawn(ends_with_its_store(store.clone(), live.clone(), stop.clone()));
    let admin = Admin {
        config: config.clone(),
        live: live.clone(),
        store: store.clone(),
        desk,
        clock: clock.clone(),
        quotas: quotas.clone(),
        sinks: sinks.shown(),
        imports: Arc::new(Semaphore::new(1)),
        closing: drained.clone(),
    };
    let exporting = exporting(&admin);
    let admin = admin.router();
    // Readings can come over HTTP now, if anybody may bring them; over the broker when it lets us subscribe.
    live.begun.fetch_or(!config.write.tokens.is_empty(), Ordering::SeqCst);
    let (addr, lines) = (door.addr, write::router(writes.clone()));
    let serving = match write_listener {
        None => vec![(addr, door.open(admin.merge(lines)))],
        Some((listener, write_addr)) => {
            let server = axum::serve(listener, lines).with_graceful_shutdown(drained.clone().cancelled_owned());
            vec![(addr, door.open(admin)), (write_addr, tokio::spawn(server.into_future()))]
        }
    };
    drop(shown);
    let ingest = Ingest { config, live, store: store.clone(), speaker, clock, quotas };
    let ingested = ingest.run(receiver, stop.clone()).await;
    stop.cancel();
    drained.cancel();
    subscriber.await.map_err(|_panicked| ServeError::Panicked)?;
    job.await.map_err(|_panicked| ServeError::Panicked)?;
    watch.await.map_err(|_panicked| ServeError::Panicked)?;
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
    // All is counted now, and told once more.
    if let Some(exporting) = exporting {
        exporting.ended().await;
    }
    ingested.map_err(ServeError::Ingest)?;
    if let Some(err) = writes.failure() {
        return Err(ServeError::Ingest(IngestError::Store(err)));
    }
    tokio::task::spawn_blocking(move || store.flush()).await.map_err(|_panicked| ServeError::Panicked)?.map_err(ServeError::Flush)?;
    info!("the collector has stopped; what arrived is durable");
    Ok(())
}
