//! The part of Modbus that is the same on every transport: a function code, its arguments, an answer or an exception.

use devices::Table;
use jiff::Timestamp;

use crate::meter::{Exception, Meter};

const READ_IDENTIFICATION: u8 = 0x2B;
const REPORT_SERVER_ID: u8 = 0x11;
/// Whole texts only, and what fits into an answer.
const TEXT_BYTES_MAX: usize = 60;

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
        READ_IDENTIFICATION if !meter.nameplate.objects.is_empty() => return identification(&meter.nameplate.objects, arguments),
        REPORT_SERVER_ID if meter.nameplate.server_id.is_some() && arguments.is_empty() => {
            return server_id(meter.nameplate.server_id.as_deref().unwrap_or_default());
        }
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

/// The basic objects (Modbus application protocol V1.1b3, 6.21), all of them in one answer.
fn identification(objects: &[String], arguments: &[u8]) -> Vec<u8> {
    let &[0x0E, 1, first] = arguments else { return exception(READ_IDENTIFICATION, Exception::IllegalValue.code()) };
    let texts: Vec<(u8, &[u8])> = (0..).zip(objects.iter().map(|text| cut(text))).filter(|(id, _)| *id >= first).take(3).collect();
    if texts.is_empty() {
        return exception(READ_IDENTIFICATION, Exception::IllegalAddress.code());
    }
    // Basic identification as a stream, nothing more to follow.
    let mut pdu = vec![READ_IDENTIFICATION, 0x0E, 1, 1, 0, 0, u8::try_from(texts.len()).unwrap_or(3)];
    for (id, text) in texts {
        pdu.extend([id, u8::try_from(text.len()).unwrap_or(0)]);
        pdu.extend(text);
    }
    pdu
}

/// The maker's id, a text and the status "runs" (6.13).
fn server_id(text: &str) -> Vec<u8> {
    let text = cut(text);
    let mut pdu = vec![REPORT_SERVER_ID, u8::try_from(text.len() + 2).unwrap_or(2), 1];
    pdu.extend(text);
    pdu.push(0xFF);
    pdu
}

fn cut(text: &str) -> &[u8] {
    text.as_bytes().get(..TEXT_BYTES_MAX).unwrap_or(text.as_bytes())
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

/// The answer of a device that never sends more than so many registers, whatever it is asked for.
pub(crate) fn at_most(pdu: &[u8], registers: u8) -> Vec<u8> {
    let held = pdu.get(1).map_or(0, |bytes| bytes / 2);
    match i8::try_from(held.saturating_sub(registers)) {
        Ok(excess) => resized(pdu, -excess),
        Err(_) => pdu.to_vec(),
    }
}

/// The answer to reading the other table.
pub(crate) fn of_other_function(pdu: &[u8]) -> Vec<u8> {
    let mut other = pdu.to_vec();
    if let Some(function) = other.first_mut() {
        *function ^= 3 ^ 4;
    }
    other
}
