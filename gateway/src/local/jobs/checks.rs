//! Is what the gateway reads right? Its own readings are held against physics, and the machine against what a gateway needs.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use daemon::Clock;
use ids::Slug;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use wire::DeviceReading;

use super::{Found, Job};
use crate::{
    config::{Config, DeviceConfig},
    local::latest::{Latest, usable},
    poll::Probe,
    setup::{Known, PolledValues, examine, judge_polled},
};

/// Time between two samples.
const EVERY: Duration = Duration::from_secs(15);
/// Samples of one check: more would tell nothing new.
const SAMPLES_MAX: u32 = 41;
/// A device is not read when a sweep is due within this, or within a quarter of the time between two of them.
const BEFORE_SWEEP: Duration = Duration::from_secs(5);
/// A sweep that has begun may take this long before a device is read all the same.
const AFTER_SWEEP: Duration = Duration::from_millis(500);
/// Longest that one sample may take.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What to check, and what the technician knows without the bus.
#[derive(Clone, Debug)]
pub(in crate::local) struct CheckOrder {
    pub(in crate::local) device: Slug,
    pub(in crate::local) known: Known,
    /// For how long the counters are watched.
    pub(in crate::local) watch: Duration,
}

/// Examines the machine and the way to the broker; ports that the gateway uses are not touched.
pub(in crate::local) async fn machine(config: &Config, root: &Path, clock: &dyn Clock) -> Found {
    let without_buses = Config { buses: Vec::new(), ..config.clone() };
    Found::Findings(examine(Some(&without_buses), root, clock).await)
}

/// Reads a device again and again between sweeps, and judges what came.
pub(in crate::local) async fn check(
    order: CheckOrder,
    config: &Config,
    probes: &mpsc::Sender<Probe>,
    latest: &Latest,
    clock: &dyn Clock,
    job: &Arc<Job>,
) -> Found {
    let Some(device) = config.devices().find(|device| device.id == order.device) else {
        return Found::Nothing(format!("there is no device `{}`", order.device));
    };
    let every = EVERY.min(order.watch / 3).max(Duration::from_secs(1));
    let wanted = u32::try_from(order.watch.as_millis() / every.as_millis().max(1)).unwrap_or(SAMPLES_MAX).clamp(1, SAMPLES_MAX - 1) + 1;
    let mut samples = Vec::new();
    let begun = Instant::now();
    for number in 0..wanted {
        sleep((begun + every * number).saturating_duration_since(Instant::now())).await;
        wait_for_room(config.interval, clock).await;
        let at = clock.now();
        match read(&order.device, probes).await {
            Ok(reading) => {
                let values = values(device, &reading);
                job.step(format!("sample {} of {wanted}: {} of {} points have a value", number + 1, values.len(), reading.points.len()));
                if !values.is_empty() {
                    samples.push((at, values));
                }
            }
            Err(why) => job.step(format!("sample {} of {wanted}: {why}", number + 1)),
        }
    }
    if samples.is_empty() {
        let next = "see its place on the page of devices; `negawatt-gateway commission` listens to the line and names the cause, with the gateway stopped";
        return Found::Nothing(format!("`{}` gave no value while it was watched; {next}", order.device));
    }
    let neighbours: Vec<_> = config
        .devices()
        .filter(|other| other.id != order.device)
        .filter_map(|other| Some((other.id.to_string(), &*other.profile, shown(latest, other.id.as_str())?)))
        .collect();
    Found::Findings(judge_polled(&device.profile, device.points(), &samples, &order.known, &neighbours))
}

/// Waits while a sweep is near or has just begun.
async fn wait_for_room(interval: Duration, clock: &dyn Clock) {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let since = u64::try_from(clock.now().as_millisecond().rem_euclid(interval_ms)).map_or(Duration::ZERO, Duration::from_millis);
    let left = interval.saturating_sub(since);
    if left < BEFORE_SWEEP.min(interval / 4) {
        sleep(left + AFTER_SWEEP.min(interval / 4)).await;
    }
}

/// One reading through the actor of the bus.
pub(in crate::local) async fn read(device: &Slug, probes: &mpsc::Sender<Probe>) -> Result<DeviceReading, String> {
    let (reply, replied) = oneshot::channel();
    if probes.try_send(Probe { device: device.clone(), reply }).is_err() {
        return Err("too many devices wait to be read".to_owned());
    }
    match timeout(SAMPLE_TIMEOUT, replied).await {
        Ok(Ok(reading)) => Ok(reading),
        Ok(Err(_gone)) => Err("the device went with another configuration".to_owned()),
        Err(_elapsed) => Err(format!("its bus is busy for more than {} s", SAMPLE_TIMEOUT.as_secs())),
    }
}

fn values(device: &DeviceConfig, reading: &DeviceReading) -> PolledValues {
    let known = |id: &str| device.profile.point(id).is_some();
    reading.points.iter().filter(|read| known(&read.point)).filter_map(|read| Some((read.point.clone(), usable(read)?))).collect()
}

/// What the page shows of another device.
fn shown(latest: &Latest, device: &str) -> Option<PolledValues> {
    let newest = latest.device(device)?;
    let fresh = newest.points.iter().filter(|point| point.value.is_some_and(|(_, at_ms)| at_ms == newest.asked_ms));
    let values: BTreeMap<String, _> = fresh.filter_map(|point| Some((point.id.clone(), point.value?.0))).collect();
    (!values.is_empty()).then(|| values.into_iter().collect())
}
