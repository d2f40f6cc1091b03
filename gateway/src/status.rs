//! What a running gateway counts, readable by others at any time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::Clock;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use wire::{DeviceReading, GatewayFacts, Urgency};

use crate::{
    local::Latest,
    modbus::BusCounters,
    poll::is_failed,
    remote::{Active, Happened, Outbox},
    spool::{SpoolCounters, SpoolEvent},
};

/// How long before its end a certificate is worth a word.
const CERTIFICATE_NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The counters of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatusSnapshot {
    /// Sweeps done.
    pub sweeps: u64,
    /// Sweeps that were due and did not happen.
    pub sweeps_missed: u64,
    /// Points asked for: one quantity of one device at one time.
    pub points_polled: u64,
    /// Those of them without a usable value.
    pub points_failed: u64,
    /// Points of this run whose frame the collector confirmed.
    pub points_acknowledged: u64,
    /// Frames made durable in the spool by this run.
    pub frames_committed: u64,
    /// Bytes of all frames of this run, as they are before the spool packs them.
    pub frame_bytes: u64,
    /// Frames that neither disk nor memory could keep.
    pub frames_refused: u64,
    /// Frames dropped from a full spool before the collector had them.
    pub frames_dropped: u64,
    /// Frames handed to the broker, repetitions included.
    pub frames_sent: u64,
    /// Those of them that were repetitions.
    pub frames_resent: u64,
    /// Highest sequence number durable here.
    pub last_seq: u64,
    /// Every frame up to here is durable at the collector.
    pub acknowledged_seq: u64,
    /// The oldest frame that is still here: delivered ones stay until their room is needed.
    pub oldest_seq: u64,
    /// Frames that the collector has not confirmed.
    pub backlog: u64,
    /// Points left out of frames in a full spool before the collector had them.
    pub points_left_out: u64,
    /// Damaged stretches found in the spool.
    pub spool_damaged: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Disk allowance of the spool.
    pub spool_bytes_max: u64,
    /// How much of the allowance is filled with frames that the collector does not have.
    pub spool_percent: u8,
    /// The alarm that holds: 50, 80 or 95 percent; 0 for none.
    pub spool_alarm: u8,
    /// Whether the broker is connected.
    pub connected: bool,
    /// What is wrong right now with the spool.
    pub spool_fault: Option<String>,
    /// What is wrong right now with the uplink.
    pub uplink_fault: Option<String>,
    /// The version of the configuration that came by command, or 0 for the gateway's own file.
    pub config_version: u64,
    /// Whether that configuration is on trial.
    pub config_trial: bool,
    /// How punctual polls are.
    pub jitter: JitterStatus,
    /// How each bus is.
    pub buses: Vec<BusStatus>,
}

/// How long after their time the newest polls began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JitterStatus {
    /// Polls that were begun, of one bus each.
    pub polls: u64,
    /// Those of them that began later than the budget allows.
    pub late: u64,
    /// Half of the newest began within this.
    pub p50_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// 999 of 1000.
    pub p999_us: u64,
    /// The latest of all since the start.
    pub max_us: u64,
}

/// How a bus is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BusStatus {
    /// Its name.
    pub bus: String,
    /// Where it is.
    pub endpoint: String,
    /// What happened on it.
    pub counters: BusCounters,
    /// Who is on it.
    pub devices: Vec<DeviceStatus>,
}

/// How a device is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceStatus {
    /// Its name.
    pub device: String,
    /// It does not answer and is asked now and then only.
    pub lost: bool,
    /// It refused a read over a gap, and is read without gaps since.
    pub without_gaps: bool,
    /// How long is waited for it now.
    pub timeout_us: u64,
    /// 99 of 100 answers come within this.
    pub latency_p99_us: Option<u64>,
    /// Polls in which there was no time left for it.
    pub left_out: u64,
}

/// The newest polls, whose punctuality is told.
const JITTER_SAMPLES: usize = 4096;

/// The newest polls, as a ring.
#[derive(Debug, Default)]
struct Jitter {
    budget_us: u64,
    samples: Vec<u64>,
    next: usize,
    was_late: bool,
}

/// The counters of a running gateway. One task counts each of them; anybody reads.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<Inner>,
    outbox: Outbox,
    latest: Latest,
}

#[derive(Debug, Default)]
struct Inner {
    counters: StatusSnapshot,
    /// Frames of this run that are not confirmed, by how many points they hold.
    unconfirmed: VecDeque<Run>,
    jitter: Jitter,
    /// Devices that do not answer, and since when.
    lost: BTreeMap<String, Timestamp>,
    started: Option<Timestamp>,
    progress: Progress,
    /// Times at which buses could be due.
    ticks: u64,
}

/// Which configuration has shown what. Each configuration that is followed has the next number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The newest under which a sweep was done that brought a value.
    pub(crate) swept: u64,
    /// The newest under which the collector confirmed something after that.
    pub(crate) acknowledged: u64,
    /// Values of the last sweep.
    pub(crate) values: u64,
}

/// Consecutive frames with the same number of points.
#[derive(Debug)]
struct Run {
    first: u64,
    last: u64,
    points: u64,
}

impl Status {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters now.
    pub fn snapshot(&self) -> StatusSnapshot {
        let inner = self.inner();
        let mut counters = inner.counters.clone();
        let mut sorted = inner.jitter.samples.clone();
        drop(inner);
        sorted.sort_unstable();
        let of = |thousandths: usize| sorted.get(sorted.len().saturating_sub(1) * thousandths / 1000).copied().unwrap_or(0);
        (counters.jitter.p50_us, counters.jitter.p99_us, counters.jitter.p999_us) = (of(500), of(990), of(999));
        counters
    }

    /// How late a poll may begin.
    pub(crate) fn set_jitter_budget(&self, budget: Duration) {
        self.inner().jitter.budget_us = u64::try_from(budget.as_micros()).unwrap_or(u64::MAX);
    }

    /// A poll of a bus began, so long after its time.
    pub(crate) fn poll_began(&self, late: Duration) {
        let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner();
        let Inner { counters, jitter, .. } = &mut *inner;
        let is_late = late_us > jitter.budget_us;
        counters.jitter.polls += 1;
        counters.jitter.late += u64::from(is_late);
        counters.jitter.max_us = counters.jitter.max_us.max(late_us);
        if jitter.samples.len() < JITTER_SAMPLES {
            jitter.samples.push(late_us);
        } else if let Some(oldest) = jitter.samples.get_mut(jitter.next) {
            *oldest = late_us;
        }
        jitter.next = (jitter.next + 1) % JITTER_SAMPLES;
        let news = is_late && !jitter.was_late;
        jitter.was_late = is_late;
        drop(inner);
        if news {
            tracing::warn!(
                late_us,
                "polls begin later than poll.jitter_budget allows: the machine is too busy, or the sweep before took too long"
            );
        }
    }

    /// A bus was polled, and is so now.
    pub(crate) fn bus(&self, status: BusStatus) {
        let buses = &mut self.inner().counters.buses;
        match buses.iter_mut().find(|known| known.bus == status.bus) {
            Some(known) => *known = status,
            None => {
                buses.push(status);
                buses.sort_by(|a, b| a.bus.cmp(&b.bus));
            }
        }
    }

    /// What every point showed last.
    pub(crate) fn latest(&self) -> &Latest {
        &self.latest
    }

    /// When this run began.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        self.inner().started
    }

    /// What the gateway has to say beside its readings.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) fn started(&self, at: Timestamp) {
        self.inner().started = Some(at);
    }

    pub(crate) fn progress(&self) -> Progress {
        self.inner().progress
    }

    /// A sweep was done under a configuration. It proves the configuration if it brought a value, or if none came before.
    pub(crate) fn swept_under(&self, generation: u64, devices: &[DeviceReading]) {
        let points = devices.iter().flat_map(|device| &device.points);
        let values = u64::try_from(points.filter(|point| !is_failed(point.quality)).count()).unwrap_or(u64::MAX);
        let progress = &mut self.inner().progress;
        if values > 0 || progress.values == 0 {
            progress.swept = generation;
            progress.values = values;
        }
    }

    /// The collector confirmed something over a connection of this configuration.
    pub(crate) fn acknowledged_under(&self, generation: u64) {
        let progress = &mut self.inner().progress;
        if progress.swept >= generation {
            progress.acknowledged = generation;
        }
    }

    /// A device no longer answers.
    pub(crate) fn device_lost(&self, device: &str, at: Timestamp, reason: &str) {
        self.inner().lost.insert(device.to_owned(), at);
        let detail = format!("`{device}` does not answer: {reason}");
        self.outbox.raise(Happened { kind: "device_lost", subject: device, urgency: Urgency::Warning, detail }, at.as_millisecond());
        self.outbox.state_changed();
    }

    /// A device answers again.
    pub(crate) fn device_back(&self, device: &str, at: Timestamp) {
        let lost = self.inner().lost.remove(device);
        let since = lost.map_or_else(String::new, |lost| format!("; it was gone since {lost}"));
        let detail = format!("`{device}` answers again{since}");
        self.outbox.raise(Happened { kind: "device_back", subject: device, urgency: Urgency::Info, detail }, at.as_millisecond());
        self.outbox.state_changed();
    }

    /// Another configuration is followed; devices that are not in it are not missed.
    pub(crate) fn followed(&self, active: &Active) {
        let mut inner = self.inner();
        inner.lost.retain(|lost, _| active.config.devices().any(|device| device.id.as_str() == lost));
        inner.counters.config_version = active.facts.version;
        inner.counters.config_trial = active.facts.trial;
        let is_bus = |bus: &BusStatus| active.config.buses.iter().any(|known| known.name.as_str() == bus.bus);
        inner.counters.buses.retain(is_bus);
        drop(inner);
        let read: BTreeMap<&str, &[String]> = active.config.devices().map(|device| (device.id.as_str(), device.points())).collect();
        self.latest.retain(|device, point| read.get(device).is_some_and(|points| points.iter().any(|id| id == point)));
        self.outbox.state_changed();
    }

    /// What the retained state says.
    pub(crate) fn facts(&self, active: &Active, clock: &dyn Clock) -> GatewayFacts {
        let inner = self.inner();
        let now = clock.now();
        let counters = &inner.counters;
        let mut alarms: Vec<String> = [&counters.spool_fault, &counters.uplink_fault].into_iter().flatten().cloned().collect();
        if counters.frames_dropped > 0 {
            alarms.push(format!("{} frames were dropped from a full spool", counters.frames_dropped));
        }
        if counters.points_left_out > 0 {
            alarms.push(format!("{} points were left out of frames in a full spool", counters.points_left_out));
        }
        if counters.spool_alarm > 0 {
            alarms.push(format!("undelivered frames fill more than {} % of the spool", counters.spool_alarm));
        }
        if let Some(expires) = active.config.broker.tls.as_ref().and_then(|tls| tls.expires())
            && clock.is_set()
            && now + CERTIFICATE_NOTICE > expires
        {
            alarms.push(format!("the certificate of this gateway ends on {expires}"));
        }
        if !clock.is_set() {
            alarms.push("the clock is not set: readings are marked".to_owned());
        }
        GatewayFacts {
            at_ms: now.as_millisecond(),
            started_ms: inner.started.map_or(0, |at| at.as_millisecond()),
            clock_set: clock.is_set(),
            config: active.facts.clone(),
            devices: u32::try_from(active.config.devices().count()).unwrap_or(u32::MAX),
            devices_lost: inner.lost.keys().cloned().collect(),
            last_seq: counters.last_seq,
            backlog: counters.backlog,
            frames_dropped: counters.frames_dropped,
            alarms,
        }
    }

    /// A moment of the schedule has passed, whether a bus was due or not.
    pub(crate) fn ticked(&self) {
        self.inner().ticks += 1;
    }

    /// How many of them have.
    pub(crate) fn ticks(&self) -> u64 {
        self.inner().ticks
    }

    /// Something happened to the spool that somebody should hear of.
    pub(crate) fn spool_happened(&self, events: &[SpoolEvent], at: Timestamp) {
        for event in events {
            let happened = Happened { kind: event.code(), subject: "", urgency: event.urgency(), detail: event.to_string() };
            self.outbox.raise(happened, at.as_millisecond());
        }
        if !events.is_empty() {
            self.outbox.state_changed();
        }
    }

    pub(crate) fn missed(&self, sweeps: u64) {
        self.inner().counters.sweeps_missed += sweeps;
    }

    pub(crate) fn swept(&self, devices: &[DeviceReading]) {
        self.latest.note(devices);
        let points = || devices.iter().flat_map(|device| &device.points);
        let count = |number: usize| u64::try_from(number).unwrap_or(0);
        let counters = &mut self.inner().counters;
        counters.sweeps += 1;
        counters.points_polled += count(points().count());
        counters.points_failed += count(points().filter(|point| is_failed(point.quality)).count());
    }

    /// A frame got its number.
    pub(crate) fn appended(&self, seq: u64, points: u64, bytes: usize) {
        let mut inner = self.inner();
        inner.counters.frame_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        match inner.unconfirmed.back_mut() {
            Some(run) if run.points == points && run.last + 1 == seq => run.last = seq,
            _ => inner.unconfirmed.push_back(Run { first: seq, last: seq, points }),
        }
    }

    pub(crate) fn refused(&self) {
        self.inner().counters.frames_refused += 1;
    }

    pub(crate) fn committed(&self, frames: u64, spool: SpoolCounters) {
        let mut inner = self.inner();
        inner.counters.frames_committed += frames;
        inner.spool(spool);
    }

    pub(crate) fn sent(&self, again: bool) {
        let counters = &mut self.inner().counters;
        counters.frames_sent += 1;
        counters.frames_resent += u64::from(again);
    }

    pub(crate) fn acknowledged(&self, spool: SpoolCounters) {
        let mut inner = self.inner();
        inner.spool(spool);
        let seq = spool.acknowledged;
        while let Some(run) = inner.unconfirmed.front_mut().filter(|run| run.first <= seq) {
            let confirmed = seq.min(run.last) - run.first + 1;
            let points = run.points * confirmed;
            run.first += confirmed;
            let done = run.first > run.last;
            inner.counters.points_acknowledged += points;
            if done {
                inner.unconfirmed.pop_front();
            }
        }
    }

    pub(crate) fn connected(&self, connected: bool, fault: Option<String>) {
        let counters = &mut self.inner().counters;
        counters.connected = connected;
        counters.uplink_fault = fault;
    }

    /// Notes what is wrong with the spool, or that nothing is. Says whether that is news.
    pub(crate) fn spool_fault(&self, fault: Option<String>) -> bool {
        let counters = &mut self.inner().counters;
        let news = counters.spool_fault.is_some() != fault.is_some();
        counters.spool_fault = fault;
        news
    }
}

impl Inner {
    fn spool(&mut self, spool: SpoolCounters) {
        let counters = &mut self.counters;
        counters.last_seq = spool.committed;
        counters.acknowledged_seq = spool.acknowledged;
        counters.oldest_seq = spool.oldest;
        counters.backlog = spool.committed.saturating_sub(spool.acknowledged) + spool.waiting;
        counters.frames_dropped = spool.dropped;
        counters.points_left_out = spool.points_left_out;
        counters.spool_damaged = spool.damaged;
        counters.spool_bytes = spool.bytes;
        counters.spool_bytes_max = spool.bytes_max;
        counters.spool_percent = spool.percent;
        counters.spool_alarm = spool.level;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_confirmed_with_their_frames() {
        let status = Status::default();
        for (seq, points) in [(5, 3), (6, 3), (7, 3), (8, 10), (9, 3)] {
            status.appended(seq, points, 100);
        }
        let confirm = |acknowledged| {
            status.acknowledged(SpoolCounters { acknowledged, committed: 9, ..SpoolCounters::default() });
            let now = status.snapshot();
            (now.points_acknowledged, now.backlog)
        };
        assert_eq!(confirm(4), (0, 5));
        assert_eq!(confirm(6), (6, 3));
        assert_eq!(confirm(8), (19, 1));
        assert_eq!(confirm(8), (19, 1));
        assert_eq!(confirm(9), (22, 0));
    }
}
