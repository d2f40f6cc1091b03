//! Which frames are due to be sent. Pure: told the time, knows sequence numbers only.
//!
//! Frames go out in order, as far ahead of the collector's acknowledgement as the window allows. Silence for longer
//! than the deadline means that frames or their acknowledgement were lost, or that nobody listens: then a few of the
//! oldest are sent again, at growing intervals, and the rest only when the collector's answer shows that they are
//! missing. So an outage costs a handful of frames sent twice and not the whole backlog again and again.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use wire::SeqRange;

/// Frames sent again while nobody answers.
const PROBE_FRAMES: u64 = 16;
/// Frames under way at first, and after a loss; doubled with each acknowledgement.
const FIRST_FRAMES: u64 = 2_048;
const FRAMES_MAX: u64 = 65_536;
/// Longest pause between two probes.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Holes that one acknowledgement may ask for.
const HOLES_MAX: usize = 4_096;

/// What was sent and what was confirmed.
#[derive(Debug)]
pub(crate) struct Window {
    deadline: Duration,
    bytes_max: u64,
    /// Mean bytes of a frame, lately.
    frame_bytes: u64,
    acknowledged: u64,
    /// Sent in this round: everything up to here.
    sent: u64,
    /// Sent ever on this connection.
    sent_max: u64,
    frames_max: u64,
    /// The last frame of a probe that is under way.
    probe: Option<u64>,
    /// The collector said once that it has less than before.
    doubted: bool,
    holes: VecDeque<SeqRange>,
    holes_asked: Option<Instant>,
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
            sent: acknowledged,
            sent_max: acknowledged,
            frames_max: FIRST_FRAMES,
            probe: None,
            doubted: false,
            holes: VecDeque::new(),
            holes_asked: None,
            progress: now,
            pause: deadline,
        }
    }

    /// The next frames to send, of those that are durable here.
    pub(crate) fn next(&self, committed: u64) -> Option<SeqRange> {
        if let Some(hole) = self.holes.front() {
            return Some(*hole);
        }
        let by_bytes = (self.bytes_max / self.frame_bytes.max(1)).max(PROBE_FRAMES);
        let last = committed.min(self.acknowledged + self.frames_max.min(by_bytes));
        (self.sent < last).then_some(SeqRange { first: self.sent + 1, last })
    }

    /// Notes that a frame was handed over. Says whether it was for another time.
    pub(crate) fn sent(&mut self, seq: u64, bytes: usize, now: Instant) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 16);
        self.frame_bytes = (self.frame_bytes * 15 + bytes) / 16;
        if let Some(hole) = self.holes.front_mut().filter(|hole| hole.first == seq) {
            hole.first += 1;
            if hole.first > hole.last {
                self.holes.pop_front();
            }
            return true;
        }
        if self.sent == self.acknowledged {
            self.progress = now;
        }
        self.sent = self.sent.max(seq);
        let again = seq <= self.sent_max;
        self.sent_max = self.sent_max.max(seq);
        again
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
            self.sent = contiguous;
            rewound = true;
        }
        let progressed = contiguous > self.acknowledged;
        if let Some(probe) = self.probe.take() {
            self.frames_max = FIRST_FRAMES;
            if contiguous > probe {
                // It was slow and nothing is lost: what was sent before the probe is still under way.
                self.sent = self.sent_max;
            }
        } else if progressed {
            self.frames_max = (self.frames_max * 2).min(FRAMES_MAX);
        } else if self.sent > contiguous && self.overdue(now) {
            self.sent = contiguous;
            rewound = true;
        }
        if progressed || rewound {
            self.progress = now;
        }
        self.acknowledged = contiguous;
        self.pause = self.deadline;
        self.sent = self.sent.max(contiguous);
        self.note_holes(contiguous, holes, now);
        rewound
    }

    fn note_holes(&mut self, contiguous: u64, holes: &[SeqRange], now: Instant) {
        let asked_lately = self.holes_asked.is_some_and(|asked| now < asked + self.deadline);
        if holes.is_empty() || asked_lately {
            self.holes.retain(|hole| hole.last > contiguous);
            return;
        }
        let known = holes.iter().filter(|hole| hole.first <= hole.last && hole.first > contiguous && hole.last <= self.sent_max);
        self.holes = known.take(HOLES_MAX).copied().collect();
        self.holes_asked = (!self.holes.is_empty()).then_some(now);
    }

    fn overdue(&self, now: Instant) -> bool {
        now >= self.progress + self.pause
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.sent > self.acknowledged).then(|| self.progress + self.pause)
    }

    /// Begins a probe when the collector is overdue. Says whether frames that were handed over must be taken back.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.sent <= self.acknowledged || !self.overdue(now) {
            return false;
        }
        self.sent = self.acknowledged;
        self.holes.clear();
        self.frames_max = PROBE_FRAMES;
        self.probe = Some(self.acknowledged + PROBE_FRAMES);
        self.progress = now;
        self.pause = (self.pause * 2).min(PAUSE_MAX.max(self.deadline));
        true
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
        while let Some(range) = window.next(committed) {
            for seq in range.first..=range.last {
                window.sent(seq, 500, now);
                sent.push(seq);
            }
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
        while let Some(range) = window.next(10_000) {
            seq = range.first;
            window.sent(seq, 2_000, now);
        }
        assert!((49..=60).contains(&seq), "{seq}");
    }
}
