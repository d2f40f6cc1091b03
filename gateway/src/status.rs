//! What a running gateway counts, readable by others at any time.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use wire::DeviceReading;

use crate::{poll::is_failed, spool::SpoolCounters};

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
    /// Frames that the collector has not confirmed.
    pub backlog: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Whether the broker is connected.
    pub connected: bool,
    /// What is wrong right now with the spool.
    pub spool_fault: Option<String>,
    /// What is wrong right now with the uplink.
    pub uplink_fault: Option<String>,
}

/// The counters of a running gateway. One task counts each of them; anybody reads.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counters: StatusSnapshot,
    /// Frames of this run that are not confirmed, by how many points they hold.
    unconfirmed: VecDeque<Run>,
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
        self.inner().counters.clone()
    }

    pub(crate) fn missed(&self, sweeps: u64) {
        self.inner().counters.sweeps_missed += sweeps;
    }

    pub(crate) fn swept(&self, devices: &[DeviceReading]) {
        let points = || devices.iter().flat_map(|device| &device.points);
        let count = |number: usize| u64::try_from(number).unwrap_or(0);
        let counters = &mut self.inner().counters;
        counters.sweeps += 1;
        counters.points_polled += count(points().count());
        counters.points_failed += count(points().filter(|point| is_failed(point.quality)).count());
    }

    /// A frame got its number.
    pub(crate) fn appended(&self, seq: u64, points: u64) {
        let mut inner = self.inner();
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
        counters.backlog = spool.committed.saturating_sub(spool.acknowledged) + spool.waiting;
        counters.frames_dropped = spool.dropped;
        counters.spool_bytes = spool.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_confirmed_with_their_frames() {
        let status = Status::default();
        for (seq, points) in [(5, 3), (6, 3), (7, 3), (8, 10), (9, 3)] {
            status.appended(seq, points);
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
