//! One run: what is offered, what goes wrong, and what is there at the end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ids::IdSource;
use store::Reader;

use super::Result;
use super::copy::{Copied, Copy};
use super::fault::{self, Fault};
use super::field::{self, Ledger, below};
use super::rig::{Rig, http};
use super::senders::{self, Over};

/// A run whose readings are not all acknowledged by then has failed.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// What became of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) offered: u64,
    /// Of what was offered.
    pub(crate) stored: u64,
    pub(crate) lost: u64,
    /// Points that stand in the store and were not offered, or stand there twice, or were taken for a contradiction.
    pub(crate) false_duplicates: u64,
    pub(crate) balanced: bool,
    pub(crate) duplicate: u64,
    pub(crate) dead_letter: u64,
    /// Starts that were refused because a bit of the log had turned.
    pub(crate) damage_seen: u64,
    /// Copies in which a bit was turned, and noticed where it mattered.
    pub(crate) copies_damaged: u64,
    pub(super) damage_unseen: u64,
    pub(crate) copied: Copied,
    acknowledged: bool,
    drained: bool,
    pub(crate) faults: Vec<Fault>,
    said: String,
}

impl Outcome {
    /// Counts a copy that was damaged, and whether that was noticed.
    pub(super) fn looked(&mut self, noticed: Option<bool>) {
        match noticed {
            Some(true) => self.copies_damaged += 1,
            Some(false) => self.damage_unseen += 1,
            None => {}
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        let whole = self.stored == self.offered && self.lost == 0 && self.false_duplicates == 0;
        whole && self.balanced && self.acknowledged && self.drained && self.damage_unseen == 0 && self.copied.whole
    }
}

/// Runs what the seed says.
pub(crate) fn run(seed: u64) -> Result<Outcome> {
    let random = IdSource::seeded(seed);
    let mut ledger = Ledger::new();
    let gateways: Vec<_> = (1..=1 + below(&random, 3)).map(|number| field::gateway(&random, number, &mut ledger)).collect();
    let bodies = field::bodies(&random, &mut ledger);
    let copy = Copy::start(random.next_u64(), &ledger)?;
    let mut rig = Rig::new(100 + below(&random, 400), copy.address)?;
    let (broker, admin) = (rig.broker, rig.admin);
    let (over, waiting) = (Over::default(), AtomicU64::new(u64::try_from(gateways.len())? + 1));
    let mut outcome = Outcome { offered: u64::try_from(ledger.len())?, ..Outcome::default() };
    std::thread::scope(|scope| -> Result<()> {
        let mut senders = Vec::new();
        for gateway in &gateways {
            let (seed, over, waiting) = (random.next_u64(), &over, &waiting);
            senders.push(scope.spawn(move || counted(waiting, senders::gateway(gateway, broker, seed, over))));
        }
        let (seed, bodies) = (random.next_u64(), &bodies);
        let (of_lines, waits) = (&over, &waiting);
        senders.push(scope.spawn(move || counted(waits, senders::lines(bodies, admin, seed, of_lines))));
        let driven = drive(&mut rig, &random, &waiting, &mut outcome);
        over.set();
        outcome.acknowledged = true;
        for sender in senders {
            outcome.acknowledged &= sender.join().map_err(|_panicked| "a sender has panicked")??;
        }
        driven
    })?;
    settle(&mut rig, &mut outcome)?;
    if copy.mend() {
        rig.copy_again()?;
    }
    outcome.copied = copy.caught_up(|| rig.ensure())?;
    if !outcome.copied.whole {
        outcome.said = http(rig.admin, "GET /v1/sinks HTTP/1.1", "").map_or_else(|err| err.to_string(), |(_, page)| page);
    }
    outcome.drained = rig.drain()?;
    compare(&rig, &ledger, &mut outcome)?;
    if !outcome.is_good() {
        outcome.said = format!("{}\n{}", outcome.said, rig.said());
    }
    Ok(outcome)
}

fn counted(waiting: &AtomicU64, ended: Result<bool>) -> Result<bool> {
    waiting.fetch_sub(1, Ordering::Relaxed);
    ended
}

/// Lets things go wrong until nobody waits any more.
fn drive(rig: &mut Rig, random: &IdSource, waiting: &AtomicU64, outcome: &mut Outcome) -> Result<()> {
    for _fault in 0..2 + below(random, 4) {
        std::thread::sleep(Duration::from_millis(30 + below(random, 250)));
        let fault = fault::drawn(random);
        let injected = fault::inject(fault, rig, random, outcome).and_then(|()| rig.ensure());
        injected.map_err(|err| format!("{} after {:?}: {err}", fault.name(), outcome.faults))?;
        outcome.faults.push(fault);
    }
    let began = Instant::now();
    while waiting.load(Ordering::Relaxed) > 0 && began.elapsed() < PATIENCE {
        std::thread::sleep(POLL);
        rig.ensure()?;
    }
    Ok(())
}

/// Waits until nothing is on its way, and the collector's own sum is right.
fn settle(rig: &mut Rig, outcome: &mut Outcome) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        rig.ensure()?;
        let page = http(rig.admin, "GET /metrics HTTP/1.1", "").map(|(_, page)| page).unwrap_or_default();
        let has = |line: &str| page.lines().any(|found| found == line);
        outcome.balanced = has("negawatt_conservation_difference 0") && has("negawatt_inflight_messages 0");
        if outcome.balanced {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Reads everything back.
fn compare(rig: &Rig, ledger: &Ledger, outcome: &mut Outcome) -> Result<()> {
    let reader = match Reader::open(&rig.store()) {
        Ok(reader) => reader,
        // Nobody can read it: all is lost, and why is in the report.
        Err(err) => {
            outcome.lost = outcome.offered;
            outcome.said = daemon::chain(&err);
            return Ok(());
        }
    };
    let counters = reader.totals().counters;
    let (mut found, mut rows) = (BTreeSet::new(), 0_u64);
    for info in reader.all_series() {
        for sample in reader.history(info.id, i64::MIN..i64::MAX)? {
            rows += 1;
            let key = (info.key.device.to_string(), info.key.point.clone(), sample.ts_ms);
            let offered = ledger.get(&key).copied().filter(|raw| sample.raw == Some(*raw));
            if offered.is_none() || !found.insert(key) {
                outcome.false_duplicates += 1;
            }
        }
    }
    outcome.stored = u64::try_from(found.len())?;
    outcome.lost = outcome.offered - outcome.stored;
    outcome.false_duplicates += counters.conflict;
    (outcome.duplicate, outcome.dead_letter) = (counters.duplicate, counters.dead_letter);
    // What the store says it has accepted is what is there.
    outcome.balanced &= counters.accepted == rows;
    Ok(())
}
