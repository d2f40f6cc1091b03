//! How much may be under way to the broker before the backlog waits. Pure.
//!
//! A slow way, say a mobile connection, takes the backlog into its buffers readily and passes it on slowly: what is read
//! now would come out behind all of it. So the backlog goes only as long as little is under way, and how much that is
//! follows from how long the broker takes to answer. While its answers come soon, it is more; when they come later than
//! the quickest by more than a little, something queues, and it is less.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Bytes under way at first, at least and at most.
const FIRST_BYTES: u64 = 64 << 10;
const BYTES_MIN: u64 = 16 << 10;
const BYTES_MAX: u64 = 8 << 20;
/// Of the bytes answered to in time, this part is added: an eighth more each round.
const GROWTH: u64 = 8;
/// How much later than the quickest an answer may come.
const QUEUE_MAX: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Pace {
    /// Frames the broker has not answered to, in the order they were sent.
    frames: VecDeque<(Instant, u64)>,
    under_way: u64,
    limit: u64,
    quickest: Option<Duration>,
    /// What was sent before the limit was lowered says nothing about the new one.
    lowered: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { frames: VecDeque::new(), under_way: 0, limit: FIRST_BYTES, quickest: None, lowered: None }
    }
}

impl Pace {
    /// Whether a frame of the backlog may go.
    pub(super) fn has_room(&self) -> bool {
        self.under_way < self.limit
    }

    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 2);
        self.frames.push_back((now, bytes));
        self.under_way = self.under_way.saturating_add(bytes);
    }

    /// The broker answered to a frame. Answers come in order, or nearly so.
    pub(super) fn answered(&mut self, now: Instant) {
        let Some((sent, bytes)) = self.frames.pop_front() else { return };
        let was_used = self.under_way >= self.limit / 2;
        self.under_way = self.under_way.saturating_sub(bytes);
        let took = now.saturating_duration_since(sent);
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        if took - quickest <= QUEUE_MAX {
            if was_used {
                self.limit = self.limit.saturating_add(bytes / GROWTH).min(BYTES_MAX);
            }
        } else if self.lowered.is_none_or(|lowered| sent >= lowered) {
            self.limit = (self.limit / 2).max(BYTES_MIN);
            self.lowered = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends frames of 20 kB for as long as there is room over a way that passes so many bytes a second, and gives the
    /// bytes passed each second and the longest time that something was under way after the first ten seconds.
    fn drain(bytes_per_second: u64, way: Duration) -> (u64, Duration) {
        const FRAME: u64 = 20_000;
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut now, mut free, mut answers) = (start, start, VecDeque::new());
        let (mut passed, mut longest) = (0, Duration::ZERO);
        while now < start + Duration::from_secs(60) {
            while pace.has_room() {
                pace.sent(usize::try_from(FRAME).unwrap(), now);
                free = free.max(now) + Duration::from_micros(FRAME * 1_000_000 / bytes_per_second);
                answers.push_back((now, free + way));
            }
            let (sent, answered) = answers.pop_front().unwrap();
            now = answered;
            pace.answered(now);
            passed += FRAME;
            if sent > start + Duration::from_secs(10) {
                longest = longest.max(now - sent);
            }
        }
        (passed / 60, longest)
    }

    #[tokio::test]
    async fn a_way_is_used_and_does_not_fill_up() {
        // A mobile connection, a better one, a satellite, and a cable in the house.
        for (rate, way) in [(60_000, 40), (400_000, 40), (400_000, 700), (50_000_000, 1)] {
            let (passed, longest) = drain(rate, Duration::from_millis(way));
            assert!(passed * 10 > rate * 8, "{passed} of {rate} bytes a second");
            let queued = longest - Duration::from_millis(way);
            // The last frame of those that are too many is itself under way for a while.
            assert!(queued < Duration::from_millis(750), "{queued:?} at {rate}");
        }
    }

    #[tokio::test]
    async fn what_is_not_used_does_not_grow() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..10_000 {
            pace.sent(1_000, now);
            pace.answered(now);
        }
        assert_eq!(pace.limit, FIRST_BYTES);
    }
}
