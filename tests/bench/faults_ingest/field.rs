//! What is offered in a run, known before anything is sent.

use std::collections::BTreeMap;

use ids::IdSource;
use wire::{DeviceReading, Envelope, Frame, Message as _, PointReading};

/// Device, point, time.
pub(crate) type Key = (String, String, i64);
/// Every point that is offered, and its value.
pub(crate) type Ledger = BTreeMap<Key, i64>;

const POINTS: [(&str, units::Unit, i32); 3] =
    [("v1", units::Unit::Volt, -1), ("p", units::Unit::Watt, 0), ("e_imp", units::Unit::KilowattHour, -2)];
/// 2025-01-01.
const BEGIN_MS: i64 = 1_735_689_600_000;
const MINUTE_MS: i64 = 60_000;

/// One gateway: its messages in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) name: String,
    pub(crate) spool_id: [u8; 16],
    pub(crate) messages: Vec<Vec<u8>>,
}

/// What one client writes: bodies of lines.
#[derive(Debug)]
pub(crate) struct Bodies(pub(crate) Vec<String>);

/// A number below `bound`.
pub(crate) fn below(random: &IdSource, bound: u64) -> u64 {
    random.next_u64() % bound.max(1)
}

pub(crate) fn index(random: &IdSource, len: usize) -> usize {
    usize::try_from(below(random, u64::try_from(len).unwrap_or(1))).unwrap_or(0)
}

/// A gateway that has polled for some hours, and restarted now and then.
pub(crate) fn gateway(random: &IdSource, number: u64, ledger: &mut Ledger) -> Gateway {
    let mut spool_id = [0; 16];
    for (place, byte) in spool_id.iter_mut().zip(random.next_u64().to_be_bytes().into_iter().cycle()) {
        *place = byte;
    }
    spool_id[15] = u8::try_from(number).unwrap_or(0);
    let frames = 30 + below(random, 50);
    let (mut tick_ms, mut boot_id, mut messages) = (BEGIN_MS, random.next_u64(), Vec::new());
    for seq in 1..=frames {
        // Minutes that follow each other, and now and then half a day without any.
        tick_ms += MINUTE_MS * i64::try_from(if below(random, 20) == 0 { 700 } else { 1 + below(random, 3) }).unwrap_or(1);
        if below(random, 15) == 0 {
            boot_id = random.next_u64();
        }
        let device = format!("meter-{number}");
        let mut points = Vec::new();
        for (at, (point, unit, exponent)) in (0..).zip(POINTS) {
            let raw = 1_000 * i64::try_from(seq).unwrap_or(0) + at + i64::try_from(below(random, 900)).unwrap_or(0);
            ledger.insert((device.clone(), point.to_owned(), tick_ms), raw);
            let unit = unit.code().into();
            points.push(PointReading { point: point.to_owned(), raw: Some(raw), exponent, unit, quality: 0, words: Vec::new() });
        }
        let device = DeviceReading { device, profile: "x".to_owned(), profile_hash: vec![1; 32], points, ..DeviceReading::default() };
        let frame = Frame { schema: wire::SCHEMA, boot_id, tick_ms, clock_synced: true, devices: vec![device], ..Frame::default() };
        let envelope = Envelope { schema: wire::SCHEMA, spool_id: spool_id.to_vec(), seq, frame: frame.encode_to_vec() };
        messages.push(envelope.encode_to_vec());
    }
    Gateway { name: format!("gw-{number}"), spool_id, messages }
}

/// A client of line protocol that writes ten bodies of forty lines.
pub(crate) fn bodies(random: &IdSource, ledger: &mut Ledger) -> Bodies {
    let mut bodies = Vec::new();
    for body in 0..10_i64 {
        let mut text = String::new();
        for line in 0..40_i64 {
            let ts_ms = BEGIN_MS + (body * 40 + line) * MINUTE_MS;
            let value = i64::try_from(below(random, 1_000_000)).unwrap_or(0);
            ledger.insert(("plc".to_owned(), "flow".to_owned(), ts_ms), value * 1_000_000);
            text.push_str(&format!("flow,device=plc,unit=m3 value={value} {ts_ms}\n"));
        }
        bodies.push(text);
    }
    Bodies(bodies)
}
