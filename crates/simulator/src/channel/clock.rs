//! The time of a bus in memory.

use std::{future::Future, pin::Pin, time::Duration};

use daemon::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall-clock time that is as long as tokio's, which may be paused and jump.
#[derive(Clone, Debug)]
pub struct TokioClock {
    base: Timestamp,
    start: Instant,
}

impl TokioClock {
    /// A clock that shows `base` now.
    #[must_use]
    pub fn starting(base: Timestamp) -> Self {
        Self { base, start: Instant::now() }
    }

    pub(super) fn at(&self, instant: Instant) -> Timestamp {
        let passed = instant.saturating_duration_since(self.start);
        self.base + SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX)
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let left = Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO);
        Box::pin(tokio::time::sleep(left))
    }
}
