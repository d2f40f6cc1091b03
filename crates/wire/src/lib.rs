//! What a gateway says to a collector, and what it hears back.
//!
//! Protobuf by derive, so that no compiler for it is needed to build; the published `proto/negawatt.proto` is checked
//! against the derives by a test, and golden bytes of every version ever written are read by another.

mod ack;
mod frame;
pub mod line_protocol;
pub mod topic;

pub use ack::{Ack, SeqRange};
pub use frame::{DeviceReading, Envelope, Frame, PointReading, WireError};
pub use prost::Message;
pub use topic::{Channel, GatewayPath, TopicError};

/// The version of every message here.
pub const SCHEMA: u32 = 1;
