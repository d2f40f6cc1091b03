//! From a message to a durable, acknowledged batch.

mod acks;
mod bucket;
mod checks;
mod decode;
mod gate;
mod group;
mod json;
mod refusal;

pub(crate) use acks::Acks;
pub(crate) use bucket::Bucket;
pub(crate) use checks::{Checks, is_counter};
pub(crate) use decode::{Decoder, Message, is_point_name};
pub(crate) use gate::Gate;
pub(crate) use group::Ingest;
pub use group::IngestError;
pub(crate) use refusal::Refusal;

/// A name for numbers that count from 1: never used before, by whatever process.
pub(crate) fn random_spool() -> [u8; 16] {
    let mut id = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut source| std::io::Read::read_exact(&mut source, &mut id));
    read.expect("the operating system has randomness");
    id
}
