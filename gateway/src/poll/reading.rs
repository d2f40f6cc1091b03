//! From register words to the reading of a device, whatever happened on the way.

use std::{mem, time::Duration};

use devices::{BlockRequest, DecodeError, Point, Profile};
use jiff::Timestamp;
use tokio::time::Instant;
use units::{Measured, Quality, Reason};
use wire::{DeviceReading, PointReading};

use super::poller::Tick;
use crate::{
    config::DeviceConfig,
    modbus::{Bus, BusError, Endpoint, Request},
};

/// What one poll of a device brought.
#[derive(Debug)]
pub(super) struct Polled {
    /// In the order in which they came.
    points: Vec<PointReading>,
    attempts: u32,
    pub(super) duration: Duration,
    /// The first failure.
    pub(super) failure: Option<BusError>,
    /// Whether the device answered at all, if only to refuse.
    pub(super) answered: bool,
    /// Whether it was asked and gave no answer that can be used.
    pub(super) failed: bool,
    /// Whether it refused a read that ran over registers that nobody wanted; the rest was not read then.
    pub(super) refused_gap: bool,
}

/// How a device is read in one poll, and what it cost.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) timeout: Duration,
    /// How many failed requests are asked again.
    pub(super) retries: u32,
    /// How long each answer took.
    pub(super) latencies: Vec<Duration>,
}

/// Reads the blocks of a device, as far as it answers.
///
/// One failed request is asked again, once; after that the rest of the device is left for the next cycle, because a
/// device that is gone would cost every other device on the bus a timeout for each block.
pub(super) async fn poll_device(bus: &mut Bus, device: &DeviceConfig, blocks: &[BlockRequest], attempt: &mut Attempt) -> Polled {
    let start = Instant::now();
    bus.begin_poll();
    let mut polled = Polled::nothing();
    'blocks: for block in blocks {
        let request = Request {
            unit: device.unit,
            function: block.table.function(),
            address: block.address,
            count: block.count,
            timeout: attempt.timeout,
            gap: device.gap,
        };
        loop {
            polled.attempts += 1;
            match bus.read(request).await {
                Ok(words) => {
                    polled.answered = true;
                    attempt.latencies.push(bus.latency());
                    decode(block, &words, &mut polled.points);
                    break;
                }
                Err(err) if err.is_transient() && attempt.retries > 0 => {
                    tracing::debug!(device = %device.id, error = daemon::chain(&err), "asking again");
                    attempt.retries -= 1;
                }
                Err(err) => {
                    let go_on = err.is_answer();
                    let refused = go_on && matches!(err, BusError::Refused { .. });
                    polled.answered |= refused;
                    polled.failed |= !go_on && !err.is_of_bus();
                    polled.refused_gap |= refused && has_gap(block);
                    polled.failure.get_or_insert(err);
                    if go_on && !polled.refused_gap {
                        break;
                    }
                    break 'blocks;
                }
            }
        }
    }
    polled.duration = start.elapsed();
    polled
}

/// Whether a read runs over registers that none of its points needs.
fn has_gap(block: &BlockRequest) -> bool {
    let (first, end) = (u32::from(block.address), u32::from(block.address) + u32::from(block.count));
    let wanted = |register: u32| block.points.iter().any(|point| (point.span().0..point.span().1).contains(&register));
    !(first..end).all(wanted)
}

fn decode(block: &BlockRequest, words: &[u16], points: &mut Vec<PointReading>) {
    for (point, words, measured) in block.decode(words) {
        let (raw, quality) = match measured {
            Ok(measured) => (Some(measured.raw), Quality::GOOD),
            Err(err) => (None, refusal(&err).with(Reason::NoValue)),
        };
        let words = if point.billing { words.iter().flat_map(|word| word.to_be_bytes()).collect() } else { Vec::new() };
        points.push(PointReading { raw, words, ..blank(point, quality) });
    }
}

fn refusal(err: &DecodeError) -> Quality {
    Quality::bad(match err {
        DecodeError::NotAvailable { .. }
        | DecodeError::NotFinite { .. }
        | DecodeError::ScaleFactor { .. }
        | DecodeError::Malformed { .. } => Reason::InvalidMarker,
        DecodeError::OutOfRange { .. } => Reason::OutOfRange,
        DecodeError::Width { .. } => Reason::CommError,
    })
}

fn blank(point: &Point, quality: Quality) -> PointReading {
    PointReading {
        point: point.id.clone(),
        raw: None,
        exponent: i32::from(point.exponent),
        unit: u32::from(point.unit.code()),
        quality: u32::from(quality.bits()),
        words: Vec::new(),
    }
}

impl Polled {
    /// A poll in which nothing was asked.
    pub(super) fn nothing() -> Self {
        Self {
            points: Vec::new(),
            attempts: 0,
            duration: Duration::ZERO,
            failure: None,
            answered: false,
            failed: false,
            refused_gap: false,
        }
    }

    /// This poll and the one that followed at once, because this one went wrong.
    pub(super) fn then(self, mut next: Self) -> Self {
        next.attempts += self.attempts;
        next.duration += self.duration;
        next.answered |= self.answered;
        next.failed |= self.failed;
        next
    }

    /// The reading as it travels: every point that is due is in it, read or not.
    pub(super) fn reading(mut self, device: &DeviceConfig, tick: Tick, requested: Timestamp) -> DeviceReading {
        let due = device.points_at(tick.at_ms);
        let mut points = Vec::with_capacity(due.len());
        self.points.sort_unstable_by(|a, b| a.point.cmp(&b.point));
        for id in due {
            let found = self.points.binary_search_by(|reading| reading.point.as_str().cmp(id)).ok();
            let read = found.and_then(|index| self.points.get_mut(index));
            // The name stays where it is, or the rest would be out of order.
            let read = read.map(|reading| PointReading { words: mem::take(&mut reading.words), ..reading.clone() });
            let absent = || device.profile.point(id).map(|point| blank(point, Quality::SILENT));
            let Some(mut reading) = read.or_else(absent) else { continue };
            if !tick.clock_synced && reading.raw.is_some() {
                reading.quality = u32::from(Quality::uncertain(Reason::ClockUnsynced).bits());
            }
            points.push(reading);
        }
        let quality = match (self.answered, &self.failure) {
            (true, None) => Quality::GOOD,
            (true, Some(_)) => Quality::bad(Reason::CommError),
            (false, _) => Quality::SILENT,
        };
        DeviceReading {
            device: device.id.to_string(),
            profile: device.profile.id().to_owned(),
            profile_hash: device.profile.hash().to_vec(),
            requested_ms: requested.as_millisecond(),
            duration_us: u32::try_from(self.duration.as_micros()).unwrap_or(u32::MAX),
            attempts: self.attempts,
            quality: u32::from(quality.bits()),
            points,
        }
    }
}

/// Reads every point of a device once, as a technician would.
///
/// * Errors: the device did not answer at all; points that it refuses are in the result with their quality.
pub async fn probe(endpoint: &Endpoint, unit: u8, profile: &Profile) -> Result<Vec<(String, Option<Measured>, Quality)>, BusError> {
    let mut bus = Bus::new(endpoint.clone());
    let timing = profile.timing();
    let plan = profile.plan(&[]).map(|plan| plan.cycle(0).to_vec()).unwrap_or_default();
    let mut points: Vec<PointReading> = Vec::new();
    let mut failure = None;
    for block in &plan {
        let request = Request {
            unit,
            function: block.table.function(),
            address: block.address,
            count: block.count,
            timeout: Duration::from_millis(u64::from(timing.timeout_ms)),
            gap: Duration::from_millis(u64::from(timing.gap_ms)),
        };
        let mut answer = bus.read(request).await;
        if answer.as_ref().is_err_and(BusError::is_transient) {
            answer = bus.read(request).await;
        }
        match answer {
            Ok(words) => decode(block, &words, &mut points),
            Err(err) if err.is_answer() => {
                failure.get_or_insert(err);
            }
            Err(err) => return Err(err),
        }
    }
    match failure {
        Some(err) if points.is_empty() => Err(err),
        _ => {
            let read = |point: &Point| points.iter().find(|reading| reading.point == point.id);
            Ok(profile.points().iter().map(|point| found(point, read(point))).collect())
        }
    }
}

fn found(point: &Point, reading: Option<&PointReading>) -> (String, Option<Measured>, Quality) {
    let measured = reading.and_then(|reading| reading.measured().ok().flatten());
    let quality = reading.and_then(|reading| reading.quality().ok()).unwrap_or(Quality::SILENT);
    (point.id.clone(), measured, quality)
}
