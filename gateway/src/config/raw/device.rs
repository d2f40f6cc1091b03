//! `[[bus.device]]`: what is on a bus, what it is and which of its points are read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use config::{Fault, Faults};
use devices::{Installation, Profile, ProfileError};
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
    ct_ratio: Option<String>,
    vt_ratio: Option<String>,
    #[serde(default)]
    reversed: bool,
    phase_order: Option<[u8; 3]>,
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
    let profile = installed(key, device, profile, faults)?;
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

/// The profile with what was done at this installation.
///
/// An invoice is recomputed from the words in its evidence by the profiles that come with the program. Facts of an installation are
/// not among those, so no counter that is billed from may be changed by them: set them in the meter.
fn installed(key: &str, device: &RawDevice, profile: Arc<Profile>, faults: &mut Faults) -> Option<Arc<Profile>> {
    let plain = Installation::default();
    let facts = Installation {
        ct_ratio: device.ct_ratio.clone().unwrap_or(plain.ct_ratio),
        vt_ratio: device.vt_ratio.clone().unwrap_or(plain.vt_ratio),
        reversed: device.reversed,
        phase_order: device.phase_order.unwrap_or(plain.phase_order),
    };
    if facts.is_plain() {
        return Some(profile);
    }
    let installed = match profile.installed(&facts) {
        Ok(installed) => installed,
        Err(err) => {
            let told = |faults: &mut Faults, fault: String| faults.add(Fault::at(key, fault));
            match err {
                ProfileError::Faults { faults: found, .. } => found.into_iter().for_each(|fault| told(faults, fault)),
                err @ ProfileError::Syntax(_) => told(faults, daemon::chain(&err)),
            }
            return None;
        }
    };
    let is_read = |id: &String| device.points.as_ref().is_none_or(|points| points.contains(id));
    let same = |point: &devices::Point| profile.point(&point.id) == Some(point);
    let changed = installed.points().iter().filter(|point| point.billing && !same(point)).map(|point| point.id.clone());
    let billed: Vec<String> = changed.filter(is_read).collect();
    if !billed.is_empty() {
        let list = billed.join(", ");
        let fault = Fault::at(key, format_args!("ct_ratio, vt_ratio and reversed would change {list}, which is billed from"));
        faults.add(fault.help("set them in the meter, or leave those counters out of points"));
        return None;
    }
    Some(Arc::new(installed))
}
