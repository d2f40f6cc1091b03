//! The daemon: polls, writes and delivers until it is asked to stop.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

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
    poll::sweep,
    spool::{SharedSpool, Spool, SpoolError, SpoolOptions, write},
    status::Status,
    uplink::{Identity, Mqtt, Pump, PumpOptions, pump},
};

/// Frames between the sweep and the spool. Polling waits when the disk is this far behind.
const FRAMES_MAX: usize = 256;
/// Longest that stopping may take; what is read is durable long before.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

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
            Self::DataDir { .. } | Self::Spool(_) => daemon::ExitCode::DependencyDown,
            Self::Task { .. } => daemon::ExitCode::Bug,
        }
    }
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
    std::fs::create_dir_all(&config.data_dir).map_err(|err| ServeError::DataDir { path: config.data_dir.clone(), err })?;
    let folder = config.data_dir.join("spool");
    let now_ms = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
    let boot_id = ids.next_u64();
    let options = SpoolOptions::within(config.spool.bytes_max);
    let opening = tokio::task::spawn_blocking(move || Spool::open(&folder, options, || ids.next::<SpoolId>(now_ms)));
    let spool = opening.await.map_err(|_panicked| ServeError::Task { name: "spool" })?.map_err(ServeError::Spool)?;
    let counters = spool.counters();
    status.committed(0, counters);
    tracing::info!(
        gateway = %config.path, spool.id = %spool.id(), spool.backlog = counters.committed - counters.acknowledged,
        devices = config.devices().count(), "gateway `{}` started", config.path,
    );

    let identity = Identity { spool_id: spool.id(), boot_id, config_hash: config.hash().to_vec() };
    let state = |online: bool| format!(r#"{{"schema":"negawatt.gateway-state/1","online":{online},"spool_id":"{}"}}"#, identity.spool_id);
    let mqtt = Mqtt::new(config.broker.clone(), config.path.clone(), state(true), state(false));
    let spool = SharedSpool::new(spool);
    let (frames, written) = mpsc::channel(FRAMES_MAX);
    let (committed, delivered) = watch::channel(counters.committed);
    let options = PumpOptions { ack_timeout: config.broker.ack_timeout, window_bytes: config.broker.window_bytes };
    let delivery = Pump { identity, options, spool: spool.clone(), clock: Arc::clone(&clock), status: Arc::clone(&status) };

    let mut tasks = JoinSet::new();
    {
        let (status, stop) = (Arc::clone(&status), stop.clone());
        let commit_interval = config.spool.commit_interval;
        tasks.spawn(async move {
            sweep(&config, clock, boot_id, frames, status, stop).await;
            "polling"
        });
        tasks.spawn({
            let status = Arc::clone(&delivery.status);
            async move {
                write(spool, written, commit_interval, status, committed).await;
                "spool"
            }
        });
    }
    tasks.spawn({
        let stop = stop.clone();
        async move {
            pump(mqtt, delivery, delivered, stop).await;
            "uplink"
        }
    });

    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        ended = tasks.join_next() => ended,
    };
    stop.cancel();
    if timeout(STOP_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("a task did not stop in time and is given up; what was read is durable");
    }
    let counters = status.snapshot();
    tracing::info!(sweeps = counters.sweeps, spool.backlog = counters.backlog, "gateway stopped");
    match ended {
        None => Ok(()),
        Some(Ok(name)) => Err(ServeError::Task { name }),
        Some(Err(_panicked)) => Err(ServeError::Task { name: "gateway" }),
    }
}

#[cfg(test)]
mod tests;
