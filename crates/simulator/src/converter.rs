//! A box that stands between a network and a serial line, and says whose answer it thinks it has.
//!
//! A serial answer carries no number, so the box must make one up. Two ways of doing that are common, and both go wrong after the first
//! late or lost answer, each in its own way.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::rtu::is_right;

/// A question is given up after this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes that make no frame are forgotten after this silence.
const SILENCE: Duration = Duration::from_millis(20);
/// Most bytes that are kept while the line talks and makes no frame; the oldest go.
const HEARD_MAX: usize = 1024;
/// The shortest frame: a refusal.
const FRAME_BYTES_MIN: usize = 5;

/// Which number a converter puts on what its line delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The one of the newest question, whoever asked it.
    Newest,
    /// The one of the oldest question that is still open.
    InOrder,
}

/// What a converter remembers.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    newest: [u8; 2],
    open: VecDeque<([u8; 2], Instant)>,
    heard: Vec<u8>,
    last: Option<Instant>,
}

impl Converter {
    /// A question passes on to the line.
    pub(crate) fn asked(&mut self, number: [u8; 2]) {
        let now = Instant::now();
        self.newest = number;
        self.open.retain(|(_, asked)| now - *asked < PATIENCE);
        self.open.push_back((number, now));
    }

    /// The line delivered bytes. Gives what is sent to whoever is connected.
    pub(crate) fn heard(&mut self, bytes: &[u8], labels: Labels) -> Vec<u8> {
        let now = Instant::now();
        if self.last.replace(now).is_some_and(|last| now - last > SILENCE) {
            self.heard.clear();
        }
        self.heard.extend_from_slice(bytes);
        let excess = self.heard.len().saturating_sub(HEARD_MAX);
        self.heard.drain(..excess);
        let mut sent = Vec::new();
        while let Some(frame) = self.take_frame() {
            self.open.retain(|(_, asked)| now - *asked < PATIENCE);
            let number = match labels {
                Labels::Newest => Some(self.newest),
                Labels::InOrder => self.open.pop_front().map(|(number, _)| number),
            };
            // What nobody asked for is not passed on.
            let Some(number) = number else { continue };
            let body = frame.get(..frame.len() - 2).unwrap_or_default();
            sent.extend(number);
            sent.extend([0, 0]);
            sent.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
            sent.extend(body);
        }
        sent
    }

    /// The first whole answer in what was heard, and everything before it is forgotten.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let whole = |start: usize| {
            let rest = self.heard.get(start..)?;
            let length = match rest {
                [_, function, ..] if function & 0x80 != 0 => FRAME_BYTES_MIN,
                [_, _, bytes, ..] => FRAME_BYTES_MIN + usize::from(*bytes),
                _ => return None,
            };
            rest.get(..length).filter(|frame| is_right(frame)).map(|_| (start, length))
        };
        let (start, length) = (0..self.heard.len()).find_map(whole)?;
        let frame = self.heard.get(start..start + length)?.to_vec();
        self.heard.drain(..start + length);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtu::framed;

    #[tokio::test(start_paused = true)]
    async fn answers_are_labelled_and_noise_is_not_passed_on() {
        let (one, two) = (framed(1, &[4, 2, 0, 7]), framed(1, &[0x84, 2]));
        let labelled = |labels| {
            let mut converter = Converter::default();
            converter.asked([0, 1]);
            converter.asked([0, 2]);
            let early = converter.heard(&[&[0x55, 1][..], &one[..3]].concat(), labels);
            [early, converter.heard(&[&one[3..], &two, &two].concat(), labels)].concat()
        };
        let newest = [[0, 2, 0, 0, 0, 5, 1, 4, 2, 0, 7].as_slice(), &[0, 2, 0, 0, 0, 3, 1, 0x84, 2], &[0, 2, 0, 0, 0, 3, 1, 0x84, 2]];
        assert_eq!(labelled(Labels::Newest), newest.concat());
        let in_order = [[0, 1, 0, 0, 0, 5, 1, 4, 2, 0, 7].as_slice(), &[0, 2, 0, 0, 0, 3, 1, 0x84, 2]];
        assert_eq!(labelled(Labels::InOrder), in_order.concat());
    }
}
