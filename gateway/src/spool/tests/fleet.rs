//! What a gateway with a hundred three-phase meters reads in a minute: every point of every meter, no two alike.

use units::Unit;
use wire::{DeviceReading, Frame, Message, PointReading};

use crate::spool::disk::memory::mix;

/// 2025-06-01.
const START_MS: i64 = 1_748_736_000_000;
const PROFILES: [&str; 3] = ["eastron-sdm630", "carlo-gavazzi-em340", "schneider-pm5xxx"];

/// The minute of a frame.
pub(crate) fn tick_ms(seq: u64) -> i64 {
    START_MS + i64::try_from(seq).unwrap() * 60_000
}

/// The encoded frame of one minute.
pub(crate) fn frame(seq: u64, devices: u64) -> Vec<u8> {
    let tick_ms = tick_ms(seq);
    let devices = (0..devices).map(|number| device(seq, number, tick_ms)).collect();
    let config_hash = (0..32).collect();
    let frame = Frame {
        schema: wire::SCHEMA,
        boot_id: mix(7),
        config_hash,
        tick_ms,
        clock_synced: true,
        devices,
        monotonic_ms: seq * 60_000,
        ..Frame::default()
    };
    frame.encode_to_vec()
}

fn device(seq: u64, number: u64, tick_ms: i64) -> DeviceReading {
    let profile = devices::find(PROFILES[usize::try_from(number).unwrap() % PROFILES.len()]).unwrap();
    let random = |salt: u64| mix(mix(seq << 16 | number) ^ salt << 48);
    let points = profile.points().iter().zip(1_u64..).map(|(point, salt)| {
        let noise = |spread: u64| i64::try_from(random(salt) % spread).unwrap();
        let scaled = |value: i64, exponent: i8| value * 10_i64.pow(u32::from((exponent - point.exponent).unsigned_abs()));
        let minutes = i64::try_from(seq).unwrap();
        let own = i64::try_from(mix(number << 8 | salt) % 1_000_000).unwrap();
        let raw = match point.unit {
            Unit::Volt => scaled(22_500, -2) + noise(1_200),
            Unit::Ampere => own % 60_000 + noise(2_000),
            Unit::Hertz => scaled(4_995, -2) + noise(10),
            Unit::Ratio => 850 + noise(150),
            // A counter goes on.
            Unit::KilowattHour | Unit::WattHour | Unit::KilovarHour | Unit::VarHour => own * 1_000 + minutes * (own % 700) + noise(20),
            _ => own % 200_000 + noise(5_000),
        };
        let words = if point.billing { u32::try_from(raw & 0x7fff_ffff).unwrap().to_be_bytes().to_vec() } else { Vec::new() };
        let (exponent, unit) = (i32::from(point.exponent), u32::from(point.unit.code()));
        PointReading { point: point.id.clone(), raw: Some(raw), exponent, unit, quality: 0, words }
    });
    DeviceReading {
        device: format!("meter-{number:03}"),
        profile: profile.id().to_owned(),
        profile_hash: profile.hash().to_vec(),
        requested_ms: tick_ms + i64::try_from(number * 4 + random(0) % 3).unwrap(),
        duration_us: 180_000 + u32::try_from(random(99) % 60_000).unwrap(),
        attempts: 1,
        quality: 0,
        points: points.collect(),
    }
}

/// Points in a frame of so many devices.
pub(crate) fn points(devices: u64) -> usize {
    (0..devices).map(|number| device(1, number, 0).points.len()).sum()
}
