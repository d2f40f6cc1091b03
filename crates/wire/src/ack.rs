//! The collector's word that readings are durable. Nothing else frees a spool.

use ids::SpoolId;

use crate::frame::{WireError, check_schema};

/// What is durable in the store of the frames of one spool.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Ack {
    /// [`crate::SCHEMA`].
    #[prost(uint32, tag = "1")]
    pub schema: u32,
    /// The sixteen bytes of the [`SpoolId`].
    #[prost(bytes = "vec", tag = "2")]
    pub spool_id: Vec<u8>,
    /// Every frame up to and with this one is durable.
    #[prost(uint64, tag = "3")]
    pub contiguous_seq: u64,
    /// Frames above it that are missing below the highest durable one.
    #[prost(message, repeated, tag = "4")]
    pub holes: Vec<SeqRange>,
}

/// Sequence numbers from the first to the last, both in it.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct SeqRange {
    /// The first.
    #[prost(uint64, tag = "1")]
    pub first: u64,
    /// The last, inclusive.
    #[prost(uint64, tag = "2")]
    pub last: u64,
}

impl Ack {
    /// Checks the schema and hands out the spool id.
    pub fn validate(&self) -> Result<SpoolId, WireError> {
        check_schema(self.schema)?;
        <[u8; 16]>::try_from(self.spool_id.as_slice())
            .map(SpoolId::from_bytes)
            .map_err(|_wrong_length| WireError::SpoolId(self.spool_id.len()))
    }
}
