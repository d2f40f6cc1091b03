//! From a message to a durable, acknowledged batch.

mod acks;
mod decode;
mod group;

pub(crate) use acks::Acks;
pub(crate) use decode::{Decoder, Message};
pub(crate) use group::Ingest;
pub use group::IngestError;
