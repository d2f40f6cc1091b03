//! Several collectors in one group: each partition of the facilities is read by one of them at a time.
//!
//! ```text
//! PostgreSQL: who has which partition, until when          (a lease: who shall try)
//! the lock of the partition's store                        (who alone can write)
//! node -- has the lease --> opens the store, subscribes to its facilities, acknowledges
//! ```
//!
//! The lease only says who shall try: two that both believe to have it are kept apart by the lock of the store. So a
//! collector that cannot reach the database goes on, and nothing is lost when clocks or networks disagree. One that was
//! killed is replaced when its lease has passed; what it had not confirmed its broker or its gateways send again, under
//! the name the partition has at the broker.

mod lease;
mod page;

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use ids::IdSource;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::lease::{Kept, LeaseError, Leases};
use self::page::Shown;
use crate::config::{ClusterConfig, Config, PartitionConfig};
use crate::serve::{self, ServeError};

/// A lease is renewed so often while it lasts.
const RENEWALS: u32 = 6;
/// How long a partition that could not be served is left to others, in leases.
const LEAVES: u32 = 2;

/// Runs the part of this process in the group until `stop`.
///
/// * Errors: the page of the node cannot be served; the address of the database cannot be read.
pub(crate) async fn serve(
    config: Config,
    cluster: ClusterConfig,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let failed = |err: LeaseError| ServeError::Cluster(Box::new(err));
    let run = daemon::entropy().map(IdSource::from_entropy).map_err(|err| ServeError::Cluster(Box::new(err)))?.next_u64();
    let leases = Arc::new(Leases::new(&cluster, run).map_err(failed)?);
    let shown = Arc::new(Shown::new(&cluster));
    let (listener, addr) = serve::listen(config.listen).await?;
    let router = page::router(shown.clone(), leases.clone());
    let closing = stop.child_token();
    let server = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(closing.clone().cancelled_owned()).into_future());
    info!(node = cluster.node, listen = %addr, partitions = cluster.partitions.len(), "the collector is part of a group");
    let mut keepers = JoinSet::new();
    for partition in &cluster.partitions {
        let keeper = Keeper {
            config: part(&config, partition),
            preferred: cluster.prefer.contains(&partition.name),
            partition: partition.clone(),
            lease: cluster.lease,
            leases: leases.clone(),
            shown: shown.clone(),
            clock: clock.clone(),
        };
        keepers.spawn(keeper.run(stop.clone()));
    }
    daemon::service::ready();
    stop.cancelled().await;
    daemon::service::stopping();
    while let Some(ended) = keepers.join_next().await {
        ended.map_err(|_panicked| ServeError::Panicked)?;
    }
    closing.cancel();
    server.await.map_err(|_panicked| ServeError::Panicked)?.map_err(|err| ServeError::Admin { addr, err })
}

/// What a collector of one partition is told.
fn part(config: &Config, partition: &PartitionConfig) -> Config {
    Config {
        store: partition.store.clone(),
        listen: partition.listen,
        // Whoever has the partition takes over its session at the broker, and what waits there.
        client_id: format!("{}-{}", config.client_id, partition.name),
        facilities: partition.facilities.clone(),
        cluster: None,
        ..config.clone()
    }
}

/// Looks after one partition.
#[derive(Debug)]
struct Keeper {
    config: Config,
    partition: PartitionConfig,
    preferred: bool,
    lease: Duration,
    leases: Arc<Leases>,
    shown: Arc<Shown>,
    clock: Arc<dyn Clock>,
}

/// How a time with a partition ended.
#[derive(Debug)]
enum Ended {
    /// We were asked to, or another has it.
    GivenUp,
    /// It could not be served.
    Failed(ServeError),
}

impl Keeper {
    async fn run(self, stop: CancellationToken) {
        while let Some(epoch) = self.taken(&stop).await {
            let name = &self.partition.name;
            info!(partition = %name, epoch, "the partition is ours");
            self.shown.has(name, Some(epoch));
            let ended = self.held(epoch, &stop).await;
            self.shown.has(name, None);
            if let Err(err) = self.leases.release(name, epoch).await {
                self.shown.database(Some(&err));
                warn!(partition = %name, error = daemon::chain(&err), "the lease could not be given back: it passes by itself");
            }
            match ended {
                Ended::GivenUp => info!(partition = %name, epoch, "the partition is no longer ours; what was acknowledged is durable"),
                Ended::Failed(err) => {
                    let said = daemon::chain(&err);
                    warn!(partition = %name, error = said, "the partition cannot be served here; others may try, and we do later");
                    self.shown.failed(name, Some(said));
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(self.lease * LEAVES) => {}
                    }
                }
            }
        }
    }

    /// Waits until the partition is ours. Nothing when we are to stop first.
    async fn taken(&self, stop: &CancellationToken) -> Option<i64> {
        let (mut ticks, mut told) = (self.ticks(), false);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                _ = ticks.tick() => {}
            }
            // Those who prefer it come first.
            let patience = if self.preferred { Duration::ZERO } else { self.lease / 4 };
            match self.leases.take(&self.partition, patience, self.preferred).await {
                Ok(taken) => {
                    self.shown.database(None);
                    told = false;
                    if taken.is_some() {
                        return taken;
                    }
                }
                Err(err) => {
                    self.shown.database(Some(&err));
                    if !told {
                        warn!(partition = %self.partition.name, error = daemon::chain(&err), "nobody can say whose the partition is");
                    }
                    told = true;
                }
            }
        }
    }

    /// Serves the partition for as long as it is ours.
    async fn held(&self, epoch: i64, stop: &CancellationToken) -> Ended {
        let end = stop.child_token();
        let mut serving = std::pin::pin!(self.served(end.clone()));
        let (mut ticks, mut told) = (self.ticks(), false);
        loop {
            tokio::select! {
                ended = &mut serving => return ended.map_or_else(Ended::Failed, |()| Ended::GivenUp),
                _ = ticks.tick() => {}
            }
            match self.leases.renew(&self.partition.name, epoch).await {
                Ok(kept) => {
                    self.shown.database(None);
                    told = false;
                    if kept == Kept::Lost || (kept == Kept::Wanted && !self.preferred) {
                        end.cancel();
                    }
                }
                Err(err) => {
                    self.shown.database(Some(&err));
                    if !told {
                        let name = &self.partition.name;
                        warn!(partition = %name, error = daemon::chain(&err), "the lease cannot be renewed; the lock of the store is ours, and we go on");
                    }
                    told = true;
                }
            }
        }
    }

    /// Opens the store as soon as nobody else has it, and reads until `end`.
    async fn served(&self, end: CancellationToken) -> Result<(), ServeError> {
        let begun = Instant::now();
        let served = loop {
            match serve::start_after_another(self.config.clone(), self.clock.clone(), end.clone()).await {
                Ok(served) => break served,
                // Whoever had it is about to end.
                Err(err) if err.is_in_use() && !end.is_cancelled() && begun.elapsed() < self.lease * 10 => {
                    tokio::time::sleep(self.lease / RENEWALS / 2).await;
                }
                Err(_) if end.is_cancelled() => return Ok(()),
                Err(err) => return Err(err),
            }
        };
        self.shown.failed(&self.partition.name, None);
        served.ended().await
    }

    fn ticks(&self) -> tokio::time::Interval {
        let mut ticks = tokio::time::interval(self.lease / RENEWALS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}
