//! What a gateway says about itself: its retained state, and events. JSON, so that any dashboard can show them.

use serde::{Deserialize, Serialize};

/// The `schema` of a state.
pub const STATE_SCHEMA: &str = "negawatt.gateway-state/1";
/// The `schema` of an event.
pub const EVENT_SCHEMA: &str = "negawatt.gateway-event/1";

/// The retained state of a gateway. The last will is one too: not online, and without facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayState {
    /// [`STATE_SCHEMA`].
    pub schema: String,
    /// Whether it is connected.
    pub online: bool,
    /// The spool that its frames come from.
    pub spool_id: String,
    /// Random at each start.
    pub boot_id: u64,
    /// Version of the program.
    pub version: String,
    /// What was so when this was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<GatewayFacts>,
}

/// How a gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayFacts {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// When the program started.
    pub started_ms: i64,
    /// Whether the clock can be right.
    pub clock_set: bool,
    /// The configuration that is followed.
    pub config: ConfigFacts,
    /// How many devices it has.
    pub devices: u32,
    /// Those that do not answer.
    pub devices_lost: Vec<String>,
    /// Highest sequence number durable in the gateway.
    pub last_seq: u64,
    /// Frames that the collector has not confirmed.
    pub backlog: u64,
    /// Frames dropped from a full spool before the collector had them.
    pub frames_dropped: u64,
    /// What is wrong right now.
    pub alarms: Vec<String>,
}

/// Which configuration a gateway follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFacts {
    /// The version that came by command, or 0 for the gateway's own file.
    pub version: u64,
    /// SHA-256 over identity, devices, profiles and points: what frames carry as `config_hash`.
    pub hash: String,
    /// Whether it is on trial, and goes unless the gateway is well with it.
    pub trial: bool,
    /// The last version that came by command, and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ConfigOutcome>,
}

/// What became of a configuration that came by command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigOutcome {
    /// Its version.
    pub version: u64,
    /// Whether it is followed since.
    pub applied: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// For the record.
    Info,
    /// Somebody should look at it these days.
    Warning,
    /// Readings are being lost, or will be.
    Alarm,
}

/// Something that happened at a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayEvent {
    /// [`EVENT_SCHEMA`].
    pub schema: String,
    /// What: `device_lost`, `device_back`, `spool_filled`, `spool_dropped`, `publish_refused`, `config_applied`, `config_rolled_back`,
    /// `clock_unset`, `clock_set`, `clock_jumped_back` …
    pub kind: String,
    /// To what: a device, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// How much it matters.
    pub urgency: Urgency,
    /// In words.
    pub detail: String,
    /// When it last happened, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// When it first happened, of those that this message stands for.
    pub first_ms: i64,
    /// For how many this message stands.
    pub count: u64,
    /// Other events that were left out since the last message, because too many waited.
    pub left_out: u64,
}
