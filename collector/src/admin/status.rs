//! `GET /v1/status`: what has arrived, from whom, and the latest values.

use std::collections::BTreeMap;

use serde::Serialize;
use store::Store;
use wire::{Frame, GatewayPath, PointReading};

use crate::live::Live;

/// Schema `negawatt.collector.status/1`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    schema: &'static str,
    connected: bool,
    problem: Option<String>,
    /// Since the store was made; `received = accepted + duplicate + dead_letter`.
    points: Points,
    batches: u64,
    repeated_batches: u64,
    /// Messages that arrived and are not yet durable.
    inflight: u64,
    gateways: Vec<Gateway>,
    latest: Vec<Device>,
}

#[derive(Clone, Debug, Serialize)]
struct Points {
    received: u64,
    accepted: u64,
    duplicate: u64,
    conflict: u64,
    dead_letter: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Gateway {
    tenant: String,
    facility: String,
    gateway: String,
    spool_id: String,
    contiguous_seq: u64,
    highest_seq: u64,
    holes: Vec<(u64, u64)>,
    last_tick_ms: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
struct Device {
    tenant: String,
    facility: String,
    device: String,
    profile: String,
    tick_ms: i64,
    points: BTreeMap<String, Point>,
}

#[derive(Clone, Debug, Serialize)]
struct Point {
    /// A decimal number, exactly as measured; absent when there is none.
    value: Option<String>,
    unit: &'static str,
    quality: String,
}

impl Status {
    pub(super) fn of(live: &Live, store: &Store) -> Self {
        let counters = store.counters();
        let frames = live.latest();
        // An import is no gateway that anybody waits for, and its numbers do not count from 1.
        let spools = store.spools().into_iter().filter(|spool| spool.origin.gateway.as_str() != crate::import::GATEWAY);
        let mut gateways: Vec<Gateway> = spools.map(|spool| gateway(spool, &frames)).collect();
        gateways.sort_by(|a, b| (&a.tenant, &a.facility, &a.gateway, &a.spool_id).cmp(&(&b.tenant, &b.facility, &b.gateway, &b.spool_id)));
        Self {
            schema: "negawatt.collector.status/1",
            connected: live.connected.load(std::sync::atomic::Ordering::SeqCst),
            problem: live.problem(),
            points: Points {
                received: counters.received(),
                accepted: counters.accepted,
                duplicate: counters.duplicate,
                conflict: counters.conflict,
                dead_letter: counters.dead_letter,
            },
            batches: counters.batches,
            repeated_batches: counters.repeated_batches,
            inflight: live.get(&live.inflight),
            gateways,
            latest: frames.iter().flat_map(|(path, frame)| frame.devices.iter().map(|reading| device(path, frame, reading))).collect(),
        }
    }
}

fn gateway(spool: store::SpoolState, frames: &BTreeMap<GatewayPath, Frame>) -> Gateway {
    let store::Origin { tenant, facility, gateway } = spool.origin;
    let path = GatewayPath { tenant, facility, gateway };
    Gateway {
        last_tick_ms: frames.get(&path).map(|frame| frame.tick_ms),
        tenant: path.tenant.to_string(),
        facility: path.facility.to_string(),
        gateway: path.gateway.to_string(),
        spool_id: ids::SpoolId::from_bytes(spool.spool_id).to_string(),
        contiguous_seq: spool.ack.contiguous_seq,
        highest_seq: spool.ack.highest_seq,
        holes: spool.ack.holes,
    }
}

fn device(path: &GatewayPath, frame: &Frame, reading: &wire::DeviceReading) -> Device {
    Device {
        tenant: path.tenant.to_string(),
        facility: path.facility.to_string(),
        device: reading.device.clone(),
        profile: reading.profile.clone(),
        tick_ms: frame.tick_ms,
        points: reading.points.iter().filter_map(|reading| Some((reading.point.clone(), point(reading)?))).collect(),
    }
}

fn point(reading: &PointReading) -> Option<Point> {
    Some(Point {
        value: reading.measured().ok()?.map(units::Measured::decimal_text),
        unit: reading.unit().ok()?.symbol(),
        quality: reading.quality().ok()?.to_string(),
    })
}
