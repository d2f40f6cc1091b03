//! `[[bus.device]]`: what is on a bus, what it is and which of its points are read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use config::{Fault, Faults};
use devices::Profile;
use ids::Slug;
use serde::Deserialize;

use super::{
    super::DeviceConfig,
    bus::{Kind, RawBus},
    profiles::OwnProfiles,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDevice {
    pub(super) id: String,
    pub(super) unit: u16,
    profile: String,
    points: Option<Vec<String>>,
}

pub(super) fn check(key: &str, device: &RawDevice, bus: &RawBus, own_profiles: &OwnProfiles, faults: &mut Faults) -> Option<DeviceConfig> {
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
