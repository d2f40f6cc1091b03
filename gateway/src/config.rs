//! What a gateway is told: who it is, where its broker is, which buses it has and which devices are on them.
//!
//! A file is checked whole and all its faults are told at once. Profiles are resolved and read plans made here, so that
//! a configuration that exists can be polled.

mod raw;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use config::{Faults, Hint, Secret};
use daemon::{Clock, SystemClock};
use devices::{Profile, ReadPlan};
use ids::Slug;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use wire::GatewayPath;

use crate::{
    modbus::{Doors, Endpoint, Open, Port, Rs485},
    remote::{PublicKey, Verb},
    uplink::tls::Tls,
};

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose gateway this is, where, and its name.
    pub path: GatewayPath,
    /// Folder of the spool.
    pub data_dir: PathBuf,
    /// Where the gateway says how it is, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Where readings go.
    pub broker: BrokerConfig,
    /// Time between two sweeps, aligned to the wall clock; divides a day.
    pub interval: Duration,
    /// How late a poll may begin before it counts as late.
    pub jitter_budget: Duration,
    /// How readings are kept until they are delivered.
    pub spool: SpoolConfig,
    /// Who may give orders from afar, if anybody.
    pub commands: Option<CommandsConfig>,
    /// The buses, in the order of the file.
    pub buses: Vec<BusConfig>,
    /// The file it was loaded from, to be read again.
    pub(crate) file: Option<PathBuf>,
    /// Its text.
    pub(crate) text: Arc<str>,
    /// SHA-256 of it.
    pub(crate) text_hash: [u8; 32],
}

/// Where readings go.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Within this time each gateway has its own moment to send what is new, so that not all of them send at once.
    pub spread: Duration,
    /// TLS, and who is at either end of it.
    pub tls: Option<Tls>,
}

/// Who may give orders from afar, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandsConfig {
    /// What may be ordered.
    pub allow: BTreeSet<Verb>,
    /// Whose orders count.
    pub keys: Vec<PublicKey>,
    /// How long a configuration that comes by command has to prove itself.
    pub confirm_within: Duration,
}

/// How readings are kept until they are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// Disk allowance; when not given, what the free space suggests.
    pub bytes_max: Option<u64>,
    /// How long frames may be grouped before they are made durable; zero: at the end of every sweep.
    pub commit_interval: Duration,
}

/// A bus and its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    /// Its name in messages.
    pub name: Slug,
    /// Where it is.
    pub endpoint: Endpoint,
    /// How the transceiver of a serial port is driven, where the kernel must do it.
    pub rs485: Option<Rs485>,
    /// Time between two polls of this bus; a multiple of [`Config::interval`].
    pub interval: Duration,
    /// How long after the full interval its polls begin, so that not everything happens at once.
    pub phase: Duration,
    /// Least silence before another device is talked to than the last one.
    pub foreign_gap: Duration,
    /// Silence behind a serial answer before it is believed.
    pub settle: Duration,
    /// How long after its question was given up an answer may still come, where it is known.
    pub late: Option<Duration>,
    /// Whether behind the network address there is a serial line.
    pub converter: bool,
    /// The devices, in the order they are read.
    pub devices: Vec<DeviceConfig>,
}

impl BusConfig {
    /// What makes its connections.
    pub(crate) fn opener(&self, doors: &Doors) -> Box<dyn Open> {
        match &self.endpoint {
            Endpoint::Rtu { path, baud, parity } => Box::new(Port::new(path.clone(), *baud, *parity, self.rs485)),
            Endpoint::Listen(listen) => doors.opener(listen),
            endpoint @ (Endpoint::Tcp(_) | Endpoint::RtuOverTcp(_)) => endpoint.opener(),
        }
    }
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
    /// What is read in every poll.
    pub reads: Arc<Reads>,
    /// What is read in some polls only.
    pub slow: Option<Slow>,
    /// Longest wait for an answer, until it is known how long the device takes.
    pub timeout: Duration,
    /// The shortest that this wait may become.
    pub timeout_min: Duration,
    /// Least silence before a request.
    pub gap: Duration,
}

impl PartialEq for DeviceConfig {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, unit, profile, reads, slow, timeout, timeout_min, gap } = self;
        let wiring = (id, unit, reads, slow) == (&other.id, &other.unit, &other.reads, &other.slow);
        let timing = (timeout, timeout_min, gap) == (&other.timeout, &other.timeout_min, &other.gap);
        wiring && timing && profile.hash() == other.profile.hash()
    }
}

impl Eq for DeviceConfig {}

/// Points that are read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Ids of the points.
    pub points: Vec<String>,
    /// How they are read with few requests.
    pub plan: ReadPlan,
    /// How they are read where the device refuses requests that run over registers nobody wants.
    pub without_gaps: ReadPlan,
}

/// Points that are read less often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Time between two reads of them; a multiple of the bus's interval.
    pub interval: Duration,
    /// All points of the device, these and the others: they share requests.
    pub reads: Arc<Reads>,
}

impl Slow {
    pub(crate) fn interval_ms(&self) -> i64 {
        i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

impl DeviceConfig {
    /// Ids of all points, in the order of the file.
    pub fn points(&self) -> &[String] {
        self.slow.as_ref().map_or(&self.reads.points, |slow| &slow.reads.points)
    }

    /// Ids of the points that are due in a poll.
    pub fn points_at(&self, tick_ms: i64) -> &[String] {
        match &self.slow {
            Some(slow) if tick_ms.rem_euclid(slow.interval_ms()) == 0 => &slow.reads.points,
            _ => &self.reads.points,
        }
    }
}

const HINTS: &[Hint<'_>] = &[
    ("broker.qos", "frames are always sent with QoS 1; remove the line"),
    ("broker.port", "write url = \"mqtt://HOST:1883\""),
    ("broker.ca", "write [broker.tls] and under it ca = \"FILE\""),
    ("broker.host", "write url = \"mqtt://HOST:1883\""),
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
        Self::load_at(path, time())
    }

    /// As [`load`](Self::load), but a certificate that has expired is no fault: readings are polled and kept all the same.
    pub(crate) fn load_to_run(path: &Path) -> Result<Self, Faults> {
        Self::load_at(path, None)
    }

    fn load_at(path: &Path, now: Option<Timestamp>) -> Result<Self, Faults> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { file: Some(path.to_owned()), ..Self::parse_at(path, &text, now)? }),
            // The crate has words for what is wrong with the file.
            Err(_) => config::load_with_hints(path, HINTS, |raw, faults| raw::validate(raw, now, faults)),
        }
    }

    /// As [`load`](Self::load), of a text in memory; `file` is only shown.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        Self::parse_at(file, text, time())
    }

    /// As [`load_to_run`](Self::load_to_run), of a text in memory.
    pub(crate) fn parse_to_run(file: &Path, text: &str) -> Result<Self, Faults> {
        Self::parse_at(file, text, None)
    }

    fn parse_at(file: &Path, text: &str, now: Option<Timestamp>) -> Result<Self, Faults> {
        let parsed: Self = config::parse(file, text, HINTS, |raw, faults| raw::validate(raw, now, faults))?;
        Ok(Self { text: text.into(), text_hash: Sha256::digest(text.as_bytes()).into(), ..parsed })
    }

    /// SHA-256 of the text it was made of.
    pub(crate) fn text_hash(&self) -> [u8; 32] {
        self.text_hash
    }

    /// Which profiles and wiring produce readings with this configuration: SHA-256 over identity, devices, profiles and
    /// points. Where a bus is reached is not part of it.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(format!("{}\n{}\n", self.path, self.interval.as_millis()));
        for bus in &self.buses {
            hash.update(format!("bus {} {}\n", bus.name, bus.interval.as_millis()));
            for device in &bus.devices {
                let points = device.points().join(",");
                hash.update(format!("device {} {} {} {points}\n", device.id, device.unit, device.profile.hash_hex()));
                if let Some(slow) = &device.slow {
                    hash.update(format!("often {} {}\n", device.reads.points.join(","), slow.interval.as_millis()));
                }
            }
        }
        hash.finalize().into()
    }

    /// All devices, in the order in which a frame holds them.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceConfig> {
        self.buses.iter().flat_map(|bus| &bus.devices)
    }

    /// How much there is to poll, as people say it.
    pub(crate) fn extent(&self) -> String {
        let (buses, devices) = (self.buses.len(), self.devices().count());
        let some = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        format!("{}, {}", some(buses, "bus", "buses"), some(devices, "device", "devices"))
    }
}

/// The time that certificates are judged by. A board whose clock is not set cannot tell; the broker will.
fn time() -> Option<Timestamp> {
    Some(SystemClock).filter(SystemClock::is_set).map(|clock| clock.now())
}
