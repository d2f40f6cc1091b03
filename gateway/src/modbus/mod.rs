//! Reading registers such that a wrong answer is never taken for the right one.
//!
//! Modbus on a serial line has no number that ties an answer to its question. One answer that comes late, and a simple
//! client hands it out as the answer to the next question, and so on for ever. Four fences stand against that here:
//!
//! 1. nothing is sent before the line has been silent, and longer after a fault ([`Line::quiet`](line::Line));
//! 2. an answer must have the unit id, function code, byte count and checksum that the request asks for ([`framing`]);
//! 3. plans never ask for the same length twice in a row, so that fence 2 sees a late answer (`devices::plan`);
//! 4. while an answer of a length is still missing, no other address is asked for the same length ([`Bus`]).
//!
//! On TCP the transaction number does all this, and after any fault the connection is closed and made anew.

mod backoff;
mod bus;
mod endpoint;
mod framing;
mod line;
#[cfg(test)]
mod tests;

pub(crate) use backoff::BackOff;
pub use bus::BusError;
pub(crate) use bus::{Bus, Request};
pub use endpoint::{Endpoint, EndpointError, Parity};
pub(crate) use endpoint::{host_and_port, is_baud};
pub(crate) use framing::{Framing, checksum_of};
pub(crate) use line::Stream;
