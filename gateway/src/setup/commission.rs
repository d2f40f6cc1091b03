//! Commissioning: prove that a device is the right one, that it answers, and that its readings are true; then leave a record.
//!
//! ```text
//! reach it ─> who is it ─> how does it answer ─> watch it for three minutes ─> hold it against physics ─> record
//!    └ no: listen to what comes instead, try the other settings, name the cause, and record that
//! ```

use std::{collections::BTreeMap, time::Duration};

use daemon::Clock;
use devices::{BlockRequest, Profile};
use jiff::SignedDuration;
use tokio::sync::mpsc;

use super::{
    Finding, Identity, Latency, LineSettings,
    checks::{self, Evidence, Known, Sample},
    identify::identify_among,
    latency::{measure, read},
    reader::{Reader, Reads},
    record::{Record, RecordedPoint, RecordedSample},
    scan::{cannot_open, same_address},
    speak::{Sound, Speaker},
    symptoms::{Tally, explain},
};
use crate::{
    config::{BusConfig, Config, DeviceConfig},
    modbus::Endpoint,
};

/// Questions by which it is found out whether a device answers at all.
const FIRST_QUESTIONS: u32 = 8;
const SETTINGS_PATIENCE: Duration = Duration::from_millis(250);

/// What to prove, and for whom.
#[derive(Clone, Debug)]
pub struct Order {
    /// The device's name in the configuration.
    pub device: String,
    /// The order that this work belongs to.
    pub work_order: String,
    /// Who does it.
    pub technician: String,
    /// What the technician knows without the bus.
    pub known: Known,
    /// For how long to watch the counters.
    pub watch: Duration,
    /// Time between two samples.
    pub every: Duration,
    /// Reads of the latency profile.
    pub reads: u32,
}

/// Why nothing could be commissioned.
#[derive(Debug, thiserror::Error)]
pub enum CommissionError {
    /// The configuration has no such device.
    #[error("there is no device `{device}` in this configuration; there is {known}")]
    UnknownDevice {
        /// What was asked for.
        device: String,
        /// What there is.
        known: String,
    },
}

/// Does everything, and records whatever came of it.
///
/// * Shape: `steps` gets a line for every step, for whoever waits.
/// * Errors: the order cannot be understood; what is wrong with the device is in the record.
pub async fn commission(config: &Config, order: &Order, clock: &dyn Clock, steps: mpsc::Sender<String>) -> Result<Record, CommissionError> {
    let found = config.buses.iter().find_map(|bus| Some((bus, bus.devices.iter().find(|device| device.id.as_str() == order.device)?)));
    let Some((bus, device)) = found else {
        let known = config.devices().map(|device| format!("`{}`", device.id)).collect::<Vec<_>>().join(", ");
        return Err(CommissionError::UnknownDevice { device: order.device.clone(), known });
    };
    let mut work =
        Work { bus, device, order, steps, findings: Vec::new(), identity: Identity::default(), latency: None, samples: Vec::new() };
    if clock.is_set() {
        work.findings.push(Finding::green("gateway-clock", "the clock of the gateway is set"));
    } else {
        let next = "set the time of the gateway, or connect it to a time server: readings without a time cannot be billed";
        work.findings.push(Finding::red("gateway-clock", format!("the clock of the gateway says {}", clock.now()), next));
    }
    if work.reach().await {
        work.prove(config, clock).await;
    }
    Ok(work.record(config, clock))
}

struct Work<'a> {
    bus: &'a BusConfig,
    device: &'a DeviceConfig,
    order: &'a Order,
    steps: mpsc::Sender<String>,
    findings: Vec<Finding>,
    identity: Identity,
    latency: Option<Latency>,
    samples: Vec<Sample>,
}

impl Work<'_> {
    async fn tell(&self, step: impl Into<String>) {
        // Nobody need be listening.
        drop(self.steps.send(step.into()).await);
    }

    /// Whether the device answers; if not, why.
    async fn reach(&mut self) -> bool {
        self.tell(format!("asking unit {} at {}", self.device.unit, self.bus.endpoint)).await;
        let tally = match self.ask(&self.bus.endpoint, FIRST_QUESTIONS, self.device.timeout).await {
            Ok(tally) => tally,
            Err(err) => {
                self.findings.push(cannot_open(&self.bus.endpoint.to_string(), &err));
                return false;
            }
        };
        if tally.is_collision() {
            self.findings.push(same_address(self.device.unit));
            return false;
        }
        let symptoms = explain(tally);
        if tally.answered > 0 {
            self.findings.push(Finding::green("reach", format!("unit {} answers", self.device.unit)));
            self.findings.extend(symptoms);
            return true;
        }
        if let Some(found) = self.other_setting().await {
            // The cause is known, and what it sounded like is no longer of interest.
            self.findings.push(found);
            return false;
        }
        self.findings.extend(symptoms);
        if let Some(serial) = self.device.profile.serial() {
            let factory = LineSettings { baud: serial.baud, parity: serial.parity.into() };
            if configured_setting(&self.bus.endpoint).is_some_and(|configured| configured != factory) || tally.garbled > 0 {
                let note = format!("a new {} comes with {factory} and unit id {}", self.device.profile.id(), self.device.profile.unit_id());
                self.findings.push(Finding::grey("factory", note, Some("compare with the menu of the device")));
            }
        }
        false
    }

    /// The setting of a serial line at which the device answers, where it is another one than was configured.
    async fn other_setting(&self) -> Option<Finding> {
        let Endpoint::Rtu { path, .. } = &self.bus.endpoint else { return None };
        self.tell("trying other settings of the line").await;
        let configured = configured_setting(&self.bus.endpoint);
        for setting in LineSettings::in_scan_order().into_iter().filter(|setting| Some(*setting) != configured) {
            let Some(endpoint) = setting.endpoint(path) else { continue };
            if self.ask(&endpoint, 1, SETTINGS_PATIENCE).await.is_ok_and(|tally| tally.answered > 0) {
                let shown = configured.map(|setting| setting.to_string()).unwrap_or_default();
                return Some(Finding::red(
                    "line-settings",
                    format!("the device answers at {setting}, and the configuration says {shown}"),
                    format!("write baud = {} and parity = \"{}\" for this bus", setting.baud, setting.parity.word()),
                ));
            }
        }
        None
    }

    async fn ask(&self, endpoint: &Endpoint, questions: u32, patience: Duration) -> std::io::Result<Tally> {
        let mut speaker = Speaker::open(endpoint).await?;
        let Some(block) = self.device.reads.plan.blocks.first() else { return Ok(Tally::default()) };
        let mut tally = Tally::default();
        for _ in 0..questions {
            let question = read(block.table.function(), block.address, block.count);
            let heard = speaker.ask(self.device.unit, &question, patience).await?;
            tally.note(&heard);
            // A converter that answers for a device that is not there is no device.
            if matches!(heard.sound, Sound::Answer(_)) && heard.refusal().is_some_and(|code| matches!(code, 0x0A | 0x0B)) {
                tally.answered -= 1;
                tally.silent += 1;
            }
        }
        Ok(tally)
    }

    /// Identity, latency, samples and checks of a device that answers.
    async fn prove(&mut self, config: &Config, clock: &dyn Clock) {
        let DeviceConfig { unit, profile, reads, .. } = self.device;
        self.tell("finding out what it is").await;
        let own = std::iter::once(profile.as_ref());
        let profiles: Vec<&Profile> = own.chain(devices::builtin().iter().filter(|other| other.id() != profile.id())).collect();
        self.identity = identify_among(&self.bus.endpoint, *unit, &profiles).await;
        if self.looks_like_something_else(clock).await {
            self.check(&[]);
            return;
        }
        self.tell(format!("reading {} times to see how it answers", self.order.reads)).await;
        let on_bus = u32::try_from(self.bus.devices.len()).unwrap_or(u32::MAX);
        match measure(&self.bus.endpoint, *unit, profile, &reads.plan, self.order.reads, on_bus, self.bus.interval).await {
            Ok((latency, findings)) => {
                self.latency = latency;
                self.findings.extend(findings);
                if self.latency.is_none() {
                    return;
                }
            }
            Err(err) => {
                self.findings.push(cannot_open(&self.bus.endpoint.to_string(), &err));
                return;
            }
        }
        let mut reader = Reader::new(&self.bus.endpoint, *unit, self.device.timeout, self.device.gap);
        if let Err(finding) = self.watch(&mut reader, clock).await {
            self.findings.push(finding);
            return;
        }
        self.tell("asking the other devices of the facility").await;
        let neighbours = neighbours(config, self.device, self.bus, &mut reader).await;
        self.check(&neighbours);
    }

    fn check(&mut self, neighbours: &[(String, Reads)]) {
        let evidence = Evidence {
            profile: &self.device.profile,
            points: self.device.points(),
            samples: &self.samples,
            known: &self.order.known,
            identity: &self.identity,
            neighbours,
        };
        let findings = checks::all(&evidence);
        self.findings.extend(findings);
    }

    /// Whether the first reading is no electricity at all: measuring how it answers would be of no use then.
    async fn looks_like_something_else(&mut self, clock: &dyn Clock) -> bool {
        let mut reader = Reader::new(&self.bus.endpoint, self.device.unit, self.device.timeout, self.device.gap);
        let first = reader.blocks(&whole_plan(self.device)).await.unwrap_or_default();
        let sample = Sample { at: clock.now(), reads: first };
        let hopeless = checks::is_hopeless(&self.device.profile, &sample);
        if hopeless {
            self.samples.push(sample);
        }
        hopeless
    }

    /// Reads the device again and again while its counters move.
    async fn watch(&mut self, reader: &mut Reader, clock: &dyn Clock) -> Result<(), Finding> {
        let plan = whole_plan(self.device);
        let begun = clock.now();
        let samples = self.order.watch.as_millis() / self.order.every.as_millis().max(1);
        for sample in 0..=u32::try_from(samples).unwrap_or(0) {
            clock.sleep_until(begun + SignedDuration::try_from(self.order.every * sample).unwrap_or(SignedDuration::MAX)).await;
            let at = clock.now();
            let reads = reader.blocks(&plan).await.map_err(|err| {
                let next = "see the termination of the cable and the supply of the device, and repeat";
                Finding::red("answers", format!("it stopped answering while it was watched: {}", daemon::chain(&err)), next)
            })?;
            self.tell(format!("watching: sample {} of {}", sample + 1, samples + 1)).await;
            self.samples.push(Sample { at, reads });
        }
        Ok(())
    }

    fn record(self, config: &Config, clock: &dyn Clock) -> Record {
        let recorded = |sample: &Sample| RecordedSample {
            at: sample.at,
            points: sample
                .reads
                .iter()
                .map(|(id, read)| RecordedPoint {
                    point: id.clone(),
                    words: read.words.iter().map(|word| format!("{word:04x}")).collect(),
                    value: read.measured.map(units::Measured::decimal_text),
                })
                .collect(),
        };
        let known = &self.order.known;
        let mut told: BTreeMap<String, String> =
            known.clamp.iter().map(|(id, ampere)| (format!("clamp {id}"), format!("{ampere} A"))).collect();
        told.extend(known.transformer.map(|(primary, secondary)| ("transformer".to_owned(), format!("{primary}/{secondary}"))));
        told.extend(known.serial.clone().map(|serial| ("serial".to_owned(), serial)));
        Record {
            made_at: clock.now(),
            program: format!("negawatt-gateway {}", env!("CARGO_PKG_VERSION")),
            work_order: self.order.work_order.clone(),
            technician: self.order.technician.clone(),
            gateway: config.path.to_string(),
            device: self.device.id.to_string(),
            url: configured_setting(&self.bus.endpoint)
                .and_then(|setting| match &self.bus.endpoint {
                    Endpoint::Rtu { path, .. } => Some(setting.url(path)),
                    _ => None,
                })
                .unwrap_or_else(|| self.bus.endpoint.to_string()),
            unit: self.device.unit,
            profile: self.device.profile.id().to_owned(),
            profile_hash: self.device.profile.hash_hex(),
            config_hash: hex::encode(config.hash()),
            points: self.device.points().to_vec(),
            known: told,
            identity: self.identity,
            latency: self.latency,
            findings: self.findings,
            samples: self.samples.iter().map(recorded).collect(),
        }
    }
}

/// Reads of everything the device has, not only of what will be billed.
fn whole_plan(device: &DeviceConfig) -> Vec<BlockRequest> {
    device.profile.plan(&[]).map_or_else(|_err| device.reads.plan.blocks.clone(), |plan| plan.blocks)
}

/// Rate and parity of a serial endpoint.
fn configured_setting(endpoint: &Endpoint) -> Option<LineSettings> {
    use super::LineParity;
    use crate::modbus::Parity;
    match endpoint {
        Endpoint::Rtu { baud, parity, .. } => {
            let parity = match parity {
                Parity::None => LineParity::None,
                Parity::Even => LineParity::Even,
                Parity::Odd => LineParity::Odd,
            };
            Some(LineSettings { baud: *baud, parity })
        }
        _ => None,
    }
}

/// The other power meters, read once each; those on the same bus through the port that is already ours.
async fn neighbours(config: &Config, device: &DeviceConfig, own_bus: &BusConfig, reader: &mut Reader) -> Vec<(String, Reads)> {
    let mut seen = Vec::new();
    for bus in &config.buses {
        for other in bus.devices.iter().filter(|other| other.id != device.id) {
            let telling: Vec<&str> =
                other.profile.points().iter().map(|point| point.id.as_str()).filter(|id| device.profile.point(id).is_some()).collect();
            let Ok(plan) = other.profile.plan(&telling) else { continue };
            if telling.is_empty() {
                continue;
            }
            let reads = if bus.endpoint == own_bus.endpoint {
                (reader.unit, reader.timeout, reader.gap) = (other.unit, other.timeout, other.gap);
                reader.blocks(&plan.blocks).await
            } else {
                Reader::new(&bus.endpoint, other.unit, other.timeout, other.gap).blocks(&plan.blocks).await
            };
            match reads {
                Ok(reads) => seen.push((other.id.to_string(), reads)),
                Err(err) => tracing::debug!(error = daemon::chain(&err), device = %other.id, "a neighbour did not answer"),
            }
        }
    }
    seen
}
