//! How devices and lines misbehave, on purpose and repeatably.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::pdu;
use crate::rtu::framed;
use crate::seed::mix;

/// One way to answer wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer.
    Silent,
    /// A well-formed refusal with this code.
    Exception(u8),
    /// A well-formed answer in the name of the next unit id.
    WrongUnit,
    /// As many bytes as the answer has, none of them right.
    Garbage,
    /// The right answer, this much later.
    Late(Duration),
    /// The answer breaks off.
    Truncate,
    /// One bit of the answer is wrong. Over TCP, where the network's own check sums see to the payload, it is one of the transaction id.
    FlipBit,
    /// The answer comes twice.
    Duplicate,
    /// Some bytes of noise, then the answer.
    Noise,
    /// The connection is closed instead of an answer; on a serial line the same as `Silent`.
    HangUp,
    /// A right answer with so many registers more or less than were asked for.
    OtherCount(i8),
    /// The device never sends more than so many registers, whatever it is asked for.
    AtMost(u8),
    /// A right answer to the other function.
    OtherFunction,
    /// The answer comes, and a copy of it this much later.
    Repeat(Duration),
    /// A right answer of another unit comes first.
    Chatter,
    /// A second device with the same unit id answers too, this much later, with what it measures itself.
    Twin(Duration),
    /// Only the end of the question is heard back, then the answer.
    EchoPart,
    /// The transceiver clicks behind the answer.
    Click,
    /// The answer comes byte by byte, with pauses of this length.
    Trickle(Duration),
    /// The device is busy for this long before it answers, and what it is asked meanwhile waits for it or is lost.
    Busy(Duration),
    /// Both sides are set to different rates for this long. Over TCP the same as `Silent`.
    BaudChange(Duration),
    /// The connection is reset.
    Reset,
    /// The connection is there, and nothing passes any more.
    HalfOpen,
    /// The other side takes no more bytes.
    ZeroWindow,
    /// The adapter is pulled out and plugged in again after this long.
    Unplugged(Duration),
}

impl Fault {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Exception(_) => "exception",
            Self::WrongUnit => "wrong_unit",
            Self::Garbage => "garbage",
            Self::Late(_) => "late",
            Self::Truncate => "truncated",
            Self::FlipBit => "flipped_bit",
            Self::Duplicate => "duplicated",
            Self::Noise => "noise",
            Self::HangUp => "hang_up",
            Self::OtherCount(_) => "other_count",
            Self::AtMost(_) => "at_most",
            Self::OtherFunction => "other_function",
            Self::Repeat(_) => "repeated_later",
            Self::Chatter => "chatter",
            Self::Twin(_) => "twin",
            Self::EchoPart => "part_of_echo",
            Self::Click => "click",
            Self::Trickle(_) => "trickle",
            Self::Busy(_) => "busy",
            Self::BaudChange(_) => "baud_change",
            Self::Reset => "reset",
            Self::HalfOpen => "half_open",
            Self::ZeroWindow => "zero_window",
            Self::Unplugged(_) => "unplugged",
        }
    }
}

/// When to use a fault.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Only exchanges with this unit id; `None` for all.
    pub unit: Option<u8>,
    pub fault: Fault,
    /// How many of a million exchanges.
    pub per_million: u32,
}

/// The faults of one server or line; they can be changed while it runs.
///
/// The n-th exchange with a unit id meets the same fault in every run with the same seed and the same rules.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    active: AtomicBool,
    injected: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    once: VecDeque<(u8, Fault)>,
    exchanges: BTreeMap<u8, u64>,
}

/// A fault to commit now, with the number that decides its details.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injection {
    pub(crate) fault: Fault,
    pub(crate) entropy: u64,
}

impl Faults {
    /// No faults until some are set.
    #[must_use]
    pub fn seeded(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, active: AtomicBool::new(false), injected: AtomicU64::new(0), state: Mutex::new(State::default()) })
    }

    /// Replaces the rules; the first that applies wins.
    pub fn set(&self, rules: &[Rule]) {
        let mut state = self.lock();
        state.rules = rules.to_vec();
        self.active.store(!state.rules.is_empty() || !state.once.is_empty(), Ordering::SeqCst);
    }

    /// Commits a fault in the next exchange with `unit`, before any rule.
    pub fn once(&self, unit: u8, fault: Fault) {
        self.lock().once.push_back((unit, fault));
        self.active.store(true, Ordering::SeqCst);
    }

    /// How many faults were committed so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::SeqCst)
    }

    /// What to do to the next answer of `unit`.
    pub(crate) fn next(&self, unit: u8) -> Option<Injection> {
        if !self.active.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        let exchange = state.exchanges.entry(unit).or_default();
        *exchange += 1;
        let exchange = *exchange;
        let entropy = |rule: u64| mix(self.seed, &[u64::from(unit), exchange, rule]);
        let scripted = state.once.iter().position(|(at, _)| *at == unit).and_then(|index| state.once.remove(index));
        let injection = match scripted {
            Some((_, fault)) => Some(Injection { fault, entropy: entropy(u64::MAX) }),
            None => (0..).zip(&state.rules).find_map(|(index, rule)| {
                let applies = rule.unit.is_none_or(|only| only == unit) && entropy(index) % 1_000_000 < u64::from(rule.per_million);
                applies.then(|| Injection { fault: rule.fault, entropy: mix(entropy(index), &[1]) })
            }),
        };
        if injection.is_some() {
            self.injected.fetch_add(1, Ordering::SeqCst);
        }
        injection
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Injection {
    /// `length` bytes that mean nothing.
    pub(crate) fn noise(&self, length: usize) -> Vec<u8> {
        let byte = |index: u64| mix(self.entropy, &[index]).to_be_bytes()[0];
        (0..).map(byte).take(length).collect()
    }

    /// A whole number below `bound`, which is not zero.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.entropy % bound).unwrap_or(0)
    }

    /// Breaks the bytes of an answer; `checked` is the part in which a flipped bit is detectable.
    pub(crate) fn spoil(&self, mut frame: Vec<u8>, checked: usize) -> Vec<u8> {
        match self.fault {
            Fault::Garbage => return self.noise(frame.len()),
            Fault::Truncate => frame.truncate(1 + self.below(frame.len().saturating_sub(1))),
            Fault::FlipBit => {
                let bit = self.below(8 * checked.min(frame.len()));
                if let Some(byte) = frame.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Fault::Duplicate => frame.extend_from_within(..),
            Fault::Noise => {
                let mut noisy = self.noise(1 + self.below(64));
                noisy.append(&mut frame);
                return noisy;
            }
            _ => {}
        }
        frame
    }

    /// What is heard on a serial line in place of an answer: how long after its time, and which bytes.
    ///
    /// `twin` is what a second device with the same unit id says, `question` the request as it was heard.
    pub(crate) fn serial(&self, unit: u8, pdu: &[u8], twin: &[u8], question: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let right = framed(unit, pdu);
        let at_once = |bytes: Vec<u8>| vec![(Duration::ZERO, bytes)];
        let function = question.get(1).copied().unwrap_or(0);
        match self.fault {
            Fault::Silent | Fault::HangUp | Fault::Reset | Fault::HalfOpen | Fault::ZeroWindow | Fault::Unplugged(_) => Vec::new(),
            Fault::Exception(code) => at_once(framed(unit, &pdu::exception(function, code))),
            Fault::WrongUnit => at_once(framed(unit.wrapping_add(1), pdu)),
            Fault::OtherCount(by) => at_once(framed(unit, &pdu::resized(pdu, by))),
            Fault::AtMost(registers) => at_once(framed(unit, &pdu::at_most(pdu, registers))),
            Fault::OtherFunction => at_once(framed(unit, &pdu::of_other_function(pdu))),
            Fault::Late(delay) | Fault::Busy(delay) => vec![(delay, right)],
            Fault::Repeat(delay) => vec![(Duration::ZERO, right.clone()), (delay, right)],
            Fault::Chatter => at_once([framed(unit.wrapping_add(1), twin), right].concat()),
            Fault::Twin(delay) if self.below(2) == 0 => vec![(Duration::ZERO, right), (delay, framed(unit, twin))],
            Fault::Twin(delay) => vec![(Duration::ZERO, framed(unit, twin)), (delay, right)],
            Fault::EchoPart => {
                let heard = question.get(1 + self.below(question.len().saturating_sub(1))..).unwrap_or_default();
                at_once([heard, &right].concat())
            }
            Fault::Click => at_once([right, self.noise(1 + self.below(2))].concat()),
            Fault::BaudChange(_) => at_once(self.noise(right.len())),
            Fault::Trickle(pause) => (0..).map(|index| pause * index).zip(right.into_iter().map(|byte| vec![byte])).collect(),
            Fault::Garbage | Fault::Truncate | Fault::FlipBit | Fault::Duplicate | Fault::Noise => at_once(self.spoil(right, usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let run = |seed| {
            let faults = Faults::seeded(seed);
            faults.set(&[
                Rule { unit: Some(1), fault: Fault::Silent, per_million: 100_000 },
                Rule { unit: None, fault: Fault::FlipBit, per_million: 50_000 },
            ]);
            [1, 2].repeat(1000).into_iter().map(|unit| faults.next(unit).map(|injection| injection.fault)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let silent = run(1).iter().filter(|fault| **fault == Some(Fault::Silent)).count();
        assert!((70..140).contains(&silent), "{silent} of 1000 exchanges at 10 %");
    }

    #[test]
    fn a_fault_for_once_happens_once() {
        let faults = Faults::seeded(0);
        faults.once(3, Fault::Garbage);
        assert!(faults.next(1).is_none());
        assert_eq!(faults.next(3).map(|injection| injection.fault), Some(Fault::Garbage));
        assert!(faults.next(3).is_none());
        assert_eq!(faults.injected(), 1);
    }

    #[test]
    fn a_spoilt_frame_differs_from_the_right_one() {
        for entropy in 0..500 {
            for fault in [Fault::Garbage, Fault::Truncate, Fault::FlipBit, Fault::Duplicate, Fault::Noise] {
                let frame = vec![1, 4, 2, 0, 7, 9, 9];
                assert_ne!(Injection { fault, entropy }.spoil(frame.clone(), 7), frame, "{fault:?}");
            }
        }
    }
}
