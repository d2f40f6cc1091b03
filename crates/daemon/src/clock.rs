//! The time a daemon is told.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;

/// Tells the wall-clock time, and waits for one.
///
/// Schedules ask this and never the operating system, so that a month of minutes can be driven through the real thing.
pub trait Clock: Send + Sync + Debug {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether the time can be right. A board without a battery wakes up in 1970, and says so until somebody sets it.
    fn is_set(&self) -> bool {
        true
    }

    /// Time since some moment before the first call, on a clock that nobody sets: says how far apart two moments of one run are.
    ///
    /// A clock that is driven is never set, so its own time will do.
    fn monotonic(&self) -> Duration {
        Duration::try_from(self.now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }

    /// Returns when the clock shows `at`, or at once if it is past.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// How long to sleep at once, so that a clock that is set in the meantime is noticed.
    const NAP: Duration = Duration::from_secs(10);
    /// 2025-01-01: no program of ours has run before.
    const PLAUSIBLE_FROM_MS: i64 = 1_735_689_600_000;
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is told by")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn is_set(&self) -> bool {
        self.now().as_millisecond() >= Self::PLAUSIBLE_FROM_MS
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<tokio::time::Instant> = OnceLock::new();
        START.get_or_init(tokio::time::Instant::now).elapsed()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let left = at.duration_since(self.now());
                let Ok(left) = Duration::try_from(left) else { return };
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Self::NAP)).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_until_the_time_and_not_for_the_past() {
        let start = SystemClock.now();
        SystemClock.sleep_until(start - jiff::SignedDuration::from_hours(1)).await;
        let at = start + jiff::SignedDuration::from_millis(30);
        SystemClock.sleep_until(at).await;
        assert!(SystemClock.now() >= at);
    }

    #[tokio::test]
    async fn the_clock_that_nobody_sets_goes_on() {
        let before = SystemClock.monotonic();
        SystemClock.sleep_until(SystemClock.now() + jiff::SignedDuration::from_millis(20)).await;
        assert!(SystemClock.monotonic() - before >= Duration::from_millis(15));
    }
}
