//! The file as it is written, and what makes it a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use config::{ByteSizeText, DurationText, Fault, Faults, FromMachine, SecretRef};
use devices::Profile;
use ids::Slug;
use serde::Deserialize;
use wire::GatewayPath;

use super::{BrokerConfig, BusConfig, Config, DeviceConfig, SpoolConfig};
use crate::modbus::{Endpoint, Parity, host_and_port, is_baud};

const MILLIS_PER_DAY: u128 = 86_400_000;
const SPOOL_BYTES_MIN: u64 = 2 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    gateway: RawGateway,
    broker: RawBroker,
    #[serde(default)]
    poll: RawPoll,
    #[serde(default)]
    spool: RawSpool,
    #[serde(default)]
    bus: Vec<RawBus>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    tenant: String,
    facility: String,
    id: String,
    data_dir: PathBuf,
    /// Folder of the user's own profiles.
    profiles: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBroker {
    url: String,
    client_id: Option<String>,
    username: Option<String>,
    password: Option<SecretRef>,
    keep_alive: Option<DurationText>,
    ack_timeout: Option<DurationText>,
    window: Option<ByteSizeText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPoll {
    interval: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpool {
    max: Option<ByteSizeText>,
    commit_interval: Option<DurationText>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Tcp,
    Rtu,
    RtuOverTcp,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawParity {
    None,
    Even,
    Odd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBus {
    name: String,
    kind: Kind,
    address: Option<String>,
    path: Option<PathBuf>,
    baud: Option<u32>,
    parity: Option<RawParity>,
    timeout: Option<DurationText>,
    gap: Option<DurationText>,
    interval: Option<DurationText>,
    #[serde(default)]
    device: Vec<RawDevice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevice {
    id: String,
    unit: u16,
    profile: String,
    points: Option<Vec<String>>,
}

/// Checks everything, and notes every fault.
pub(super) fn validate(raw: Raw, faults: &mut Faults) -> Option<Config> {
    let mut slug = |key: &str, text: &str| {
        let checked = Slug::parse(text).map_err(|err| Fault::at(key, err));
        faults.keep(checked)
    };
    let tenant = slug("gateway.tenant", &raw.gateway.tenant);
    let facility = slug("gateway.facility", &raw.gateway.facility);
    let gateway = slug("gateway.id", &raw.gateway.id);
    let own_profiles = raw.gateway.profiles.as_deref().map(|folder| load_profiles(folder, faults)).unwrap_or_default();
    let broker = check_broker(raw.broker, &raw.gateway.id, faults);
    let interval = check_interval("poll.interval", raw.poll.interval.unwrap_or(DurationText::from_secs(60)), faults);
    let spool = check_spool(&raw.spool, faults);
    let buses = check_buses(raw.bus, &own_profiles, interval, faults);
    Some(Config {
        path: GatewayPath { tenant: tenant?, facility: facility?, gateway: gateway? },
        data_dir: raw.gateway.data_dir,
        broker: broker?,
        interval: interval?,
        spool: spool?,
        buses: buses?,
    })
}

fn load_profiles(folder: &Path, faults: &mut Faults) -> BTreeMap<String, Arc<Profile>> {
    let mut profiles = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) => {
            faults.add(Fault::at("gateway.profiles", format_args!("the folder {} cannot be read: {err}", folder.display())));
            return profiles;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    for path in paths {
        let fault = |reason: &dyn fmt::Display| Fault::at("gateway.profiles", format_args!("{}: {reason}", path.display()));
        match std::fs::read_to_string(&path)
            .map_err(|err| fault(&err))
            .and_then(|text| Profile::parse(&text).map_err(|err| fault(&daemon::chain(&err))))
        {
            Ok(profile) => {
                profiles.insert(profile.id().to_owned(), Arc::new(profile));
            }
            Err(fault) => faults.add(fault),
        }
    }
    profiles
}

fn check_broker(raw: RawBroker, gateway: &str, faults: &mut Faults) -> Option<BrokerConfig> {
    let address = match raw.url.split_once("://") {
        Some(("mqtt" | "tcp", address)) => {
            let address = address.trim_end_matches('/');
            let address = if address.contains(':') { address.to_owned() } else { format!("{address}:1883") };
            host_and_port(&address).map_err(|err| Fault::at("broker.url", err)).map(|address| address.trim_end_matches('/').to_owned())
        }
        _ => Err(Fault::at("broker.url", format_args!("`{}` does not name a broker", raw.url))
            .allowed("mqtt://HOST:PORT, the usual port is 1883")),
    };
    let address = faults.keep(address);
    let password = raw.password.map(|password| {
        let place = password.place();
        let resolved = password.resolve(&FromMachine);
        resolved.map_err(|err| Fault::at("broker.password", daemon::chain(&err)).help(format_args!("provide the {place} to the gateway")))
    });
    let password = password.map(|resolved| faults.keep(resolved));
    let keep_alive = raw.keep_alive.map_or(Duration::from_secs(30), Duration::from);
    if keep_alive < Duration::from_secs(5) || keep_alive > Duration::from_secs(3_600) {
        faults.add(
            Fault::at("broker.keep_alive", format_args!("{} is no useful time between pings", DurationTextOf(keep_alive)))
                .allowed("5s to 1h"),
        );
        return None;
    }
    let ack_timeout = raw.ack_timeout.map_or(Duration::from_secs(2), Duration::from);
    if ack_timeout < Duration::from_millis(100) {
        faults.add(Fault::at("broker.ack_timeout", "this would send everything again and again").allowed("at least 100ms"));
        return None;
    }
    let address = address?;
    let (host, port) = address.rsplit_once(':')?;
    let password = match password {
        Some(kept) => Some(kept?),
        None => None,
    };
    Some(BrokerConfig {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: port.parse().ok()?,
        client_id: raw.client_id.unwrap_or_else(|| format!("negawatt-gateway-{gateway}")),
        username: raw.username,
        password,
        keep_alive,
        ack_timeout,
        window_bytes: raw.window.map_or(16 << 20, ByteSizeText::bytes),
    })
}

/// A duration as the file writes it.
struct DurationTextOf(Duration);

impl fmt::Display for DurationTextOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DurationText::from_millis(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)).fmt(f)
    }
}

fn check_interval(key: &str, text: DurationText, faults: &mut Faults) -> Option<Duration> {
    let millis = text.duration().as_millis();
    if millis >= 1_000 && MILLIS_PER_DAY.is_multiple_of(millis) {
        return Some(text.duration());
    }
    let fault = Fault::at(key, format_args!("{text} does not divide a day, so polls would drift against the clock"));
    faults.add(fault.allowed("1s, 10s, 15s, 30s, 1m, 5m, 15m, 1h and others that divide a day"));
    None
}

fn check_spool(raw: &RawSpool, faults: &mut Faults) -> Option<SpoolConfig> {
    let bytes_max = raw.max.map_or(256 << 20, ByteSizeText::bytes);
    if bytes_max < SPOOL_BYTES_MIN {
        let found = ByteSizeText::from_bytes(bytes_max);
        faults.add(
            Fault::at("spool.max", format_args!("{found} is too little for a spool"))
                .allowed("at least 2MiB; 256MiB keeps a month of 30 meters"),
        );
        return None;
    }
    Some(SpoolConfig { bytes_max, commit_interval: raw.commit_interval.map_or(Duration::ZERO, Duration::from) })
}

fn check_buses(
    raw: Vec<RawBus>,
    own_profiles: &BTreeMap<String, Arc<Profile>>,
    interval: Option<Duration>,
    faults: &mut Faults,
) -> Option<Vec<BusConfig>> {
    if raw.is_empty() {
        faults.add(Fault::at("bus", "there is no bus, so there is nothing to read").help("add a [[bus]] with at least one [[bus.device]]"));
        return None;
    }
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
            devices.extend(check_device(&key, device, &raw, own_profiles, faults));
        }
        if let (Some(name), Some(endpoint), Some(interval)) = (name, endpoint, own_interval.unwrap_or(interval)) {
            buses.push(BusConfig { name, endpoint, interval, devices });
        }
    }
    faults.is_empty().then_some(buses)
}

fn check_endpoint(key: &str, raw: &RawBus, faults: &mut Faults) -> Option<Endpoint> {
    let misplaced = |faults: &mut Faults, name: &str, belongs: &str| {
        faults.add(
            Fault::at(format_args!("{key}.{name}"), format_args!("this belongs to {belongs}")).help("remove the line, or change kind"),
        );
    };
    match raw.kind {
        Kind::Tcp | Kind::RtuOverTcp => {
            if raw.path.is_some() {
                misplaced(faults, "path", "a bus of kind rtu");
            }
            if raw.baud.is_some() {
                misplaced(faults, "baud", "a bus of kind rtu");
            }
            if raw.parity.is_some() {
                misplaced(faults, "parity", "a bus of kind rtu");
            }
            let Some(address) = &raw.address else {
                faults.add(Fault::at(format_args!("{key}.address"), "missing").allowed("HOST:PORT, the usual port is 502"));
                return None;
            };
            let address = faults.keep(host_and_port(address).map_err(|err| Fault::at(format_args!("{key}.address"), err)))?;
            Some(if matches!(raw.kind, Kind::Tcp) { Endpoint::Tcp(address) } else { Endpoint::RtuOverTcp(address) })
        }
        Kind::Rtu => {
            if raw.address.is_some() {
                misplaced(faults, "address", "a bus of kind tcp or rtu-over-tcp");
            }
            let baud = raw.baud.unwrap_or(9_600);
            if !is_baud(baud) {
                faults.add(
                    Fault::at(format_args!("{key}.baud"), format_args!("{baud} is not a rate of a serial line")).allowed("300 to 921600"),
                );
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
    }
}

fn check_device(
    key: &str,
    device: &RawDevice,
    bus: &RawBus,
    own_profiles: &BTreeMap<String, Arc<Profile>>,
    faults: &mut Faults,
) -> Option<DeviceConfig> {
    let id = faults.keep(Slug::parse(&device.id).map_err(|err| Fault::at(format_args!("{key}.id"), err)));
    let serial = !matches!(bus.kind, Kind::Tcp);
    let allowed = if serial { 1..=247 } else { 0..=255 };
    let unit = u8::try_from(device.unit).ok().filter(|unit| allowed.contains(unit));
    if unit.is_none() {
        let range = if serial { "1–247 on a serial bus" } else { "0–255 over TCP" };
        faults.add(Fault::at(format_args!("{key}.unit"), format_args!("{} is not a Modbus unit id", device.unit)).allowed(range));
    }
    let own = own_profiles.get(&device.profile).cloned();
    let profile = own.or_else(|| devices::find(&device.profile).cloned().map(Arc::new));
    let Some(profile) = profile else {
        let known: Vec<&str> = own_profiles.keys().map(String::as_str).chain(devices::builtin().iter().map(Profile::id)).collect();
        let fault = Fault::at(format_args!("{key}.profile"), format_args!("there is no profile `{}`", device.profile));
        faults.add(fault.allowed(known.join(", ")).help("name a folder of your own profiles with gateway.profiles"));
        return None;
    };
    let points = device.points.clone().unwrap_or_else(|| profile.points().iter().map(|point| point.id.clone()).collect());
    let mut seen = BTreeSet::new();
    let mut good = true;
    for (p, point) in points.iter().enumerate() {
        let known: Vec<&str> = profile.points().iter().map(|point| point.id.as_str()).collect();
        if !known.contains(&point.as_str()) {
            let fault = Fault::at(format_args!("{key}.points[{p}]"), format_args!("`{point}` is not a point of {}", profile.id()));
            faults.add(fault.allowed(known.join(", ")));
            good = false;
        } else if !seen.insert(point) {
            faults.add(Fault::at(format_args!("{key}.points[{p}]"), format_args!("`{point}` is named twice")));
            good = false;
        }
    }
    if points.is_empty() {
        let fault = Fault::at(format_args!("{key}.points"), "no point is chosen, so nothing would be read");
        faults.add(fault.help("leave the key out to read every point of the profile"));
        good = false;
    }
    if !good {
        return None;
    }
    let selected: Vec<&str> = points.iter().map(String::as_str).collect();
    let plan = faults.keep(profile.plan(&selected).map_err(|err| Fault::at(format_args!("{key}.points"), err)))?;
    let timing = profile.timing();
    let own_gap = if serial { Duration::from_millis(u64::from(timing.gap_ms)) } else { Duration::ZERO };
    let timeout = bus.timeout.map_or(Duration::from_millis(u64::from(timing.timeout_ms)), Duration::from);
    Some(DeviceConfig { id: id?, unit: unit?, profile, points, plan, timeout, gap: bus.gap.map_or(own_gap, Duration::from) })
}
