//! Reading registers such that a wrong answer is never taken for the right one.
//!
//! Modbus on a serial line has no number that ties an answer to its question. One answer that comes late, and a simple
//! client hands it out as the answer to the next question, and so on for ever. Four fences stand against that here:
//!
//! 1. nothing is sent before the line has been silent, and longer after a fault ([`Line::quiet`](line::Line));
//! 2. an answer must have the unit id, function code, byte count and checksum that the request asks for, and nothing else may be
//!    said before the line falls silent behind it ([`framing`]);
//! 3. plans never ask for the same length twice in a row, so that fence 2 sees a late answer (`devices::plan`);
//! 4. while an answer is still missing, nothing else is asked for its length, in a later poll not even the same again, because the
//!    answer would show what the meter showed then; and what has another length is asked until the answer cannot be an old one
//!    ([`owed`], which says what is left).
//!
//! On TCP the transaction number does most of this, and after any fault the connection is closed and made anew. A number is not used
//! again on the next connection. But behind many an address there is a converter with a serial line, which puts the newest number on
//! whatever it hears: fence 4 stands there too, and where the configuration shows a converter, all of them.

mod backoff;
mod bus;
mod counters;
mod endpoint;
mod error;
mod framing;
mod latency;
mod line;
mod listen;
mod owed;
mod serial;
#[cfg(test)]
mod tests;

pub(crate) use backoff::BackOff;
pub(crate) use bus::{Bus, Request, SETTLE};
pub use counters::BusCounters;
pub use endpoint::{Endpoint, EndpointError, Open, Opening, Parity};
pub(crate) use endpoint::{host_and_port, is_baud};
pub use error::BusError;
pub use framing::Framing;
pub(crate) use framing::checksum_of;
pub(crate) use latency::Latency;
pub use line::Stream;
pub use listen::{Caller, Listen};
pub(crate) use listen::{Doors, HELLO_BYTES_MAX};
pub(crate) use serial::Port;
pub use serial::Rs485;
