//! What a gateway says to a collector, and what it hears back.
//!
//! Protobuf by derive, so that no compiler for it is needed to build; the published `proto/negawatt.proto` is checked
//! against the derives by a test, and golden bytes of every version ever written are read by another.

mod ack;
pub mod command;
mod frame;
pub mod line_protocol;
mod state;
pub mod topic;

pub use ack::{Ack, SeqRange};
pub use command::{Command, Reply};
pub use frame::{DeviceReading, Envelope, Frame, FrameTime, Lost, PointReading, WireError};
pub use prost::Message;
pub use state::{ConfigFacts, ConfigOutcome, EVENT_SCHEMA, GatewayEvent, GatewayFacts, GatewayState, STATE_SCHEMA, Urgency};
pub use topic::{Channel, GatewayPath, TopicError};

/// The version of every message here.
pub const SCHEMA: u32 = 1;
