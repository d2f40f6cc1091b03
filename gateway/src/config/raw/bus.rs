//! `[[bus]]`: which buses there are and how each is reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use config::{DurationText, Fault, Faults};
use ids::Slug;
use serde::Deserialize;

use super::{
    super::BusConfig,
    device::{self, RawDevice},
    profiles::OwnProfiles,
    schedule::{DurationTextOf, check_interval},
};
use crate::modbus::{Endpoint, Parity, host_and_port, is_baud};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
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
pub(super) struct RawBus {
    name: String,
    pub(super) kind: Kind,
    address: Option<String>,
    path: Option<PathBuf>,
    baud: Option<u32>,
    parity: Option<RawParity>,
    pub(super) timeout: Option<DurationText>,
    pub(super) gap: Option<DurationText>,
    interval: Option<DurationText>,
    #[serde(default)]
    device: Vec<RawDevice>,
}

pub(super) fn check(
    raw: Vec<RawBus>,
    own_profiles: &OwnProfiles,
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
            devices.extend(device::check(&key, device, &raw, own_profiles, faults));
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
