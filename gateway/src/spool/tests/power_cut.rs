//! The oracle: the power is cut at every step, the last write torn at every sector, and what is left is opened and
//! compared with what had been promised.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use super::*;
use crate::spool::{
    class::{Class, class},
    disk::memory::{Tear, mix},
};

/// Cuts in an ordinary run; `NEGAWATT_POWER_CUTS` asks for more.
const CUTS: u64 = 2_000;
/// What somebody else would reproduce it with.
const SEED: u64 = 20_261_121;
/// Of so many cuts, one is followed by a cut while the spool recovers from it.
const CUT_AGAIN_EACH: u64 = 5;

/// What was promised, and what might be there.
#[derive(Debug, Default)]
struct Truth {
    named: bool,
    appended: BTreeMap<u64, Vec<u8>>,
    committed: u64,
    /// What the collector said.
    acknowledged: u64,
    /// What of it was made durable.
    checkpointed: u64,
}

#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    cuts_in_recovery: u64,
    records: u64,
    thinned: u64,
    made_room: u64,
    by_step: BTreeMap<Step, u64>,
}

struct Oracle {
    truth: Mutex<Truth>,
    tally: Mutex<Tally>,
    options: SpoolOptions,
    /// Whether the allowance is so small that undelivered frames must go.
    tight: bool,
    seed: u64,
}

impl Oracle {
    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    /// Cuts the power before a step, in every way there is.
    fn cut(self: &Arc<Self>, disk: &MemoryDisk, step: Step) {
        let sectors = disk.sectors_unsynced();
        let cuts = self.tally.lock().unwrap().cuts;
        let random = |salt: u64| mix(self.seed ^ mix(cuts ^ salt << 48));
        let names = |salt: u64| usize::try_from(random(salt) % (disk.names_unsynced() as u64 + 1)).unwrap();
        let mut ways: Vec<(Tear, usize)> = (0..=sectors).map(|kept| (Tear::First(kept), names(kept as u64))).collect();
        ways.push((Tear::Nothing, 0));
        ways.push((Tear::All, usize::MAX));
        if sectors > 1 {
            ways.push((Tear::Last(1), names(100)));
            ways.push((Tear::Any(random(101)), names(102)));
            ways.push((Tear::Any(random(103)), names(104)));
        }
        for (number, (tear, names)) in ways.into_iter().enumerate() {
            let left = disk.cut(tear, names);
            let told = format!("seed {}, before {step:?}, {tear:?}, {names} names", self.seed);
            let mut tally = self.tally.lock().unwrap();
            tally.cuts += 1;
            *tally.by_step.entry(step).or_default() += 1;
            let again = tally.cuts.is_multiple_of(CUT_AGAIN_EACH);
            drop(tally);
            if again {
                self.cut_in_recovery(&left.cut(Tear::All, usize::MAX), random(200 + number as u64), &told);
            }
            self.check(&left, &told);
        }
    }

    /// Cuts the power once more, while the spool recovers.
    fn cut_in_recovery(self: &Arc<Self>, disk: &MemoryDisk, random: u64, told: &str) {
        let stop_before = random % 12;
        let left = Arc::new(Mutex::new(None));
        let (seen, kept, mut step_number) = (disk.clone(), Arc::clone(&left), 0);
        disk.before(move |step, _| {
            if step == Step::Read {
                return Ok(());
            }
            step_number += 1;
            if step_number > stop_before {
                kept.lock().unwrap().get_or_insert_with(|| seen.cut(Tear::Any(random), usize::try_from(random >> 32 & 3).unwrap()));
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(())
        });
        drop(Spool::open_on(Arc::new(disk.clone()), folder(), self.options, || id(8)));
        if let Some(left) = left.lock().unwrap().take() {
            self.tally.lock().unwrap().cuts_in_recovery += 1;
            self.check(&left, &format!("{told}, and again in recovery after {stop_before} steps"));
        }
    }

    /// Opens what a cut left and compares.
    fn check(&self, left: &MemoryDisk, told: &str) {
        let truth = self.truth();
        let mut spool =
            Spool::open_on(Arc::new(left.clone()), folder(), self.options, || id(9)).unwrap_or_else(|err| panic!("{told}: {err}"));
        assert!(!truth.named || spool.id() == id(7), "{told}: lost its name");
        assert!(spool.next_seq > truth.committed, "{told}: would give {} again", spool.next_seq);
        assert!(spool.acknowledged <= truth.acknowledged, "{told}: believes {} confirmed", spool.acknowledged);
        assert!(spool.acknowledged >= truth.checkpointed, "{told}: forgot what was confirmed");
        let mut tally = self.tally.lock().unwrap();
        let mut seen = 0;
        for Stored { seq, payload } in read_all(&mut spool) {
            seen = seq;
            tally.records += 1;
            match payload {
                Ok(payload) => {
                    let taken = truth.appended.get(&seq).unwrap_or_else(|| panic!("{told}: invented {seq}"));
                    if payload != *taken {
                        assert!(self.tight, "{told}: changed {seq}");
                        assert_thinned(&payload, taken);
                        tally.thinned += 1;
                    }
                }
                Err(Lost::MadeRoom) => {
                    assert!(self.tight || seq <= truth.acknowledged, "{told}: dropped {seq}");
                    tally.made_room += 1;
                }
                // A segment may be gone whose release was not remembered; then the collector has it.
                Err(Lost::Damaged) => assert!(seq > truth.committed || seq <= truth.checkpointed, "{told}: lost {seq}"),
            }
        }
        assert!(seen >= truth.committed, "{told}: ends at {seen}, promised {}", truth.committed);
        drop(tally);
        // And it goes on.
        let next = spool.next_seq;
        append(&mut spool, 3);
        let written = |spool: &mut Spool| spool.read(next, 10_000).unwrap();
        assert_eq!(written(&mut spool), whole(next..=next + 2), "{told}");
        let name = spool.id();
        drop(spool);
        let mut spool = Spool::open_on(Arc::new(left.clone()), folder(), self.options, || id(10)).unwrap();
        assert_eq!((spool.id(), written(&mut spool)), (name, whole(next..=next + 2)), "{told}");
    }

    /// A life of a spool, cut at every step of it.
    fn live(self: &Arc<Self>, frame: fn(u64) -> Vec<u8>, cuts_max: u64) {
        let disk = MemoryDisk::default();
        if self.tight {
            // It begins when there is hardly room for more.
            let mut spool = open_with(&disk, self.options);
            while spool.bytes() < self.options.bytes_max {
                let seq = spool.next_seq;
                append_of(&mut spool, 1, frame);
                let mut truth = self.truth();
                truth.appended.insert(seq, frame(seq));
                truth.committed = seq;
                truth.named = true;
            }
        }
        let (oracle, cut) = (Arc::clone(self), disk.clone());
        disk.before(move |step, _| {
            if step != Step::Read && oracle.tally.lock().unwrap().cuts < cuts_max {
                oracle.cut(&cut, step);
            }
            Ok(())
        });
        let mut spool = open_with(&disk, self.options);
        self.truth().named = true;
        let mut turn = 0;
        while self.tally.lock().unwrap().cuts < cuts_max && turn < 150 {
            turn += 1;
            let random = mix(self.seed ^ turn);
            for _ in 0..random % 6 {
                let seq = spool.next_seq;
                self.truth().appended.insert(seq, frame(seq));
                spool.append(&frame(seq)).unwrap();
            }
            if random >> 8 & 7 < 6 {
                let committed = spool.commit().unwrap();
                self.truth().committed = committed;
            }
            // The collector follows with pauses, so that the spool fills and empties.
            if random >> 16 & 7 == 0 && turn / 40 % 2 == 0 {
                let acknowledged = spool.acknowledged + (random >> 24) % (spool.committed + 1 - spool.acknowledged);
                self.truth().acknowledged = acknowledged;
                spool.acknowledge(acknowledged).unwrap();
            }
            if random >> 32 & 15 == 0 {
                spool.checkpoint().unwrap();
                self.truth().checkpointed = spool.acknowledged;
            }
        }
    }
}

/// What made room is the least important, and what is left is as it was.
fn assert_thinned(found: &[u8], taken: &[u8]) {
    let (found, taken) = (Frame::decode(found).unwrap(), Frame::decode(taken).unwrap());
    let points = |frame: &Frame| frame.devices.iter().flat_map(|device| device.points.clone()).collect::<Vec<_>>();
    let (left, all) = (points(&found), points(&taken));
    let gone: Vec<_> = all.iter().filter(|point| !left.contains(point)).collect();
    assert!(left.iter().all(|point| all.contains(point)));
    assert_eq!(usize::try_from(found.left_out).unwrap(), gone.len());
    let most = gone.iter().map(|point| class(point)).max().unwrap();
    assert!(most < Class::Energy && left.iter().all(|point| class(point) > most));
    assert_eq!((found.tick_ms, found.devices.len()), (taken.tick_ms, taken.devices.len()));
}

#[test]
fn power_cuts_lose_nothing_that_was_committed_and_invent_nothing() {
    let cuts_max = asked("NEGAWATT_POWER_CUTS").map_or(CUTS, |cuts| cuts.parse().expect("a number of cuts"));
    let first_seed = asked("NEGAWATT_SEED").map_or(SEED, |seed| seed.parse().expect("a seed"));
    let began = std::time::Instant::now();
    let mut tally = Tally::default();
    let mut seed = first_seed;
    // Half of the lives have room, half must give things up.
    while tally.cuts < cuts_max {
        let tight = seed % 2 == 1;
        let bytes_max = if tight { 6 * 4096 } else { 1 << 20 };
        let frame = if tight { meter_frame } else { frame };
        let share = (cuts_max / 8).max(200).min(cuts_max - tally.cuts);
        let oracle = Arc::new(Oracle {
            truth: Mutex::default(),
            tally: Mutex::default(),
            options: SpoolOptions { bytes_max, segment_bytes: SEGMENT },
            tight,
            seed,
        });
        oracle.live(frame, share);
        let one = std::mem::take(&mut *oracle.tally.lock().unwrap());
        tally.cuts += one.cuts;
        tally.cuts_in_recovery += one.cuts_in_recovery;
        tally.records += one.records;
        tally.thinned += one.thinned;
        tally.made_room += one.made_room;
        for (step, count) in one.by_step {
            *tally.by_step.entry(step).or_default() += count;
        }
        seed += 1;
    }
    // Every kind of step was cut, and both kinds of lives were lived.
    for step in [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncFolder] {
        assert!(tally.by_step.get(&step).is_some_and(|&count| count > 10), "{tally:?}");
    }
    assert!(tally.thinned > 0 && tally.made_room > 0 && tally.cuts_in_recovery > 0, "{tally:?}");
    report(&serde_json::json!({
        "schema": "negawatt.bench.power-cuts/1",
        "cuts": tally.cuts,
        "cuts_in_recovery": tally.cuts_in_recovery,
        "records_compared": tally.records,
        // Each of these ends the test with the seed and the step, so a result that is written has none.
        "committed_lost": 0,
        "invented": 0,
        "frames_without_dispensable_points": tally.thinned,
        "seed": first_seed,
        "lives": seed - first_seed,
        "seconds": began.elapsed().as_secs_f64(),
    }));
}

#[test]
fn the_oracle_notices_a_spool_that_does_not_sync() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 5);
    // As if the sync had been left out: the bytes are seen and not durable.
    let segment = segments(&disk).pop().unwrap();
    let file = Disk::open(&disk, &segment).unwrap();
    let record = record::encode(6, &frame(6)).unwrap();
    file.write(&record, spool.active.as_ref().unwrap().end as u64).unwrap();
    assert_eq!(read_all(&mut open_copy(&disk.cut(Tear::All, 0))), whole(1..=6));
    assert_eq!(read_all(&mut open_copy(&disk.cut(Tear::Nothing, 0))), whole(1..=5));
    let torn: Vec<_> = (1..=40).map(|seed| read_all(&mut open_copy(&disk.cut(Tear::Any(seed), 0))).len()).collect();
    assert!(torn.contains(&5) && torn.contains(&6));
}

fn open_copy(disk: &MemoryDisk) -> Spool {
    open(disk)
}

#[test]
fn a_cut_while_it_is_made_makes_it_anew() {
    for stop_before in 0..20 {
        let disk = MemoryDisk::default();
        let mut left = stop_before;
        disk.before(move |_, _| {
            left -= 1;
            if left < 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        });
        let made = Spool::open_on(Arc::new(disk.clone()), folder(), SMALL, || id(7));
        let finished = made.is_ok();
        drop(made);
        disk.heal();
        let mut spool = Spool::open_on(Arc::new(disk), folder(), SMALL, || id(8)).unwrap();
        append(&mut spool, 3);
        assert_eq!(read_all(&mut spool), whole(1..=3));
        if finished {
            assert_eq!(spool.id(), id(7));
            return;
        }
    }
    panic!("making a spool takes more steps than this test knows");
}
