//! What is to be sent once more: what the collector misses, and what somebody asked for.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use wire::SeqRange;

/// Holes that one acknowledgement may ask for.
const HOLES_MAX: usize = 4_096;
/// Ranges that may wait to be sent once more because somebody asked.
pub(super) const REPLAYS_MAX: usize = 16;

/// What the collector misses of what it was sent.
#[derive(Debug, Default)]
pub(super) struct Holes {
    ranges: VecDeque<SeqRange>,
    asked: Option<Instant>,
}

impl Holes {
    pub(super) fn front(&self) -> Option<SeqRange> {
        self.ranges.front().copied()
    }

    /// Notes what is missing after everything up to `contiguous`, but not again before the deadline: what was sent for the
    /// last word is under way.
    ///
    /// * `lost`: the parts of a hole that cannot arrive any more.
    pub(super) fn note<I: Iterator<Item = SeqRange>>(
        &mut self,
        contiguous: u64,
        holes: &[SeqRange],
        lost: impl Fn(SeqRange) -> I,
        now: Instant,
        deadline: Duration,
    ) {
        if holes.is_empty() || self.asked.is_some_and(|asked| now < asked + deadline) {
            self.ranges.retain(|hole| hole.last > contiguous);
            return;
        }
        let valid = holes.iter().filter(|hole| hole.first <= hole.last && hole.first > contiguous);
        self.ranges = valid.flat_map(|hole| lost(*hole)).take(HOLES_MAX).collect();
        self.asked = (!self.ranges.is_empty()).then_some(now);
    }

    /// Notes that a frame was sent. Says whether it fills a hole.
    pub(super) fn sent(&mut self, seq: u64) -> bool {
        advance(&mut self.ranges, seq)
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
    }
}

/// What somebody asked to see again.
#[derive(Debug, Default)]
pub(super) struct Replays(VecDeque<SeqRange>);

impl Replays {
    pub(super) fn front(&self) -> Option<SeqRange> {
        self.0.front().copied()
    }

    /// Adds a range. Says whether there was room for it.
    pub(super) fn add(&mut self, range: SeqRange) -> bool {
        let room = self.0.len() < REPLAYS_MAX;
        if room {
            self.0.push_back(range);
        }
        room
    }

    pub(super) fn sent(&mut self, seq: u64) {
        advance(&mut self.0, seq);
    }

    /// Leaves out the rest of the first range, up to a frame.
    pub(super) fn skip(&mut self, upto: u64) {
        if let Some(range) = self.0.front_mut() {
            range.first = range.first.max(upto + 1);
            if range.first > range.last {
                self.0.pop_front();
            }
        }
    }
}

/// Notes that a frame of the first range was sent. Says whether it was one.
fn advance(ranges: &mut VecDeque<SeqRange>, seq: u64) -> bool {
    let Some(range) = ranges.front_mut().filter(|range| range.first <= seq && seq <= range.last) else { return false };
    range.first = seq + 1;
    if range.first > range.last {
        ranges.pop_front();
    }
    true
}
