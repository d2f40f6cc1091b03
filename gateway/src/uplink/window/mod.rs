//! Which frames are due to be sent. Pure: told the time, knows sequence numbers only.
//!
//! Frames go out in order, as far ahead of the collector's acknowledgement as the window allows. When more than a few
//! wait, those that come from now on get a lane of their own: of the bytes that are sent while both lanes have some,
//! four fifths are of the live lane, so a dashboard is up to date long before the backlog is through.
//!
//! Silence for longer than the deadline means that frames or their acknowledgement were lost, or that nobody listens:
//! then a few of the oldest are sent again, at growing intervals, and the rest only when the collector's answer shows
//! that they are missing. So an outage costs a handful of frames sent twice and not the whole backlog again and again.
//! A broker that refuses a frame is left alone for as long as the caller says, and then gets a single one.

mod again;
mod lane;

use std::time::Duration;

use tokio::time::Instant;
use wire::SeqRange;

pub(crate) use lane::Lane;

use again::{Holes, Replays};
use lane::{LiveLane, Sent};

/// Frames sent again while nobody answers.
const PROBE_FRAMES: u64 = 16;
/// Frames under way at first, and after a loss; doubled with each acknowledgement.
const FIRST_FRAMES: u64 = 2_048;
const FRAMES_MAX: u64 = 65_536;
/// Frames that wait before newer ones overtake them.
const BACKLOG_FRAMES: u64 = 256;
/// Of a hundred bytes sent while both lanes have frames, so many are live.
const LIVE_SHARE: i64 = 80;
/// Longest pause between two probes.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What was sent and what was confirmed.
#[derive(Debug)]
pub(crate) struct Window {
    deadline: Duration,
    bytes_max: u64,
    /// Mean bytes of a frame, lately.
    frame_bytes: u64,
    acknowledged: u64,
    backlog: Sent,
    live: Option<LiveLane>,
    /// Above zero, the live lane has had its share.
    balance: i64,
    frames_max: u64,
    /// The last frame of a probe that is under way.
    probe: Option<u64>,
    /// The broker refused a frame: nothing before this.
    refused_until: Option<Instant>,
    /// The collector said once that it has less than before.
    doubted: bool,
    holes: Holes,
    replays: Replays,
    /// When the collector last confirmed something new, or something was sent after everything was confirmed.
    progress: Instant,
    pause: Duration,
}

impl Window {
    pub(crate) fn new(acknowledged: u64, deadline: Duration, bytes_max: u64, now: Instant) -> Self {
        Self {
            deadline,
            bytes_max,
            frame_bytes: 512,
            acknowledged,
            backlog: Sent::upto(acknowledged),
            live: None,
            balance: 0,
            frames_max: FIRST_FRAMES,
            probe: None,
            refused_until: None,
            doubted: false,
            holes: Holes::default(),
            replays: Replays::default(),
            progress: now,
            pause: deadline,
        }
    }

    /// Changes what the configuration says, while frames are under way.
    pub(crate) fn set(&mut self, deadline: Duration, bytes_max: u64) {
        self.deadline = deadline;
        self.bytes_max = bytes_max;
    }

    /// The next frames to send, of those that are durable here.
    pub(crate) fn next(&mut self, committed: u64, now: Instant) -> Option<(Lane, SeqRange)> {
        if self.refused_until.is_some_and(|until| now < until) {
            return None;
        }
        if self.live.is_none() && committed > self.backlog.upto + BACKLOG_FRAMES {
            self.live = Some(LiveLane { after: committed, sent: Sent::upto(committed) });
        }
        let backlog = self.next_of_backlog(committed);
        let live = self.next_of_live(committed);
        match (backlog, live) {
            (Some(backlog), Some(live)) => Some(if self.balance > 0 { (Lane::Backlog, backlog) } else { (Lane::Live, live) }),
            (backlog, live) => {
                self.balance = 0;
                let backlog = backlog.map(|range| (Lane::Backlog, range));
                let replay = || self.replays.front().map(|range| (Lane::Replay, range));
                backlog.or(live.map(|range| (Lane::Live, range))).or_else(replay)
            }
        }
    }

    fn next_of_backlog(&self, committed: u64) -> Option<SeqRange> {
        if let Some(hole) = self.holes.front() {
            return Some(hole);
        }
        let end = self.live.map_or(committed, |live| live.after);
        let last = end.min(self.acknowledged + self.frames_max.min(self.frames_by_bytes()));
        (self.backlog.upto < last).then_some(SeqRange { first: self.backlog.upto + 1, last })
    }

    /// Live frames come one at a time, so nothing but silence holds them back: counted from the collector's word, which goes
    /// no further than the backlog, they would wait for its end.
    fn next_of_live(&self, committed: u64) -> Option<SeqRange> {
        let live = self.live.filter(|_| self.probe.is_none() && self.frames_max > 1)?;
        (live.sent.upto < committed).then_some(SeqRange { first: live.sent.upto + 1, last: committed })
    }

    fn frames_by_bytes(&self) -> u64 {
        (self.bytes_max / self.frame_bytes.max(1)).max(PROBE_FRAMES)
    }

    /// Notes that a frame was handed over. Says whether it was for another time.
    pub(crate) fn sent(&mut self, lane: Lane, seq: u64, bytes: usize, now: Instant) -> bool {
        let weight = i64::try_from(bytes).unwrap_or(i64::MAX / 1_024);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 16);
        self.frame_bytes = (self.frame_bytes * 15 + bytes) / 16;
        let asked_for = match lane {
            Lane::Backlog => self.holes.sent(seq),
            Lane::Replay => {
                self.replays.sent(seq);
                true
            }
            Lane::Live => {
                self.balance = self.balance.saturating_add(weight.saturating_mul(100 - LIVE_SHARE));
                return self.live.as_mut().is_some_and(|live| live.sent.note(seq));
            }
        };
        if asked_for {
            return true;
        }
        self.balance = self.balance.saturating_sub(weight.saturating_mul(LIVE_SHARE));
        if self.backlog.upto == self.acknowledged {
            self.progress = now;
        }
        self.backlog.note(seq)
    }

    /// Leaves out the rest of what somebody asked to see again, up to a frame.
    pub(crate) fn skip_replay(&mut self, upto: u64) {
        self.replays.skip(upto);
    }

    /// Sends a range once more, when nothing else is due. Says whether there was room for the wish.
    pub(crate) fn replay(&mut self, range: SeqRange) -> bool {
        self.replays.add(range)
    }

    /// Notes what the collector says. Says whether frames that were handed over must be taken back.
    pub(crate) fn acknowledge(&mut self, contiguous: u64, holes: &[SeqRange], now: Instant) -> bool {
        let mut rewound = false;
        if contiguous < self.acknowledged && !self.doubted {
            // One such word may have been overtaken by a newer one.
            self.doubted = true;
            return false;
        }
        self.doubted = false;
        if contiguous < self.acknowledged {
            // The collector lost what it had confirmed, for example because it was restored from a copy.
            self.acknowledged = contiguous;
            self.backlog.upto = contiguous;
            rewound = true;
        }
        let progressed = contiguous > self.acknowledged;
        if let Some(probe) = self.probe.take() {
            self.frames_max = FIRST_FRAMES;
            if contiguous > probe {
                // It was slow and nothing is lost: what was sent before the probe is still under way.
                self.backlog.upto = self.backlog.highest;
            }
        } else if progressed {
            self.frames_max = (self.frames_max * 2).clamp(FIRST_FRAMES, FRAMES_MAX);
        } else if self.backlog.upto > contiguous && self.overdue(now) {
            self.backlog.upto = contiguous;
            rewound = true;
        }
        if progressed || rewound {
            self.progress = now;
        }
        self.acknowledged = contiguous;
        self.pause = self.deadline;
        self.backlog.upto = self.backlog.upto.max(contiguous);
        self.merge();
        let mut missing = std::mem::take(&mut self.holes);
        missing.note(contiguous, holes, |hole| self.lost_of(hole), now, self.deadline);
        self.holes = missing;
        rewound
    }

    /// Makes one lane of two when the collector has the whole backlog.
    fn merge(&mut self) {
        if let Some(live) = self.live.filter(|live| self.acknowledged >= live.after) {
            self.backlog.upto = self.backlog.upto.max(live.sent.upto);
            self.backlog.highest = self.backlog.highest.max(live.sent.highest);
            self.live = None;
        }
    }

    /// The part of a hole that was sent and cannot arrive any more, because something sent after it did.
    fn lost_of(&self, hole: SeqRange) -> impl Iterator<Item = SeqRange> + use<> {
        let Some(live) = self.live else {
            return [(hole.last <= self.backlog.upto).then_some(hole), None].into_iter().flatten();
        };
        // What lies between the newest of the backlog and the first live frame is under way, or not sent yet.
        let old = (hole.last < self.backlog.upto).then_some(hole);
        let new = SeqRange { first: hole.first.max(live.after + 1), last: hole.last.min(live.sent.upto) };
        [old, (new.first <= new.last).then_some(new)].into_iter().flatten()
    }

    fn overdue(&self, now: Instant) -> bool {
        now >= self.progress + self.pause
    }

    /// When [`tick`](Self::tick) or [`next`](Self::next) has something new to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.refused_until.or_else(|| (self.backlog.upto > self.acknowledged).then(|| self.progress + self.pause))
    }

    /// Begins a probe when the collector is overdue. Says whether frames that were handed over must be taken back.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if let Some(until) = self.refused_until {
            if now >= until {
                self.refused_until = None;
                self.progress = now;
            }
            return false;
        }
        let silent = self.backlog.upto > self.acknowledged && self.overdue(now);
        if silent {
            self.probe(now);
        }
        silent
    }

    /// Notes that the broker had nobody to give a frame to. Says whether frames that were handed over must be taken back.
    pub(crate) fn unheard(&mut self, now: Instant) -> bool {
        let news = self.probe.is_none() && self.backlog.upto > self.acknowledged;
        if news {
            self.probe(now);
        }
        news
    }

    fn probe(&mut self, now: Instant) {
        self.rewind();
        self.frames_max = PROBE_FRAMES;
        self.probe = Some(self.acknowledged + PROBE_FRAMES);
        self.progress = now;
        self.pause = (self.pause * 2).min(PAUSE_MAX.max(self.deadline));
    }

    /// Begins again after what the collector has. Live frames that did not arrive it names as holes, once a newer one has.
    fn rewind(&mut self) {
        self.backlog.upto = self.acknowledged;
        self.holes.clear();
    }

    /// Notes that the broker refused a frame: nothing until then, and then a single one.
    pub(crate) fn refused(&mut self, until: Instant) {
        self.rewind();
        self.frames_max = 1;
        self.refused_until = Some(until);
    }

    /// Whether the broker is left alone because it refused a frame.
    pub(crate) fn is_refused(&self, now: Instant) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }

    /// Whether the broker refused the last frame that it answered to.
    pub(crate) fn was_refused(&self) -> bool {
        self.frames_max == 1
    }

    /// Notes that the broker took a frame after it had refused one.
    pub(crate) fn accepted(&mut self) {
        self.refused_until = None;
        self.frames_max = self.frames_max.max(PROBE_FRAMES);
    }
}

#[cfg(test)]
mod tests;
