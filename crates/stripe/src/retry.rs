//! When to try again, and after how long.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How often and how fast one call is repeated before its job is put back in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub tries_max: u32,
    /// The back-off's first ceiling; it doubles with each try.
    pub base: Duration,
    /// The back-off's last ceiling.
    pub cap: Duration,
}

/// What Stripe asks for in `Retry-After` is obeyed up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries_max: 5, base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

impl RetryPolicy {
    /// One try, no repetition.
    pub const ONCE: Self = Self { tries_max: 1, base: Duration::ZERO, cap: Duration::ZERO };

    /// How long to wait after try number `tries` (from 1): full jitter, but at least what Stripe asked for.
    pub(crate) fn delay(&self, tries: u32, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(self.cap);
        let jittered = ceiling / 1_000 * (draw() % 1_001);
        jittered.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }
}

/// Any number: the standard library's hasher is seeded anew for every value.
fn draw() -> u32 {
    let bits = RandomState::new().build_hasher().finish();
    u32::try_from(bits >> 32).expect("32 bits fit in u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_under_their_ceiling_and_over_what_was_asked() {
        let policy = RetryPolicy::default();
        for tries in 1..40 {
            let ceiling = policy.base.saturating_mul(2_u32.saturating_pow(tries - 1)).min(policy.cap);
            assert!(policy.delay(tries, None) <= ceiling);
            assert!(policy.delay(tries, Some(Duration::from_secs(9))) >= Duration::from_secs(9));
        }
        assert_eq!(policy.delay(1, Some(Duration::from_secs(3_600))), RETRY_AFTER_MAX);
    }
}
