//! `[[bus]]`: which buses there are and how each is reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use config::{DurationText, Fault, Faults};
use devices::{Line, Profile};
use ids::Slug;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    super::BusConfig,
    device::{self, RawDevice},
    profiles::OwnProfiles,
    schedule::{DurationTextOf, check_interval},
    shelf::Shelf,
};
use crate::modbus::{Caller, Endpoint, Framing, HELLO_BYTES_MAX, Listen, Parity, Rs485, SETTLE, host_and_port, is_baud};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Tcp,
    Rtu,
    RtuOverTcp,
    TcpListen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawFraming {
    Tcp,
    Rtu,
}

/// The kernel's RS485 mode; see [`Rs485`] for what each means.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRs485 {
    #[serde(default = "yes")]
    rts_on_send: bool,
    delay_before: Option<DurationText>,
    delay_after: Option<DurationText>,
    #[serde(default)]
    rx_during_tx: bool,
}

fn yes() -> bool {
    true
}

/// `phase = "7s"`, or `phase = "auto"` for a moment that follows from the names of gateway and bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
enum RawPhase {
    Auto,
    At(DurationText),
}

impl TryFrom<String> for RawPhase {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::At).map_err(|err: config::TextError| format!("{err}, or \"auto\"")),
        }
    }
}

/// The speed of a line where nothing else is said.
const BAUD: u32 = 9_600;
/// Longest delay that a transceiver may need; the kernel allows no more.
const RS485_DELAY_MAX: Duration = Duration::from_millis(100);
/// Least silence between two devices on a serial bus. Some take a while to see that a frame was not for them.
const FOREIGN_GAP: Duration = Duration::from_millis(10);
/// A longer wait behind each answer would take more of the bus than it proves.
const SETTLE_MAX: Duration = Duration::from_millis(500);
/// How late answers may be said to come: below, a busy device is not meant; above, nothing would be read after a fault for too long.
const LATE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// A derived phase lies in the first part of the interval, so that slow buses end before the next poll.
const AUTO_PHASE_PART: u32 = 4;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawParity {
    None,
    Even,
    Odd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBus {
    name: String,
    kind: Kind,
    address: Option<String>,
    path: Option<PathBuf>,
    baud: Option<u32>,
    parity: Option<RawParity>,
    rs485: Option<RawRs485>,
    framing: Option<RawFraming>,
    peer: Option<IpAddr>,
    hello: Option<String>,
    phase: Option<RawPhase>,
    foreign_gap: Option<DurationText>,
    settle: Option<DurationText>,
    late: Option<DurationText>,
    converter: Option<bool>,
    pub(super) timeout: Option<DurationText>,
    pub(super) gap: Option<DurationText>,
    interval: Option<DurationText>,
    #[serde(default)]
    device: Vec<RawDevice>,
}

impl RawBus {
    /// Whether the devices are on a serial line, ours or one behind a converter.
    pub(super) fn is_serial(&self) -> bool {
        match self.kind {
            Kind::Tcp => false,
            Kind::TcpListen => self.framing != Some(RawFraming::Tcp),
            Kind::Rtu | Kind::RtuOverTcp => true,
        }
    }

    /// What a read costs on this bus. How fast the line behind a network address is, nobody says: most devices are left as they came.
    pub(super) fn line(&self, profile: &Profile) -> Line {
        match (self.kind, self.baud.unwrap_or(BAUD)) {
            (Kind::Rtu, baud) => {
                let parity =
                    if matches!(self.parity, None | Some(RawParity::None)) { devices::Parity::None } else { devices::Parity::Even };
                profile.line(baud, parity, 1)
            }
            _ => profile.factory_line(),
        }
    }
}

pub(super) fn check(
    raw: Vec<RawBus>,
    gateway: &str,
    own_profiles: &OwnProfiles,
    interval: Option<Duration>,
    faults: &mut Faults,
) -> Option<Vec<BusConfig>> {
    if raw.is_empty() {
        faults.add(Fault::at("bus", "there is no bus, so there is nothing to read").help("add a [[bus]] with at least one [[bus.device]]"));
        return None;
    }
    let mut shelf = Shelf::new(own_profiles);
    let mut buses = Vec::new();
    let (mut names, mut endpoints, mut ids) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    for (b, raw) in raw.into_iter().enumerate() {
        let key = format!("bus[{b}]");
        let name = faults.keep(Slug::parse(&raw.name).map_err(|err| Fault::at(format_args!("{key}.name"), err)));
        if !names.insert(raw.name.clone()) {
            faults.add(Fault::at(format_args!("{key}.name"), format_args!("`{}` is the name of another bus too", raw.name)));
        }
        let endpoint = check_endpoint(&key, &raw, faults);
        if let Some(endpoint) = &endpoint
            && let Some(other) = endpoints.insert(endpoint.to_string(), key.clone())
        {
            let fault = Fault::at(&key, format_args!("{endpoint} is {other} already"));
            faults.add(fault.help("put all devices behind one connection on one bus: they are read one after another"));
        }
        let own_interval = raw.interval.map(|text| check_interval(&format!("{key}.interval"), text, faults));
        if let (Some(Some(own)), Some(general)) = (own_interval, interval)
            && !own.as_millis().is_multiple_of(general.as_millis())
        {
            let fault =
                Fault::at(format_args!("{key}.interval"), format_args!("{} is not a multiple of poll.interval", DurationTextOf(own)));
            faults.add(fault);
        }
        if raw.timeout.is_some_and(|timeout| timeout.duration().is_zero()) {
            let fault = Fault::at(format_args!("{key}.timeout"), "no device answers in no time");
            faults.add(fault.allowed("at least 1ms; 500ms suits most devices"));
        }
        if raw.device.is_empty() {
            faults.add(Fault::at(&key, "there is no device on this bus").help("add a [[bus.device]]"));
        }
        let mut devices = Vec::new();
        let mut units = BTreeMap::new();
        for (d, device) in raw.device.iter().enumerate() {
            let key = format!("{key}.device[{d}]");
            if let Some(other) = ids.insert(device.id.clone(), key.clone()) {
                faults.add(Fault::at(format_args!("{key}.id"), format_args!("`{}` is the name of {other} too", device.id)));
            }
            if let Some(other) = units.insert(device.unit, device.id.clone()) {
                let fault = Fault::at(format_args!("{key}.unit"), format_args!("unit {} on this bus is `{other}` already", device.unit));
                faults.add(fault.help("two devices with one address answer at once and neither is understood"));
            }
            devices.extend(device::check(&key, device, &raw, own_interval.unwrap_or(interval), &mut shelf, faults));
        }
        let rs485 = check_rs485(&key, &raw, faults);
        if raw.converter.is_some() && raw.is_serial() {
            let fault = Fault::at(format_args!("{key}.converter"), "this bus is a serial line, whatever carries it");
            faults.add(fault.help("remove the line: it is for Modbus TCP"));
        }
        // A meter with a network port of its own is alone behind its address.
        let converter = !raw.is_serial() && raw.converter.unwrap_or(units.len() > 1);
        let least = if raw.is_serial() { FOREIGN_GAP } else { Duration::ZERO };
        let foreign_gap = raw.foreign_gap.map_or(least, Duration::from);
        let settle = check_settle(&key, raw.settle, faults);
        let late = check_late(&key, raw.late, faults);
        if let (Some(name), Some(endpoint), Some(interval)) = (name, endpoint, own_interval.unwrap_or(interval)) {
            let phase = check_phase(&key, raw.phase.as_ref(), &format!("{gateway}/{name}"), interval, faults);
            buses.push(BusConfig { name, endpoint, rs485, interval, phase, foreign_gap, settle, late, converter, devices });
        }
    }
    faults.is_empty().then_some(buses)
}

fn check_settle(key: &str, text: Option<DurationText>, faults: &mut Faults) -> Duration {
    let settle = text.map_or(SETTLE, Duration::from);
    if settle > SETTLE_MAX {
        let fault = Fault::at(format_args!("{key}.settle"), format_args!("{} is too long", DurationTextOf(settle)));
        faults.add(fault.allowed("0ms to 500ms; 10ms when not given"));
    }
    settle
}

fn check_late(key: &str, text: Option<DurationText>, faults: &mut Faults) -> Option<Duration> {
    let late = text.map(Duration::from);
    if let Some(late) = late.filter(|late| !LATE.contains(late)) {
        let fault = Fault::at(format_args!("{key}.late"), format_args!("{} is out of range", DurationTextOf(late)));
        faults.add(fault.allowed("100ms to 10m; 11 timeouts and at least 10s when not given"));
    }
    late
}

fn check_rs485(key: &str, raw: &RawBus, faults: &mut Faults) -> Option<Rs485> {
    let RawRs485 { rts_on_send, delay_before, delay_after, rx_during_tx } = raw.rs485?;
    let mut delay = |name: &str, text: Option<DurationText>| {
        let delay = text.map_or(Duration::ZERO, Duration::from);
        if delay > RS485_DELAY_MAX {
            let fault = Fault::at(format_args!("{key}.rs485.{name}"), format_args!("{} is too long", DurationTextOf(delay)));
            faults.add(fault.allowed("0ms to 100ms"));
        }
        delay
    };
    let (delay_before, delay_after) = (delay("delay_before", delay_before), delay("delay_after", delay_after));
    Some(Rs485 { rts_on_send, delay_before, delay_after, rx_during_tx })
}

fn check_phase(key: &str, raw: Option<&RawPhase>, name: &str, interval: Duration, faults: &mut Faults) -> Duration {
    match raw {
        None => Duration::ZERO,
        Some(RawPhase::Auto) => {
            // The same in every run, and different for every bus of every gateway.
            let digest: [u8; 32] = Sha256::digest(name).into();
            let share = u32::from(u16::from_be_bytes([digest[0], digest[1]]));
            interval / AUTO_PHASE_PART * share / u32::from(u16::MAX)
        }
        Some(RawPhase::At(text)) => {
            let phase = text.duration();
            if phase * 2 > interval {
                let fault = Fault::at(format_args!("{key}.phase"), format_args!("{text} leaves too little of the interval to poll in"));
                faults.add(fault.allowed(format_args!("0s to {}, or \"auto\"", DurationTextOf(interval / 2))));
            }
            phase
        }
    }
}

/// A key that belongs to other kinds of bus.
fn misplaced(faults: &mut Faults, key: &str, name: &str, is_there: bool, belongs: &str) {
    if is_there {
        let fault = Fault::at(format_args!("{key}.{name}"), format_args!("this belongs to {belongs}"));
        faults.add(fault.help("remove the line, or change kind"));
    }
}

fn check_endpoint(key: &str, raw: &RawBus, faults: &mut Faults) -> Option<Endpoint> {
    let is_port = matches!(raw.kind, Kind::Rtu);
    misplaced(faults, key, "path", raw.path.is_some() && !is_port, "a bus of kind rtu");
    misplaced(faults, key, "baud", raw.baud.is_some() && !is_port, "a bus of kind rtu");
    misplaced(faults, key, "parity", raw.parity.is_some() && !is_port, "a bus of kind rtu");
    misplaced(faults, key, "rs485", raw.rs485.is_some() && !is_port, "a bus of kind rtu");
    misplaced(faults, key, "address", raw.address.is_some() && is_port, "a bus of kind tcp, rtu-over-tcp or tcp-listen");
    let listens = matches!(raw.kind, Kind::TcpListen);
    misplaced(faults, key, "framing", raw.framing.is_some() && !listens, "a bus of kind tcp-listen");
    misplaced(faults, key, "peer", raw.peer.is_some() && !listens, "a bus of kind tcp-listen");
    misplaced(faults, key, "hello", raw.hello.is_some() && !listens, "a bus of kind tcp-listen");
    match raw.kind {
        Kind::Tcp => Some(Endpoint::Tcp(check_address(key, raw, faults)?)),
        Kind::RtuOverTcp => Some(Endpoint::RtuOverTcp(check_address(key, raw, faults)?)),
        Kind::TcpListen => {
            let address = check_address(key, raw, faults)?;
            let caller = match (&raw.peer, &raw.hello) {
                (None, None) => Caller::Any,
                (Some(peer), None) => Caller::Peer(*peer),
                (None, Some(hello)) if (1..=HELLO_BYTES_MAX).contains(&hello.len()) => Caller::Hello(hello.clone().into_bytes()),
                (None, Some(_)) => {
                    let fault = Fault::at(format_args!("{key}.hello"), "these bytes name nobody");
                    faults.add(fault.allowed(format_args!("1 to {HELLO_BYTES_MAX} bytes, as the modem says them first")));
                    return None;
                }
                (Some(_), Some(_)) => {
                    let fault =
                        Fault::at(format_args!("{key}.hello"), "a caller is known by its address or by its first bytes, not by both");
                    faults.add(fault.help("remove peer or hello"));
                    return None;
                }
            };
            let framing = if raw.is_serial() { Framing::Rtu } else { Framing::Tcp };
            Some(Endpoint::Listen(Listen { address, framing, caller }))
        }
        Kind::Rtu => check_port(key, raw, faults),
    }
}

fn check_address(key: &str, raw: &RawBus, faults: &mut Faults) -> Option<String> {
    let Some(address) = &raw.address else {
        faults.add(Fault::at(format_args!("{key}.address"), "missing").allowed("HOST:PORT, the usual port is 502"));
        return None;
    };
    faults.keep(host_and_port(address).map_err(|err| Fault::at(format_args!("{key}.address"), err)))
}

fn check_port(key: &str, raw: &RawBus, faults: &mut Faults) -> Option<Endpoint> {
    let baud = raw.baud.unwrap_or(BAUD);
    if !is_baud(baud) {
        let fault = Fault::at(format_args!("{key}.baud"), format_args!("{baud} is not a rate of a serial line"));
        faults.add(fault.allowed("300 to 921600"));
    }
    let Some(path) = raw.path.clone() else {
        let fault = Fault::at(format_args!("{key}.path"), "missing").allowed("a serial port, such as /dev/ttyUSB0");
        faults.add(fault.help("names in /dev/serial/by-path stay the same when adapters are plugged again"));
        return None;
    };
    let parity = match raw.parity {
        Some(RawParity::Even) => Parity::Even,
        Some(RawParity::Odd) => Parity::Odd,
        Some(RawParity::None) | None => Parity::None,
    };
    is_baud(baud).then_some(Endpoint::Rtu { path, baud, parity })
}
