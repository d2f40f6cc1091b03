//! `negawatt up`: broker, collector, API and status page in one process, on embedded storage.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Secret;
use daemon::{ExitCode, SystemClock};
use ids::{IdSource, Slug, SlugError};
use tokio_util::sync::CancellationToken;

use crate::cli::{fail, say};

/// A shorter admin key was not made by us, and could be guessed.
const KEY_LENGTH_MIN: usize = 20;
const KEY_LENGTH_MAX: usize = 200;

/// Broker, collector, API and status page in one process, on embedded storage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept.
    #[arg(long, default_value = "negawatt-data")]
    data: PathBuf,
    /// Where gateways reach the broker.
    #[arg(long, default_value = "127.0.0.1:1883")]
    broker: SocketAddr,
    /// Where the collector answers (health, metrics, imports).
    #[arg(long, default_value = "127.0.0.1:7500")]
    collector: SocketAddr,
    /// Where the API and the status page are.
    #[arg(long, default_value = "127.0.0.1:7600")]
    listen: SocketAddr,
    /// The short name of your organisation.
    #[arg(long, default_value = "demo", value_parser = Slug::parse)]
    tenant: Slug,
}

#[derive(Debug, thiserror::Error)]
enum UpError {
    #[error("could not use {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("{} does not hold a key (`nwk_` and at least {} characters): remove it, and the next start makes a new one", path.display(), KEY_LENGTH_MIN)]
    Key { path: PathBuf },
    #[error("the broker did not start")]
    Broker(#[source] broker::BrokerError),
    #[error("the collector stopped")]
    Collector(#[source] collector::ServeError),
    #[error("the API stopped")]
    Api(#[source] api::ServeError),
    #[error("the operating system refused")]
    System(#[source] std::io::Error),
    #[error(transparent)]
    Slug(#[from] SlugError),
}

impl UpError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Api(err) => err.exit_code(),
            Self::Collector(err) => err.exit_code(),
            Self::Key { .. } | Self::Slug(_) => ExitCode::Configuration,
            _ => ExitCode::DependencyDown,
        }
    }
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(err) => return fail(&err, ExitCode::DependencyDown),
    };
    match runtime.block_on(up(args)) {
        Ok(()) => ExitCode::Ok,
        Err(err) => fail(&err, err.exit_code()),
    }
}

async fn up(args: Args) -> Result<(), UpError> {
    std::fs::create_dir_all(&args.data).map_err(|err| UpError::File { path: args.data.clone(), err })?;
    let admin_key = admin_key(&args.data.join("admin.key"))?;
    let stop = daemon::shutdown_signal().map_err(UpError::System)?;
    let broker = broker::Broker::start(args.broker, broker::Limits::default()).map_err(UpError::Broker)?;
    let store = args.data.join("store");

    let collecting = collector::Config::new(store.clone(), args.collector, (broker.addr().ip().to_string(), broker.addr().port()));
    let collector = collector::start(collecting, Arc::new(SystemClock), stop.clone()).await.map_err(UpError::Collector)?;
    let config = api::Config {
        listen: args.listen,
        database: args.data.join("api.sqlite"),
        store,
        partitions: Vec::new(),
        evidence: args.data.join("evidence"),
        collector: Some(format!("http://{}", collector.addr())),
        status_page: api::StatusPage::Public,
        otlp: None,
        stripe: None,
        tenants: vec![api::Tenant { name: args.tenant.to_string(), slug: args.tenant.clone(), admin_key: Secret::new(&admin_key) }],
        profiles: profiles(),
    };
    let ids = IdSource::from_entropy(daemon::entropy().map_err(UpError::System)?);
    let api = match api::start(config, Arc::new(SystemClock), ids, stop.clone()).await {
        Ok(api) => api,
        Err(err) => {
            stop.cancel();
            collector.ended().await.map_err(UpError::Collector)?;
            return Err(UpError::Api(err));
        }
    };
    say(&format!(
        "negawatt is up\n  status page  http://{}/\n  API          http://{}/v1/openapi.json   (key in {})\n  collector    http://{}/v1/status\n  broker       mqtt://{}   (gateways of tenant `{}`)\n",
        api.address(),
        api.address(),
        args.data.join("admin.key").display(),
        collector.addr(),
        broker.addr(),
        args.tenant
    ));
    until_stopped(stop, collector, api).await
}

/// Waits for both, and stops the other when one ends by itself.
async fn until_stopped(stop: CancellationToken, collector: collector::Served, api: api::Running) -> Result<(), UpError> {
    let ending = stop.clone();
    let collected = async move {
        let ended = collector.ended().await;
        ending.cancel();
        ended.map_err(UpError::Collector)
    };
    let served = async move {
        let ended = api.finished().await;
        stop.cancel();
        ended.map_err(UpError::Api)
    };
    let (collected, served) = tokio::join!(collected, served);
    collected.and(served)
}

/// The admin key of this installation: made on the first start, readable by its owner alone.
///
/// It takes its name when it is whole and durable: a start that is cut off, or a full disk, leaves no half key behind.
fn admin_key(path: &Path) -> Result<String, UpError> {
    let refused = |err| UpError::File { path: path.to_owned(), err };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let key = text.trim();
            let fits = key.starts_with("nwk_") && (KEY_LENGTH_MIN..KEY_LENGTH_MAX).contains(&key.len());
            if fits { Ok(key.to_owned()) } else { Err(UpError::Key { path: path.to_owned() }) }
        }
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            let entropy = daemon::entropy().map_err(UpError::System)?;
            let key = format!("nwk_{:032x}", u128::from_be_bytes(entropy));
            let partial = path.with_extension("key-new");
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(refused)?;
            writeln!(file, "{key}").and_then(|()| file.sync_all()).map_err(refused)?;
            std::fs::rename(&partial, path).map_err(refused)?;
            Ok(key)
        }
        Err(err) => Err(refused(err)),
    }
}

/// The device profiles that we know, as evidence carries them.
pub(crate) fn profiles() -> Vec<api::DeviceProfile> {
    let carried = |profile: &devices::Profile| api::DeviceProfile {
        id: profile.id().to_owned(),
        hash: profile.hash_hex(),
        text: profile.text().to_owned(),
    };
    devices::builtin().iter().map(carried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_a_file_without_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.key");
        let key = admin_key(&path).unwrap();
        assert_eq!((admin_key(&path).unwrap(), key.len()), (key, 36));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        for wrong in ["", "\n", "nwk_short", "0123456789abcdef0123456789abcdef"] {
            std::fs::write(&path, wrong).unwrap();
            let err = admin_key(&path).unwrap_err();
            assert!(err.to_string().contains("remove it") && err.exit_code() == ExitCode::Configuration, "{wrong:?}: {err}");
        }
    }
}
