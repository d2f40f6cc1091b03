//! What is written: the same bodies for everybody, and what they say, known before anything is sent.

use std::fmt::Write as _;

use negawatt_tests::fleet::{Dice, Fleet, METERS, MINUTE_MS, POINTS, START_MS};
use store::Row;
use units::Measured;
use wire::{DeviceReading, Envelope, Frame, GatewayPath, Message as _, PointReading};

use super::Result;

/// Lines of a body: so many minutes of one facility.
pub(crate) const MINUTES_OF_A_BODY: i64 = 50;
pub(crate) const TENANT: &str = "bench";
/// The facility of the one series that is a year long.
pub(crate) const YEAR: &str = "facility-year";
/// The facility of the readings that are waited for.
pub(crate) const PROBE: &str = "facility-probe";
/// Meters of one gateway: 50 points ride in a message.
const METERS_OF_A_GATEWAY: usize = 5;
const LINES_OF_A_BODY: i64 = 5_000;
/// Points that a large fleet sends in ten seconds.
const FLEET_POINTS: u64 = 1_000_000;

/// Line protocol, of one facility.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) facility: String,
    pub(crate) text: String,
    pub(crate) points: u64,
    /// Minutes since [`START_MS`] that it has, half-open.
    pub(crate) minutes: std::ops::Range<i64>,
}

/// How much is written, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) meters: usize,
    /// Minutes that are measured, then those of a steady load, then those in which everybody is killed.
    pub(crate) measured: i64,
    pub(crate) steady: i64,
    pub(crate) killed: i64,
    /// Minutes in which a large fleet sends as evenly as fleets do.
    pub(crate) fleet: i64,
    /// Minutes of the one long series.
    pub(crate) year: i64,
}

impl Plan {
    /// `points` measured points: of 10,000 series when there are enough of them, and of fewer otherwise.
    pub(crate) fn of(points: u64) -> Self {
        let of_minute = u64::try_from(METERS * POINTS.len()).unwrap_or(1);
        let block = of_minute * MINUTES_OF_A_BODY.unsigned_abs();
        let facilities = (points / block).clamp(1, 100);
        let blocks = i64::try_from((points / block / facilities).max(1)).unwrap_or(1);
        let part = |of: i64| (blocks / of).max(1) * MINUTES_OF_A_BODY;
        Self {
            meters: usize::try_from(facilities).unwrap_or(1) * METERS,
            measured: blocks * MINUTES_OF_A_BODY,
            steady: part(10),
            killed: part(5),
            fleet: i64::try_from(FLEET_POINTS / (facilities * of_minute)).unwrap_or(1).clamp(1, blocks * MINUTES_OF_A_BODY),
            year: i64::try_from(points / 10).unwrap_or(i64::MAX).clamp(1_440, 525_600),
        }
    }
}

/// Everything that is written as lines.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) measured: Vec<Body>,
    pub(crate) steady: Vec<Body>,
    pub(crate) killed: Vec<Body>,
    pub(crate) year: Vec<Body>,
    pub(crate) ledger: Ledger,
}

/// What every line says, as a whole number at the exponent of its point.
#[derive(Debug)]
pub(crate) struct Ledger {
    meters: usize,
    /// By minute, and in a minute by meter and point.
    raws: Vec<i64>,
}

impl Ledger {
    /// The reading of a point; `facility` counts from 0, and `point` is its place in [`POINTS`].
    pub(crate) fn raw(&self, facility: usize, meter: usize, point: usize, minute: i64) -> Option<i64> {
        let series = (facility * METERS + meter) * POINTS.len() + point;
        self.raws.get(usize::try_from(minute).ok()? * self.meters * POINTS.len() + series).copied()
    }
}

impl Field {
    pub(crate) fn new(plan: &Plan, seed: u64) -> Result<Self> {
        let mut fleet = Fleet::new(plan.meters, seed)?;
        let mut raws = Vec::new();
        let mut blocks = |minutes: std::ops::Range<i64>| {
            let mut bodies = Vec::new();
            let starts = (minutes.start..minutes.end).step_by(usize::try_from(MINUTES_OF_A_BODY).unwrap_or(1));
            for start in starts {
                let mut texts = vec![String::new(); fleet.batches.len()];
                let minutes = start..start + MINUTES_OF_A_BODY;
                for minute in minutes.clone() {
                    fleet.advance(minute);
                    for (batch, text) in fleet.batches.iter().zip(&mut texts) {
                        for row in &batch.rows {
                            raws.extend(row.raw);
                            line(text, batch.origin.facility.as_str(), row)?;
                        }
                    }
                }
                for (batch, text) in fleet.batches.iter().zip(texts) {
                    let points = batch.rows.len() as u64 * MINUTES_OF_A_BODY.unsigned_abs();
                    bodies.push(Body { facility: batch.origin.facility.to_string(), text, points, minutes: minutes.clone() });
                }
            }
            Ok::<_, std::fmt::Error>(bodies)
        };
        let (steady, killed) = (plan.measured + plan.steady, plan.measured + plan.steady + plan.killed);
        let (measured, steady, killed) = (blocks(0..plan.measured)?, blocks(plan.measured..steady)?, blocks(steady..killed)?);
        Ok(Self { measured, steady, killed, year: year(plan.year, seed)?, ledger: Ledger { meters: plan.meters, raws } })
    }
}

fn line(text: &mut String, facility: &str, row: &Row) -> std::fmt::Result {
    let Some(raw) = row.raw else { return Ok(()) };
    let value = Measured { raw, exponent: row.exponent, unit: row.unit }.decimal_text();
    writeln!(text, "{},facility={facility},device={} value={value} {}", row.point, row.device, row.ts_ms)
}

/// One series, minute by minute.
fn year(minutes: i64, seed: u64) -> Result<Vec<Body>> {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let mut raw = 1_200;
    let mut bodies = Vec::new();
    for start in (0..minutes).step_by(usize::try_from(LINES_OF_A_BODY)?) {
        let end = (start + LINES_OF_A_BODY).min(minutes);
        let mut text = String::new();
        for minute in start..end {
            raw += dice.roll(121) - 60 + (1_200 - raw) / 8;
            probe_line(&mut text, YEAR, raw, START_MS + minute * MINUTE_MS)?;
        }
        bodies.push(Body { facility: YEAR.to_owned(), text, points: (end - start).unsigned_abs(), minutes: start..end });
    }
    Ok(bodies)
}

/// A power in hundredths of a kilowatt.
fn probe_line(text: &mut String, facility: &str, raw: i64, ts_ms: i64) -> std::fmt::Result {
    let value = Measured { raw, exponent: -2, unit: units::Unit::Kilowatt }.decimal_text();
    writeln!(text, "p,facility={facility},device={facility} value={value} {ts_ms}")
}

/// One reading of the facility that is waited for: the `number`th, a minute after the one before.
pub(crate) fn probe(number: i64) -> Result<Body> {
    let mut text = String::new();
    probe_line(&mut text, PROBE, number, START_MS + number * MINUTE_MS)?;
    Ok(Body { facility: PROBE.to_owned(), text, points: 1, minutes: number..number + 1 })
}

/// A frame of a gateway, as it is published.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) points: u64,
}

/// The minutes of a fleet as its gateways publish them, two to a facility.
pub(crate) fn messages(meters: usize, minutes: std::ops::Range<i64>, seed: u64) -> Result<Vec<Message>> {
    let mut fleet = Fleet::new(meters, seed)?;
    let mut messages = Vec::new();
    for minute in minutes {
        fleet.advance(minute);
        for batch in &fleet.batches {
            for (gateway, rows) in batch.rows.chunks(METERS_OF_A_GATEWAY * POINTS.len()).enumerate() {
                let facility = batch.origin.facility.as_str();
                messages.push(message(facility, &format!("gw-{gateway}"), minute, START_MS + minute * MINUTE_MS, rows)?);
            }
        }
    }
    Ok(messages)
}

/// What a gateway has polled, as its frame `number`.
pub(crate) fn message(facility: &str, gateway: &str, number: i64, tick_ms: i64, rows: &[Row]) -> Result<Message> {
    let slug = ids::Slug::parse;
    let path = GatewayPath { tenant: slug(TENANT)?, facility: slug(facility)?, gateway: slug(gateway)? };
    let mut devices: Vec<DeviceReading> = Vec::new();
    for row in rows {
        if devices.last().is_none_or(|device| device.device != row.device.as_str()) {
            let (device, profile, profile_hash) = (row.device.to_string(), "eastron-sdm630".to_owned(), vec![7; 32]);
            devices.push(DeviceReading { device, profile, profile_hash, ..DeviceReading::default() });
        }
        let point = PointReading {
            point: row.point.to_string(),
            raw: row.raw,
            exponent: i32::from(row.exponent),
            unit: row.unit.code().into(),
            quality: 0,
            words: row.words.map(|words| words.as_slice().to_vec()).unwrap_or_default(),
        };
        if let Some(device) = devices.last_mut() {
            device.points.push(point);
        }
    }
    let frame =
        Frame { schema: wire::SCHEMA, boot_id: 1, config_hash: vec![3; 32], tick_ms, clock_synced: true, devices, ..Frame::default() };
    // Of its own for each gateway, whichever run it is.
    let mut spool_id = vec![0; 16];
    for (place, byte) in spool_id.iter_mut().zip(gateway.bytes().rev().chain(facility.bytes().rev())) {
        *place = byte;
    }
    let seq = u64::try_from(number + 1)?;
    let envelope = Envelope { schema: wire::SCHEMA, spool_id, seq, frame: frame.encode_to_vec() };
    Ok(Message { topic: path.topic(&wire::Channel::Data), payload: envelope.encode_to_vec(), points: rows.len() as u64 })
}
