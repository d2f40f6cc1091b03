//! What every point showed last, for a page. Kept only where there is one.
//!
//! A value keeps the time at which it was read: when a device falls silent its last values stay, and grow old.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use units::{Measured, Quality, Severity};
use wire::{DeviceReading, PointReading};

/// The newest of every device, by its name; as large as the configuration, and not larger.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    wanted: AtomicBool,
    devices: Mutex<BTreeMap<String, Device>>,
}

/// What is known of a device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// When it was asked last, in milliseconds since 1970 UTC.
    pub(crate) asked_ms: i64,
    /// How that went as a whole.
    pub(crate) quality: Quality,
    /// Its points, in the order in which they are read.
    pub(crate) points: Vec<Point>,
}

/// What is known of a point.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) id: String,
    /// Its last value and when it was read, if it ever had one.
    pub(crate) value: Option<(Measured, i64)>,
    /// How it went when it was asked for last.
    pub(crate) quality: Quality,
    /// When that was.
    pub(crate) asked_ms: i64,
}

impl Latest {
    fn devices(&self) -> MutexGuard<'_, BTreeMap<String, Device>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody will look.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Devices were read.
    pub(crate) fn note(&self, readings: &[DeviceReading]) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut devices = self.devices();
        for reading in readings {
            match devices.get_mut(&reading.device) {
                Some(known) => known.note(reading),
                None => {
                    let mut device = Device { asked_ms: 0, quality: Quality::GOOD, points: Vec::with_capacity(reading.points.len()) };
                    device.note(reading);
                    devices.insert(reading.device.clone(), device);
                }
            }
        }
    }

    /// Forgets devices and points that are no longer read.
    pub(crate) fn retain(&self, is_read: impl Fn(&str, &str) -> bool) {
        self.devices().retain(|name, device| {
            device.points.retain(|point| is_read(name, &point.id));
            !device.points.is_empty()
        });
    }

    /// Devices that gave nothing when they were asked last, and when each gave something.
    pub(crate) fn silent(&self) -> Vec<(String, Option<i64>)> {
        let last_ms = |device: &Device| device.points.iter().filter_map(|point| Some(point.value?.1)).max();
        let devices = self.devices();
        let silent = devices.iter().filter(|(_, device)| device.quality.severity() == Severity::Bad);
        silent.map(|(name, device)| (name.clone(), last_ms(device))).collect()
    }

    /// What is known of a device, if it was ever read.
    pub(crate) fn device(&self, name: &str) -> Option<Device> {
        self.devices().get(name).cloned()
    }
}

impl Device {
    fn note(&mut self, reading: &DeviceReading) {
        self.asked_ms = reading.requested_ms;
        self.quality = quality(reading.quality);
        for read in &reading.points {
            let (asked_ms, quality) = (reading.requested_ms, quality(read.quality));
            let value = usable(read).map(|measured| (measured, asked_ms));
            match self.points.iter_mut().find(|point| point.id == read.point) {
                Some(point) => {
                    point.value = value.or(point.value);
                    (point.quality, point.asked_ms) = (quality, asked_ms);
                }
                None => self.points.push(Point { id: read.point.clone(), value, quality, asked_ms }),
            }
        }
    }
}

/// The value of a point, if it may be believed.
pub(super) fn usable(read: &PointReading) -> Option<Measured> {
    if quality(read.quality).severity() == Severity::Bad { None } else { read.measured().ok().flatten() }
}

pub(super) fn quality(bits: u32) -> Quality {
    Quality::from_bits(u16::try_from(bits).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use units::Unit;

    use super::*;

    fn reading(requested_ms: i64, raw: Option<i64>) -> DeviceReading {
        let quality = u32::from(if raw.is_some() { Quality::GOOD } else { Quality::SILENT }.bits());
        let point =
            PointReading { point: "v1".to_owned(), raw, exponent: -1, unit: u32::from(Unit::Volt.code()), quality, words: Vec::new() };
        DeviceReading { device: "pump".to_owned(), requested_ms, quality, points: vec![point], ..DeviceReading::default() }
    }

    #[test]
    fn a_silent_device_keeps_its_last_value_with_its_own_time() {
        let latest = Latest::default();
        latest.note(&[reading(1_000, Some(2_301))]);
        assert!(latest.device("pump").is_none(), "nobody looks");
        latest.want();
        latest.note(&[reading(1_000, Some(2_301))]);
        latest.note(&[reading(2_000, None)]);
        let pump = latest.device("pump").unwrap();
        let (value, at_ms) = pump.points[0].value.unwrap();
        assert_eq!((value.decimal_text().as_str(), at_ms), ("230.1", 1_000));
        assert_eq!((pump.asked_ms, pump.points[0].quality), (2_000, Quality::SILENT));
        assert_eq!(latest.silent(), [("pump".to_owned(), Some(1_000))]);
        latest.retain(|device, point| (device, point) != ("pump", "v1"));
        assert!(latest.device("pump").is_none());
    }
}
