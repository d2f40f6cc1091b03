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

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use wire::SeqRange;

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
/// Holes that one acknowledgement may ask for.
const HOLES_MAX: usize = 4_096;
/// Ranges that may wait to be sent once more because somebody asked.
const REPLAYS_MAX: usize = 16;

/// Where a frame stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The oldest that is not confirmed, and what follows.
    Backlog,
    /// What was made durable since the backlog was found to be one.
    Live,
    /// What somebody asked to see again. A frame that is gone is left out.
    Replay,
}

/// How far a lane was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// In this round: everything up to here.
    upto: u64,
    /// Ever on this connection.
    highest: u64,
}

/// The lane of live frames: all after a sequence number.
#[derive(Clone, Copy, Debug)]
struct LiveLane {
    after: u64,
    sent: Sent,
}

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
    holes: VecDeque<SeqRange>,
    holes_asked: Option<Instant>,
    replays: VecDeque<SeqRange>,
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
            backlog: Sent { upto: acknowledged, highest: acknowledged },
            live: None,
            balance: 0,
            frames_max: FIRST_FRAMES,
            probe: None,
            refused_until: None,
            doubted: false,
            holes: VecDeque::new(),
            holes_asked: None,
            replays: VecDeque::new(),
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
            self.live = Some(LiveLane { after: committed, sent: Sent { upto: committed, highest: committed } });
        }
        let backlog = self.next_of_backlog(committed);
        let live = self.next_of_live(committed);
        match (backlog, live) {
            (Some(backlog), Some(live)) => Some(if self.balance > 0 { (Lane::Backlog, backlog) } else { (Lane::Live, live) }),
            (backlog, live) => {
                self.balance = 0;
                let backlog = backlog.map(|range| (Lane::Backlog, range));
                let replay = || self.replays.front().map(|range| (Lane::Replay, *range));
                backlog.or(live.map(|range| (Lane::Live, range))).or_else(replay)
            }
        }
    }

    fn next_of_backlog(&self, committed: u64) -> Option<SeqRange> {
        if let Some(hole) = self.holes.front() {
            return Some(*hole);
        }
        let end = self.live.map_or(committed, |live| live.after);
        let last = end.min(self.acknowledged + self.frames_max.min(self.frames_by_bytes()));
        (self.backlog.upto < last).then_some(SeqRange { first: self.backlog.upto + 1, last })
    }

    fn next_of_live(&self, committed: u64) -> Option<SeqRange> {
        let live = self.live.filter(|_| self.probe.is_none() && self.frames_max > 1)?;
        let last = committed.min(live.after + FRAMES_MAX.min(self.frames_by_bytes()));
        (live.sent.upto < last).then_some(SeqRange { first: live.sent.upto + 1, last })
    }

    fn frames_by_bytes(&self) -> u64 {
        (self.bytes_max / self.frame_bytes.max(1)).max(PROBE_FRAMES)
    }

    /// Notes that a frame was handed over. Says whether it was for another time.
    pub(crate) fn sent(&mut self, lane: Lane, seq: u64, bytes: usize, now: Instant) -> bool {
        let weight = i64::try_from(bytes).unwrap_or(i64::MAX / 1_024);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 16);
        self.frame_bytes = (self.frame_bytes * 15 + bytes) / 16;
        let queue = match lane {
            Lane::Backlog => &mut self.holes,
            Lane::Replay => &mut self.replays,
            Lane::Live => {
                self.balance = self.balance.saturating_add(weight.saturating_mul(100 - LIVE_SHARE));
                return self.live.as_mut().is_some_and(|live| live.sent.note(seq));
            }
        };
        if let Some(range) = queue.front_mut().filter(|range| range.first <= seq && seq <= range.last) {
            range.first = seq + 1;
            if range.first > range.last {
                queue.pop_front();
            }
            return true;
        }
        if lane == Lane::Replay {
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
        if let Some(range) = self.replays.front_mut() {
            range.first = range.first.max(upto + 1);
            if range.first > range.last {
                self.replays.pop_front();
            }
        }
    }

    /// Sends a range once more, when nothing else is due. Says whether there was room for the wish.
    pub(crate) fn replay(&mut self, range: SeqRange) -> bool {
        let room = self.replays.len() < REPLAYS_MAX;
        if room {
            self.replays.push_back(range);
        }
        room
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
                if let Some(live) = &mut self.live {
                    live.sent.upto = live.sent.highest;
                }
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
        self.note_holes(contiguous, holes, now);
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

    fn note_holes(&mut self, contiguous: u64, holes: &[SeqRange], now: Instant) {
        let asked_lately = self.holes_asked.is_some_and(|asked| now < asked + self.deadline);
        if holes.is_empty() || asked_lately {
            self.holes.retain(|hole| hole.last > contiguous);
            return;
        }
        let lost = holes.iter().filter(|hole| hole.first <= hole.last && hole.first > contiguous).flat_map(|hole| self.lost_of(*hole));
        self.holes = lost.take(HOLES_MAX).collect();
        self.holes_asked = (!self.holes.is_empty()).then_some(now);
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

    fn rewind(&mut self) {
        self.backlog.upto = self.acknowledged;
        if let Some(live) = &mut self.live {
            live.sent.upto = live.after;
        }
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

impl Sent {
    /// Notes a frame. Says whether it was sent before.
    fn note(&mut self, seq: u64) -> bool {
        self.upto = self.upto.max(seq);
        let again = seq <= self.highest;
        self.highest = self.highest.max(seq);
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(2);

    fn window(now: Instant) -> Window {
        Window::new(0, DEADLINE, 64 << 20, now)
    }

    fn send_all(window: &mut Window, committed: u64, now: Instant) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some((lane, range)) = window.next(committed, now) {
            window.sent(lane, range.first, 500, now);
            sent.push(range.first);
        }
        sent
    }

    #[tokio::test]
    async fn frames_go_out_once_and_in_order_while_the_collector_answers() {
        let now = Instant::now();
        let mut window = window(now);
        let mut sent = Vec::new();
        for round in 1..=20_u64 {
            sent.extend(send_all(&mut window, round * 1_000, now));
            assert!(!window.acknowledge(*sent.last().unwrap(), &[], now));
        }
        assert_eq!(sent, (1..=20_000).collect::<Vec<_>>());
        assert_eq!(window.due(), None);
    }

    #[tokio::test]
    async fn silence_is_probed_with_few_frames_at_growing_pauses() {
        let start = Instant::now();
        let mut window = window(start);
        assert_eq!(send_all(&mut window, 2_000, start).len(), 2_000);
        let mut now = start;
        let mut pauses = Vec::new();
        let mut again = 0;
        for _ in 0..6 {
            let due = window.due().unwrap();
            assert!(!window.tick(due - Duration::from_millis(1)));
            assert!(window.tick(due));
            pauses.push(due.duration_since(now).as_secs());
            now = due;
            again += send_all(&mut window, 2_000, now).len();
        }
        assert_eq!(pauses, [2, 4, 5, 5, 5, 5]);
        assert_eq!(again, 6 * 16);
        // The collector is back and had nothing but the probe: the rest follows, once.
        assert!(!window.acknowledge(16, &[], now));
        assert_eq!(send_all(&mut window, 2_000, now), (17..=2_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_slow_collector_is_not_sent_everything_twice() {
        let now = Instant::now();
        let mut window = window(now);
        send_all(&mut window, 2_000, now);
        let late = now + DEADLINE;
        assert!(window.tick(late));
        assert_eq!(send_all(&mut window, 2_000, late).len(), 16);
        assert!(!window.acknowledge(1_500, &[], late));
        assert_eq!(send_all(&mut window, 2_000, late), Vec::<u64>::new());
        assert!(!window.acknowledge(2_000, &[], late));
        assert_eq!(window.due(), None);
    }

    #[tokio::test]
    async fn holes_are_filled_and_not_again_before_the_deadline() {
        let now = Instant::now();
        let mut window = window(now);
        send_all(&mut window, 100, now);
        let holes = [SeqRange { first: 11, last: 13 }, SeqRange { first: 20, last: 20 }];
        assert!(!window.acknowledge(10, &holes, now));
        assert_eq!(send_all(&mut window, 100, now), [11, 12, 13, 20]);
        window.acknowledge(10, &holes, now + Duration::from_millis(500));
        assert_eq!(send_all(&mut window, 100, now), Vec::<u64>::new());
        window.acknowledge(100, &[], now + Duration::from_millis(600));
        assert_eq!(window.due(), None);
    }

    #[tokio::test]
    async fn a_collector_that_lost_frames_gets_them_again() {
        let now = Instant::now();
        let mut window = window(now);
        send_all(&mut window, 100, now);
        window.acknowledge(100, &[], now);
        assert!(!window.acknowledge(60, &[], now), "once may be an old word");
        assert!(window.acknowledge(40, &[], now));
        assert_eq!(send_all(&mut window, 100, now), (41..=100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn bytes_bound_what_is_under_way() {
        let now = Instant::now();
        let mut window = Window::new(0, DEADLINE, 100_000, now);
        let mut seq = 0;
        while let Some((lane, range)) = window.next(10_000, now) {
            seq = range.first;
            window.sent(lane, seq, 2_000, now);
        }
        assert!((49..=60).contains(&seq), "{seq}");
    }

    #[tokio::test]
    async fn live_frames_overtake_the_backlog_and_leave_it_a_fifth() {
        let now = Instant::now();
        let mut window = window(now);
        let mut committed = 10_000;
        assert_eq!(window.next(committed, now), Some((Lane::Backlog, SeqRange { first: 1, last: 2_048 })));
        // From here on something new is always there.
        committed += 4_000;
        let (mut live, mut backlog) = (Vec::new(), Vec::new());
        for _ in 0..2_000 {
            let (lane, range) = window.next(committed, now).unwrap();
            window.sent(lane, range.first, 400, now);
            if lane == Lane::Live { live.push(range.first) } else { backlog.push(range.first) }
        }
        assert_eq!(live, (10_001..=11_600).collect::<Vec<_>>());
        assert_eq!(backlog, (1..=400).collect::<Vec<_>>());
        // The collector has all of it: what it misses between the two is under way, and nothing is sent twice.
        assert!(!window.acknowledge(390, &[SeqRange { first: 391, last: 10_000 }], now));
        let rest = send_all(&mut window, committed, now);
        assert_eq!(rest.iter().filter(|seq| **seq > 10_000).count(), 2_400);
        assert!(!rest.iter().any(|seq| *seq <= 400 || (10_001..=11_600).contains(seq)));
        // A live frame that was lost is sent again before it is too late.
        assert!(!window.acknowledge(4_000, &[SeqRange { first: 4_001, last: 10_000 }, SeqRange { first: 12_000, last: 12_001 }], now));
        let sent = send_all(&mut window, committed, now);
        assert!(sent.starts_with(&[12_000, 12_001]), "{:?}", &sent[..4]);
        // With the backlog confirmed there is one lane again.
        let mut upto = 4_000;
        while upto < committed {
            upto = (upto + 3_000).min(committed);
            window.acknowledge(upto, &[], now);
            send_all(&mut window, committed, now);
        }
        assert_eq!((window.due(), window.next(committed, now)), (None, None));
        assert_eq!(send_all(&mut window, committed + 3, now), [14_001, 14_002, 14_003]);
    }

    #[tokio::test]
    async fn a_broker_that_nobody_listens_to_gets_a_probe_and_no_backlog() {
        let now = Instant::now();
        let mut window = window(now);
        assert_eq!(send_all(&mut window, 200, now).len(), 200);
        assert!(window.unheard(now));
        assert_eq!(send_all(&mut window, 200, now), (1..=16).collect::<Vec<_>>());
        assert!(!window.unheard(now), "it is known already");
        assert_eq!(send_all(&mut window, 200, now), Vec::<u64>::new());
        assert!(!window.acknowledge(16, &[], now));
        assert_eq!(send_all(&mut window, 200, now).len(), 184);
    }

    #[tokio::test]
    async fn a_broker_that_refuses_is_left_alone_and_then_asked_with_one_frame() {
        let now = Instant::now();
        let mut window = window(now);
        assert_eq!(send_all(&mut window, 100, now).len(), 100);
        let until = now + Duration::from_secs(3);
        window.refused(until);
        assert_eq!((send_all(&mut window, 5_000, now), window.due()), (Vec::new(), Some(until)));
        assert!(!window.tick(until));
        assert_eq!(send_all(&mut window, 5_000, until), [1]);
        window.accepted();
        assert_eq!(send_all(&mut window, 5_000, until).len(), 15);
        window.acknowledge(16, &[], until);
        assert_eq!(send_all(&mut window, 5_000, until).len(), 2_048);
    }

    #[tokio::test]
    async fn what_somebody_wants_again_comes_last() {
        let now = Instant::now();
        let mut window = window(now);
        send_all(&mut window, 50, now);
        window.acknowledge(50, &[], now);
        assert!(window.replay(SeqRange { first: 10, last: 14 }));
        assert_eq!(window.next(52, now), Some((Lane::Backlog, SeqRange { first: 51, last: 52 })));
        let mut sent = Vec::new();
        while let Some((lane, range)) = window.next(52, now) {
            // One of them is gone from the spool.
            if lane == Lane::Replay && range.first == 12 {
                window.skip_replay(12);
                continue;
            }
            window.sent(lane, range.first, 500, now);
            sent.push(range.first);
        }
        assert_eq!(sent, [51, 52, 10, 11, 13, 14]);
        for _ in 0..REPLAYS_MAX {
            assert!(window.replay(SeqRange { first: 1, last: 1 }));
        }
        assert!(!window.replay(SeqRange { first: 1, last: 1 }));
    }
}
