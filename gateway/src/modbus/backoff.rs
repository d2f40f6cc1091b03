//! How long to leave something alone that does not work. Pure: told the time.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;

/// Doubling pauses with jitter.
#[derive(Clone, Debug)]
pub(crate) struct BackOff {
    first: Duration,
    ceiling: Duration,
    /// Makes the pauses of different peers fall apart.
    salt: u64,
    failures: u32,
    until: Option<Instant>,
}

impl BackOff {
    pub(crate) fn new(first: Duration, ceiling: Duration, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self { first, ceiling, salt: hasher.finish(), failures: 0, until: None }
    }

    /// How long still to wait.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Notes a failure; says how long to wait, between three quarters and all of the doubled pause.
    pub(crate) fn fail(&mut self, now: Instant) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.ceiling);
        let mut hasher = DefaultHasher::new();
        (self.salt, self.failures).hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 256).unwrap_or(0);
        let pause = doubled - doubled / 4 * share / 256;
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
        pause
    }

    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_double_to_the_ceiling_and_end() {
        let mut back_off = BackOff::new(Duration::from_millis(200), Duration::from_secs(30), "tcp://10.0.0.7:502");
        let now = Instant::now();
        assert_eq!(back_off.left(now), None);
        for expected_ms in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let pause = back_off.fail(now);
            let expected = Duration::from_millis(expected_ms);
            assert!(pause <= expected && pause >= expected * 3 / 4, "{pause:?} for {expected:?}");
            assert_eq!(back_off.left(now), Some(pause));
            assert_eq!(back_off.left(now + pause), None);
        }
        back_off.succeed();
        assert_eq!(back_off.left(now), None);
    }
}
