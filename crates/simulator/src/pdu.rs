//! The part of Modbus that is the same on every transport: a function code, its arguments, an answer or an exception.

use devices::Table;

use crate::meter::{Exception, Meter};

/// Answers a request as a meter does: it may be read and not written.
pub(crate) fn answer(meter: &Meter, request: &[u8]) -> Vec<u8> {
    let &[function, ref arguments @ ..] = request else { return exception(0, Exception::IllegalFunction.code()) };
    let table = match function {
        3 => Table::Holding,
        4 => Table::Input,
        _ => return exception(function, Exception::IllegalFunction.code()),
    };
    let &[a, b, c, d] = arguments else { return exception(function, Exception::IllegalValue.code()) };
    match meter.read(table, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) {
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
