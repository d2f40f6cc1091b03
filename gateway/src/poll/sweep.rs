//! The loop: at every minute all buses at once, and one frame of what they brought.

use std::{sync::Arc, time::Duration};

use daemon::Clock;
use ids::Slug;
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use units::{Quality, Severity};
use wire::{DeviceReading, Frame, Message};

use super::{
    actor::{self, ORDERS_MAX, Order},
    schedule::Schedule,
};
use crate::{
    config::{BusConfig, Config},
    modbus::Doors,
    remote::Active,
    status::Status,
};

/// A frame on its way to the spool.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// How many points are in it.
    pub(crate) points: u64,
}

/// Somebody wants one device read now.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) device: Slug,
    /// Gets the reading, unless there is no such device.
    pub(crate) reply: oneshot::Sender<DeviceReading>,
}

/// A bus as the sweep sees it.
struct BusHandle {
    config: BusConfig,
    interval_ms: i64,
    orders: mpsc::Sender<Order>,
    actor: JoinHandle<()>,
}

/// What the sweep works with.
pub(crate) struct Sweep {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) boot_id: u64,
    pub(crate) frames: mpsc::Sender<Encoded>,
    pub(crate) status: Arc<Status>,
}

/// Polls until stopped, handing each frame to the spool.
///
/// Another configuration is followed from the next sweep on. Buses that it does not change keep their connection and
/// what is known of their devices; no minute is left out and none is polled twice.
pub(crate) async fn sweep(
    sweep: Sweep,
    mut configs: watch::Receiver<Arc<Active>>,
    mut probes: mpsc::Receiver<Probe>,
    stop: CancellationToken,
) {
    let mut active = Arc::clone(&configs.borrow_and_update());
    let doors = Doors::default();
    let mut buses = sweep.buses(&active.config, &doors, Vec::new(), &stop).await;
    let mut config_hash = active.config.hash().to_vec();
    let mut schedule = Schedule::new(millis(active.config.interval));
    'sweeps: loop {
        let before = schedule;
        let tick = schedule.next(sweep.clock.now().as_millisecond());
        let at = Timestamp::from_millisecond(tick.at_ms).unwrap_or(Timestamp::MAX);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break 'sweeps,
                Ok(()) = configs.changed() => {
                    active = Arc::clone(&configs.borrow_and_update());
                    buses = sweep.buses(&active.config, &doors, buses, &stop).await;
                    config_hash = active.config.hash().to_vec();
                    schedule = before.changed(millis(active.config.interval));
                    continue 'sweeps;
                }
                () = sweep.clock.sleep_until(at) => break,
                Some(probe) = probes.recv() => read_one(&buses, probe, sweep.clock.is_set()).await,
            }
        }
        if tick.missed > 0 {
            tracing::warn!(missed = tick.missed, "polls were missed: the sweep before took too long, or the clock was set");
            sweep.status.missed(tick.missed);
        }
        let (clock_synced, monotonic) = (sweep.clock.is_set(), sweep.clock.monotonic());
        let devices = read_all(&buses, tick.at_ms, clock_synced).await;
        sweep.status.ticked();
        if devices.is_empty() {
            continue;
        }
        sweep.status.swept(&devices);
        sweep.status.swept_under(active.generation, &devices);
        let points = devices.iter().map(|device| u64::try_from(device.points.len()).unwrap_or(0)).sum();
        let frame = Frame {
            schema: wire::SCHEMA,
            boot_id: sweep.boot_id,
            config_hash: config_hash.clone(),
            tick_ms: tick.at_ms,
            clock_synced,
            devices,
            monotonic_ms: u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX).max(1),
            ..Frame::default()
        };
        if sweep.frames.send(Encoded { bytes: frame.encode_to_vec(), points }).await.is_err() {
            break;
        }
    }
    for bus in buses {
        bus.end().await;
    }
}

impl Sweep {
    /// Actors for the buses of a configuration. Those that are as before go on; the others end before new ones begin,
    /// as two cannot hold one port.
    async fn buses(&self, config: &Config, doors: &Doors, before: Vec<BusHandle>, stop: &CancellationToken) -> Vec<BusHandle> {
        self.status.set_jitter_budget(config.jitter_budget);
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for bus in before {
            if config.buses.contains(&bus.config) { kept.push(bus) } else { ended.push(bus) }
        }
        for bus in ended {
            bus.end().await;
        }
        let mut buses = Vec::with_capacity(config.buses.len());
        for bus in &config.buses {
            match kept.iter().position(|kept| kept.config == *bus) {
                Some(at) => buses.push(kept.swap_remove(at)),
                None => {
                    let (orders, taken) = mpsc::channel(ORDERS_MAX);
                    let opener = bus.opener(doors);
                    let running = actor::run(bus.clone(), opener, Arc::clone(&self.clock), Arc::clone(&self.status), taken, stop.clone());
                    let actor = tokio::spawn(running);
                    buses.push(BusHandle { config: bus.clone(), interval_ms: millis(bus.interval), orders, actor });
                }
            }
        }
        buses
    }
}

impl BusHandle {
    /// Ends the actor after what it is doing.
    async fn end(self) {
        drop(self.orders);
        if self.actor.await.is_err() {
            tracing::error!(bus = %self.config.name, "the task of a bus has panicked");
        }
    }
}

/// Reads one device between two sweeps.
async fn read_one(buses: &[BusHandle], probe: Probe, clock_synced: bool) {
    let Some(bus) = buses.iter().find(|bus| bus.config.devices.iter().any(|device| device.id == probe.device)) else { return };
    let (reply, replied) = oneshot::channel();
    if bus.orders.send(Order { at_ms: 0, clock_synced, only: Some(probe.device), reply }).await.is_err() {
        return;
    }
    if let Some(reading) = replied.await.unwrap_or_default().pop() {
        // Whoever asked may have given up.
        drop(probe.reply.send(reading));
    }
}

/// Orders a reading from every bus that is due and collects them in the order of the configuration.
async fn read_all(buses: &[BusHandle], tick_ms: i64, clock_synced: bool) -> Vec<DeviceReading> {
    let mut replies = Vec::with_capacity(buses.len());
    for bus in buses.iter().filter(|bus| tick_ms.rem_euclid(bus.interval_ms) == 0) {
        let (reply, replied) = oneshot::channel();
        if bus.orders.send(Order { at_ms: tick_ms, clock_synced, only: None, reply }).await.is_ok() {
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
