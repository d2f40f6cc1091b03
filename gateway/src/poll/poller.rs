//! Everything that is known about one bus from poll to poll, and polling it.

use std::{sync::Arc, time::Duration};

use daemon::Clock;
use ids::Slug;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::DeviceReading;

use super::{
    breaker::{Breaker, Change, Effort},
    reading::{Attempt, Polled, poll_device},
};
use crate::{
    config::{BusConfig, DeviceConfig},
    modbus::{Bus, BusCounters, Endpoint, Latency, Open},
    status::{BusStatus, DeviceStatus},
};

/// One poll of a bus.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// When it is due, in milliseconds since 1970 UTC: the time of its readings.
    pub at_ms: i64,
    /// Whether the clock can be right.
    pub clock_synced: bool,
    /// No device is begun after this moment: the next poll is near.
    pub until: Instant,
}

/// Polls one bus: the actor of the daemon around it, or whoever simulates a bus, says when.
#[derive(Debug)]
pub struct Poller {
    config: BusConfig,
    clock: Arc<dyn Clock>,
    bus: Bus,
    devices: Vec<DeviceState>,
    cycle: u64,
    /// With whom the next poll begins: with the one that there was no time for.
    first: Option<usize>,
    /// Whether the bus could be reached when it was last tried.
    reached: bool,
    turns: Vec<Turn>,
}

/// A device was lost, or came back.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) device: String,
    pub(super) at: Timestamp,
    /// Why it was lost; nothing where it came back.
    pub(super) lost: Option<String>,
}

/// What is known about a device from poll to poll.
#[derive(Debug)]
struct DeviceState {
    breaker: Breaker,
    latency: Latency,
    /// It refused a read that ran over registers nobody wanted.
    without_gaps: bool,
    left_out: u64,
    turn: Option<Turn>,
}

impl Poller {
    /// * `opener`: what makes the connections of the bus, again and again.
    pub fn new(config: BusConfig, clock: Arc<dyn Clock>, opener: Box<dyn Open>) -> Self {
        let mut bus = Bus::with_opener(config.endpoint.clone(), opener);
        bus.set_foreign_gap(config.foreign_gap);
        bus.set_settle(config.settle);
        bus.set_late(config.late);
        bus.set_converter(config.converter);
        let devices = config.devices.iter().map(DeviceState::new).collect();
        Self { config, clock, bus, devices, cycle: 0, first: None, reached: true, turns: Vec::new() }
    }

    /// Reads every device of the bus; the readings are in the order of the configuration.
    ///
    /// After `stop` the exchange under way is finished and the devices after it are left out.
    pub async fn poll(&mut self, tick: Tick, stop: &CancellationToken) -> Vec<DeviceReading> {
        let count = self.devices.len();
        let mut readings: Vec<Option<DeviceReading>> = vec![None; count];
        let first = self.first.take().unwrap_or(0);
        for index in (0..count).map(|offset| (first + offset) % count) {
            if stop.is_cancelled() {
                break;
            }
            let (Some(device), Some(state)) = (self.config.devices.get(index), self.devices.get_mut(index)) else { break };
            let requested = self.clock.now();
            let reading = if Instant::now() < tick.until {
                let polled = state.poll(&mut self.bus, device, tick, self.cycle, requested).await;
                self.turns.extend(state.turn.take());
                self.reached = tell(self.bus.endpoint(), self.reached, &polled);
                polled.reading(device, tick, requested)
            } else {
                if state.left_out == 0 {
                    tracing::warn!(device = %device.id, bus = %self.bus.endpoint(), "there was no time left to read `{}`: too much is asked of this bus", device.id);
                }
                state.left_out += 1;
                self.first.get_or_insert(index);
                Polled::nothing().reading(device, tick, requested)
            };
            if let Some(place) = readings.get_mut(index) {
                *place = Some(reading);
            }
        }
        self.cycle += 1;
        readings.into_iter().flatten().collect()
    }

    /// Reads one device with all its points, now, whatever it did so far.
    pub(crate) async fn poll_one(&mut self, id: &Slug, clock_synced: bool) -> Vec<DeviceReading> {
        let devices = self.config.devices.iter().zip(&mut self.devices);
        let Some((device, state)) = devices.into_iter().find(|(device, _)| device.id == *id) else { return Vec::new() };
        // At the beginning of time everything is due.
        let tick = Tick { at_ms: 0, clock_synced, until: Instant::now() };
        let requested = self.clock.now();
        let reads = device.slow.as_ref().map_or(&device.reads, |slow| &slow.reads);
        let plan = if state.without_gaps { &reads.without_gaps } else { &reads.plan };
        let mut attempt = Attempt { timeout: state.latency.timeout(), retries: 1, latencies: Vec::new() };
        let polled = poll_device(&mut self.bus, device, plan.cycle(self.cycle), &mut attempt).await;
        self.cycle += 1;
        vec![polled.reading(device, tick, requested)]
    }

    /// Devices that were lost or came back since the last time.
    pub(super) fn take_turns(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.turns)
    }

    /// What happened on the bus since the beginning.
    pub fn counters(&self) -> BusCounters {
        self.bus.counters()
    }

    /// How the bus and its devices are.
    pub fn status(&self) -> BusStatus {
        let devices = self.config.devices.iter().zip(&self.devices);
        BusStatus {
            bus: self.config.name.to_string(),
            endpoint: self.config.endpoint.to_string(),
            counters: self.bus.counters(),
            devices: devices.map(|(device, state)| state.status(device)).collect(),
        }
    }
}

/// Says when a bus can no longer be reached, and when it can again.
fn tell(endpoint: &Endpoint, reached: bool, polled: &Polled) -> bool {
    match &polled.failure {
        Some(err) if err.is_of_bus() => {
            if reached {
                tracing::warn!(bus = %endpoint, error = daemon::chain(err), "{endpoint} cannot be reached; it is tried again and again");
            }
            false
        }
        _ => {
            if !reached && polled.answered {
                tracing::info!(bus = %endpoint, "{endpoint} is reached again");
            }
            reached || polled.answered
        }
    }
}

impl DeviceState {
    fn new(device: &DeviceConfig) -> Self {
        let latency = Latency::new(device.timeout, device.timeout_min);
        Self { breaker: Breaker::default(), latency, without_gaps: false, left_out: 0, turn: None }
    }

    async fn poll(&mut self, bus: &mut Bus, device: &DeviceConfig, tick: Tick, cycle: u64, requested: Timestamp) -> Polled {
        let now_ms = requested.as_millisecond();
        let effort = self.breaker.effort(now_ms);
        if effort == Effort::Rest {
            return Polled::nothing();
        }
        let slow = device.slow.as_ref().filter(|slow| tick.at_ms.rem_euclid(slow.interval_ms()) == 0);
        let reads = slow.map_or(&device.reads, |slow| &slow.reads);
        let plan = if self.without_gaps { &reads.without_gaps } else { &reads.plan };
        let mut attempt = Attempt { timeout: self.latency.timeout(), retries: u32::from(effort == Effort::Full), latencies: Vec::new() };
        let mut polled = poll_device(bus, device, plan.cycle(cycle), &mut attempt).await;
        if polled.refused_gap && !self.without_gaps {
            self.without_gaps = true;
            let error = polled.failure.as_ref().map(|err| daemon::chain(err)).unwrap_or_default();
            tracing::warn!(device = %device.id, bus = %bus.endpoint(), error, "`{}` refuses to be read over gaps; from now on only what is wanted is asked for", device.id);
            polled = polled.then(poll_device(bus, device, reads.without_gaps.cycle(cycle), &mut attempt).await);
        }
        for took in attempt.latencies {
            self.latency.note(took);
        }
        if let Some(late) = bus.take_lateness(device.unit) {
            self.latency.note_late(late);
        }
        // A bus that cannot be reached is no fault of its devices, and a request that waits for an old answer to pass says nothing
        // about the device either.
        if !polled.answered && !polled.failed {
            return polled;
        }
        // A device that did not answer also costs the silence after it.
        let silence = if polled.answered { Duration::ZERO } else { attempt.timeout };
        match self.breaker.note(now_ms, polled.answered, polled.duration + silence) {
            Some(Change::Lost) => {
                let error = polled.failure.as_ref().map(|err| daemon::chain(err)).unwrap_or_default();
                tracing::warn!(device = %device.id, bus = %bus.endpoint(), error, "`{}` does not answer; it is asked less often from now on", device.id);
                self.turn = Some(Turn { device: device.id.to_string(), at: requested, lost: Some(error) });
            }
            Some(Change::Back { cycles }) => {
                tracing::info!(device = %device.id, cycles, "`{}` answers again", device.id);
                self.turn = Some(Turn { device: device.id.to_string(), at: requested, lost: None });
            }
            None => {}
        }
        polled
    }

    fn status(&self, device: &DeviceConfig) -> DeviceStatus {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        DeviceStatus {
            device: device.id.to_string(),
            lost: self.breaker.is_lost(),
            without_gaps: self.without_gaps,
            timeout_us: micros(self.latency.timeout()),
            latency_p99_us: self.latency.p99().map(micros),
            left_out: self.left_out,
        }
    }
}
