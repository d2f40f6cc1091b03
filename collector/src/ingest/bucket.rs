//! A token bucket that may go into debt: what has arrived is taken whole, and what comes next waits.

use std::time::Duration;

use tokio::time::Instant;

/// Points that one sender may bring.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    level: f64,
    at: Option<Instant>,
}

/// A quiet sender may bring what it could have brought in this time.
const BURST: Duration = Duration::from_secs(10);

impl Bucket {
    /// A full one.
    pub(crate) fn new(points_per_second: u32) -> Self {
        let per_second = f64::from(points_per_second);
        Self { per_second, level: per_second * BURST.as_secs_f64(), at: None }
    }

    /// How long a sender has to wait; nothing when it need not.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.level = (self.level + passed.as_secs_f64() * self.per_second).min(self.per_second * BURST.as_secs_f64());
        (self.level <= 0.0).then(|| Duration::from_secs_f64((1.0 - self.level) / self.per_second))
    }

    /// Takes what has been brought.
    pub(crate) fn spend(&mut self, points: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a body has fewer points than a float has whole numbers")]
        let points = points as f64;
        self.level -= points;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut bucket = Bucket::new(100);
        assert_eq!(bucket.wait(at(0)), None);
        bucket.spend(1_500);
        // 500 in debt.
        assert!(bucket.wait(at(0)).is_some_and(|wait| (5.0..5.1).contains(&wait.as_secs_f64())));
        assert!(bucket.wait(at(4)).is_some());
        assert_eq!(bucket.wait(at(6)), None);
        bucket.spend(101);
        assert!(bucket.wait(at(6)).is_some());
        // Quiet for a day, and no more than a burst.
        assert_eq!(bucket.wait(at(86_400)), None);
        bucket.spend(1_000);
        assert!(bucket.wait(at(86_400)).is_some());
    }
}
