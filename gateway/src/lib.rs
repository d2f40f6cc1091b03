//! The edge daemon: reads meters every minute and keeps what was read until the collector has it.
//!
//! ```text
//! schedule ─> one actor per bus ─> frame ─> spool (durable) ─> uplink (MQTT 5) ─> collector
//!                                             ^                                       │
//!                                             └────── application acknowledgement ────┘
//! ```
//!
//! A failed poll is a row with its reason, never an absent row. A frame is freed only when the collector has said that
//! it is durable there; what the broker acknowledges is flow control. Polling never waits for the uplink.

mod config;
mod local;
mod modbus;
mod poll;
mod remote;
mod serve;
pub mod setup;
mod spool;
mod status;
mod uplink;

pub mod cli;

pub use self::config::{BrokerConfig, BusConfig, CommandsConfig, Config, DeviceConfig, Reads, Slow, SpoolConfig};
pub use local::ListenError;
pub use modbus::{BusCounters, BusError, Caller, Endpoint, EndpointError, Framing, Listen, Open, Opening, Parity, Rs485, Stream};
pub use poll::{Poller, Tick, probe};
pub use remote::{PublicKey, Verb};
pub use serve::{ServeError, serve};
pub use spool::SpoolError;
pub use status::{BusStatus, DeviceStatus, JitterStatus, Status, StatusSnapshot};
pub use uplink::tls::Tls;
