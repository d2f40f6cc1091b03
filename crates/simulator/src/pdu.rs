//! The part of Modbus that is the same on every transport: a function code, its arguments, an answer or an exception.

use devices::Table;
use jiff::Timestamp;

use crate::meter::{Exception, Meter};

/// Answers a request as a meter does: it may be read and not written.
pub(crate) fn answer(meter: &Meter, request: &[u8]) -> Vec<u8> {
    answer_at(meter, request, meter.now())
}

/// As [`answer`], with what the registers show at a moment.
pub(crate) fn answer_at(meter: &Meter, request: &[u8], at: Timestamp) -> Vec<u8> {
    let &[function, ref arguments @ ..] = request else { return exception(0, Exception::IllegalFunction.code()) };
    let table = match function {
        3 => Table::Holding,
        4 => Table::Input,
        _ => return exception(function, Exception::IllegalFunction.code()),
    };
    let &[a, b, c, d] = arguments else { return exception(function, Exception::IllegalValue.code()) };
    match meter.read_at(table, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), at) {
        Ok(words) => {
            let mut pdu = Vec::with_capacity(2 + 2 * words.len());
            pdu.push(function);
            pdu.push(u8::try_from(2 * words.len()).expect("a device returns at most 125 registers"));
            pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            pdu
        }
        Err(err) => exception(function, err.code()),
    }
}

/// The answer that refuses a request.
pub(crate) fn exception(function: u8, code: u8) -> Vec<u8> {
    vec![function | 0x80, code]
}

/// An answer with some registers more or less, right in itself.
pub(crate) fn resized(pdu: &[u8], by: i8) -> Vec<u8> {
    let &[function, _, ref words @ ..] = pdu else { return pdu.to_vec() };
    let length = (words.len() + 2 * usize::from(by.unsigned_abs())).min(250);
    let kept = if by < 0 { words.len().saturating_sub(2 * usize::from(by.unsigned_abs())) } else { length };
    let words: Vec<u8> = words.iter().copied().chain([0, 7].into_iter().cycle()).take(kept).collect();
    let mut resized = vec![function, u8::try_from(words.len()).unwrap_or(u8::MAX)];
    resized.extend(words);
    resized
}

/// The answer to reading the other table.
pub(crate) fn of_other_function(pdu: &[u8]) -> Vec<u8> {
    let mut other = pdu.to_vec();
    if let Some(function) = other.first_mut() {
        *function ^= 3 ^ 4;
    }
    other
}
