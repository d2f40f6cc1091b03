//! What is going on: for the status page, the metrics and the health checks.

mod hub;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use wire::{Frame, GatewayPath};

pub(crate) use hub::{Hub, Told, Watcher};

/// Upper bounds of the histogram of commits, in microseconds.
const COMMIT_MICROS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// Gateways whose latest frame is kept in memory; more are stored all the same.
const LATEST_MAX: usize = 20_000;

/// Shared by all tasks. Everything is counted since the process started; the store counts for ever.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) connected: AtomicBool,
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
    /// Points that gateways left out of frames to make room.
    pub(crate) points_left_out: AtomicU64,
    /// Readings for those who watch.
    pub(crate) hub: Arc<Hub>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    latest: BTreeMap<GatewayPath, Frame>,
    letters: BTreeMap<String, u64>,
    writes: BTreeMap<u16, u64>,
    problem: Option<String>,
    commits: Commits,
}

/// How long commits took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commits {
    /// Per bound of [`COMMIT_MICROS`], not cumulated; the last is everything slower.
    counts: HashMap<usize, u64>,
    sum_micros: u64,
}

impl Commits {
    fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_MICROS.partition_point(|bound| *bound < micros);
        *self.counts.entry(bucket).or_default() += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// Bounds in microseconds with how many commits were at most as slow.
    pub(crate) fn cumulated(&self) -> Vec<(u64, u64)> {
        let mut total = 0;
        let add = |(bucket, bound): (usize, &u64)| {
            total += self.counts.get(&bucket).copied().unwrap_or(0);
            (*bound, total)
        };
        COMMIT_MICROS.iter().enumerate().map(add).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn sum_micros(&self) -> u64 {
        self.sum_micros
    }
}

impl Live {
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

    pub(crate) fn commits(&self) -> Commits {
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
