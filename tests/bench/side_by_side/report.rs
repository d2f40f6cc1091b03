//! The figures of everybody, side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Result;

/// What the object names of each; what applies to nobody but us is absent from the others.
const KEYS: [&str; 11] = [
    "durable_points_per_core_second",
    "line_protocol_points_per_cpu_second",
    "mqtt_points_per_second",
    "queryable_p99_ms",
    "bytes_per_point",
    "replay_seconds",
    "kill_lost",
    "facility_year_seconds",
    "series_year_ms",
    "sse_p99_ms",
    "rss_mib",
];
pub(crate) const PEERS: [&str; 4] = ["victoriametrics", "influxdb", "mosquitto", "postgresql"];

/// What is asked of us: at most or at least so much, and whether it is a figure of the processor or the disk, which a busy machine
/// does not change.
const MUSTS: [(&str, Must, bool); 11] = [
    ("durable_points_per_core_second", Must::AtLeast(2e6), true),
    ("line_protocol_points_per_cpu_second", Must::AtLeast(0.6e6), true),
    ("mqtt_points_per_second", Must::AtLeast(250e3), false),
    ("queryable_p99_ms", Must::AtMost(50.0), false),
    ("bytes_per_point", Must::AtMost(0.9), true),
    ("replay_seconds", Must::AtMost(1.0), false),
    ("kill_lost", Must::AtMost(0.0), true),
    ("facility_year_seconds", Must::AtMost(0.5), false),
    ("series_year_ms", Must::AtMost(15.0), false),
    ("sse_p99_ms", Must::AtMost(100.0), false),
    ("rss_mib", Must::AtMost(150.0), true),
];
/// Beyond this a run fails.
const TOLERANCE: f64 = 0.2;

#[derive(Clone, Copy, Debug)]
enum Must {
    AtLeast(f64),
    AtMost(f64),
}

/// Figures of one system by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn set(&mut self, name: &str, figure: f64) {
        self.0.insert(name.to_owned(), figure);
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// All of them. A peer that is not there, or failed, has none.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) ours: Figures,
    pub(crate) peers: BTreeMap<&'static str, Figures>,
}

/// Whether more of it is better.
fn more_is_better(name: &str) -> bool {
    name.contains("per_core_second")
        || name.contains("per_cpu_second")
        || name.contains("points_per_second")
        || name.contains("points/s")
        || name.contains("points/CPU-s")
}

/// To four digits that say something.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return 0.0;
    }
    let places = 3.0 - figure.abs().log10().floor();
    let factor = 10_f64.powf(places.clamp(0.0, 9.0));
    (figure * factor).round() / factor
}

impl Report {
    /// How many times better ours is: above 1 we are ahead, whether more or less of it is wanted.
    fn ratio(&self, name: &str, peer: &Figures) -> Option<f64> {
        let (ours, theirs) = (self.ours.get(name)?, peer.get(name)?);
        let (over, under) = if more_is_better(name) { (ours, theirs) } else { (theirs, ours) };
        (under > 0.0 && name != "kill_lost").then(|| over / under)
    }

    fn names(&self) -> BTreeSet<&String> {
        self.ours.0.keys().chain(self.peers.values().flat_map(|peer| peer.0.keys())).collect()
    }

    pub(crate) fn json(&self) -> Value {
        let ours: Map<String, Value> = KEYS.iter().map(|key| ((*key).to_owned(), json!(self.ours.get(key).map(rounded)))).collect();
        let of_peer = |peer: &Figures| -> Map<String, Value> {
            KEYS.iter().filter_map(|key| Some(((*key).to_owned(), json!(rounded(peer.get(key)?))))).collect()
        };
        let peers: Map<String, Value> = PEERS.iter().map(|name| ((*name).to_owned(), json!(self.peers.get(name).map(of_peer)))).collect();
        let mut ratios = Map::new();
        for name in self.names() {
            let of_name: Map<String, Value> = self
                .peers
                .iter()
                .filter_map(|(peer, figures)| Some(((*peer).to_owned(), json!(rounded(self.ratio(name, figures)?)))))
                .collect();
            if !of_name.is_empty() {
                ratios.insert(name.clone(), of_name.into());
            }
        }
        json!({ "ours": ours, "peers": peers, "ratios": ratios })
    }

    /// The same for people, with what the object does not name.
    pub(crate) fn table(&self) -> String {
        let shown = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| rounded(figure).to_string());
        let mut lines = vec![format!("{:<40}{:>14}", "", "ours")];
        for peer in PEERS {
            if let Some(line) = lines.first_mut() {
                line.push_str(&format!("{peer:>18}"));
            }
        }
        let others = self.names().into_iter().map(String::as_str).filter(|name| !KEYS.contains(name));
        for name in KEYS.into_iter().chain(others) {
            let mut line = format!("{:<40}{:>14}", name.replace('_', " "), shown(self.ours.get(name)));
            for peer in PEERS {
                line.push_str(&format!("{:>18}", shown(self.peers.get(peer).and_then(|figures| figures.get(name)))));
            }
            lines.push(line);
        }
        lines.join("\n")
    }

    /// Says what is missed. An error when that is too much to be let through.
    ///
    /// * `is_whole`: the run is long enough for its figures to mean something; otherwise only what may never be lost counts.
    pub(crate) fn judge(&self, is_whole: bool) -> Result<()> {
        let mut failed = Vec::new();
        for (name, must, is_steady) in MUSTS {
            let Some(figure) = self.ours.get(name) else { continue };
            let (missed, by_far, wanted) = match must {
                Must::AtLeast(least) => (figure < least, figure < least * (1.0 - TOLERANCE), format!("at least {least}")),
                Must::AtMost(most) => (figure > most, figure > most * (1.0 + TOLERANCE), format!("at most {most}")),
            };
            if missed && (is_whole || name == "kill_lost") {
                super::say(&format!("missed: {name} is {}, and has to be {wanted}", rounded(figure)));
                if by_far && is_steady {
                    failed.push(name);
                }
            }
        }
        let name = "line_protocol_points_per_cpu_second";
        let behind = self.peers.get("victoriametrics").and_then(|peer| self.ratio(name, peer)).filter(|ratio| *ratio < 1.0);
        if let Some(ratio) = behind.filter(|_| is_whole) {
            super::say(&format!("missed: {name} is {} of that of VictoriaMetrics, and has to be ahead", rounded(ratio)));
            if ratio < 1.0 - TOLERANCE {
                failed.push("line_protocol_points_per_cpu_second beside VictoriaMetrics");
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(format!("missed by more than a fifth: {}", failed.join(", ")).into()) }
    }
}
