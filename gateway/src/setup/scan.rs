//! Who is on a bus: ask as few questions as it takes, the likeliest first.
//!
//! A port is listened to before anything is said on it, because a second master on one bus spoils both. Then unit 1 is asked at
//! every setting, as a new device has it; then the next likely units, only where somebody was heard; the sweep over all units only
//! on request. Any answer counts, refusals too. Unit 0 is everybody and 248 to 255 are reserved: they are never asked, since one
//! maker's sensor loses its calibration by it.

use std::time::Duration;

use serde::Serialize;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    finding::Finding,
    identify::{Identity, identify},
    place::Place,
    settings::{LineSettings, likely_units},
    speak::{Heard, Sound, Speaker, overheard},
    symptoms::{Tally, explain},
};
use crate::modbus::Endpoint;

/// How long a unit on a serial line may think before it counts as absent, unless the technician says otherwise.
pub const SERIAL_PATIENCE: Duration = Duration::from_millis(100);
/// The same behind a network, where a converter may have a slow bus behind it.
const NETWORK_PATIENCE: Duration = Duration::from_millis(300);
const FIRST_NETWORK_PATIENCE: Duration = Duration::from_millis(1_000);
/// Hosts that are asked at the same time.
pub const HOSTS_AT_ONCE: usize = 32;
/// How often a unit that was not understood is asked again, and how many times as long it may think then.
const SECOND_LOOKS: u32 = 3;
const SECOND_PATIENCE: u32 = 4;
/// Read two input registers at 0: whoever has none refuses, which is an answer.
const QUESTION: [u8; 5] = [4, 0, 0, 0, 2];
/// A converter's words for "there is nobody".
const NOBODY: [u8; 2] = [0x0A, 0x0B];

/// How thoroughly to look.
#[derive(Clone, Copy, Debug)]
pub struct Thoroughness {
    /// All 247 units, not only the likely ones.
    pub full: bool,
    /// How long to listen before the first question on a serial port.
    pub listen: Duration,
    /// How long a unit on a serial line may think before it counts as absent.
    pub patience: Duration,
    /// Go on where another master was heard.
    pub anyway: bool,
    /// Find out what the found devices are.
    pub identify: bool,
}

/// What happens while it happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// So many of so many questions were asked at a place.
    Asked {
        /// Where.
        place: String,
        /// What is being tried.
        trying: String,
        /// Questions so far.
        asked: u32,
    },
    /// Somebody answered.
    Found {
        /// Where.
        place: String,
        /// Its unit id.
        unit: u8,
        /// How it was reached.
        url: String,
    },
}

/// What was found at one place.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceReport {
    /// The port or host.
    pub place: String,
    /// What the chip of a serial port says it is.
    pub chip: Option<String>,
    /// What was heard before anything was asked.
    pub heard_first: Option<HeardFirst>,
    /// Questions by their outcome.
    pub tally: Tally,
    /// Who answered.
    pub devices: Vec<FoundDevice>,
    /// What is wrong, and the next step.
    pub findings: Vec<Finding>,
    /// From the first question to the last answer.
    pub elapsed_ms: u64,
}

/// What was heard on a serial port before anything was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeardFirst {
    /// For how long it was listened.
    pub listened_ms: u64,
    /// Bytes.
    pub bytes: usize,
    /// Whole Modbus frames among them.
    pub frames: usize,
}

/// A device that answered.
#[derive(Clone, Debug, Serialize)]
pub struct FoundDevice {
    /// Its unit id.
    pub unit: u8,
    /// Where it is, as `probe` and configuration files take it.
    pub url: String,
    /// `tcp`, `rtu-over-tcp` or `rtu`: which framing answered.
    pub framing: &'static str,
    /// Rate and parity of a serial line.
    pub settings: Option<LineSettings>,
    /// Code of the refusal, where it answered with one.
    pub refused: Option<u8>,
    /// How long it took to answer.
    pub answer_ms: u64,
    /// How long after the first question it was found.
    pub found_after_ms: u64,
    /// What it is.
    pub identity: Option<Identity>,
}

/// Looks at every place, several hosts and ports at the same time, each place one question after another.
pub async fn scan(places: Vec<Place>, how: Thoroughness, events: mpsc::Sender<Event>) -> Vec<PlaceReport> {
    let mut reports: Vec<Option<PlaceReport>> = places.iter().map(|_| None).collect();
    let mut waiting = places.into_iter().enumerate();
    let mut at_work = JoinSet::new();
    loop {
        while at_work.len() < HOSTS_AT_ONCE
            && let Some((index, place)) = waiting.next()
        {
            let events = events.clone();
            at_work.spawn(async move { (index, scan_place(&place, how, &events).await) });
        }
        match at_work.join_next().await {
            None => break,
            Some(Ok((index, report))) => {
                if let Some(slot) = reports.get_mut(index) {
                    *slot = Some(report);
                }
            }
            Some(Err(err)) => tracing::error!(error = %err, "looking at a place ended early"),
        }
    }
    reports.into_iter().flatten().collect()
}

async fn scan_place(place: &Place, how: Thoroughness, events: &mpsc::Sender<Event>) -> PlaceReport {
    let mut look = Look::new(place, how, events);
    match place {
        Place::Serial { path, only, port } => {
            look.report.chip = port.as_ref().and_then(|port| port.chip.clone());
            let settings = only.map_or_else(LineSettings::in_scan_order, |only| vec![only]);
            let lines: Vec<_> =
                settings.into_iter().filter_map(|setting| Some((setting.to_string(), Some(setting), setting.endpoint(path)?))).collect();
            look.serial(&lines).await;
        }
        Place::Host { address, serial_frames_only } => look.host(address, *serial_frames_only).await,
    }
    look.identify().await;
    look.report
}

/// One way to talk to a place: its name, its setting, its address.
type Way = (String, Option<LineSettings>, Endpoint);

struct Look<'a> {
    report: PlaceReport,
    how: Thoroughness,
    events: &'a mpsc::Sender<Event>,
    begun: Instant,
    endpoints: Vec<Endpoint>,
}

/// What one pass over some units at one setting brought.
#[derive(Debug, Default)]
struct Pass {
    tally: Tally,
    /// Units that were heard and not understood.
    unclear: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl Pass {
    /// Whether anybody said anything, in time or not.
    fn heard(&self) -> bool {
        self.tally.asked > self.tally.silent || !self.unclear.is_empty()
    }
}

impl<'a> Look<'a> {
    fn new(place: &Place, how: Thoroughness, events: &'a mpsc::Sender<Event>) -> Self {
        let report = PlaceReport {
            place: place.to_string(),
            chip: None,
            heard_first: None,
            tally: Tally::default(),
            devices: Vec::new(),
            findings: Vec::new(),
            elapsed_ms: 0,
        };
        Self { report, how, events, begun: Instant::now(), endpoints: Vec::new() }
    }

    async fn serial(&mut self, ways: &[Way]) {
        let Some((_, _, first)) = ways.first() else { return };
        if !self.listen_first(first).await {
            return;
        }
        self.begun = Instant::now();
        let likely = likely_units();
        let (new, others) = likely.split_at(1);
        // Where somebody was heard, and the units that were not understood there.
        let mut lively: Vec<(usize, Vec<u8>)> = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            let pass = self.pass(way, new, self.how.patience).await;
            let heard = pass.heard();
            if self.opening_failed(&pass, index == 0) {
                return;
            }
            if heard {
                lively.push((index, pass.unclear));
            }
            // All devices of a bus have one setting; only a thorough look goes on for strangers with another.
            if pass.tally.answered > 0 && !self.how.full {
                lively.retain(|(lively, _)| *lively == index);
                break;
            }
        }
        let rest: Vec<u8> = (1..=247).filter(|unit| !likely.contains(unit)).collect();
        for units in [others, &rest[..]].into_iter().take(if self.how.full { 2 } else { 1 }) {
            let everywhere = lively.is_empty();
            for (index, way) in ways.iter().enumerate() {
                let known = lively.iter_mut().find(|(lively, _)| *lively == index);
                if known.is_none() && !everywhere {
                    continue;
                }
                let pass = self.pass(way, units, self.how.patience).await;
                match known {
                    Some((_, unclear)) => unclear.extend(pass.unclear),
                    None if pass.heard() => lively.push((index, pass.unclear)),
                    None => {}
                }
            }
        }
        for (index, unclear) in lively {
            if let Some(way) = ways.get(index) {
                self.look_again(way, &unclear).await;
            }
        }
        self.finish();
    }

    async fn host(&mut self, address: &str, serial_frames_only: bool) {
        let network: Way = ("Modbus TCP".to_owned(), None, Endpoint::Tcp(address.to_owned()));
        let serial: Way = ("serial frames over TCP".to_owned(), None, Endpoint::RtuOverTcp(address.to_owned()));
        let ways: Vec<Way> = if serial_frames_only { vec![serial] } else { vec![network, serial] };
        let likely = likely_units();
        let (new, others) = likely.split_at(1);
        let mut chosen = None;
        for way in &ways {
            let pass = self.pass(way, new, FIRST_NETWORK_PATIENCE).await;
            if self.opening_failed(&pass, true) {
                return;
            }
            if pass.tally.answered > 0 {
                chosen = Some(way);
                break;
            }
        }
        let rest: Vec<u8> = (1..=247).filter(|unit| !likely.contains(unit)).collect();
        for units in [others, &rest[..]].into_iter().take(if self.how.full { 2 } else { 1 }) {
            for way in ways.iter().filter(|way| chosen.is_none_or(|chosen| chosen.0 == way.0)) {
                let pass = self.pass(way, units, NETWORK_PATIENCE).await;
                if pass.tally.answered > 0 {
                    chosen = Some(way);
                    break;
                }
            }
        }
        self.finish();
        if let Some((name, ..)) = chosen {
            self.report.findings.push(Finding::green("framing", format!("{name} answers here")));
        }
    }

    /// Listens before speaking; `false` where speaking would do harm or is impossible.
    async fn listen_first(&mut self, endpoint: &Endpoint) -> bool {
        let heard = match Speaker::open(endpoint).await {
            Ok(mut speaker) => speaker.listen(self.how.listen).await,
            Err(err) => Err(err),
        };
        let heard = match heard {
            Ok(heard) => heard,
            Err(err) => {
                self.report.findings.push(cannot_open(&self.report.place, &err));
                return false;
            }
        };
        let frames = overheard(&heard);
        let listened_ms = u64::try_from(self.how.listen.as_millis()).unwrap_or(u64::MAX);
        self.report.heard_first = Some(HeardFirst { listened_ms, bytes: heard.len(), frames: frames.len() });
        if let Some((unit, function)) = frames.first() {
            let what = format!("another master is on this bus: it was heard with unit {unit}, function {function}");
            self.report.findings.push(Finding::red("another-master", what, "stop the other master, or scan with --anyway"));
            return self.how.anyway;
        }
        if !heard.is_empty() {
            let what = format!("{} bytes were heard before anything was asked", heard.len());
            let next = "something is talking here, maybe at another rate: see what else is on this bus";
            self.report.findings.push(Finding::amber("talk", what, next));
        }
        true
    }

    /// Asks some units; whoever answers is noted in the report.
    async fn pass(&mut self, way: &Way, units: &[u8], patience: Duration) -> Pass {
        let (trying, settings, endpoint) = way;
        let mut pass = Pass::default();
        let mut speaker = match Speaker::open(endpoint).await {
            Ok(speaker) => speaker,
            Err(err) => return Pass { failed: Some(err), ..pass },
        };
        for &unit in units {
            // Whether a parity bit was sent is lost on some adapters: the same unit at the same rate is the same device.
            let baud = settings.map(|settings| settings.baud);
            if self.report.devices.iter().any(|device| device.unit == unit && device.settings.map(|settings| settings.baud) == baud) {
                continue;
            }
            let heard = match speaker.ask(unit, &QUESTION, patience).await {
                Ok(heard) => heard,
                Err(err) => {
                    // The other side hung up, as converters do on a question they do not like.
                    tracing::debug!(error = %err, %endpoint, unit, "a question failed");
                    match Speaker::open(endpoint).await {
                        Ok(again) => speaker = again,
                        Err(err) => return Pass { failed: Some(err), ..pass },
                    }
                    Heard { sound: Sound::Silence, echo: false, begins_right: false, took: Duration::ZERO }
                }
            };
            pass.tally.note(&heard);
            let asked = self.report.tally.asked + pass.tally.asked;
            self.tell(Event::Asked { place: self.report.place.clone(), trying: trying.clone(), asked }).await;
            match &heard.sound {
                Sound::Answer(_) if heard.refusal().is_some_and(|code| NOBODY.contains(&code)) => {}
                Sound::Answer(_) => self.found(unit, way, &heard).await,
                // Whoever speaks up now thought longer than it was given.
                Sound::OtherUnit(late) => pass.unclear.extend([unit, *late]),
                Sound::Garble | Sound::Crowd => pass.unclear.push(unit),
                Sound::Silence => {}
            }
        }
        // The last one may think longer, too.
        if pass.tally.asked > 0
            && let Ok(heard) = speaker.listen(patience).await
        {
            pass.unclear.extend(overheard(&heard).into_iter().map(|(unit, _)| unit));
        }
        let found = &self.report.devices;
        pass.unclear.retain(|unit| units.contains(unit) && found.iter().all(|device| device.unit != *unit || device.settings != *settings));
        pass.unclear.sort_unstable();
        pass.unclear.dedup();
        self.report.tally = self.report.tally.plus(pass.tally);
        pass
    }

    async fn found(&mut self, unit: u8, (_, settings, endpoint): &Way, heard: &Heard) {
        let url = match (endpoint, settings) {
            (Endpoint::Rtu { path, .. }, Some(settings)) => settings.url(path),
            _ => endpoint.to_string(),
        };
        let framing = match endpoint {
            Endpoint::Tcp(_) => "tcp",
            Endpoint::RtuOverTcp(_) => "rtu-over-tcp",
            _ => "rtu",
        };
        self.tell(Event::Found { place: self.report.place.clone(), unit, url: url.clone() }).await;
        self.endpoints.push(endpoint.clone());
        self.report.devices.push(FoundDevice {
            unit,
            url,
            framing,
            settings: *settings,
            refused: heard.refusal(),
            answer_ms: millis(heard.took),
            found_after_ms: millis(self.begun.elapsed()),
            identity: None,
        });
    }

    /// Asks units again that were heard and not understood: damaged once is noise, damaged always is a collision.
    async fn look_again(&mut self, way: &Way, unclear: &[u8]) {
        let (trying, settings, endpoint) = way;
        let others_answer = self.report.devices.iter().any(|device| device.settings == *settings);
        let Ok(mut speaker) = Speaker::open(endpoint).await else { return };
        for &unit in unclear {
            let mut seen = Tally::default();
            let mut answer = None;
            for _ in 0..SECOND_LOOKS {
                let Ok(heard) = speaker.ask(unit, &QUESTION, self.how.patience * SECOND_PATIENCE).await else { return };
                seen.note(&heard);
                if matches!(heard.sound, Sound::Answer(_)) {
                    answer = Some(heard);
                }
            }
            self.report.tally = self.report.tally.plus(seen);
            if seen.is_collision() || (others_answer && seen.garbled + 1 >= SECOND_LOOKS) {
                self.report.findings.push(same_address(unit));
            } else if let Some(heard) = answer {
                self.found(unit, way, &heard).await;
            } else if seen.garbled > 0 {
                self.report.findings.push(Finding::amber(
                    "unclear-unit",
                    format!("unit {unit} at {trying} answers with bytes that make no frame"),
                    "try the parity and the rate that the device shows in its menu; if they agree, look for a second device with this unit id",
                ));
            }
        }
    }

    /// Notes that a place cannot be used at all; a single setting that a port does not offer is no reason to give up.
    fn opening_failed(&mut self, pass: &Pass, first: bool) -> bool {
        let Some(err) = &pass.failed else { return false };
        if first {
            self.report.findings.push(cannot_open(&self.report.place, err));
        } else {
            tracing::debug!(error = %err, place = self.report.place, "a setting is not offered by this port");
        }
        first
    }

    fn finish(&mut self) {
        self.report.elapsed_ms = millis(self.begun.elapsed());
        if self.report.devices.is_empty() {
            self.report.findings.extend(explain(self.report.tally));
        } else if self.report.tally.echoed > 0 {
            let echoed = self.report.tally.echoed;
            let heard = format!("this adapter hears its own questions ({echoed} times); they are told apart from answers");
            self.report.findings.push(Finding::green("echo", heard));
        }
    }

    async fn identify(&mut self) {
        if !self.how.identify {
            return;
        }
        for (device, endpoint) in self.report.devices.iter_mut().zip(&self.endpoints) {
            device.identity = Some(identify(endpoint, device.unit).await);
        }
    }

    async fn tell(&self, event: Event) {
        // Nobody need be looking.
        drop(self.events.send(event).await);
    }
}

/// Two devices that answer together.
pub(super) fn same_address(unit: u8) -> Finding {
    Finding::red(
        "same-unit-id",
        format!("two devices have the unit id {unit}: they answer at once and neither is understood"),
        "disconnect one of them, give the other a free unit id, and scan again",
    )
}

/// Why a port or host cannot be used, and what to do.
pub(super) fn cannot_open(place: &str, err: &std::io::Error) -> Finding {
    use std::io::ErrorKind;
    let next = match err.kind() {
        ErrorKind::PermissionDenied => "add this user to the group that owns the port, usually dialout, and log in again",
        ErrorKind::NotFound => "plug the adapter in; `scan --port auto` lists the ports there are",
        ErrorKind::ConnectionRefused => "the host is there and nothing listens on this port: the usual port is 502",
        ErrorKind::TimedOut => "check address and cable: nothing at this address answers",
        ErrorKind::ResourceBusy => "another program has this port open: stop it",
        _ => "see that it exists, that this user may open it, and that no other program uses it",
    };
    Finding::red("open", format!("{place} cannot be opened: {err}"), next)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
