//! One run: what is offered, what goes wrong, and what is there at the end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ids::IdSource;
use store::Reader;

use super::Result;
use super::copy::{Copied, Copy};
use super::damage;
use super::failing_disk::Failing;
use super::field::{self, Ledger, below, index};
use super::log_file::LogFile;
use super::rig::{self, Rig, http};
use super::senders::{self, Over};

/// A run whose readings are not all acknowledged by then has failed.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// A stop that everybody's keep-alive notices; one of so many draws of it, as it takes its time.
const STOP: Duration = Duration::from_secs(60);
const STOPS_ONE_IN: u64 = 8;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillCollector,
    KillBroker,
    KillBoth,
    Freeze,
    StealSession,
    /// For a minute.
    Stop,
    WriteError,
    DiskFull,
    SyncFails,
    TornTail,
    BitFlip,
    SegmentFlip,
    ManifestFlip,
    EmptyFile,
    ClockJump,
}

impl Fault {
    pub(crate) const ALL: [Self; 15] = [
        Self::KillCollector,
        Self::KillBroker,
        Self::KillBoth,
        Self::Freeze,
        Self::StealSession,
        Self::Stop,
        Self::WriteError,
        Self::DiskFull,
        Self::SyncFails,
        Self::TornTail,
        Self::BitFlip,
        Self::SegmentFlip,
        Self::ManifestFlip,
        Self::EmptyFile,
        Self::ClockJump,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KillCollector => "kill_collector",
            Self::KillBroker => "kill_broker",
            Self::KillBoth => "kill_both",
            Self::Freeze => "freeze",
            Self::StealSession => "steal_session",
            Self::Stop => "stop_60_s",
            Self::WriteError => "write_error",
            Self::DiskFull => "disk_full",
            Self::SyncFails => "sync_fails",
            Self::TornTail => "torn_tail",
            Self::BitFlip => "bit_flip",
            Self::SegmentFlip => "segment_flip",
            Self::ManifestFlip => "manifest_flip",
            Self::EmptyFile => "empty_file",
            Self::ClockJump => "clock_jump",
        }
    }
}

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
    damage_unseen: u64,
    pub(crate) copied: Copied,
    acknowledged: bool,
    drained: bool,
    pub(crate) faults: Vec<Fault>,
    said: String,
}

impl Outcome {
    /// Counts a copy that was damaged, and whether that was noticed.
    fn looked(&mut self, noticed: Option<bool>) {
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
        let fault = drawn(random);
        inject(fault, rig, random, outcome)?;
        rig.ensure()?;
        outcome.faults.push(fault);
    }
    let began = Instant::now();
    while waiting.load(Ordering::Relaxed) > 0 && began.elapsed() < PATIENCE {
        std::thread::sleep(POLL);
        rig.ensure()?;
    }
    Ok(())
}

/// Each as often as any other, but for the one that takes a minute.
fn drawn(random: &IdSource) -> Fault {
    match Fault::ALL.get(index(random, Fault::ALL.len())).copied() {
        Some(Fault::Stop) if below(random, STOPS_ONE_IN) > 0 => Fault::Freeze,
        drawn => drawn.unwrap_or(Fault::KillCollector),
    }
}

fn inject(fault: Fault, rig: &mut Rig, random: &IdSource, outcome: &mut Outcome) -> Result<()> {
    match fault {
        Fault::KillCollector => rig.kill_collector(),
        Fault::KillBroker => rig.kill_broker(),
        Fault::KillBoth => rig.kill_broker().and_then(|()| rig.kill_collector()),
        Fault::Freeze => rig.freeze_collector(Duration::from_millis(100 + below(random, 900))),
        Fault::Stop => rig.freeze_collector(STOP),
        Fault::StealSession => senders::steal_session(rig.broker),
        Fault::WriteError => {
            rig.kill_collector()?;
            rig.start_collector(true)?;
            // It ends by itself at its first long file; or runs on, when nothing of it becomes long.
            rig.collector_ends(Duration::from_millis(500))?;
            rig.kill_collector()
        }
        Fault::DiskFull => rig.fail_disk(Failing::Full, Duration::from_millis(200 + below(random, 1_300))),
        Fault::SyncFails => rig.fail_disk(Failing::Syncs, Duration::from_millis(50 + below(random, 400))),
        Fault::TornTail => {
            rig.kill_collector()?;
            LogFile::newest(&rig.store())?.map_or(Ok(()), |file| file.tear(random.next_u64()))?;
            Ok(())
        }
        Fault::BitFlip => {
            rig.kill_collector()?;
            let flipped = LogFile::newest(&rig.store())?.map_or(Ok(None), |file| file.flip(random.next_u64()))?;
            let Some(flipped) = flipped else { return Ok(()) };
            rig.start_collector(false)?;
            match rig.collector_ends(Duration::from_secs(10))? {
                Some(status) if status.code() == Some(65) => outcome.damage_seen += 1,
                _ => outcome.damage_unseen += 1,
            }
            rig.kill_collector()?;
            flipped.turn()?;
            Ok(())
        }
        Fault::SegmentFlip => {
            rig.kill_collector()?;
            outcome.looked(damage::segment(&rig.store(), random.next_u64())?);
            Ok(())
        }
        Fault::ManifestFlip => {
            rig.kill_collector()?;
            outcome.looked(damage::manifest(&rig.store(), random.next_u64())?);
            Ok(())
        }
        Fault::EmptyFile => {
            rig.kill_collector()?;
            rig::leave_behind(&rig.store())
        }
        Fault::ClockJump => rig.jump([3_600, -3_600, 0].get(index(random, 3)).copied().unwrap_or(0)),
    }
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
