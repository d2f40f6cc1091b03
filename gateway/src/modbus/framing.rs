//! What an answer must look like, and finding it among everything else that a line delivers.
//!
//! The crate under us trusts whatever arrives next. Here an answer is only handed on when it belongs to the request:
//! on TCP by transaction, on a serial line by unit id, function code, byte count and checksum. What does not fit is
//! stepped over: a late answer, an answer of another unit, noise, the echo of our own request.

/// How frames are marked on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
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

    /// Takes the answer out of what arrived; everything before it is dropped.
    ///
    /// * Errors: on TCP, an answer to this very request that is not one; the connection is of no more use then.
    pub(crate) fn take(self, expected: Expected, request: &[u8], arrived: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameFault> {
        match self {
            Self::Tcp => take_tcp(expected, arrived),
            Self::Rtu => take_rtu(expected, request, arrived),
        }
    }
}

fn take_tcp(expected: Expected, arrived: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameFault> {
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
            return Ok(Some(frame));
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

fn take_rtu(expected: Expected, request: &[u8], arrived: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameFault> {
    let found = (0..arrived.len()).find_map(|start| {
        let length = answer_length(expected, arrived.get(start..)?)?;
        let frame = arrived.get(start..start + length)?;
        is_whole(frame).then_some((start, length))
    });
    let Some((start, length)) = found else { return Ok(None) };
    if arrived.get(start..).is_some_and(|rest| rest.starts_with(request)) {
        return Err(FrameFault::EchoOrAnswer);
    }
    let frame = arrived.get(start..start + length).map(<[u8]>::to_vec);
    arrived.clear();
    Ok(frame)
}

/// How long the answer is that begins here, if one does.
fn answer_length(expected: Expected, bytes: &[u8]) -> Option<usize> {
    match bytes {
        [unit, function, ..] if *unit == expected.unit && *function == expected.function | REFUSAL => Some(RTU_REFUSAL_BYTES),
        [unit, function, said, ..] if *unit == expected.unit && *function == expected.function && *said == expected.bytes => {
            Some(usize::from(*said) + 5)
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
            assert_eq!(Framing::Rtu.take(expected, &request, &mut arrived), Ok(Some(answer.clone())), "{before:?}");
            assert!(arrived.is_empty());
        }
        let refusal = rtu(&[1, 0x84, 2]);
        assert_eq!(Framing::Rtu.take(expected, &request, &mut refusal.clone()), Ok(Some(refusal)));
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
        assert_eq!(Framing::Tcp.take(expected, &request, &mut arrived), Ok(Some(answer)));
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
