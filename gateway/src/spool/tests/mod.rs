//! The spool on a disk in memory, with everything that can happen to a disk.

mod allowance;
mod damage;
mod delivery;
mod faults;
pub(crate) mod fleet;
mod kill;
mod power_cut;
mod wear;

use std::sync::Arc;

use tempfile::tempdir;
use wire::{DeviceReading, Frame, Message, PointReading};

use super::{
    disk::memory::{MemoryDisk, Step},
    *,
};

/// What somebody who measures asks for.
#[expect(clippy::disallowed_methods, reason = "how much is asked of a test is no setting of ours")]
pub(crate) fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Leaves the figures of a test where they are asked for.
pub(crate) fn report(figures: &serde_json::Value) {
    if let Some(path) = asked("NEGAWATT_BENCH_OUT") {
        std::fs::write(path, figures.to_string()).unwrap();
    }
}

const SEGMENT: usize = 4096;
const SMALL: SpoolOptions = SpoolOptions { bytes_max: 1 << 20, segment_bytes: SEGMENT };

fn id(number: u8) -> SpoolId {
    SpoolId::from_bytes([number; 16])
}

fn folder() -> &'static Path {
    Path::new("data/spool")
}

fn open_with(disk: &MemoryDisk, options: SpoolOptions) -> Spool {
    Spool::open_on(Arc::new(disk.clone()), folder(), options, || id(7)).unwrap()
}

fn open(disk: &MemoryDisk) -> Spool {
    open_with(disk, SMALL)
}

fn frame(seq: u64) -> Vec<u8> {
    format!("frame {seq} ").repeat(usize::try_from(seq % 7).unwrap() + 1).into_bytes()
}

/// A frame as a gateway makes it, of one three-phase meter.
fn meter_frame(seq: u64) -> Vec<u8> {
    let profile = devices::find("eastron-sdm630").unwrap();
    let points = profile.points().iter().zip(0_u64..).map(|(point, number)| PointReading {
        point: point.id.clone(),
        raw: Some(i64::try_from((seq * 7_919 + number * 104_729) % 400_000).unwrap()),
        exponent: i32::from(point.exponent),
        unit: u32::from(point.unit.code()),
        quality: 0,
        words: if point.billing { vec![7; 4] } else { Vec::new() },
    });
    let device =
        DeviceReading { device: "main".into(), profile: profile.id().into(), points: points.collect(), ..DeviceReading::default() };
    let tick_ms = i64::try_from(seq).unwrap() * 60_000;
    Frame { schema: 1, boot_id: 1, tick_ms, clock_synced: true, devices: vec![device], ..Frame::default() }.encode_to_vec()
}

fn append_of(spool: &mut Spool, count: u64, frame: fn(u64) -> Vec<u8>) {
    for _ in 0..count {
        let seq = spool.next_seq;
        assert_eq!(spool.append(&frame(seq)).unwrap(), seq);
    }
    spool.commit().unwrap();
}

fn append(spool: &mut Spool, count: u64) {
    append_of(spool, count, frame);
}

fn read_all(spool: &mut Spool) -> Vec<Stored> {
    let mut all = Vec::new();
    let mut from = 1;
    loop {
        let read = spool.read(from, 1_000).unwrap();
        let Some(last) = read.last() else { return all };
        from = last.seq + 1;
        all.extend(read);
    }
}

fn whole(seqs: std::ops::RangeInclusive<u64>) -> Vec<Stored> {
    seqs.map(|seq| Stored { seq, payload: Ok(frame(seq)) }).collect()
}

fn segments(disk: &MemoryDisk) -> Vec<PathBuf> {
    disk.seen().into_keys().filter(|path| path.extension().is_some_and(|ending| ending == "seg")).collect()
}

#[test]
fn what_is_committed_is_read_back_over_segments_and_restarts() {
    let disk = MemoryDisk::default();
    for restart in 0..5 {
        let mut spool = open(&disk);
        assert_eq!((spool.id(), spool.counters().committed), (id(7), restart * 100));
        append(&mut spool, 100);
        assert_eq!(read_all(&mut spool), whole(1..=(restart + 1) * 100));
    }
    assert!(segments(&disk).len() > 3);
}

#[test]
fn the_disk_of_the_system_keeps_it_just_the_same() {
    let real = tempdir().unwrap();
    for restart in 0..3 {
        let mut spool = Spool::open(real.path(), SMALL, || id(7)).unwrap();
        assert_eq!((spool.id(), spool.counters().committed), (id(7), restart * 100));
        append(&mut spool, 100);
        assert_eq!(read_all(&mut spool), whole(1..=(restart + 1) * 100));
        spool.acknowledge((restart + 1) * 50).unwrap();
        spool.checkpoint().unwrap();
    }
    let mut spool = Spool::open(real.path(), SpoolOptions { bytes_max: 4 * 4096, ..SMALL }, || id(8)).unwrap();
    assert!(matches!(Spool::open(real.path(), SMALL, || id(8)), Err(SpoolError::Locked { .. })));
    append(&mut spool, 300);
    assert!(spool.counters().bytes <= 4 * 4096 && spool.counters().dropped > 0);
    assert_eq!(read_all(&mut spool).last(), Some(&Stored { seq: 600, payload: Ok(frame(600)) }));
}

#[test]
fn what_is_not_committed_is_not_read() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 3);
    spool.append(b"in memory").unwrap();
    assert_eq!(read_all(&mut spool), whole(1..=3));
    drop(spool);
    assert_eq!(read_all(&mut open(&disk)), whole(1..=3));
}

#[test]
fn one_gateway_at_a_time() {
    let disk = MemoryDisk::default();
    let first = open(&disk);
    let second = Spool::open_on(Arc::new(disk.clone()), folder(), SMALL, || id(8));
    assert!(matches!(second, Err(SpoolError::Locked { .. })));
    drop(first);
    open(&disk);
}

#[test]
fn a_commit_is_one_write_and_one_sync() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 1);
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    disk.before(move |step, _| {
        seen.lock().unwrap().push(step);
        Ok(())
    });
    append(&mut spool, 20);
    assert_eq!(*steps.lock().unwrap(), [Step::Write, Step::Sync]);
}

#[test]
fn an_empty_folder_under_an_old_name_gets_a_new_name() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 5);
    for segment in segments(&disk) {
        disk.harm(&segment, None);
    }
    let spool = Spool::open_on(Arc::new(disk), folder(), SMALL, || id(9)).unwrap();
    // Its numbers start at 1 again, so it must not be taken for the old one.
    assert_eq!((spool.id(), spool.counters().committed, spool.counters().acknowledged), (id(9), 0, 0));
}

#[test]
fn a_disk_that_lied_does_not_get_the_same_numbers_again() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 5);
    let waits = b"waits ".repeat(100);
    spool.append(&waits).unwrap();
    // The collector has frames 6 to 8, which this disk claimed to have and does not.
    spool.acknowledge(8).unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.read(9, 100).unwrap(), [Stored { seq: 9, payload: Ok(waits) }]);
    assert_eq!(spool.append(b"next").unwrap(), 10);
}
