//! The loop: at every minute all buses at once, and one frame of what they brought.

use std::{sync::Arc, time::Duration};

use daemon::Clock;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{Quality, Severity};
use wire::{DeviceReading, Frame, Message};

use super::{
    actor::{self, ORDERS_MAX, Order},
    schedule::Schedule,
};
use crate::{config::Config, status::Status};

/// A frame on its way to the spool.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// How many points are in it.
    pub(crate) points: u64,
}

/// A bus as the sweep sees it.
struct BusHandle {
    interval_ms: i64,
    orders: mpsc::Sender<Order>,
}

/// Polls until stopped, handing each frame to the spool.
pub(crate) async fn sweep(
    config: &Config,
    clock: Arc<dyn Clock>,
    boot_id: u64,
    frames: mpsc::Sender<Encoded>,
    status: Arc<Status>,
    stop: CancellationToken,
) {
    let actors = TaskTracker::new();
    let mut buses = Vec::with_capacity(config.buses.len());
    for bus in &config.buses {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        actors.spawn(actor::run(bus.clone(), Arc::clone(&clock), taken, stop.clone()));
        buses.push(BusHandle { interval_ms: millis(bus.interval), orders });
    }
    let config_hash = config.hash().to_vec();
    let mut schedule = Schedule::new(millis(config.interval));
    loop {
        let tick = schedule.next(clock.now().as_millisecond());
        if tick.missed > 0 {
            tracing::warn!(missed = tick.missed, "polls were missed: the sweep before took too long, or the clock was set");
            status.missed(tick.missed);
        }
        let at = Timestamp::from_millisecond(tick.at_ms).unwrap_or(Timestamp::MAX);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = clock.sleep_until(at) => {}
        }
        let clock_synced = clock.is_set();
        let devices = read_all(&buses, tick.at_ms, clock_synced).await;
        if devices.is_empty() {
            continue;
        }
        status.swept(&devices);
        let points = devices.iter().map(|device| u64::try_from(device.points.len()).unwrap_or(0)).sum();
        let frame = Frame { schema: wire::SCHEMA, boot_id, config_hash: config_hash.clone(), tick_ms: tick.at_ms, clock_synced, devices };
        if frames.send(Encoded { bytes: frame.encode_to_vec(), points }).await.is_err() {
            break;
        }
    }
    drop(buses);
    actors.close();
    actors.wait().await;
}

/// Orders a reading from every bus that is due and collects them in the order of the configuration.
async fn read_all(buses: &[BusHandle], tick_ms: i64, clock_synced: bool) -> Vec<DeviceReading> {
    let mut replies = Vec::with_capacity(buses.len());
    for bus in buses.iter().filter(|bus| tick_ms.rem_euclid(bus.interval_ms) == 0) {
        let (reply, replied) = oneshot::channel();
        if bus.orders.send(Order { clock_synced, reply }).await.is_ok() {
            replies.push(replied);
        }
    }
    let mut devices = Vec::new();
    for reply in replies {
        // An actor that is gone has panicked, and the supervisor tells.
        devices.extend(reply.await.unwrap_or_default());
    }
    devices
}

fn millis(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Whether a point was read.
pub(crate) fn is_failed(quality: u32) -> bool {
    u16::try_from(quality).is_ok_and(|bits| Quality::from_bits(bits).severity() == Severity::Bad)
}
