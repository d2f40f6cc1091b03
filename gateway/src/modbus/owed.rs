//! What devices owe: questions that went unanswered, and what they mean for the answers to later ones. Told the time by tokio.
//!
//! A device answers each question at most once, and in the order in which it was asked. Its answer may come any time, or never, and a
//! device that is in trouble may answer with fewer or more registers than it was asked for. From this follows what may be believed
//! while `k` questions of a device are open:
//!
//! * An answer that fits the shape of an open question may be that question's. So nothing else is asked in that shape
//!   ([`Owed::forbids`]).
//! * An answer of any other length may be an open question's too. But at most `k` answers are, so a question that was asked and
//!   answered `k + 1` times has its own answer in the last one ([`Owed::doubts`]), and everything older has had its turn then
//!   ([`Owed::settle`]). The same question again within one poll is no doubt: whichever asking was answered, the answer is right.
//!
//! What is left: a frame that no device said. Noise has to hit unit id, function code, byte count and the checksum, five bytes, which
//! one of 2^40 places in random bytes does; a damaged answer has to keep its checksum, one of 2^16 among those with more than one
//! burst of 16 bits, and none below that. A device that answers once, later than a debt lives, with another length than asked
//! for, and that very length is the next one, is believed; so is a copy that a repeater makes of an answer which was itself late.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    bus::Request,
    framing::{Framing, holds_answer},
};

/// For how many timeouts an unanswered request may still be answered, and for how long at least: devices are busy for seconds. Where
/// the bus says how late answers come, that holds instead.
const LIFE_TIMEOUTS: u32 = 11;
const LIFE_MIN: Duration = Duration::from_secs(10);
/// Unanswered requests that are remembered; the oldest make room.
const DEBTS_MAX: usize = 64;
/// A device that owes more than this is not asked before some of it is past: each debt costs a question.
const DOUBTS_MAX: usize = 3;

/// A request whose answer may still come.
#[derive(Debug)]
struct Debt {
    request: Request,
    asked: Instant,
    until: Instant,
    /// It may come in any length. Otherwise the line was silent for long enough after it was asked again and answered.
    any_length: bool,
}

/// What all devices of a bus owe.
#[derive(Debug, Default)]
pub(super) struct Owed {
    debts: Vec<Debt>,
    /// How late an answer may come, where it is known.
    life: Option<Duration>,
}

impl Owed {
    /// Says how long after its question was given up an answer may still come.
    pub(super) fn set_life(&mut self, life: Option<Duration>) {
        self.life = life;
    }

    /// Notes a question that was not answered.
    pub(super) fn add(&mut self, request: Request, asked: Instant) {
        self.push(request, asked, true);
    }

    fn push(&mut self, request: Request, asked: Instant, any_length: bool) {
        if self.debts.len() == DEBTS_MAX {
            self.debts.remove(0);
        }
        let life = self.life.unwrap_or_else(|| (request.timeout * LIFE_TIMEOUTS).max(LIFE_MIN));
        let until = Instant::now() + life;
        self.debts.push(Debt { request, asked, until, any_length });
    }

    /// Whether no answer to this question could be believed now. Answers to what was asked before `fresh_from` are too old.
    pub(super) fn forbids(&mut self, request: Request, fresh_from: Instant) -> bool {
        if self.debts.is_empty() {
            return false;
        }
        let now = Instant::now();
        self.debts.retain(|debt| debt.until > now);
        let taken_for = |debt: &Debt| debt.request.shape() == request.shape() && !debt.is_same(request, fresh_from);
        self.debts.iter().any(taken_for) || self.doubts(request, fresh_from) > DOUBTS_MAX
    }

    /// How many answers to other questions the device may give to this one.
    pub(super) fn doubts(&self, request: Request, fresh_from: Instant) -> usize {
        let doubtful = |debt: &&Debt| debt.any_length && debt.request.unit == request.unit && !debt.is_same(request, fresh_from);
        self.debts.iter().filter(doubtful).count()
    }

    /// Strikes out what was heard, unasked for: it will not come again. Says whose it was and how late it came.
    pub(super) fn hear(&mut self, framing: Framing, heard: &[u8]) -> Vec<(u8, Duration)> {
        let mut found: Vec<Debt> = Vec::new();
        if heard.is_empty() {
            return Vec::new();
        }
        let mut index = 0;
        while let Some(debt) = self.debts.get(index) {
            let (unit, function, count) = debt.request.shape();
            let known = found.iter().any(|found| found.request.shape() == debt.request.shape());
            let bytes = u8::try_from(2 * count).ok();
            if !known && bytes.is_some_and(|bytes| holds_answer(framing, (unit, function, bytes), heard)) {
                found.push(self.debts.remove(index));
            } else {
                index += 1;
            }
        }
        found.into_iter().map(|debt| (debt.request.unit, debt.asked.elapsed())).collect()
    }

    /// Notes that a question, first asked at `began`, has its answer. Says whether the line has to be silent for longer before the
    /// next question, because an answer to another asking of it may follow.
    ///
    /// * `again`: it was answered more than once, and the first answers may have been to older questions.
    pub(super) fn settle(&mut self, request: Request, began: Instant, again: bool) -> bool {
        if self.debts.is_empty() && !again {
            return false;
        }
        let same_shape = |debt: &Debt| debt.request.shape() == request.shape();
        self.debts.retain(|debt| debt.request.unit != request.unit || same_shape(debt) || debt.asked >= began);
        let mut follows = false;
        for debt in self.debts.iter_mut().filter(|debt| same_shape(debt)) {
            debt.any_length = false;
            follows = true;
        }
        if again {
            self.push(request, began, false);
        }
        follows || again
    }
}

impl Debt {
    /// Whether its answer is one to this question as well.
    fn is_same(&self, request: Request, fresh_from: Instant) -> bool {
        self.request.shape() == request.shape() && self.request.address == request.address && self.asked >= fresh_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(unit: u8, address: u16, count: u16) -> Request {
        Request { unit, function: 4, address, count, timeout: Duration::from_millis(500), gap: Duration::ZERO }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_forbids_its_shape_and_puts_other_lengths_in_doubt() {
        let (mut owed, poll) = (Owed::default(), Instant::now());
        owed.add(ask(1, 0, 6), poll);
        let doubts = |owed: &mut Owed, request, fresh_from| (owed.forbids(request, fresh_from), owed.doubts(request, fresh_from));
        assert_eq!(doubts(&mut owed, ask(1, 0, 6), poll), (false, 0), "the same again");
        assert_eq!(doubts(&mut owed, ask(1, 9, 6), poll), (true, 1), "another one of the same shape");
        assert_eq!(doubts(&mut owed, ask(1, 9, 4), poll), (false, 1), "another length");
        assert_eq!(doubts(&mut owed, ask(2, 9, 6), poll), (false, 0), "another unit");
        tokio::time::advance(Duration::from_millis(1)).await;
        let next = Instant::now();
        assert_eq!(doubts(&mut owed, ask(1, 0, 6), next), (true, 1), "the same in a later poll");
        for count in [8, 10, 12] {
            owed.add(ask(1, 0, count), next);
        }
        assert_eq!(doubts(&mut owed, ask(1, 9, 4), next), (true, 4), "so much is owed that it is waited for");
        tokio::time::advance(LIFE_MIN).await;
        assert_eq!(doubts(&mut owed, ask(1, 9, 6), next), (false, 0), "in the end it is forgotten");
        owed.set_life(Some(6 * LIFE_MIN));
        owed.add(ask(1, 0, 6), next);
        tokio::time::advance(5 * LIFE_MIN).await;
        assert!(owed.forbids(ask(1, 9, 6), next), "over a radio link later");
        tokio::time::advance(LIFE_MIN).await;
        assert!(!owed.forbids(ask(1, 9, 6), next));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_settles_what_is_older() {
        let (mut owed, poll) = (Owed::default(), Instant::now());
        owed.add(ask(1, 0, 6), poll);
        owed.add(ask(2, 0, 6), poll);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!owed.settle(ask(1, 9, 4), Instant::now(), false));
        assert_eq!((owed.doubts(ask(1, 9, 8), poll), owed.doubts(ask(2, 9, 8), poll)), (0, 1));
        // Asked again and answered: which asking it was is not known, so the shape stays forbidden, and the line must be silent.
        assert!(owed.settle(ask(2, 0, 6), Instant::now(), false));
        assert_eq!((owed.forbids(ask(2, 9, 6), poll), owed.doubts(ask(2, 9, 8), poll)), (true, 0));
        assert!(owed.settle(ask(1, 0, 4), Instant::now(), true));
        assert!(owed.forbids(ask(1, 9, 4), poll));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heard_is_struck_out_once() {
        let (mut owed, poll) = (Owed::default(), Instant::now());
        for count in [1, 1, 2] {
            owed.add(ask(1, 0, count), poll);
        }
        tokio::time::advance(Duration::from_millis(700)).await;
        let mut frame = vec![1, 4, 2, 0, 7];
        let sum = super::super::framing::checksum_of(&frame);
        frame.extend(sum.to_le_bytes());
        assert_eq!(owed.hear(Framing::Rtu, &[&[0xAA][..], &frame].concat()), [(1, Duration::from_millis(700))]);
        assert_eq!(owed.hear(Framing::Tcp, &[&[0, 9, 0, 0, 0, 5][..], &frame].concat()).len(), 1);
        assert_eq!(owed.debts.len(), 1);
    }
}
