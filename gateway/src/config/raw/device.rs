//! `[[bus.device]]`: what is on a bus, what it is and which of its points are read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use config::{DurationText, Fault, Faults};
use devices::{Group, Installation, Profile, ProfileError};
use ids::Slug;
use serde::Deserialize;

use super::{
    super::{DeviceConfig, Slow},
    bus::RawBus,
    schedule::check_interval,
    shelf::Shelf,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDevice {
    pub(super) id: String,
    pub(super) unit: u16,
    profile: String,
    points: Option<Vec<String>>,
    slow: Option<RawSlow>,
    ct_ratio: Option<String>,
    vt_ratio: Option<String>,
    #[serde(default)]
    reversed: bool,
    phase_order: Option<[u8; 3]>,
}

/// Points that are read less often than the others: those named here, and those of which the profile says so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSlow {
    interval: DurationText,
    #[serde(default)]
    points: Vec<String>,
}

/// How often the slow points of a profile are read where nothing else is said: this, or the next multiple of the interval of the bus.
const SLOW_INTERVAL: Duration = Duration::from_secs(900);

/// No device needs less than this to answer, however fast it was so far.
const TIMEOUT_MIN: Duration = Duration::from_millis(200);

pub(super) fn check(
    key: &str,
    device: &RawDevice,
    bus: &RawBus,
    bus_interval: Option<Duration>,
    shelf: &mut Shelf<'_>,
    faults: &mut Faults,
) -> Option<DeviceConfig> {
    let id = faults.keep(Slug::parse(&device.id).map_err(|err| Fault::at(format_args!("{key}.id"), err)));
    let serial = bus.is_serial();
    let allowed = if serial { 1..=247 } else { 0..=255 };
    let unit = u8::try_from(device.unit).ok().filter(|unit| allowed.contains(unit));
    if unit.is_none() {
        let range = if serial { "1–247 on a serial bus" } else { "0–255 over TCP" };
        faults.add(Fault::at(format_args!("{key}.unit"), format_args!("{} is not a Modbus unit id", device.unit)).allowed(range));
    }
    let Some(profile) = shelf.profile(&device.profile) else {
        let fault = Fault::at(format_args!("{key}.profile"), format_args!("there is no profile `{}`", device.profile));
        faults.add(fault.allowed(shelf.known()).help("name a folder of your own profiles with gateway.profiles"));
        return None;
    };
    let profile = installed(key, device, profile, shelf, faults)?;
    let slow_points = slow_points(device, &profile);
    let others = || profile.points().iter().map(|point| point.id.clone()).filter(|id| !slow_points.contains(id)).collect();
    let points = device.points.clone().unwrap_or_else(others);
    let mut seen = BTreeSet::new();
    let mut good = check_points(&format!("{key}.points"), &points, &profile, &mut seen, faults);
    good &= check_points(&format!("{key}.slow.points"), &slow_points, &profile, &mut seen, faults);
    if points.is_empty() {
        let fault = Fault::at(format_args!("{key}.points"), "no point is chosen, so nothing would be read");
        faults.add(fault.help("leave the key out to read every point of the profile"));
        good = false;
    }
    if !good {
        return None;
    }
    let mut reads = |points: Vec<String>| {
        let reads = shelf.reads(&profile, bus.line(&profile), points);
        faults.keep(reads.map_err(|err| Fault::at(format_args!("{key}.points"), err)))
    };
    let (fast, all) = (reads(points.clone())?, reads(points.into_iter().chain(slow_points.iter().cloned()).collect())?);
    let slow = match (&device.slow, bus_interval) {
        (Some(slow), _) => Some(Slow { interval: check_slow(key, slow, bus_interval, faults)?, reads: all }),
        (None, Some(every)) if !slow_points.is_empty() => Some(Slow { interval: slow_interval(every), reads: all }),
        _ => None,
    };
    let timing = profile.timing();
    let own_gap = if serial { Duration::from_millis(u64::from(timing.gap_ms)) } else { Duration::ZERO };
    // What somebody measured and wrote down is the least; what a profile says is a beginning.
    let (timeout, timeout_min) = match bus.timeout {
        Some(timeout) => (timeout.duration(), timeout.duration()),
        None => (Duration::from_millis(u64::from(timing.timeout_ms)), TIMEOUT_MIN),
    };
    let gap = bus.gap.map_or(own_gap, Duration::from);
    Some(DeviceConfig { id: id?, unit: unit?, profile, reads: fast, slow, timeout, timeout_min, gap })
}

/// The points that are not read in every poll. What is named under `points` is, whatever the profile says.
fn slow_points(device: &RawDevice, profile: &Profile) -> Vec<String> {
    let mut slow = device.slow.as_ref().map(|slow| slow.points.clone()).unwrap_or_default();
    if device.points.is_none() {
        let of_profile = profile.group(&[], Group::Slow).into_iter().map(str::to_owned);
        let more: Vec<String> = of_profile.filter(|id| !slow.contains(id)).collect();
        // A device of which everything is slow is read as a whole.
        if slow.len() + more.len() < profile.points().len() {
            slow.extend(more);
        }
    }
    slow
}

fn slow_interval(every: Duration) -> Duration {
    let times = SLOW_INTERVAL.as_millis().div_ceil(every.as_millis().max(1));
    every * u32::try_from(times).unwrap_or(u32::MAX)
}

fn check_points<'a>(key: &str, points: &'a [String], profile: &Profile, seen: &mut BTreeSet<&'a str>, faults: &mut Faults) -> bool {
    let mut good = true;
    for (p, point) in points.iter().enumerate() {
        let known: Vec<&str> = profile.points().iter().map(|point| point.id.as_str()).collect();
        if !known.contains(&point.as_str()) {
            let fault = Fault::at(format_args!("{key}[{p}]"), format_args!("`{point}` is not a point of {}", profile.id()));
            faults.add(fault.allowed(known.join(", ")));
            good = false;
        } else if !seen.insert(point) {
            faults.add(Fault::at(format_args!("{key}[{p}]"), format_args!("`{point}` is named twice")));
            good = false;
        }
    }
    good
}

fn check_slow(key: &str, slow: &RawSlow, bus_interval: Option<Duration>, faults: &mut Faults) -> Option<Duration> {
    let key = format!("{key}.slow.interval");
    let interval = check_interval(&key, slow.interval, faults)?;
    if bus_interval.is_some_and(|every| interval <= every || !interval.as_millis().is_multiple_of(every.as_millis())) {
        let fault = Fault::at(key, format_args!("{} is not a multiple of the interval of the bus", slow.interval));
        faults.add(fault.help("slow points are read together with the others, in every second, fifth or fifteenth poll"));
        return None;
    }
    Some(interval)
}

/// The profile with what was done at this installation.
///
/// An invoice is recomputed from the words in its evidence by the profiles that come with the program. Facts of an installation are
/// not among those, so no counter that is billed from may be changed by them: set them in the meter.
fn installed(key: &str, device: &RawDevice, profile: Arc<Profile>, shelf: &mut Shelf<'_>, faults: &mut Faults) -> Option<Arc<Profile>> {
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
    let is_slow = |id: &String| device.slow.as_ref().is_some_and(|slow| slow.points.contains(id));
    let is_read = |id: &String| device.points.as_ref().is_none_or(|points| points.contains(id)) || is_slow(id);
    let same = |point: &devices::Point| profile.point(&point.id) == Some(point);
    let changed = installed.points().iter().filter(|point| point.billing && !same(point)).map(|point| point.id.clone());
    let billed: Vec<String> = changed.filter(is_read).collect();
    if !billed.is_empty() {
        let list = billed.join(", ");
        let fault = Fault::at(key, format_args!("ct_ratio, vt_ratio and reversed would change {list}, which is billed from"));
        faults.add(fault.help("set them in the meter, or leave those counters out of points"));
        return None;
    }
    Some(shelf.keep(installed))
}
