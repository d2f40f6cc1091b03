//! Moves frames from the spool to the collector, over one connection after another.

mod answers;
mod frames;
mod state;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use daemon::Clock;
use ids::SpoolId;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::GatewayState;

use super::{Link, LinkError, Uplink, pace::Pace, window::Window};
use crate::{
    config::{BrokerConfig, Config},
    modbus::BackOff,
    remote::{Active, Outbox, Received},
    spool::{SharedSpool, SpoolError},
    status::Status,
};
use frames::Ready;

const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_CEILING: Duration = Duration::from_secs(10);
/// How long a broker that refuses a frame is left alone.
const REFUSED_FIRST: Duration = Duration::from_secs(1);
const REFUSED_CEILING: Duration = Duration::from_secs(60);
/// How often what the collector confirmed is made durable here.
const CHECKPOINT: Duration = Duration::from_secs(10);
/// How often the retained state is looked at, and sent if something in it changed.
const STATE_INTERVAL: Duration = Duration::from_secs(60);

/// Whose frames they are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) spool_id: SpoolId,
    pub(crate) boot_id: u64,
}

/// What a connection works with.
pub(crate) struct Pump {
    pub(crate) identity: Identity,
    pub(crate) spool: SharedSpool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
    pub(crate) outbox: Outbox,
    /// Orders for the gateway.
    pub(crate) commands: mpsc::Sender<Received>,
}

/// Why one connection was left.
enum Leaving {
    Link(LinkError),
    Spool(SpoolError),
    Reconfigured,
    Stopped,
}

/// What lasts as long as one connection.
struct Connection<L> {
    link: L,
    window: Window,
    pace: Pace,
    ready: Ready,
    /// The configuration that the connection was made with, or that has not changed it since.
    active: Arc<Active>,
    refused: BackOff,
    /// The state that was sent last, but for its time.
    told: Option<GatewayState>,
    state_due: bool,
}

/// Delivers until stopped. Reconnects for ever.
pub(crate) async fn pump(
    mut uplink: impl Uplink,
    pump: Pump,
    mut configs: watch::Receiver<Arc<Active>>,
    mut committed: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut back_off = BackOff::new(RECONNECT_FIRST, RECONNECT_CEILING, &pump.identity.spool_id.to_string());
    let mut told = false;
    loop {
        let active = Arc::clone(&configs.borrow_and_update());
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            connected = uplink.connect(&active.config, pump.state(&active, false)) => connected,
        };
        let (error, pause) = match connected {
            Ok(link) => {
                tracing::info!("connected to the broker");
                pump.status.connected(true, None);
                told = false;
                let since = Instant::now();
                let leaving = pump.deliver(link, active, &mut configs, &mut committed, &stop).await;
                pump.outbox.connection_lost();
                if since.elapsed() > RECONNECT_CEILING {
                    back_off.succeed();
                }
                match leaving {
                    Leaving::Stopped => break,
                    Leaving::Reconfigured => {
                        pump.status.connected(false, None);
                        continue;
                    }
                    Leaving::Link(err) => (daemon::chain(&err), back_off.fail(Instant::now())),
                    Leaving::Spool(err) => (daemon::chain(&err), back_off.fail(Instant::now())),
                }
            }
            Err(err) => (daemon::chain(&err), back_off.fail(Instant::now())),
        };
        pump.status.connected(false, Some(error.clone()));
        if !told {
            tracing::warn!(error, "readings are kept here until the collector can be reached");
            told = true;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            // Another configuration may name another broker.
            changed = configs.changed() => if changed.is_err() {
                stop.cancelled().await;
            },
            () = sleep(pause) => {}
        }
    }
    pump.status.connected(false, None);
    if let Err(err) = pump.spool.with(|spool| spool.checkpoint()).await {
        tracing::warn!(error = daemon::chain(&err), "some frames will be sent twice");
    }
}

impl Pump {
    /// Delivers over one connection, until it ends.
    async fn deliver(
        &self,
        link: impl Link,
        active: Arc<Active>,
        configs: &mut watch::Receiver<Arc<Active>>,
        committed: &mut watch::Receiver<u64>,
        stop: &CancellationToken,
    ) -> Leaving {
        let acknowledged = self.spool.lock().counters().acknowledged;
        let broker = &active.config.broker;
        let mut spread = phase(&active.config);
        let mut on = Connection {
            link,
            window: Window::new(acknowledged, broker.ack_timeout, broker.window_bytes, Instant::now()),
            pace: Pace::default(),
            ready: Ready::default(),
            refused: BackOff::new(REFUSED_FIRST, REFUSED_CEILING, &self.identity.spool_id.to_string()),
            told: None,
            state_due: true,
            active,
        };
        // What is durable here, and how much of it may be sent already.
        let mut visible = *committed.borrow_and_update();
        let mut release: Option<Instant> = None;
        let mut checkpoint = interval(CHECKPOINT);
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = interval(STATE_INTERVAL);
        state.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if release.is_some_and(|at| Instant::now() >= at) {
                release = None;
                visible = *committed.borrow_and_update();
            }
            if let Err(leaving) = self.fill(&mut on, visible).await {
                return leaving;
            }
            let due = [on.window.due(), self.outbox.due(), release].into_iter().flatten().min();
            // The connection comes after what happens now and then: a broker that takes one frame after another always has
            // something to tell, and what is read meanwhile would wait for the end of the backlog. And it comes before the
            // deadline: what the collector said is heard before it counts as silent.
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let state = self.state(&on.active, false);
                    on.link.close(state).await;
                    return Leaving::Stopped;
                }
                changed = committed.changed() => match changed {
                    Ok(()) if spread.is_zero() || release.is_some() || on.window.next(visible, Instant::now()).is_some() => {
                        if release.is_none() {
                            visible = *committed.borrow_and_update();
                        }
                    }
                    // Nothing is under way: this gateway's moment comes a little after the minute.
                    Ok(()) => release = Some(Instant::now() + spread),
                    // The writer is done; what is left is delivered until we are stopped.
                    Err(_done) => {
                        visible = *committed.borrow();
                        if let Err(leaving) = self.fill(&mut on, visible).await {
                            return leaving;
                        }
                        stop.cancelled().await;
                    }
                },
                changed = configs.changed() => {
                    if changed.is_err() {
                        stop.cancelled().await;
                    }
                    let next = Arc::clone(&configs.borrow_and_update());
                    if needs_another_link(&on.active.config, &next.config) {
                        tracing::info!("the way to the broker has changed: connecting anew");
                        let state = self.state(&next, false);
                        on.link.close(state).await;
                        return Leaving::Reconfigured;
                    }
                    on.window.set(next.config.broker.ack_timeout, next.config.broker.window_bytes);
                    spread = phase(&next.config);
                    on.active = next;
                    on.state_due = true;
                }
                () = self.outbox.changed() => {}
                _ = state.tick() => on.state_due = true,
                _ = checkpoint.tick() => if let Err(err) = self.spool.with(|spool| spool.checkpoint()).await {
                    tracing::warn!(error = daemon::chain(&err), "some frames may be sent twice after a restart");
                },
                event = on.link.event() => match event {
                    Ok(event) => if let Err(leaving) = self.happened(&mut on, event).await {
                        return leaving;
                    },
                    Err(err) => return Leaving::Link(err),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => if on.window.tick(Instant::now()) {
                    tracing::debug!("the collector confirms nothing; the oldest frames are sent again");
                    on.ready = Ready::default();
                },
            }
        }
    }
}

/// When within its spread a gateway sends: always the same, and different from the others'.
fn phase(config: &Config) -> Duration {
    let mut hasher = DefaultHasher::new();
    config.path.to_string().hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1_024).unwrap_or(0);
    config.broker.spread * share / 1_024
}

/// Whether a change of the configuration is one of the connection.
fn needs_another_link(old: &Config, new: &Config) -> bool {
    // How long to wait and how much to send needs no other connection.
    let alike =
        |broker: &BrokerConfig| BrokerConfig { ack_timeout: Duration::ZERO, window_bytes: 0, spread: Duration::ZERO, ..broker.clone() };
    alike(&old.broker) != alike(&new.broker) || old.commands.is_some() != new.commands.is_some()
}

#[cfg(test)]
mod tests;
