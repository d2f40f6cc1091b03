//! The daemon: polls, writes and delivers until it is asked to stop.

mod clock;

use std::{future::Future, io, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use daemon::Clock;
use ids::{IdSource, SpoolId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    local::{self, ListenError, Local, Pairing},
    poll::{Sweep, sweep},
    remote::{self, COMMANDS_MAX, PROBES_MAX, PROPOSALS_MAX, Remote, Start},
    spool::{SharedSpool, Spool, SpoolError, SpoolOptions, write},
    status::Status,
    uplink::{Identity, Mqtt, Pump, pump},
};

/// Frames between the sweep and the spool. Polling waits when the disk is this far behind.
const FRAMES_MAX: usize = 256;
/// Longest that stopping may take; what is read is durable long before.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// Why the gateway could not run on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder cannot be used.
    #[error("could not create the data folder {}", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// The spool cannot be used.
    #[error("could not start the gateway")]
    Spool(#[source] SpoolError),
    /// The local address cannot be listened on.
    #[error("could not start the gateway")]
    Listen(#[source] ListenError),
    /// A task of ours ended by itself: our bug.
    #[error("the {name} task ended unexpectedly")]
    Task {
        /// Which one.
        name: &'static str,
    },
}

impl ServeError {
    /// What the process exits with.
    pub fn exit_code(&self) -> daemon::ExitCode {
        match self {
            Self::DataDir { .. } | Self::Spool(_) | Self::Listen(_) => daemon::ExitCode::DependencyDown,
            Self::Task { .. } => daemon::ExitCode::Bug,
        }
    }
}

/// How a run ended that was no failure.
enum Ended {
    Stopped,
    Restart,
}

/// Runs a gateway until `stop`.
///
/// * Time: the schedule and everything in a frame ask `clock`; time-outs of devices and of the broker are real.
/// * Repeatable: with the same `ids` and a driven clock the same frames come out, measured durations aside.
/// * `status` can be read by others all the while.
pub async fn serve(
    config: Config,
    clock: Arc<dyn Clock>,
    ids: IdSource,
    status: Arc<Status>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let mut own = config;
    let ids = Arc::new(ids);
    loop {
        match run(own.clone(), &clock, &ids, &status, &stop).await? {
            Ended::Stopped => return Ok(()),
            Ended::Restart => tracing::info!("starting anew, as a command asked for"),
        }
        if let Some(file) = own.file.clone() {
            match Config::load_to_run(&file) {
                Ok(read) => own = read,
                Err(faults) => tracing::error!("{faults}\nthe configuration before counts"),
            }
        }
    }
}

async fn run(
    own: Config,
    clock: &Arc<dyn Clock>,
    ids: &Arc<IdSource>,
    status: &Arc<Status>,
    asked: &CancellationToken,
) -> Result<Ended, ServeError> {
    let data_dir = own.data_dir.clone();
    let unusable = |err| ServeError::DataDir { path: data_dir.clone(), err };
    std::fs::create_dir_all(&data_dir).map_err(unusable)?;
    let listener = match own.listen {
        Some(address) => Some(local::listen(address).await.map_err(ServeError::Listen)?),
        None => None,
    };
    let started = clock.now();
    let now_ms = u64::try_from(started.as_millisecond()).unwrap_or(0);
    let boot_id = ids.next_u64();
    let folder = data_dir.join("spool");
    let options = SpoolOptions::on_disk(&data_dir, own.spool.bytes_max);
    let new_id = Arc::clone(ids);
    let opening = tokio::task::spawn_blocking(move || Spool::open(&folder, options, || new_id.next::<SpoolId>(now_ms)));
    let mut spool = opening.await.map_err(|_panicked| ServeError::Task { name: "spool" })?.map_err(ServeError::Spool)?;
    // The spool is locked now, so nobody else is in the data folder.
    let own_bytes_max = own.spool.bytes_max;
    let Start { active, kept, base } = remote::start(own, status, &**clock).map_err(unusable)?;
    if active.config.spool.bytes_max != own_bytes_max {
        spool.allow(SpoolOptions::on_disk(&data_dir, active.config.spool.bytes_max).bytes_max).map_err(ServeError::Spool)?;
    }
    let counters = spool.counters();
    status.started(started);
    status.committed(0, counters);
    status.followed(&active);
    tracing::info!(
        gateway = %active.config.path, spool.id = %spool.id(), spool.backlog = counters.committed - counters.acknowledged,
        devices = active.config.devices().count(), config.version = active.facts.version, "gateway `{}` started", active.config.path,
    );

    let identity = Identity { spool_id: spool.id(), boot_id };
    let spool = SharedSpool::new(spool);
    let stop = asked.child_token();
    let restart = CancellationToken::new();
    let (configs, followed) = watch::channel(Arc::new(active));
    let (frames, written) = mpsc::channel(FRAMES_MAX);
    let (committed, delivered) = watch::channel(counters.deliverable);
    let (commands, ordered) = mpsc::channel(COMMANDS_MAX);
    let (probes, wanted) = mpsc::channel(PROBES_MAX);
    let (proposals, proposed) = mpsc::channel(PROPOSALS_MAX);
    // Taken back at the end: a browser that lingers must not keep the spool from being opened anew.
    let (lent, borrowed) = watch::channel(Some(spool.clone()));
    let page = Local {
        status: Arc::clone(status),
        clock: Arc::clone(clock),
        configs: followed.clone(),
        spool: borrowed,
        probes: probes.clone(),
        proposals,
        pairing: Arc::new(Pairing::of(&data_dir)),
        stop: stop.clone(),
        jobs: local::Jobs::default(),
    };

    let polling = Sweep { clock: Arc::clone(clock), boot_id, frames, status: Arc::clone(status) };
    let delivery = Pump {
        identity: identity.clone(),
        spool: spool.clone(),
        clock: Arc::clone(clock),
        status: Arc::clone(status),
        outbox: status.outbox().clone(),
        commands,
    };
    let obeying = Remote {
        identity,
        clock: Arc::clone(clock),
        status: Arc::clone(status),
        configs,
        probes,
        kept,
        base,
        restart: restart.clone(),
        trial: None,
        staged: None,
        proposals: proposed,
    };
    let mut tasks = JoinSet::new();
    let mut task = |name: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>| {
        tasks.spawn(async move {
            work.await;
            name
        });
    };
    task("clock", Box::pin(clock::watch(Arc::clone(clock), Arc::clone(status), stop.clone())));
    task("polling", Box::pin(sweep(polling, followed.clone(), wanted, stop.clone())));
    task("spool", Box::pin(write(spool, written, followed.clone(), Arc::clone(status), Arc::clone(clock), committed)));
    task("uplink", Box::pin(pump(Mqtt, delivery, followed.clone(), delivered, stop.clone())));
    if let Some(listener) = listener {
        status.latest().want();
        task("local address", Box::pin(local::answer(listener, page, stop.clone())));
    }
    let sweep_interval = {
        let followed = followed.clone();
        move || followed.borrow().config.interval
    };
    task("watchdog", Box::pin(local::watch(Arc::clone(status), sweep_interval, daemon::service::alive, stop.clone())));
    task("commands", Box::pin(obeying.run(ordered, stop.clone())));
    daemon::service::ready();

    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        () = restart.cancelled() => None,
        ended = tasks.join_next() => ended,
    };
    stop.cancel();
    if asked.is_cancelled() {
        daemon::service::stopping();
    }
    if timeout(STOP_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("a task did not stop in time and is given up; what was read is durable");
        tasks.shutdown().await;
    }
    lent.send_replace(None);
    let counters = status.snapshot();
    tracing::info!(sweeps = counters.sweeps, spool.backlog = counters.backlog, "gateway stopped");
    match ended {
        None if asked.is_cancelled() => Ok(Ended::Stopped),
        None => Ok(Ended::Restart),
        Some(Ok(name)) => Err(ServeError::Task { name }),
        Some(Err(_panicked)) => Err(ServeError::Task { name: "gateway" }),
    }
}

#[cfg(test)]
mod tests;
