//! How a sink is doing: what metrics, `/v1/status` and the command line say.

use std::path::Path;
use std::sync::Mutex;

use daemon::Clock;
use serde::Serialize;

use crate::config::SinkConfig;
use crate::cursor::{Counts, Cursor, CursorError};
use crate::reconcile::Reconciled;

/// A sink that runs, as others see it.
#[derive(Debug)]
pub struct Shown {
    name: String,
    kind: &'static str,
    destination: String,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    lsn: u64,
    caught_up_ms: i64,
    counts: Counts,
    problem: Option<String>,
    reconciled: Option<Reconciled>,
}

/// How a sink is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub name: String,
    pub kind: &'static str,
    pub destination: String,
    /// Everything up to this entry of the log is there.
    pub lsn: u64,
    /// Entries of the log that are not.
    pub lag_lsn: u64,
    /// For so long it has not had everything; 0 while it has.
    pub lag_seconds: i64,
    pub written: u64,
    pub retried: u64,
    pub rejected: u64,
    /// Why it does not go on.
    pub problem: Option<String>,
    /// What the last comparison with the store has found.
    pub reconciled: Option<Reconciled>,
}

impl Shown {
    /// Of a sink that has just started.
    #[must_use]
    pub fn new(sink: &SinkConfig) -> Self {
        let (kind, destination) = (sink.target.kind(), sink.target.destination());
        Self { name: sink.name.clone(), kind, destination, now: Mutex::default() }
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now.lock().expect("no thread panics while it changes a number"));
    }

    pub(crate) fn moved(&self, cursor: &Cursor) {
        self.change(|now| (now.lsn, now.caught_up_ms, now.counts) = (cursor.position.lsn, cursor.caught_up_ms, cursor.counts));
    }

    pub(crate) fn problem(&self, problem: Option<String>) {
        self.change(|now| now.problem = problem);
    }

    pub(crate) fn reconciled(&self, reconciled: Reconciled) {
        self.change(|now| now.reconciled = Some(reconciled));
    }

    /// How it is doing, when the log ends at `last_lsn`.
    #[must_use]
    pub fn status(&self, last_lsn: u64, clock: &dyn Clock) -> Status {
        let now = self.now.lock().expect("no thread panics while it changes a number").clone();
        let Now { lsn, caught_up_ms, counts, problem, reconciled } = now;
        let cursor = Cursor { position: store::Position { lsn, sweep: None }, caught_up_ms, counts, ..Cursor::default() };
        Status { problem, reconciled, ..Status::of(&self.name, self.kind, &self.destination, &cursor, last_lsn, clock) }
    }
}

impl Status {
    fn of(name: &str, kind: &'static str, destination: &str, cursor: &Cursor, last_lsn: u64, clock: &dyn Clock) -> Self {
        let behind_ms = clock.now().as_millisecond().saturating_sub(cursor.caught_up_ms).max(0);
        let Counts { written, retried, rejected } = cursor.counts;
        Self {
            name: name.to_owned(),
            kind,
            destination: destination.to_owned(),
            lsn: cursor.position.lsn,
            lag_lsn: last_lsn.saturating_sub(cursor.position.lsn),
            lag_seconds: if cursor.position.lsn < last_lsn { behind_ms / 1_000 } else { 0 },
            written,
            retried,
            rejected,
            problem: None,
            reconciled: None,
        }
    }

    /// As its cursor on the disk says, beside a collector that runs or without one.
    pub fn on_disk(store: &Path, sink: &SinkConfig, last_lsn: u64, clock: &dyn Clock) -> Result<Self, CursorError> {
        let cursor = Cursor::load(store, &sink.name)?.unwrap_or_default();
        Ok(Self::of(&sink.name, sink.target.kind(), &sink.target.destination(), &cursor, last_lsn, clock))
    }
}
