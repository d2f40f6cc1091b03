//! The fault matrix: a reader against devices that misbehave in every way the field knows, by the hundred thousand.
//!
//! Every register of a simulated device shows another number at every moment, so a value that was accepted as good either is what the
//! device held when it was asked in this very poll, or it is *wrong*. The readers are the gateway's own `Poller`, with everything
//! below it, and, to prove that the matrix can tell, a client that puts a timeout around each call of the Modbus crate and trusts it.
//!
//! A run is cut into shards with seeds of their own, so that it gives the same result on any number of cores.

mod matrix;
mod naive;
mod ours;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};
use simulator::{Exchange, Fault};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The gateway's poller, transport and decoder.
    Gateway,
    /// The Modbus crate with a timeout around each call, one request for each value.
    Naive,
}

/// How exchanges ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Every good value of the exchange is what the device held.
    pub right: u64,
    /// The exchange brought no good value.
    pub flagged: u64,
    /// A good value is not what the device held.
    pub wrong: u64,
}

impl Tally {
    /// Exchanges that were counted.
    pub fn exchanges(self) -> u64 {
        self.right + self.flagged + self.wrong
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.flagged += other.flagged;
        self.wrong += other.wrong;
    }

    fn json(self) -> Value {
        json!({ "exchanges": self.exchanges(), "right": self.right, "flagged": self.flagged, "wrong": self.wrong })
    }
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything.
    pub whole: Tally,
    /// By what went wrong in the exchange itself; what it does to later ones is counted there. `none` is most.
    pub by_fault: BTreeMap<&'static str, Tally>,
    /// By kind of bus.
    pub by_bus: BTreeMap<&'static str, Tally>,
    /// The first wrong values, for whoever must find out why.
    pub wrong_values: Vec<String>,
}

/// Wrong values that are kept to be shown.
const SHOWN_MAX: usize = 20;
/// Pieces of a run.
const SHARDS: u64 = 2 * matrix::BUSES;

impl Report {
    fn note(&mut self, bus: &'static str, fault: Option<Fault>, outcome: Tally) {
        self.whole.add(outcome);
        self.by_fault.entry(fault.map_or("none", Fault::name)).or_default().add(outcome);
        self.by_bus.entry(bus).or_default().add(outcome);
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        if self.wrong_values.len() < SHOWN_MAX {
            self.wrong_values.push(text());
        }
    }

    fn merge(&mut self, other: Self) {
        self.whole.add(other.whole);
        for (name, tally) in other.by_fault {
            self.by_fault.entry(name).or_default().add(tally);
        }
        for (name, tally) in other.by_bus {
            self.by_bus.entry(name).or_default().add(tally);
        }
        let room = SHOWN_MAX.saturating_sub(self.wrong_values.len());
        self.wrong_values.extend(other.wrong_values.into_iter().take(room));
    }

    /// The tallies by fault and by bus.
    pub fn details(&self) -> Value {
        let of =
            |tallies: &BTreeMap<&str, Tally>| -> Value { tallies.iter().map(|(name, tally)| ((*name).to_owned(), tally.json())).collect() };
        json!({ "faults": of(&self.by_fault), "buses": of(&self.by_bus), "wrong_values": self.wrong_values })
    }
}

/// One piece of a run: how many exchanges, and the seed that decides everything in it.
#[derive(Clone, Copy, Debug)]
struct Shard {
    number: u64,
    exchanges: u64,
    seed: u64,
}

/// Lets a reader make so many exchanges. The same numbers give the same report.
pub fn run(reader: Reader, exchanges: u64, seed: u64) -> Report {
    let next = AtomicU64::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= SHARDS {
                        break;
                    }
                    let part = exchanges / SHARDS + u64::from(number < exchanges % SHARDS);
                    let shard = Shard { number, exchanges: part, seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number) };
                    let report = piece(reader, shard);
                    reports.lock().expect("no shard panicked").insert(number, report);
                }
            });
        }
    });
    let mut whole = Report::default();
    for report in reports.into_inner().expect("no shard panicked").into_values() {
        whole.merge(report);
    }
    whole
}

fn piece(reader: Reader, shard: Shard) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime has no needs");
    runtime.block_on(async {
        let bench = matrix::Bench::new(shard);
        match reader {
            Reader::Gateway => ours::run(&bench, shard.exchanges).await,
            Reader::Naive => naive::run(&bench, shard.exchanges).await,
        }
    })
}

/// Whether a request covers a point.
fn covers(exchange: &Exchange, point: &devices::Point) -> bool {
    let (first, end) = (u32::from(exchange.address), u32::from(exchange.address) + u32::from(exchange.count));
    exchange.table == point.table && first <= point.span().0 && point.span().1 <= end
}
