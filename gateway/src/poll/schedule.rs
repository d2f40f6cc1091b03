//! When to poll. Pure: told the time, never asks.

/// Polls at the multiples of an interval on the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    interval_ms: i64,
    last_ms: Option<i64>,
}

/// The next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// When it is due, in milliseconds since 1970 UTC: a multiple of the interval.
    pub(crate) at_ms: i64,
    /// Polls that were due since the last one and did not happen, because it took too long or the clock jumped.
    pub(crate) missed: u64,
}

impl Schedule {
    /// * Units: a positive number of milliseconds.
    pub(crate) fn new(interval_ms: i64) -> Self {
        Self { interval_ms: interval_ms.max(1), last_ms: None }
    }

    /// The schedule of another interval, from here on: no poll is made twice and none is left out.
    pub(crate) fn changed(self, interval_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        Self { interval_ms, last_ms: self.last_ms.map(|last| last.div_euclid(interval_ms) * interval_ms) }
    }

    /// The poll after the last one that `next` gave.
    ///
    /// A clock that was set back by more than an interval starts the schedule anew, rather than stopping the polls
    /// until it catches up.
    pub(crate) fn next(&mut self, now_ms: i64) -> Tick {
        let due = now_ms.div_euclid(self.interval_ms) * self.interval_ms;
        let next_boundary = if due == now_ms { due } else { due + self.interval_ms };
        let tick = match self.last_ms {
            Some(last) if now_ms >= last - self.interval_ms => {
                let planned = last + self.interval_ms;
                // A poll that is late by less than an interval still happens, in its own name.
                let at_ms = planned.max(due);
                Tick { at_ms, missed: u64::try_from((at_ms - planned) / self.interval_ms).unwrap_or(0) }
            }
            _ => Tick { at_ms: next_boundary, missed: 0 },
        };
        self.last_ms = Some(tick.at_ms);
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn polls_stand_on_the_minute() {
        let mut schedule = Schedule::new(MINUTE);
        let table = [
            // now, due, missed
            (10_000, 60_000, 0),
            (60_150, 120_000, 0),
            (120_000, 180_000, 0),
            // The sweep took a little over a minute: the next one is late, not skipped.
            (241_000, 240_000, 0),
            // It took ten minutes.
            (845_000, 840_000, 9),
            (846_000, 900_000, 0),
            // The clock was set forward by an hour and a half minute.
            (4_530_000, 4_500_000, 59),
            // And back by an hour.
            (930_000, 960_000, 0),
            (960_001, 1_020_000, 0),
        ];
        for (now_ms, at_ms, missed) in table {
            assert_eq!(schedule.next(now_ms), Tick { at_ms, missed }, "at {now_ms}");
        }
        assert_eq!(Schedule::new(MINUTE).next(120_000), Tick { at_ms: 120_000, missed: 0 });
        assert_eq!(Schedule::new(MINUTE).next(-1), Tick { at_ms: 0, missed: 0 });
    }

    #[test]
    fn a_month_has_no_drift() {
        let mut schedule = Schedule::new(MINUTE);
        let mut now_ms = 1_700_000_000_123;
        let first = schedule.next(now_ms).at_ms;
        for minute in 1..=43_200 {
            now_ms = first + (minute - 1) * MINUTE + minute % 977;
            assert_eq!(schedule.next(now_ms), Tick { at_ms: first + minute * MINUTE, missed: 0 });
        }
    }

    #[test]
    fn another_interval_leaves_nothing_out_and_makes_nothing_twice() {
        for (from, to, expected) in [(MINUTE, 15_000, 315_000), (15_000, MINUTE, 360_000), (MINUTE, 5 * MINUTE, 600_000)] {
            let mut schedule = Schedule::new(from);
            let last = schedule.next(300_000 - from + 1).at_ms;
            assert_eq!(last, 300_000);
            let mut schedule = schedule.changed(to);
            assert_eq!(schedule.next(300_500), Tick { at_ms: expected, missed: 0 });
        }
    }
}
