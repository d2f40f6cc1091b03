//! How much effort a device gets. One that does not answer must not cost the others their time. Pure: told the time.
//!
//! A device is lost when it failed for a while and more than once. From then on it is asked one question at a time, and after each
//! that went unanswered it is left alone for so many times the time it has cost: whatever the timeout and whatever the interval, it
//! takes less than one hundredth of its bus.

use std::time::Duration;

/// A device is lost after so many failed cycles, and no sooner than this after the first of them.
const LOST_CYCLES: u32 = 2;
const LOST_AFTER_MS: i64 = 3_000;
/// For each part of the bus's time that a lost device takes, so many are left to the others.
const SHARE: u32 = 127;
/// Longest rest. A device that comes back is noticed after this at the latest.
const REST_MAX: Duration = Duration::from_secs(600);

/// How hard to try in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Every block, and one failed request again.
    Full,
    /// One request; the rest follows when it is answered.
    Probe,
    /// Nothing.
    Rest,
}

/// What a device deserves after what it did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breaker {
    failed_cycles: u32,
    failing_since_ms: i64,
    lost: bool,
    rest_until_ms: i64,
}

impl Breaker {
    pub(crate) fn effort(&self, now_ms: i64) -> Effort {
        // A clock that was set back must not make a rest longer.
        let left_ms = self.rest_until_ms.saturating_sub(now_ms);
        match self.failed_cycles {
            0 => Effort::Full,
            _ if self.lost && left_ms > 0 && left_ms <= millis(REST_MAX) => Effort::Rest,
            _ => Effort::Probe,
        }
    }

    /// Whether the device counts as gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Notes how a cycle ended in which the device was asked, and how much of the bus's time it took. Says whether the device was
    /// lost or came back by it.
    pub(crate) fn note(&mut self, now_ms: i64, answered: bool, cost: Duration) -> Option<Change> {
        if answered {
            let before = std::mem::take(self);
            return before.lost.then_some(Change::Back { cycles: before.failed_cycles });
        }
        if self.failed_cycles == 0 {
            self.failing_since_ms = now_ms;
        }
        self.failed_cycles = self.failed_cycles.saturating_add(1);
        let failing_ms = now_ms.saturating_sub(self.failing_since_ms).saturating_add(millis(cost));
        let was_lost = self.lost;
        self.lost |= self.failed_cycles >= LOST_CYCLES && failing_ms >= LOST_AFTER_MS;
        if self.lost {
            self.rest_until_ms = now_ms.saturating_add(millis((cost * SHARE).min(REST_MAX)));
        }
        (self.lost && !was_lost).then_some(Change::Lost)
    }
}

/// What an operator wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The device no longer answers.
    Lost,
    /// It answers again after so many cycles in which it was asked.
    Back { cycles: u32 },
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Duration = Duration::from_millis(1_000);

    #[test]
    fn a_dead_device_gets_less_and_never_nothing() {
        let mut breaker = Breaker::default();
        let mut efforts = String::new();
        for minute in 0..12 {
            let effort = breaker.effort(minute * 60_000);
            efforts.push(match effort {
                Effort::Full => 'F',
                Effort::Probe => 'p',
                Effort::Rest => '.',
            });
            if effort != Effort::Rest {
                breaker.note(minute * 60_000, false, COST);
            }
        }
        assert_eq!(efforts, "Fp..p..p..p.");
        assert_eq!(breaker.note(720_000, true, COST), Some(Change::Back { cycles: 5 }));
        assert_eq!(breaker.effort(720_000), Effort::Full);
    }

    #[test]
    fn a_hiccup_is_not_told() {
        let mut breaker = Breaker::default();
        assert_eq!([breaker.note(0, false, COST), breaker.note(1_000, true, COST)], [None; 2]);
        assert_eq!([breaker.note(2_000, false, COST), breaker.note(2_500, false, COST)], [None; 2]);
        assert_eq!(breaker.note(4_000, false, COST), Some(Change::Lost));
    }

    #[test]
    fn a_dead_device_takes_less_than_a_hundredth_whatever_the_interval() {
        for (interval_ms, cost_ms) in [(1_000, 1_000), (1_000, 60), (10_000, 4_000), (60_000, 1_000), (60_000, 4_000), (900_000, 2_000)] {
            let (mut breaker, mut now_ms, mut taken_ms) = (Breaker::default(), 0_i64, 0);
            while now_ms < 6 * 3_600_000 {
                if breaker.effort(now_ms) != Effort::Rest {
                    taken_ms += cost_ms;
                    breaker.note(now_ms, false, Duration::from_millis(cost_ms));
                }
                now_ms += interval_ms;
            }
            assert!(taken_ms * 100 < now_ms.unsigned_abs(), "{taken_ms} ms of {now_ms} ms at {interval_ms} ms");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lengthen_the_rest() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            breaker.note(86_400_000, false, Duration::from_secs(4));
        }
        assert_eq!(breaker.effort(86_400_001), Effort::Rest);
        assert_eq!(breaker.effort(0), Effort::Probe);
    }
}
