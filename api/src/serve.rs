//! From a configuration to a listening process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use daemon::{Clock, ExitCode};
use ids::{ApiKeyId, IdSource, TenantId};
use otlp::{Exporting, Identity};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::Config;
use crate::db::{Db, DbError, keys};
use crate::http;
use crate::state::Api;
use crate::worker;

/// Why the API does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("could not listen on {address}{}", in_use(err))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        err: io::Error,
    },
    /// A folder cannot be made.
    #[error("could not make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        err: io::Error,
    },
    /// The database cannot be used.
    #[error("could not prepare the database")]
    Database(#[from] DbError),
    /// The key of the file belongs to another tenant already.
    #[error("the admin key of tenant `{tenant}` is in use by another tenant")]
    KeyTaken {
        /// The tenant that was to get it.
        tenant: String,
    },
    /// The HTTP client cannot be made.
    #[error("could not set up the client of the payment processor")]
    Client(#[from] stripe::StripeError),
    /// The listener broke.
    #[error("could not go on listening on {address}")]
    Broken {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        err: io::Error,
    },
}

fn in_use(err: &io::Error) -> &'static str {
    match err.kind() {
        io::ErrorKind::AddrInUse => ": another program does; stop it, or choose another address in `listen`",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address; correct `listen`",
        io::ErrorKind::PermissionDenied => ": this user may not; choose a port above 1023 in `listen`",
        _ => "",
    }
}

impl ServeError {
    /// What the process says when it ends with this.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Listen { err, .. } => match err.kind() {
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied => ExitCode::Configuration,
                _ => ExitCode::DependencyDown,
            },
            Self::Folder { .. } | Self::KeyTaken { .. } => ExitCode::Configuration,
            Self::Database(DbError::Migration { .. }) => ExitCode::Configuration,
            Self::Database(_) | Self::Broken { .. } => ExitCode::DependencyDown,
            Self::Client(_) => ExitCode::Configuration,
        }
    }
}

/// A listening API.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped.
    ///
    /// # Panics
    /// When the serving task panicked.
    pub async fn finished(self) -> Result<(), ServeError> {
        self.task.await.expect("the serving task does not panic")
    }
}

/// Opens the database, binds the port, and returns while both the listener and the worker run.
///
/// * Stops: when `stop` is cancelled; requests that were accepted are answered first.
/// * Errors: everything that can be known before the first request.
pub async fn start(config: Config, clock: Arc<dyn Clock>, ids: IdSource, stop: CancellationToken) -> Result<Running, ServeError> {
    let listener = TcpListener::bind(config.listen).await.map_err(|err| ServeError::Listen { address: config.listen, err })?;
    let address = listener.local_addr().map_err(|err| ServeError::Listen { address: config.listen, err })?;
    let opened = Arc::new(OnceLock::new());
    let server = axum::serve(listener, http::early::router(opened.clone())).with_graceful_shutdown(stop.clone().cancelled_owned());
    let server = tokio::spawn(server.into_future());
    let api = match prepare(&config, clock, ids, stop.clone()).await {
        Ok(api) => api,
        Err(err) => {
            server.abort();
            // Whoever listens next finds the address free.
            drop(server.await);
            return Err(err);
        }
    };
    opened.set(http::router(api.clone())).expect("the pages come once");
    info!(%address, "the API listens on http://{address}");
    let exporting = exporting(&config, &api, address);
    let task = tokio::spawn(async move {
        let work = tokio::spawn(worker::run(api.clone(), stop));
        let served = server.await.expect("the listening task does not panic").map_err(|err| ServeError::Broken { address, err });
        if let Err(err) = work.await {
            error!(error = %err, "the worker did not end well");
        }
        if let Some(exporting) = exporting {
            exporting.ended().await;
        }
        api.db.close().await;
        served
    });
    Ok(Running { address, task })
}

/// Tells OpenTelemetry what is counted, where the configuration has an `[otlp]`.
fn exporting(config: &Config, api: &Api, address: SocketAddr) -> Option<Exporting> {
    let (config, exports) = (config.otlp.as_ref()?, api.exports.clone());
    let who =
        Identity { service: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), instance: &address.to_string(), conventions: &[] };
    let page = api.clone();
    let page = move || {
        let api = page.clone();
        async move { Some(http::metrics_page(&api).await) }
    };
    otlp::start(config, who, api.clock.clone(), exports, page)
}

/// Serves until `stop` is cancelled.
pub async fn serve(config: Config, clock: Arc<dyn Clock>, ids: IdSource, stop: CancellationToken) -> Result<(), ServeError> {
    start(config, clock, ids, stop).await?.finished().await
}

/// Opens everything that is not a socket.
pub(crate) async fn prepare(config: &Config, clock: Arc<dyn Clock>, ids: IdSource, stop: CancellationToken) -> Result<Api, ServeError> {
    std::fs::create_dir_all(&config.evidence).map_err(|err| ServeError::Folder { path: config.evidence.clone(), err })?;
    let db = Db::open(&config.database).await?;
    let api = Api::new(config, db, clock, ids, stop)?;
    for tenant in &config.tenants {
        bootstrap(&api, tenant).await?;
    }
    Ok(api)
}

/// Makes sure of a tenant and its admin key.
async fn bootstrap(api: &Api, tenant: &crate::config::Tenant) -> Result<(), ServeError> {
    let now_ms = api.now_ms();
    let key = tenant.admin_key.expose();
    let mut tx = api.db.write().await?;
    let id = match keys::tenant_by_slug(&mut *tx, &tenant.slug).await? {
        Some(id) => id,
        None => {
            let id: TenantId = api.new_id();
            keys::insert_tenant(&mut tx, id, &tenant.slug, &tenant.name, now_ms).await?;
            id
        }
    };
    match keys::caller_of_key(&mut *tx, &keys::digest(key)).await? {
        Some(caller) if caller.tenant == id => {}
        Some(_) => return Err(ServeError::KeyTaken { tenant: tenant.slug.to_string() }),
        None => keys::insert_key(&mut tx, api.new_id::<ApiKeyId>(), id, key, keys::Role::Admin, now_ms).await?,
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// The OpenAPI document as committed in `api/openapi.json`.
///
/// # Panics
/// Never: the document is made of plain maps.
pub fn openapi_json() -> String {
    let mut text = http::openapi().to_pretty_json().expect("an OpenAPI document is plain JSON");
    text.push('\n');
    text
}
