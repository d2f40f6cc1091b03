//! What an answer must look like, and finding it among everything else that a line delivers.
//!
//! The crate under us trusts whatever arrives next. Here an answer is only handed on when it belongs to the request:
//! on TCP by transaction, on a serial line by unit id, function code, byte count and checksum. What does not fit is
//! stepped over: a late answer, an answer of another unit, noise, the echo of our own request.

/// How frames are marked on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// With a transaction number and a length.
    Tcp,
    /// With a checksum only, on a serial line or tunnelled through TCP.
    Rtu,
}

/// Bytes of the TCP header before the unit id.
const TCP_HEADER_BYTES: usize = 6;
/// Most bytes a frame may have after the header: unit id and 253 bytes.
const TCP_LENGTH_MAX: usize = 254;
/// Added to the function code of a refusal.
const REFUSAL: u8 = 0x80;
/// A refusal on a serial line: unit id, function code, exception code, checksum.
const RTU_REFUSAL_BYTES: usize = 5;
/// Bytes around the register words of a serial answer: unit id, function code, byte count, checksum.
const RTU_AROUND_BYTES: usize = 5;
/// Most bytes behind an answer that may be the click of a transceiver letting go of the line.
const CLICK_BYTES_MAX: usize = 2;

/// What the answer to a read request must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    transaction: u16,
    unit: u8,
    function: u8,
    /// Bytes of register words.
    bytes: u8,
}

/// Why a connection delivers nothing that can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameFault {
    #[error("the peer does not speak Modbus TCP: protocol {protocol}, length {length}")]
    NotTcp { protocol: u16, length: usize },
    #[error("the answer is of unit {found}, not {asked}")]
    OtherUnit { asked: u8, found: u8 },
    #[error("the answer is to function {found}, not {asked}")]
    OtherFunction { asked: u8, found: u8 },
    #[error("the answer brings {found} bytes of registers, {asked} were asked for")]
    OtherCount { asked: u8, found: usize },
    #[error("an answer and the echo of its request cannot be told apart")]
    EchoOrAnswer,
    #[error("the answer came damaged")]
    Damaged,
    #[error("more came behind the answer: do two devices have this unit id?")]
    MoreBehind,
}

impl Framing {
    /// What the answer to these request bytes must be, once they are a whole read request.
    pub(crate) fn expected(self, request: &[u8]) -> Option<Expected> {
        let (transaction, pdu) = match (self, request) {
            (Self::Tcp, [t0, t1, _, _, _, _, pdu @ ..]) => (u16::from_be_bytes([*t0, *t1]), pdu.get(..6)?),
            (Self::Rtu, _) => (0, request.get(..6).filter(|_| request.len() == 8)?),
            _ => return None,
        };
        let [unit, function, _, _, high, low] = *pdu else { return None };
        let bytes = u8::try_from(usize::from(u16::from_be_bytes([high, low])) * 2).ok()?;
        Some(Expected { transaction, unit, function, bytes })
    }

    /// Takes the answer out of what arrived, and everything before it. What came behind it stays on a serial line.
    ///
    /// * Errors: on TCP, an answer to this very request that is not one; the connection is of no more use then.
    pub(crate) fn take(self, expected: Expected, request: &[u8], arrived: &mut Vec<u8>) -> Result<Option<Taken>, FrameFault> {
        match self {
            Self::Tcp => take_tcp(expected, arrived),
            Self::Rtu => take_rtu(expected, request, arrived),
        }
    }
}

/// An answer, and what had to be stepped over to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) before: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

fn take_tcp(expected: Expected, arrived: &mut Vec<u8>) -> Result<Option<Taken>, FrameFault> {
    while let [t0, t1, p0, p1, l0, l1, rest @ ..] = arrived.as_slice() {
        let protocol = u16::from_be_bytes([*p0, *p1]);
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if protocol != 0 || !(2..=TCP_LENGTH_MAX).contains(&length) {
            return Err(FrameFault::NotTcp { protocol, length });
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let ours = u16::from_be_bytes([*t0, *t1]) == expected.transaction;
        if ours {
            check_body(expected, body)?;
        }
        let frame = arrived.drain(..TCP_HEADER_BYTES + length).collect();
        if ours {
            return Ok(Some(Taken { before: Vec::new(), answer: frame }));
        }
    }
    Ok(None)
}

/// Checks unit id, function code and byte count of an answer without its framing.
fn check_body(expected: Expected, body: &[u8]) -> Result<(), FrameFault> {
    let [unit, function, rest @ ..] = body else { return Err(FrameFault::OtherCount { asked: expected.bytes, found: 0 }) };
    if *unit != expected.unit {
        return Err(FrameFault::OtherUnit { asked: expected.unit, found: *unit });
    }
    if *function == expected.function | REFUSAL && rest.len() == 1 {
        return Ok(());
    }
    if *function != expected.function {
        return Err(FrameFault::OtherFunction { asked: expected.function, found: *function });
    }
    match rest {
        [said, words @ ..] if *said == expected.bytes && words.len() == usize::from(*said) => Ok(()),
        _ => Err(FrameFault::OtherCount { asked: expected.bytes, found: rest.len().saturating_sub(1) }),
    }
}

fn take_rtu(expected: Expected, request: &[u8], arrived: &mut Vec<u8>) -> Result<Option<Taken>, FrameFault> {
    let found = (0..arrived.len()).find_map(|start| {
        let length = answer_length(expected, arrived.get(start..)?)?;
        let frame = arrived.get(start..start + length)?;
        is_whole(frame).then_some((start, length))
    });
    let Some((start, length)) = found else { return Ok(None) };
    if arrived.get(start..).is_some_and(|rest| rest.starts_with(request)) {
        return Err(FrameFault::EchoOrAnswer);
    }
    let mut before: Vec<u8> = arrived.drain(..start + length).collect();
    let answer = before.split_off(start);
    Ok(Some(Taken { before, answer }))
}

/// Whether the bytes hold all of the answer, and it is not right: nothing better will come.
pub(crate) fn is_damaged(expected: Expected, request: &[u8], arrived: &[u8]) -> bool {
    let answer = arrived.strip_prefix(request).unwrap_or(arrived);
    let length = usize::from(expected.bytes) + RTU_AROUND_BYTES;
    answer.len() >= length && answer_length(expected, answer) == Some(length)
}

/// What came behind an answer on a serial line, before the line fell silent.
///
/// A device says its answer once. The click of a transceiver may follow it, or the very same answer again; anything else means that
/// somebody else talked too, and then nobody knows whose answer this is.
pub(crate) fn check_behind(answer: &[u8], behind: &[u8]) -> Result<(), FrameFault> {
    let again = behind.strip_prefix(answer).unwrap_or(behind);
    let same = answer.starts_with(behind) || again.len() <= CLICK_BYTES_MAX;
    if same { Ok(()) } else { Err(FrameFault::MoreBehind) }
}

/// Most bytes before an answer that nothing explains: fewer than the shortest answer, so that no spoilt answer is among them.
const NOISE_BYTES_MAX: usize = 6;

/// What came before an answer on a serial line.
///
/// Our own voice, right frames of others or of earlier questions, a little noise: all that is stepped over. More than that may be the
/// true answer, spoilt by whoever said the one that was found.
pub(crate) fn check_before(before: &[u8], request: &[u8]) -> Result<(), FrameFault> {
    let (mut rest, mut noise) = (before, 0);
    while !rest.is_empty() {
        let length = match rest {
            _ if rest.starts_with(request) => Some(request.len()),
            [_, function, ..] if function & REFUSAL != 0 => Some(RTU_REFUSAL_BYTES),
            [_, _, said, ..] => Some(usize::from(*said) + RTU_AROUND_BYTES),
            _ => None,
        };
        let known = length.filter(|&length| rest.get(..length).is_some_and(is_whole));
        noise += usize::from(known.is_none());
        rest = rest.get(known.unwrap_or(1)..).unwrap_or_default();
    }
    if noise <= NOISE_BYTES_MAX { Ok(()) } else { Err(FrameFault::Damaged) }
}

/// Whether the bytes hold a whole right answer, or refusal, of this unit id, function and number of bytes.
pub(crate) fn holds_answer(framing: Framing, (unit, function, bytes): (u8, u8, u8), heard: &[u8]) -> bool {
    let expected = Expected { transaction: 0, unit, function, bytes };
    (0..heard.len()).any(|start| {
        let rest = heard.get(start..).unwrap_or_default();
        match framing {
            Framing::Rtu => answer_length(expected, rest).and_then(|length| rest.get(..length)).is_some_and(is_whole),
            Framing::Tcp => match rest {
                [_, _, 0, 0, high, low, body @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    body.get(..length).is_some_and(|body| check_body(expected, body).is_ok())
                }
                _ => false,
            },
        }
    })
}

/// How long the answer is that begins here, if one does.
fn answer_length(expected: Expected, bytes: &[u8]) -> Option<usize> {
    match bytes {
        [unit, function, ..] if *unit == expected.unit && *function == expected.function | REFUSAL => Some(RTU_REFUSAL_BYTES),
        [unit, function, said, ..] if *unit == expected.unit && *function == expected.function && *said == expected.bytes => {
            Some(usize::from(*said) + RTU_AROUND_BYTES)
        }
        _ => None,
    }
}

/// Whether the last two bytes are the checksum of the others.
fn is_whole(frame: &[u8]) -> bool {
    matches!(frame.split_last_chunk::<2>(), Some((body, checksum)) if checksum_of(body) == u16::from_le_bytes(*checksum))
}

/// The CRC-16 of the Modbus serial line (polynomial 0xA001 reflected, start 0xFFFF).
pub(crate) fn checksum_of(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0xFFFF, |crc, &byte| (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rtu(body: &[u8]) -> Vec<u8> {
        let mut frame = body.to_vec();
        frame.extend(checksum_of(body).to_le_bytes());
        frame
    }

    fn request() -> (Vec<u8>, Expected) {
        let request = rtu(&[1, 4, 0, 0, 0, 2]);
        let expected = Framing::Rtu.expected(&request).unwrap();
        (request, expected)
    }

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        // Modbus over serial line V1.02, appendix B: request 01 04 02 FF FF has the checksum B8 80 on the line.
        assert_eq!(checksum_of(&[1, 4, 2, 0xFF, 0xFF]).to_le_bytes(), [0xB8, 0x80]);
    }

    #[test]
    fn a_serial_answer_is_found_behind_everything_else() {
        let (request, expected) = request();
        let answer = rtu(&[1, 4, 4, 0x43, 0x66, 0x19, 0x9A]);
        let late_longer = rtu(&[1, 4, 6, 0, 1, 0, 2, 0, 3]);
        let late_other = rtu(&[2, 4, 4, 0, 1, 0, 2]);
        for before in [vec![], request.clone(), late_longer, late_other, vec![0x55; 40], vec![1, 4, 4, 9]] {
            let mut arrived = before.clone();
            arrived.extend(&answer);
            let taken = Framing::Rtu.take(expected, &request, &mut arrived);
            assert_eq!(taken, Ok(Some(Taken { before: before.clone(), answer: answer.clone() })), "{before:?}");
            assert!(arrived.is_empty());
        }
        let refusal = rtu(&[1, 0x84, 2]);
        let taken = Framing::Rtu.take(expected, &request, &mut refusal.clone());
        assert_eq!(taken, Ok(Some(Taken { before: Vec::new(), answer: refusal })));
    }

    #[test]
    fn an_answer_is_said_once_and_alone() {
        let answer = rtu(&[1, 4, 4, 0x43, 0x66, 0x19, 0x9A]);
        for good in [vec![], vec![0], vec![0xFF, 0], answer.clone(), answer[..5].to_vec(), [answer.as_slice(), &[0]].concat()] {
            assert_eq!(check_behind(&answer, &good), Ok(()), "{good:?}");
        }
        let other = rtu(&[1, 4, 4, 0x43, 0x66, 0x19, 0x9B]);
        for bad in [vec![1, 2, 3], other.clone(), other[..8].to_vec(), [answer.as_slice(), &answer].concat()] {
            assert_eq!(check_behind(&answer, &bad), Err(FrameFault::MoreBehind), "{bad:?}");
        }
    }

    #[test]
    fn a_spoilt_answer_before_an_answer_spoils_it() {
        let (request, _) = request();
        let (late, other) = (rtu(&[1, 4, 6, 0, 1, 0, 2, 0, 3]), rtu(&[2, 0x83, 2]));
        let explained = [&[0xAA, 1][..], &request, &late, &[0, 0], &other].concat();
        assert_eq!(check_before(&explained, &request), Ok(()));
        let mut spoilt = rtu(&[1, 4, 2, 0, 1]);
        spoilt[3] ^= 0x5A;
        assert_eq!(check_before(&[explained, spoilt].concat(), &request), Err(FrameFault::Damaged));
    }

    #[test]
    fn a_damaged_answer_is_known_when_it_is_all_there() {
        let (request, expected) = request();
        let mut harmed = rtu(&[1, 4, 4, 0x43, 0x66, 0x19, 0x9A]);
        harmed[4] ^= 1;
        assert!(is_damaged(expected, &request, &harmed) && is_damaged(expected, &request, &[request.clone(), harmed.clone()].concat()));
        assert!(!is_damaged(expected, &request, &harmed[..8]) && !is_damaged(expected, &request, &request));
    }

    #[test]
    fn a_tcp_answer_is_the_one_with_our_number() {
        let request = [0, 7, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1];
        let expected = Framing::Tcp.expected(&request).unwrap();
        let answer = vec![0, 7, 0, 0, 0, 5, 1, 3, 2, 0, 9];
        let mut arrived = vec![0, 6, 0, 0, 0, 5, 1, 3, 2, 0, 8];
        arrived.extend(&answer);
        let tail = arrived.split_off(13);
        assert_eq!(Framing::Tcp.take(expected, &request, &mut arrived), Ok(None));
        arrived.extend(tail);
        assert_eq!(Framing::Tcp.take(expected, &request, &mut arrived), Ok(Some(Taken { before: Vec::new(), answer })));
        let fault = |bytes: &[u8]| Framing::Tcp.take(expected, &request, &mut bytes.to_vec()).unwrap_err();
        assert_eq!(fault(&[0, 7, 0, 0, 0, 5, 2, 3, 2, 0, 9]), FrameFault::OtherUnit { asked: 1, found: 2 });
        assert_eq!(fault(&[0, 7, 0, 0, 0, 5, 1, 4, 2, 0, 9]), FrameFault::OtherFunction { asked: 3, found: 4 });
        assert_eq!(fault(&[0, 7, 0, 0, 0, 7, 1, 3, 4, 0, 9, 0, 9]), FrameFault::OtherCount { asked: 2, found: 4 });
        assert_eq!(fault(b"HTTP/1.1 400"), FrameFault::NotTcp { protocol: 0x5450, length: 0x2F31 });
    }

    proptest! {
        #[test]
        fn a_harmed_serial_answer_is_never_taken(at in 0_usize..9, flip in 1_u8..=255) {
            let (request, expected) = request();
            let mut harmed = rtu(&[1, 4, 4, 0x43, 0x66, 0x19, 0x9A]);
            harmed[at] ^= flip;
            prop_assert_eq!(Framing::Rtu.take(expected, &request, &mut harmed), Ok(None));
        }

        #[test]
        fn noise_is_never_an_answer(mut noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (request, expected) = request();
            prop_assert_eq!(Framing::Rtu.take(expected, &request, &mut noise), Ok(None));
        }
    }
}
