//! One device, watched: what a technician looks at while turning screws.

use std::time::Duration;

use devices::{BlockRequest, PlanError, Profile};
use tokio::time::Instant;

use super::{
    State, Values,
    plausible::{HERTZ, VOLTS},
    reader::{Reader, Reads, values},
};
use crate::modbus::Endpoint;

/// A device being watched.
#[derive(Debug)]
pub struct Watched {
    reader: Reader,
    profile: Profile,
    blocks: Vec<BlockRequest>,
    seen: Reads,
    last_answer: Option<Instant>,
    reads: u32,
    failures: u32,
}

/// A point as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRow {
    /// Point id.
    pub point: String,
    /// Its value, or nothing.
    pub value: Option<String>,
    /// Its unit.
    pub unit: &'static str,
    /// Its register words in hex.
    pub words: String,
}

/// Everything that is shown at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveView {
    /// The points, in the order of the profile.
    pub rows: Vec<LiveRow>,
    /// What the values say of themselves: name and state.
    pub lamps: Vec<(&'static str, State)>,
    /// Readings that were tried, and those that failed.
    pub reads: u32,
    /// Failed ones among them.
    pub failures: u32,
    /// How old the values are.
    pub age: Option<Duration>,
    /// Why the last reading failed.
    pub trouble: Option<String>,
}

impl Watched {
    /// Watches a device through a profile.
    ///
    /// * Errors: the profile cannot be planned.
    pub fn new(endpoint: &Endpoint, unit: u8, profile: &Profile) -> Result<Self, PlanError> {
        let millis = |ms: u32| Duration::from_millis(u64::from(ms));
        let reader = Reader::new(endpoint, unit, millis(profile.timing().timeout_ms), millis(profile.timing().gap_ms));
        let blocks = profile.plan(&[])?.blocks;
        Ok(Self { reader, profile: profile.clone(), blocks, seen: Reads::new(), last_answer: None, reads: 0, failures: 0 })
    }

    /// Reads once more; what was read before stays, with its age, when the device does not answer.
    pub async fn look(&mut self) -> LiveView {
        self.reads += 1;
        let trouble = match self.reader.blocks(&self.blocks).await {
            Ok(reads) => {
                self.seen = reads;
                self.last_answer = Some(Instant::now());
                None
            }
            Err(err) => {
                self.failures += 1;
                Some(daemon::chain(&err))
            }
        };
        self.view(trouble)
    }

    fn view(&self, trouble: Option<String>) -> LiveView {
        let row = |point: &devices::Point| {
            let read = self.seen.get(&point.id);
            LiveRow {
                point: point.id.clone(),
                value: read.and_then(|read| read.measured).map(units::Measured::decimal_text),
                unit: point.unit.symbol(),
                words: read.map(|read| read.words.iter().map(|word| format!("{word:04x}")).collect()).unwrap_or_default(),
            }
        };
        LiveView {
            rows: self.profile.points().iter().map(row).collect(),
            lamps: lamps(&values(&self.seen)),
            reads: self.reads,
            failures: self.failures,
            age: self.last_answer.map(|at| at.elapsed()),
            trouble,
        }
    }
}

/// Voltage, frequency, power factor, and whether the phases add up.
fn lamps(values: &Values) -> Vec<(&'static str, State)> {
    let at = |id: &str| values.get(id).copied();
    let judge = |ids: &[&str], right: &dyn Fn(f64) -> bool| {
        let seen: Vec<f64> = ids.iter().filter_map(|id| at(id)).collect();
        match seen.is_empty() {
            true => State::Grey,
            false if seen.into_iter().all(right) => State::Green,
            false => State::Red,
        }
    };
    let phases: Vec<f64> = ["p1", "p2", "p3"].iter().filter_map(|id| at(id)).collect();
    let sum = match (at("p"), phases.len()) {
        (Some(total), 3) => {
            let sum: f64 = phases.iter().sum();
            if (total - sum).abs() <= 0.05 * total.abs() + 5.0 { State::Green } else { State::Red }
        }
        _ => State::Grey,
    };
    let drawn = match phases.iter().filter(|phase| **phase < -1.0).count() {
        _ if phases.is_empty() => State::Grey,
        0 => State::Green,
        3 => State::Amber,
        _ => State::Red,
    };
    vec![
        ("V", judge(&["v1", "v2", "v3"], &|volt| VOLTS.contains(&volt))),
        ("Hz", judge(&["f"], &|hertz| HERTZ.contains(&hertz))),
        ("PF", judge(&["pf", "pf1", "pf2", "pf3"], &|factor| factor.abs() <= 1.001)),
        ("sum P", sum),
        ("direction", drawn),
    ]
}
