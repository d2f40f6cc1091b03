//! What can be ordered, and doing it.

use std::time::Duration;

use ids::Slug;
use serde_json::{Map, Value, json};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use units::{Quality, Unit};
use wire::{Command, DeviceReading, SeqRange};

use super::{Refusal, Remote};
use crate::{config::CommandsConfig, poll::Probe};

/// Longest that a device may take to be read out of turn, sweeps that go first included.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// Frames that one order may have sent again: a week of minutes.
const REPLAY_FRAMES_MAX: u64 = 7 * 24 * 60;
/// Longest that a restart waits for its answer to leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// An order that a gateway knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Answer.
    Ping,
    /// Tell the counters.
    Status,
    /// Tell who and what this is, and write a line into the log.
    Identify,
    /// Send frames once more.
    Replay,
    /// Read a device now.
    Probe,
    /// Read the configuration file again.
    Reload,
    /// Take a configuration on trial.
    Config,
    /// Say more or less in the log.
    Level,
    /// Start anew.
    Restart,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::Ping, Self::Status, Self::Identify, Self::Replay, Self::Probe, Self::Reload, Self::Config, Self::Level, Self::Restart];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Status => "status",
            Self::Identify => "identify",
            Self::Replay => "replay",
            Self::Probe => "probe",
            Self::Reload => "reload",
            Self::Config => "config",
            Self::Level => "level",
            Self::Restart => "restart",
        }
    }

    /// Reads what [`name`](Self::name) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == text)
    }
}

impl Remote {
    pub(super) async fn execute(&mut self, verb: Verb, command: &Command, rules: &CommandsConfig) -> Result<Value, Refusal> {
        let args = Args(&command.args);
        match verb {
            Verb::Ping => Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "boot_id": self.identity.boot_id })),
            Verb::Status => {
                let facts = self.status.facts(&self.active(), &*self.clock);
                Ok(json!({ "counters": self.status.snapshot(), "facts": facts }))
            }
            Verb::Identify => Ok(self.identify()),
            Verb::Replay => self.replay(args.number("from")?, args.number("to")?),
            Verb::Probe => self.probe(args.text("device")?).await,
            Verb::Reload => self.reload(),
            Verb::Config => self.stage(args.number("version")?, args.text("toml")?, &command.key, rules),
            Verb::Level => {
                let log = args.text("log")?;
                daemon::set_log(log).map_err(|err| Refusal::refused("log", err))?;
                Ok(json!({ "log": log }))
            }
            Verb::Restart => {
                tokio::spawn(restart(self.status.outbox().clone(), self.restart.clone()));
                Ok(json!({ "boot_id": self.identity.boot_id }))
            }
        }
    }

    fn identify(&self) -> Value {
        let active = self.active();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        tracing::info!(gateway = %active.config.path, host = host.trim(), "this is gateway `{}`: somebody asked", active.config.path);
        let buses: Vec<Value> = active
            .config
            .buses
            .iter()
            .map(|bus| {
                let devices: Vec<Value> = bus
                    .devices
                    .iter()
                    .map(|device| json!({ "id": device.id, "unit": device.unit, "profile": device.profile.id() }))
                    .collect();
                json!({ "name": bus.name, "endpoint": bus.endpoint.to_string(), "devices": devices })
            })
            .collect();
        json!({
            "gateway": active.config.path.to_string(),
            "host": host.trim(),
            "version": env!("CARGO_PKG_VERSION"),
            "machine": format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            "spool_id": self.identity.spool_id.to_string(),
            "boot_id": self.identity.boot_id,
            "buses": buses,
        })
    }

    /// Sends frames once more, as far as they are here and were delivered: newer ones are sent without being asked for.
    ///
    /// At most [`REPLAY_FRAMES_MAX`] at once; the answer says how far it goes, and whoever wants more asks from there on.
    fn replay(&self, from: u64, to: u64) -> Result<Value, Refusal> {
        let known = self.status.snapshot();
        let (oldest, newest) = (known.oldest_seq, known.acknowledged_seq);
        if from == 0 || from > to {
            return Err(Refusal::refused("range", format_args!("{from} to {to} is no range of frames")));
        }
        let first = from.max(oldest);
        let last = to.min(newest).min(first.saturating_add(REPLAY_FRAMES_MAX - 1));
        if first > last {
            let detail = format_args!("none of {from} to {to} can be sent again; here and delivered are {oldest} to {newest}");
            return Err(Refusal::refused("range", detail));
        }
        if !self.status.outbox().replay(SeqRange { first, last }) {
            return Err(Refusal::refused("busy", "too many ranges wait to be sent again"));
        }
        Ok(json!({ "first": first, "last": last, "frames": last - first + 1, "whole": first == from && last == to }))
    }

    async fn probe(&self, device: &str) -> Result<Value, Refusal> {
        let known = self.active().config.devices().any(|known| known.id.as_str() == device);
        let Some(slug) = Slug::parse(device).ok().filter(|_| known) else {
            return Err(Refusal::refused("unknown_device", format_args!("there is no device `{device}`")));
        };
        let (reply, replied) = oneshot::channel();
        if self.probes.try_send(Probe { device: slug, reply }).is_err() {
            return Err(Refusal::refused("busy", "too many devices wait to be read"));
        }
        match timeout(PROBE_TIMEOUT, replied).await {
            Ok(Ok(reading)) => Ok(shown(&reading)),
            Ok(Err(_gone)) => Err(Refusal::failed("unknown_device", "the device went with another configuration")),
            Err(_elapsed) => Err(Refusal::failed("timeout", "the bus is busy")),
        }
    }
}

/// Restarts when the answer has left, or could not.
async fn restart(outbox: super::Outbox, restart: CancellationToken) {
    let deadline = Instant::now() + GOODBYE;
    // The answer is put there after this task is begun.
    loop {
        sleep(Duration::from_millis(50)).await;
        if outbox.is_empty() || Instant::now() >= deadline {
            break;
        }
    }
    restart.cancel();
}

fn shown(reading: &DeviceReading) -> Value {
    let quality = |bits: u32| Quality::from_bits(u16::try_from(bits).unwrap_or(u16::MAX)).to_string();
    let points: Vec<Value> = reading
        .points
        .iter()
        .map(|point| {
            let unit = u16::try_from(point.unit).ok().and_then(Unit::from_code).map_or("", Unit::symbol);
            let value = point.measured().ok().flatten().map(|measured| measured.decimal_text());
            json!({ "id": point.point, "value": value, "unit": unit, "quality": quality(point.quality) })
        })
        .collect();
    json!({
        "device": reading.device,
        "quality": quality(reading.quality),
        "duration_us": reading.duration_us,
        "attempts": reading.attempts,
        "points": points,
    })
}

/// What came with a command.
struct Args<'a>(&'a Map<String, Value>);

impl<'a> Args<'a> {
    fn number(&self, name: &str) -> Result<u64, Refusal> {
        let found = self.0.get(name).and_then(Value::as_u64);
        found.ok_or_else(|| Refusal::refused("arguments", format_args!("`{name}` must be a whole number")))
    }

    fn text(&self, name: &str) -> Result<&'a str, Refusal> {
        let found = self.0.get(name).and_then(Value::as_str);
        found.ok_or_else(|| Refusal::refused("arguments", format_args!("`{name}` must be a text")))
    }
}
