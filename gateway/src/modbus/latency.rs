//! How long a device takes to answer, and what timeout follows from that. Pure.
//!
//! A timeout that is too short makes a slow device look dead (stephane/libmodbus#776: 707 of 1000 reads lost at 300 ms, none at
//! 600 ms); one that is too long makes a dead device cost its neighbours their time.

use std::time::Duration;

/// Answers that are remembered.
const SAMPLES_MAX: usize = 128;
/// Answers that must be known before they say anything.
const SAMPLES_MIN: usize = 32;
/// How often the timeout is thought over, in answers.
const REVIEW_EVERY: usize = 16;
/// The timeout is this many times what 99 of 100 answers stay within.
const HEADROOM: u32 = 4;
/// How far beyond what was configured it may go.
const GROWTH_MAX: u32 = 4;

/// The answers of one device.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    /// Before anything is known.
    initial: Duration,
    /// Never shorter than this.
    minimum: Duration,
    /// The newest answers, as a ring.
    samples: Vec<Duration>,
    next: usize,
    timeout: Duration,
}

impl Latency {
    pub(crate) fn new(initial: Duration, minimum: Duration) -> Self {
        Self { initial, minimum: minimum.min(initial), samples: Vec::new(), next: 0, timeout: initial }
    }

    /// The longest wait that makes sense.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What 99 of 100 answers stay within; nothing before there are any.
    pub(crate) fn p99(&self) -> Option<Duration> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let index = sorted.len().saturating_sub(1) * 99 / 100;
        sorted.get(index).copied()
    }

    /// Notes how long an answer took.
    pub(crate) fn note(&mut self, took: Duration) {
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(took);
        } else if let Some(oldest) = self.samples.get_mut(self.next) {
            *oldest = took;
        }
        self.next = (self.next + 1) % SAMPLES_MAX;
        // An answer that took most of the time there was cannot wait for the next review.
        if self.samples.len() >= SAMPLES_MIN && (self.next.is_multiple_of(REVIEW_EVERY) || took * 2 > self.timeout) {
            self.review();
        }
    }

    /// Notes an answer that came after its time. The timeout was too short, whatever the others took.
    pub(crate) fn note_late(&mut self, took: Duration) {
        self.timeout = self.timeout.max(took * 2).min(self.ceiling());
    }

    fn review(&mut self) {
        if let Some(p99) = self.p99() {
            self.timeout = (p99 * HEADROOM).clamp(self.minimum, self.ceiling());
        }
    }

    fn ceiling(&self) -> Duration {
        self.initial * GROWTH_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_timeout_follows_the_device() {
        let mut latency = Latency::new(ms(500), ms(200));
        for _ in 0..31 {
            latency.note(ms(20));
            assert_eq!(latency.timeout(), ms(500), "too early to say");
        }
        latency.note(ms(20));
        assert_eq!(latency.timeout(), ms(200), "never below the minimum");
        for _ in 0..160 {
            latency.note(ms(90));
        }
        assert_eq!((latency.timeout(), latency.p99()), (ms(360), Some(ms(90))));
        for _ in 0..200 {
            latency.note(ms(1_500));
        }
        assert_eq!(latency.timeout(), ms(2_000), "never above four times what was configured");
    }

    #[test]
    fn a_late_answer_makes_room_at_once() {
        let mut latency = Latency::new(ms(300), ms(100));
        latency.note_late(ms(450));
        assert_eq!(latency.timeout(), ms(900));
        latency.note_late(ms(5_000));
        assert_eq!(latency.timeout(), ms(1_200));
    }

    #[test]
    fn a_configured_timeout_is_the_least() {
        let mut latency = Latency::new(ms(800), ms(800));
        for _ in 0..64 {
            latency.note(ms(5));
        }
        assert_eq!(latency.timeout(), ms(800));
    }
}
