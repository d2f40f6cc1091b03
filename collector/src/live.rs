//! What is going on: for the status page, the metrics and the health checks.

mod hub;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use otlp::Exports;
use store::{Batch, Committed};
use tokio::time::Instant;
use wire::{Frame, GatewayPath};

use crate::marks::Marks;
use crate::vee::{Pulses, Watched};

pub(crate) use hub::{Hub, Told, Watcher};

/// Upper bounds of the histograms, in microseconds.
const BOUND_MICROS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// A reading that comes later than this after its time is late: a gateway was cut off, or somebody writes history.
const LATE_MS: i64 = 3_600_000;

/// Gateways whose latest frame and state are kept in memory; more are stored all the same.
const LATEST_MAX: usize = 20_000;

/// Shared by all tasks. Everything is counted since the process started; the store counts for ever.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) connected: AtomicBool,
    /// Whether readings could come at least once: subscribed, or a writer may write.
    pub(crate) begun: AtomicBool,
    pub(crate) reconnects: AtomicU64,
    pub(crate) messages: AtomicU64,
    /// Points that were offered to this process.
    pub(crate) received: AtomicU64,
    /// Points that this process has accounted for: accepted, duplicate or dead letter.
    pub(crate) accounted: AtomicU64,
    pub(crate) inflight: AtomicU64,
    /// Messages of gateways that brought too much: they send them again.
    pub(crate) deferred: AtomicU64,
    pub(crate) acks: AtomicU64,
    /// Frames that gateways say are gone, repetitions included.
    pub(crate) frames_lost: AtomicU64,
    /// Points that were accepted late.
    pub(crate) late: AtomicU64,
    /// Points that gateways left out of frames to make room.
    pub(crate) points_left_out: AtomicU64,
    /// Readings for those who watch.
    pub(crate) hub: Arc<Hub>,
    /// What frames say besides their readings.
    pub(crate) pulses: Pulses,
    /// What the last look at completeness found.
    pub(crate) watched: Watched,
    /// What became of telling OpenTelemetry.
    pub(crate) exports: Arc<Exports>,
    /// How many readings there were when.
    pub(crate) marks: Marks,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    latest: BTreeMap<GatewayPath, Frame>,
    /// Gateways that say they are there, and of which the broker has not said otherwise.
    online: BTreeSet<GatewayPath>,
    letters: BTreeMap<String, u64>,
    writes: BTreeMap<u16, u64>,
    problem: Option<String>,
    commits: Times,
    queryable: Times,
    /// When the oldest message arrived that is not yet durable.
    waiting: Option<Instant>,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// Per bound of [`BOUND_MICROS`], not cumulated; the last is everything slower.
    counts: HashMap<usize, u64>,
    sum_micros: u64,
}

impl Times {
    fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUND_MICROS.partition_point(|bound| *bound < micros);
        *self.counts.entry(bucket).or_default() += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// Bounds in microseconds with how many were at most as slow.
    pub(crate) fn cumulated(&self) -> Vec<(u64, u64)> {
        let mut total = 0;
        let add = |(bucket, bound): (usize, &u64)| {
            total += self.counts.get(&bucket).copied().unwrap_or(0);
            (*bound, total)
        };
        BOUND_MICROS.iter().enumerate().map(add).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn sum_micros(&self) -> u64 {
        self.sum_micros
    }
}

impl Live {
    /// Takes note of what a gateway, or the broker in its place, says of its being there.
    pub(crate) fn gateway_is(&self, path: GatewayPath, online: bool) {
        let mut inner = self.inner();
        if !online {
            inner.online.remove(&path);
        } else if inner.online.len() < LATEST_MAX {
            inner.online.insert(path);
        }
    }

    pub(crate) fn gateways_online(&self) -> usize {
        self.inner().online.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics while it holds the live state")
    }

    /// Keeps the newest frame of a gateway.
    pub(crate) fn frame(&self, path: GatewayPath, frame: Frame) {
        let mut inner = self.inner();
        let room = inner.latest.len() < LATEST_MAX;
        let newer = inner.latest.get(&path).map_or(room, |known| known.tick_ms <= frame.tick_ms);
        if newer {
            inner.latest.insert(path, frame);
        }
    }

    pub(crate) fn letter(&self, reason: &str) {
        *self.inner().letters.entry(reason.to_owned()).or_default() += 1;
    }

    /// A request to write was answered so.
    pub(crate) fn wrote(&self, status: u16) {
        *self.inner().writes.entry(status).or_default() += 1;
    }

    pub(crate) fn writes(&self) -> BTreeMap<u16, u64> {
        self.inner().writes.clone()
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.inner().commits.add(took);
    }

    /// The oldest message of a group arrived at `arrived`, and is not yet durable.
    pub(crate) fn waits(&self, arrived: Instant) {
        self.inner().waiting = Some(arrived);
    }

    /// Messages are durable, and found by who asks; or they were put off, and their gateways send them again.
    pub(crate) fn done_with(&self, arrived: impl Iterator<Item = Instant>) {
        let mut inner = self.inner();
        inner.waiting = None;
        arrived.for_each(|arrived| inner.queryable.add(arrived.elapsed()));
    }

    /// How long the oldest message waits that is not yet durable.
    pub(crate) fn waited(&self) -> Duration {
        self.inner().waiting.map_or(Duration::ZERO, |arrived| arrived.elapsed())
    }

    pub(crate) fn queryable(&self) -> Times {
        self.inner().queryable.clone()
    }

    /// Counts what was accepted long after its time. Of a batch that had come in part it is not known which came late: no more than
    /// were accepted.
    pub(crate) fn count_late(&self, batch: &Batch, outcome: &Committed, now_ms: i64) {
        let late = batch.rows.iter().filter(|row| row.ts_ms < now_ms - LATE_MS).count() as u64;
        self.count(&self.late, late.min(outcome.accepted));
    }

    /// Says why nothing is acknowledged, or that all is well again.
    pub(crate) fn set_problem(&self, problem: Option<String>) {
        self.inner().problem = problem;
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.inner().problem.clone()
    }

    pub(crate) fn letters(&self) -> BTreeMap<String, u64> {
        self.inner().letters.clone()
    }

    pub(crate) fn commits(&self) -> Times {
        self.inner().commits.clone()
    }

    pub(crate) fn latest(&self) -> BTreeMap<GatewayPath, Frame> {
        self.inner().latest.clone()
    }

    pub(crate) fn count(&self, counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Takes back what was counted.
    pub(crate) fn uncount(&self, counter: &AtomicU64, by: u64) {
        counter.fetch_sub(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
