//! One task per bus: nobody else talks on it, and a read is never cancelled half way.

use std::{sync::Arc, time::Duration};

use daemon::Clock;
use ids::Slug;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::DeviceReading;

use super::poller::{Poller, Tick};
use crate::{config::BusConfig, modbus::Open, status::Status};

/// Of the time between two polls, so many sixteenths may be used; the rest is for what was begun before.
const USABLE_SIXTEENTHS: u32 = 15;

/// An order to read every device of the bus.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) at_ms: i64,
    pub(super) clock_synced: bool,
    /// Read this one alone, because somebody asked.
    pub(super) only: Option<Slug>,
    /// Gets the readings, in the order of the configuration.
    pub(super) reply: oneshot::Sender<Vec<DeviceReading>>,
}

/// Orders that may wait: one sweep orders once and waits for the reply.
pub(super) const ORDERS_MAX: usize = 1;

/// Reads a bus whenever ordered, until nobody orders any more.
pub(super) async fn run(
    config: BusConfig,
    opener: Box<dyn Open>,
    clock: Arc<dyn Clock>,
    status: Arc<Status>,
    mut orders: mpsc::Receiver<Order>,
    stop: CancellationToken,
) {
    let (phase, usable) = (config.phase, config.interval / 16 * USABLE_SIXTEENTHS);
    let mut poller = Poller::new(config, Arc::clone(&clock), opener);
    while let Some(Order { at_ms, clock_synced, only, reply }) = orders.recv().await {
        let ordered = Instant::now();
        if let Some(only) = only {
            // Whoever asked may have given up.
            drop(reply.send(poller.poll_one(&only, clock_synced).await));
            continue;
        }
        if !phase.is_zero() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep_until(ordered + phase) => {}
            }
        }
        status.poll_began(late_by(&*clock, at_ms, phase));
        let tick = Tick { at_ms, clock_synced, until: ordered + usable };
        let readings = poller.poll(tick, &stop).await;
        for turn in poller.take_turns() {
            match turn.lost {
                Some(error) => status.device_lost(&turn.device, turn.at, &error),
                None => status.device_back(&turn.device, turn.at),
            }
        }
        status.bus(poller.status());
        // A sweep that was given up does not wait for its reply.
        drop(reply.send(readings));
    }
}

/// How long after its time a poll begins.
fn late_by(clock: &dyn Clock, at_ms: i64, phase: Duration) -> Duration {
    let late_us = clock.now().as_microsecond().saturating_sub(at_ms.saturating_mul(1_000));
    Duration::from_micros(u64::try_from(late_us).unwrap_or(0)).saturating_sub(phase)
}
