//! One question and everything that is heard after it.
//!
//! Readings come through [`Bus`](crate::modbus::Bus), which hands on right answers and nothing else. To find out what is wrong with
//! a line one must hear the rest as well: the echo, the noise, the two devices that talk at once. Nothing that is heard here is
//! ever a reading.

use std::{future::poll_fn, io, pin::Pin, time::Duration};

use tokio::{
    io::{AsyncWriteExt as _, ReadBuf},
    time::{Instant, timeout, timeout_at},
};

use crate::modbus::{Endpoint, Framing, Stream, checksum_of};

/// Most bytes kept of what is heard.
const HEARD_BYTES_MAX: usize = 1024;
/// This long without a byte ends a frame: adapters hold bytes back for up to 16 ms.
const SILENCE: Duration = Duration::from_millis(25);
/// Longest wait for a line to fall silent before a question.
const QUIET_PATIENCE: Duration = Duration::from_millis(500);
const REFUSAL: u8 = 0x80;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// Not a byte, the echo of the question left aside.
    Silence,
    /// One right answer; function code and what follows it.
    Answer(Vec<u8>),
    /// A right answer and more behind it.
    Crowd,
    /// A right frame in the name of another unit.
    OtherUnit(u8),
    /// Bytes that make no frame.
    Garble,
}

/// What was heard after a question.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) sound: Sound,
    /// Whether the question itself was heard first.
    pub(super) echo: bool,
    /// Whether it began as the answer must begin, whatever came of the rest.
    pub(super) begins_right: bool,
    /// From the end of the question to the end of the answer.
    pub(super) took: Duration,
}

impl Heard {
    /// The code of a refusal.
    pub(super) fn refusal(&self) -> Option<u8> {
        match &self.sound {
            Sound::Answer(pdu) => match pdu.as_slice() {
                [function, code] if function & REFUSAL != 0 => Some(*code),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A connection for asking around.
pub(super) struct Speaker {
    stream: Box<dyn Stream>,
    endpoint: Endpoint,
    transaction: u16,
    /// The line was not silent when it was last left.
    dirty: bool,
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Speaker({})", self.endpoint)
    }
}

impl Speaker {
    pub(super) async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        Ok(Self { stream: endpoint.stream().await?, endpoint: endpoint.clone(), transaction: 0, dirty: true })
    }

    /// Everything that is said while nobody was asked.
    pub(super) async fn listen(&mut self, time: Duration) -> io::Result<Vec<u8>> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        while let Some(bytes) = self.hear(end).await? {
            heard.extend(bytes);
            heard.truncate(HEARD_BYTES_MAX);
        }
        Ok(heard)
    }

    /// Asks a unit and hears what comes, until the answer is whole or nothing came for `patience`.
    pub(super) async fn ask(&mut self, unit: u8, pdu: &[u8], patience: Duration) -> io::Result<Heard> {
        self.quiet().await?;
        let question = self.frame(unit, pdu);
        timeout(QUIET_PATIENCE, self.stream.write_all(&question)).await.map_err(|_elapsed| io::ErrorKind::TimedOut)??;
        self.stream.flush().await?;
        let asked = Instant::now() + self.endpoint.line_time(u64::try_from(question.len()).unwrap_or(u64::MAX));
        let frame_end = SILENCE + self.endpoint.line_time(8);
        let mut heard: Vec<u8> = Vec::new();
        let mut deadline = asked + patience;
        let mut arrived = asked;
        let mut echo = false;
        while let Some(bytes) = self.hear(deadline).await? {
            heard.extend(bytes);
            heard.truncate(HEARD_BYTES_MAX);
            if self.endpoint.framing() == Framing::Rtu && heard.starts_with(&question) {
                heard.drain(..question.len());
                echo = true;
            }
            // Our own voice, or its beginning, is no sign of life.
            if heard.is_empty() || (!echo && self.endpoint.framing() == Framing::Rtu && question.starts_with(&heard)) {
                continue;
            }
            arrived = Instant::now();
            if self.is_whole(unit, pdu, &heard) {
                break;
            }
            // A frame is under way: it ends with silence.
            deadline = arrived + frame_end;
        }
        let sound = match self.endpoint.framing() {
            Framing::Rtu => rtu_sound(unit, pdu, &heard),
            Framing::Tcp => tcp_sound(self.transaction, unit, &heard),
        };
        self.dirty = !matches!(sound, Sound::Answer(_) | Sound::Silence) || heard.is_empty();
        let begins_right = heard.starts_with(&[unit, pdu.first().copied().unwrap_or_default()]);
        Ok(Heard { sound, echo, begins_right, took: arrived.saturating_duration_since(asked) })
    }

    fn frame(&mut self, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(pdu.len() + 9);
        match self.endpoint.framing() {
            Framing::Rtu => {
                frame.push(unit);
                frame.extend_from_slice(pdu);
                let sum = checksum_of(&frame).to_le_bytes();
                frame.extend_from_slice(&sum);
            }
            Framing::Tcp => {
                self.transaction = self.transaction.wrapping_add(1);
                frame.extend_from_slice(&self.transaction.to_be_bytes());
                frame.extend_from_slice(&[0, 0, 0, u8::try_from(pdu.len() + 1).unwrap_or(u8::MAX), unit]);
                frame.extend_from_slice(pdu);
            }
        }
        frame
    }

    fn is_whole(&self, unit: u8, pdu: &[u8], heard: &[u8]) -> bool {
        match self.endpoint.framing() {
            Framing::Tcp => matches!(tcp_sound(self.transaction, unit, heard), Sound::Answer(_) | Sound::OtherUnit(_)),
            Framing::Rtu => answer_length(pdu, heard).is_some_and(|length| heard.len() == length && is_sound(heard)),
        }
    }

    /// Lets a line fall silent that may still be talking.
    async fn quiet(&mut self) -> io::Result<()> {
        let limit = Instant::now() + QUIET_PATIENCE;
        let silence = if self.dirty { SILENCE.min(self.endpoint.frame_silence() * 4) } else { self.endpoint.frame_silence() };
        while Instant::now() < limit {
            if self.hear(Instant::now() + silence).await?.is_none() {
                break;
            }
        }
        self.dirty = false;
        Ok(())
    }

    /// The next bytes, or `None` where none come until the deadline.
    async fn hear(&mut self, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = [0; 256];
        let mut buf = ReadBuf::new(&mut chunk);
        let stream = &mut self.stream;
        match timeout_at(deadline, poll_fn(|cx| Pin::new(&mut **stream).poll_read(cx, &mut buf))).await {
            Err(_elapsed) => Ok(None),
            Ok(read) => {
                read?;
                if buf.filled().is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed by the other side"));
                }
                Ok(Some(buf.filled().to_vec()))
            }
        }
    }
}

fn is_sound(frame: &[u8]) -> bool {
    matches!(frame.split_last_chunk::<2>(), Some((body, sum)) if body.len() >= 2 && checksum_of(body) == u16::from_le_bytes(*sum))
}

/// How long the answer will be, as far as its beginning tells.
fn answer_length(question: &[u8], heard: &[u8]) -> Option<usize> {
    let (&asked, &function) = (question.first()?, heard.get(1)?);
    if function == asked | REFUSAL {
        return Some(5);
    }
    match function {
        1..=4 | 17 => Some(usize::from(*heard.get(2)?) + 5),
        // Others end with silence.
        _ => None,
    }
}

fn rtu_sound(unit: u8, question: &[u8], heard: &[u8]) -> Sound {
    if heard.is_empty() {
        return Sound::Silence;
    }
    // Converters put a stray byte or two before or behind a frame when they switch their direction.
    for start in 0..heard.len().min(3) {
        let Some(rest) = heard.get(start..) else { break };
        let whole = answer_length(question, rest).and_then(|length| rest.get(..length)).filter(|frame| is_sound(frame));
        let frame = whole.or_else(|| is_sound(rest).then_some(rest));
        let Some((frame, &[from, ref pdu @ ..])) = frame.map(|frame| (frame, frame.get(..frame.len() - 2).unwrap_or_default())) else {
            continue;
        };
        if from != unit {
            return Sound::OtherUnit(from);
        }
        let more = rest.len() - frame.len();
        return if more > 2 { Sound::Crowd } else { Sound::Answer(pdu.to_vec()) };
    }
    Sound::Garble
}

fn tcp_sound(transaction: u16, unit: u8, heard: &[u8]) -> Sound {
    let &[t0, t1, 0, 0, l0, l1, from, ref pdu @ ..] = heard else {
        return if heard.is_empty() { Sound::Silence } else { Sound::Garble };
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if u16::from_be_bytes([t0, t1]) != transaction || pdu.len() + 1 != length || pdu.is_empty() {
        return Sound::Garble;
    }
    if from == unit { Sound::Answer(pdu.to_vec()) } else { Sound::OtherUnit(from) }
}

/// Whole frames in what was overheard: who was asked or answered, and with which function.
pub(super) fn overheard(heard: &[u8]) -> Vec<(u8, u8)> {
    let mut frames = Vec::new();
    let mut start = 0;
    while let Some(rest) = heard.get(start..).filter(|rest| rest.len() >= 4) {
        let length = (4..=rest.len().min(256)).find(|&length| rest.get(..length).is_some_and(is_sound));
        match (length, rest) {
            (Some(length), &[unit, function, ..]) => {
                frames.push((unit, function));
                start += length;
            }
            _ => start += 1,
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut frame = body.to_vec();
        frame.extend(checksum_of(body).to_le_bytes());
        frame
    }

    #[test]
    fn what_a_serial_line_says_is_told_apart() {
        let question = [4, 0, 0, 0, 2];
        let answer = framed(&[7, 4, 4, 1, 2, 3, 4]);
        let sound = |heard: &[u8]| rtu_sound(7, &question, heard);
        assert_eq!(sound(&[]), Sound::Silence);
        assert_eq!(sound(&answer), Sound::Answer(vec![4, 4, 1, 2, 3, 4]));
        assert_eq!(sound(&[&[0], answer.as_slice(), &[0xFF]].concat()), Sound::Answer(vec![4, 4, 1, 2, 3, 4]));
        assert_eq!(sound(&[answer.as_slice(), &framed(&[7, 4, 4, 9, 9, 9, 9])].concat()), Sound::Crowd);
        assert_eq!(sound(&framed(&[8, 4, 4, 1, 2, 3, 4])), Sound::OtherUnit(8));
        assert_eq!(sound(&framed(&[7, 0x84, 2])), Sound::Answer(vec![0x84, 2]));
        assert_eq!(sound(&answer[..6]), Sound::Garble);
        assert_eq!(sound(&answer.iter().map(|byte| byte ^ 0x5A).collect::<Vec<_>>()), Sound::Garble);
    }

    #[test]
    fn another_master_is_overheard() {
        let traffic = [vec![0x33, 9], framed(&[3, 4, 0, 0, 0, 2]), framed(&[3, 4, 4, 0, 0, 1, 2])].concat();
        assert_eq!(overheard(&traffic), [(3, 4), (3, 4)]);
        assert_eq!(overheard(b"AT+CGMI\r\nOK"), []);
    }

    #[test]
    fn what_a_network_says_is_told_apart() {
        let sound = |heard: &[u8]| tcp_sound(5, 1, heard);
        assert_eq!(sound(&[0, 5, 0, 0, 0, 3, 1, 0x84, 2]), Sound::Answer(vec![0x84, 2]));
        assert_eq!(sound(&[0, 5, 0, 0, 0, 3, 9, 0x84, 2]), Sound::OtherUnit(9));
        assert_eq!(sound(&[0, 4, 0, 0, 0, 3, 1, 0x84, 2]), Sound::Garble);
        assert_eq!(sound(b"HTTP/1.1 400 Bad Request"), Sound::Garble);
        assert_eq!(sound(&[]), Sound::Silence);
    }
}
