//! Right times for frames that were taken before the clock was set.
//!
//! A board without a battery wakes up in 1970. Until somebody sets its clock, frames carry a wrong minute, the flag
//! `clock_unsynced`, and the time on a clock that nobody sets. The first frame of the same start whose clock was set
//! says how far the two are apart, and with that the earlier ones are put right when they are read. They keep the flag:
//! a time that was worked out is never passed off as one that was known.
//!
//! For that, frames of this start wait while the clock is not set, but not for ever.

use std::collections::VecDeque;

use wire::{Frame, FrameTime, Message};

/// How long frames wait for the clock, in milliseconds: then they go as they are, flagged.
const PATIENCE_MS: u64 = 60 * 60 * 1000;
/// Starts that are remembered.
const BOOTS_MAX: usize = 16;

/// What is known of the clock at each start of the gateway.
#[derive(Debug, Default)]
pub(super) struct Boots {
    /// The right time minus the time of the clock that nobody sets; nothing when it was never learnt.
    known: VecDeque<(u64, Option<i64>)>,
    waiting: Option<Waiting>,
}

/// The first frame that waits for the clock.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    boot_id: u64,
    seq: u64,
    since_ms: u64,
}

/// What a frame says of its time, when it says enough.
pub(super) fn time(frame: &[u8]) -> Option<FrameTime> {
    FrameTime::decode(frame).ok().filter(|time| time.boot_id != 0 && time.monotonic_ms != 0)
}

/// The minute that a frame says it was polled at.
pub(super) fn minute(frame: &[u8]) -> Option<i64> {
    FrameTime::decode(frame).ok().map(|time| time.tick_ms)
}

impl Boots {
    /// Notes a frame that is taken now.
    pub(super) fn note(&mut self, seq: u64, frame: &[u8]) {
        let Some(time) = time(frame) else { return };
        if time.clock_synced {
            if self.offset(time.boot_id).is_none() {
                self.learn(time.boot_id, apart(time));
            }
            self.waiting = self.waiting.filter(|waiting| waiting.boot_id != time.boot_id);
            return;
        }
        let waiting = self.waiting.filter(|waiting| waiting.boot_id == time.boot_id);
        if let Some(waiting) = waiting {
            if time.monotonic_ms.saturating_sub(waiting.since_ms) > PATIENCE_MS {
                self.learn(time.boot_id, None);
                self.waiting = None;
            }
        } else if self.offset(time.boot_id).is_none() {
            self.waiting = Some(Waiting { boot_id: time.boot_id, seq, since_ms: time.monotonic_ms });
        }
    }

    /// The last frame that need not wait, of those up to `committed`.
    pub(super) fn deliverable(&self, committed: u64) -> u64 {
        self.waiting.map_or(committed, |waiting| committed.min(waiting.seq - 1))
    }

    /// The right time minus the unset one, of a start that is known; `Some(None)` when it is known to be unknown.
    pub(super) fn offset(&self, boot_id: u64) -> Option<Option<i64>> {
        self.known.iter().find(|(known, _)| *known == boot_id).map(|(_, offset)| *offset)
    }

    pub(super) fn learn(&mut self, boot_id: u64, offset: Option<i64>) {
        if self.known.len() == BOOTS_MAX {
            self.known.pop_front();
        }
        self.known.push_back((boot_id, offset));
    }
}

/// The right time minus the unset one.
pub(super) fn apart(time: FrameTime) -> Option<i64> {
    time.tick_ms.checked_sub(i64::try_from(time.monotonic_ms).ok()?)
}

/// The frame with its time put right.
pub(super) fn correct(frame: &[u8], offset: i64) -> Option<Vec<u8>> {
    let mut frame = Frame::decode(frame).ok()?;
    let tick_ms = i64::try_from(frame.monotonic_ms).ok()?.checked_add(offset)?;
    let shift = tick_ms.checked_sub(frame.tick_ms)?;
    frame.tick_ms = tick_ms;
    for device in &mut frame.devices {
        device.requested_ms = device.requested_ms.saturating_add(shift);
    }
    Some(frame.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(boot_id: u64, tick_ms: i64, monotonic_ms: u64, clock_synced: bool) -> Vec<u8> {
        Frame { schema: 1, boot_id, tick_ms, monotonic_ms, clock_synced, ..Frame::default() }.encode_to_vec()
    }

    #[test]
    fn frames_wait_for_the_clock_of_their_own_start() {
        let mut boots = Boots::default();
        boots.note(1, &frame(7, 60_000, 1_000, false));
        boots.note(2, &frame(7, 120_000, 61_000, false));
        assert_eq!(boots.deliverable(2), 0);
        boots.note(3, &frame(8, 1_750_000_000_000, 5_000, true));
        assert_eq!(boots.deliverable(3), 0, "the clock of another start says nothing");
        boots.note(4, &frame(7, 1_750_000_121_000, 121_000, true));
        assert_eq!((boots.deliverable(4), boots.offset(7)), (4, Some(Some(1_750_000_000_000))));
        let right = Frame::decode(&correct(&frame(7, 60_000, 1_000, false), 1_750_000_000_000).unwrap()[..]).unwrap();
        assert_eq!((right.tick_ms, right.clock_synced), (1_750_000_001_000, false));
    }

    #[test]
    fn but_not_for_ever() {
        let mut boots = Boots::default();
        for minute in 0..=61 {
            boots.note(minute + 1, &frame(7, 0, 1 + minute * 60_000, false));
            assert_eq!(boots.deliverable(minute + 1), if minute <= 60 { 0 } else { minute + 1 }, "minute {minute}");
        }
        // What went out unset stays so, or it would be two readings.
        boots.note(70, &frame(7, 1_750_000_000_000, 70 * 60_000, true));
        assert_eq!(boots.offset(7), Some(None));
        boots.note(71, &frame(7, 0, 71 * 60_000, false));
        assert_eq!(boots.deliverable(71), 71);
    }

    #[test]
    fn frames_that_tell_no_such_time_are_left_alone() {
        let mut boots = Boots::default();
        boots.note(1, &frame(7, 0, 0, false));
        boots.note(2, b"not a frame");
        assert_eq!(boots.deliverable(2), 2);
    }
}
