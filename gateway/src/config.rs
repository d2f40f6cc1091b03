//! What a gateway is told: who it is, where its broker is, which buses it has and which devices are on them.
//!
//! A file is checked whole and all its faults are told at once. Profiles are resolved and read plans made here, so that
//! a configuration that exists can be polled.

mod raw;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use config::{Faults, Hint, Secret};
use devices::{Profile, ReadPlan};
use ids::Slug;
use sha2::{Digest, Sha256};
use wire::GatewayPath;

use crate::modbus::Endpoint;

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose gateway this is, where, and its name.
    pub path: GatewayPath,
    /// Folder of the spool.
    pub data_dir: PathBuf,
    /// Where readings go.
    pub broker: BrokerConfig,
    /// Time between two sweeps, aligned to the wall clock; divides a day.
    pub interval: Duration,
    /// How readings are kept until they are delivered.
    pub spool: SpoolConfig,
    /// The buses, in the order of the file.
    pub buses: Vec<BusConfig>,
}

/// Where readings go.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Name or address.
    pub host: String,
    /// Port, usually 1883.
    pub port: u16,
    /// Client id; unique at the broker.
    pub client_id: String,
    /// Name to log in with.
    pub username: Option<String>,
    /// And its password.
    pub password: Option<Secret>,
    /// Time between two pings.
    pub keep_alive: Duration,
    /// How long to wait for the collector's confirmation before sending again.
    pub ack_timeout: Duration,
    /// Most bytes of frames that are on their way to the collector at once.
    pub window_bytes: u64,
}

/// How readings are kept until they are delivered.
#[derive(Clone, Copy, Debug)]
pub struct SpoolConfig {
    /// Disk allowance.
    pub bytes_max: u64,
    /// How long frames may be grouped before they are made durable; zero: at the end of every sweep.
    pub commit_interval: Duration,
}

/// A bus and its devices.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// Its name in messages.
    pub name: Slug,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Time between two polls of this bus; a multiple of [`Config::interval`].
    pub interval: Duration,
    /// The devices, in the order they are read.
    pub devices: Vec<DeviceConfig>,
}

/// A device on a bus.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// Its name, unique in the facility.
    pub id: Slug,
    /// Unit id.
    pub unit: u8,
    /// What it is.
    pub profile: Arc<Profile>,
    /// Ids of the points that are read.
    pub points: Vec<String>,
    /// How they are read.
    pub plan: ReadPlan,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Least silence before a request.
    pub gap: Duration,
}

const HINTS: &[Hint<'_>] = &[
    ("broker.qos", "frames are always sent with QoS 1; remove the line"),
    ("broker.host", "write url = \"mqtt://HOST:1883\""),
    ("bus[].device[].ct_ratio", "set the ratio of the current transformer in the meter: the registers are the evidence"),
    ("bus[].device[].slave", "the address on the bus is called unit"),
    ("bus[].device[].address", "the address on the bus is called unit"),
    ("bus[].devices", "write [[bus.device]], one for each device"),
    ("buses", "write [[bus]], one for each bus"),
];

impl Config {
    /// Loads a configuration file.
    ///
    /// * Errors: everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        config::load_with_hints(path, HINTS, raw::validate)
    }

    /// As [`load`](Self::load), of a text in memory; `file` is only shown.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        config::parse(file, text, HINTS, raw::validate)
    }

    /// Which profiles and wiring produce readings with this configuration: SHA-256 over identity, devices, profiles and
    /// points. Where a bus is reached is not part of it.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(format!("{}\n{}\n", self.path, self.interval.as_millis()));
        for bus in &self.buses {
            hash.update(format!("bus {} {}\n", bus.name, bus.interval.as_millis()));
            for device in &bus.devices {
                hash.update(format!("device {} {} {} {}\n", device.id, device.unit, device.profile.hash_hex(), device.points.join(",")));
            }
        }
        hash.finalize().into()
    }

    /// All devices, in the order in which a frame holds them.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceConfig> {
        self.buses.iter().flat_map(|bus| &bus.devices)
    }
}
