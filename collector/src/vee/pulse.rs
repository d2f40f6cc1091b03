//! What frames say besides their readings: how far a gateway's clock is off, and what its spool had to give up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use wire::GatewayPath;

use super::gaps::Cause;

/// Gateways that are remembered; of more nothing is said.
const GATEWAYS_MAX: usize = 20_000;
/// The last frames of a gateway.
const FRAMES: usize = 8;
/// Fewer frames say nothing of a clock.
const FRAMES_MIN: usize = 4;
/// Frames of a gateway that catches up come faster than they were read; such say nothing of its clock.
const SPREAD_MAX_MS: i64 = 15_000;
/// Lost frames that wait to be written down.
const LOSSES_MAX: usize = 10_000;

/// A frame that is gone: its gateway, its minute, why.
pub(crate) type Loss = (GatewayPath, i64, Cause);

/// Shared by the task that takes frames and the one that watches.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Of the last frames: when they were read by the gateway's clock, and how much later by ours they were here.
    gateways: BTreeMap<GatewayPath, VecDeque<(i64, i64)>>,
    losses: Vec<Loss>,
    dropped: u64,
}

impl Pulses {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics while it holds the pulses")
    }

    /// A frame came.
    pub(crate) fn frame(&self, path: &GatewayPath, tick_ms: i64, received_ms: i64) {
        let mut inner = self.inner();
        if inner.gateways.len() >= GATEWAYS_MAX && !inner.gateways.contains_key(path) {
            return;
        }
        let frames = inner.gateways.entry(path.clone()).or_default();
        if frames.back().is_some_and(|(last, _)| *last >= tick_ms) {
            return;
        }
        if frames.len() == FRAMES {
            frames.pop_front();
        }
        frames.push_back((tick_ms, received_ms.saturating_sub(tick_ms)));
    }

    /// A frame is gone.
    pub(crate) fn lost(&self, path: &GatewayPath, tick_ms: i64, cause: Cause) {
        let mut inner = self.inner();
        if inner.losses.len() < LOSSES_MAX {
            inner.losses.push((path.clone(), tick_ms, cause));
        } else {
            inner.dropped += 1;
        }
    }

    pub(crate) fn take_losses(&self) -> Vec<Loss> {
        std::mem::take(&mut self.inner().losses)
    }

    /// Lost frames that nobody wrote down, because too many waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.inner().dropped
    }

    /// How far each gateway's clock is off, where its frames say it: ahead is positive. The way of a frame counts as late.
    pub(crate) fn skews(&self) -> Vec<(GatewayPath, i64)> {
        let inner = self.inner();
        inner.gateways.iter().filter_map(|(path, frames)| Some((path.clone(), skew(frames)?))).collect()
    }
}

fn skew(frames: &VecDeque<(i64, i64)>) -> Option<i64> {
    let delays = || frames.iter().map(|(_, delay)| *delay);
    let (least, most) = (delays().min()?, delays().max()?);
    (frames.len() >= FRAMES_MIN && most.saturating_sub(least) <= SPREAD_MAX_MS).then_some(-least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> GatewayPath {
        let slug = |text| ids::Slug::parse(text).unwrap();
        GatewayPath { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") }
    }

    fn skew_of(frames: &[(i64, i64)]) -> Option<i64> {
        let pulses = Pulses::default();
        frames.iter().for_each(|(tick_s, received_s)| pulses.frame(&path(), tick_s * 1_000, received_s * 1_000));
        pulses.skews().first().map(|(_, skew)| skew / 1_000)
    }

    #[test]
    fn a_clock_that_is_off_is_told_from_a_spool_that_catches_up() {
        let minutes = |off: i64| (0..6).map(|minute| (minute * 60, minute * 60 + off)).collect::<Vec<_>>();
        assert_eq!(skew_of(&minutes(2)), Some(-2));
        assert_eq!(skew_of(&minutes(45)), Some(-45), "it is late");
        assert_eq!(skew_of(&minutes(-50)), Some(50), "it is ahead");
        assert_eq!(skew_of(&[(0, 3_600), (60, 3_601), (120, 3_601), (180, 3_602), (240, 3_602)]), None, "an hour is sent at once");
        assert_eq!(skew_of(&minutes(45)[..3]), None);
        // A frame that comes again says nothing new.
        assert_eq!(skew_of(&[(0, 1), (0, 500), (0, 600), (0, 700), (0, 800)]), None);
        // What was caught up is forgotten when enough has come in time.
        let caught_up: Vec<_> =
            (0..5).map(|minute| (minute * 60, 3_600)).chain((60..70).map(|minute| (minute * 60, minute * 60 + 1))).collect();
        assert_eq!(skew_of(&caught_up), Some(-1));
    }

    #[test]
    fn what_waits_is_bounded_and_counted() {
        let pulses = Pulses::default();
        (0..10_003).for_each(|tick| pulses.lost(&path(), tick, Cause::Damaged));
        assert_eq!((pulses.take_losses().len(), pulses.dropped(), pulses.take_losses().len()), (LOSSES_MAX, 3, 0));
    }
}
