//! Disks that are full, read-only, or refuse.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::spool::append::PENDING_BYTES_MAX;

/// Refuses some steps while the switch is on.
fn refuse(disk: &MemoryDisk, steps: &'static [Step], kind: io::ErrorKind) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(true));
    let refused = Arc::clone(&on);
    disk.before(move |step, _| if refused.load(Ordering::SeqCst) && steps.contains(&step) { Err(kind.into()) } else { Ok(()) });
    on
}

const CHANGES: &[Step] = &[Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncFolder, Step::Remove];

#[test]
fn a_disk_that_refuses_loses_nothing_that_fits_memory_and_recovers() {
    let faults: &[(&'static [Step], io::ErrorKind)] = &[
        (&[Step::Create, Step::Write], io::ErrorKind::StorageFull),
        (&[Step::Create], io::ErrorKind::StorageFull),
        (&[Step::Sync], io::ErrorKind::StorageFull),
        (CHANGES, io::ErrorKind::ReadOnlyFilesystem),
        (&[Step::Sync], io::ErrorKind::Other),
        (&[Step::Write], io::ErrorKind::Other),
        (&[Step::Rename], io::ErrorKind::Other),
        (&[Step::SyncFolder], io::ErrorKind::Other),
    ];
    for &(steps, kind) in faults {
        let disk = MemoryDisk::default();
        let mut spool = open(&disk);
        append(&mut spool, 60);
        let refusing = refuse(&disk, steps, kind);
        let mut told = 0;
        for seq in 61..=200 {
            assert_eq!(spool.append(&frame(seq)).unwrap(), seq);
            told += u64::from(spool.commit().is_err());
        }
        assert!(told > 50, "{steps:?}");
        assert_eq!(read_all(&mut spool), whole(1..=spool.committed));
        assert_eq!(spool.counters().waiting, 200 - spool.committed);
        refusing.store(false, Ordering::SeqCst);
        assert_eq!(spool.commit().unwrap(), 200);
        assert_eq!(read_all(&mut spool), whole(1..=200), "{steps:?} {kind}");
        drop(spool);
        assert_eq!(read_all(&mut open(&disk)), whole(1..=200), "{steps:?} {kind}");
    }
}

#[test]
fn a_refusing_disk_is_told_with_its_reason() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    refuse(&disk, CHANGES, io::ErrorKind::StorageFull);
    spool.append(b"frame").unwrap();
    let told = daemon::chain(&spool.commit().unwrap_err());
    insta::assert_snapshot!(told, @"could not write 1 frames to the spool in data/spool: no storage space");
}

#[test]
fn a_place_that_cannot_be_written_is_left_for_another() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 10);
    let bad = segments(&disk).pop().unwrap();
    let broken = bad.clone();
    disk.before(move |step, path| if step == Step::Sync && path == broken { Err(io::ErrorKind::Other.into()) } else { Ok(()) });
    spool.append(&frame(11)).unwrap();
    assert!(spool.commit().is_err());
    assert_eq!(spool.commit().unwrap(), 11);
    append(&mut spool, 5);
    assert_eq!(read_all(&mut spool), whole(1..=16));
    assert_eq!(segments(&disk).len(), 2);
    drop(spool);
    disk.heal();
    assert_eq!(read_all(&mut open(&disk)), whole(1..=16));
}

#[test]
fn memory_for_a_refusing_disk_is_bounded() {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions::within(8 << 20));
    refuse(&disk, CHANGES, io::ErrorKind::StorageFull);
    // Noise cannot be packed.
    let mut noise = 1_u64;
    let big: Vec<u8> = (0..500_000)
        .map(|_| {
            noise = disk::memory::mix(noise);
            noise.to_le_bytes()[0]
        })
        .collect();
    let kept = (0..20).take_while(|_| spool.append(&big).is_ok()).count();
    assert_eq!(kept, PENDING_BYTES_MAX / 500_020);
    assert!(matches!(spool.append(&big), Err(SpoolError::Full { waiting: 8, .. })));
    let larger = big.repeat(3);
    assert!(matches!(spool.append(&larger), Err(SpoolError::TooLarge { .. })));
}

#[test]
fn a_full_disk_takes_the_files_of_what_was_delivered() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 300);
    let files = segments(&disk).len();
    spool.acknowledge(300).unwrap();
    // Others filled the disk: nothing new can be made on it.
    refuse(&disk, &[Step::Create], io::ErrorKind::StorageFull);
    append(&mut spool, 200);
    assert_eq!(segments(&disk).len(), files);
    assert_eq!(spool.counters().dropped, 0);
    assert_eq!(read_all(&mut spool)[300..], whole(301..=500));
    drop(spool);
    disk.heal();
    assert_eq!(read_all(&mut open(&disk))[300..], whole(301..=500));
}

#[test]
fn on_a_full_disk_the_oldest_go_only_when_memory_is_short() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 64 << 20, segment_bytes: 256 << 10 };
    let mut spool = open_with(&disk, options);
    let mut noise = 1_u64;
    let mut frame = || -> Vec<u8> {
        (0..60_000)
            .map(|_| {
                noise = disk::memory::mix(noise);
                noise.to_le_bytes()[0]
            })
            .collect()
    };
    for _ in 0..20 {
        spool.append(&frame()).unwrap();
    }
    spool.commit().unwrap();
    refuse(&disk, &[Step::Create], io::ErrorKind::StorageFull);
    let mut waiting_max = 0;
    while spool.counters().dropped == 0 {
        waiting_max = spool.counters().waiting;
        spool.append(&frame()).unwrap();
        spool.commit().ok();
    }
    // Two megabytes wait in memory before the first is given up, and then there is room.
    assert!((30..40).contains(&waiting_max), "{waiting_max}");
    let counters = spool.counters();
    assert!(counters.waiting < waiting_max, "{counters:?}");
    let gone = read_all(&mut spool).iter().filter(|stored| stored.payload == Err(Lost::MadeRoom)).count();
    assert_eq!(u64::try_from(gone).unwrap(), counters.dropped);
    assert!(spool.take_events().iter().any(|event| matches!(event, SpoolEvent::Dropped { first: 1, .. })));
}

#[test]
fn a_page_that_cannot_be_read_costs_what_is_on_it() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 1 << 20, segment_bytes: 4 * 4096 };
    let mut spool = open_with(&disk, options);
    append(&mut spool, 1_000);
    let bad = segments(&disk).remove(0);
    let broken = bad.clone();
    let mut reads = 0;
    disk.before(move |step, path| {
        if step != Step::Read || path != broken {
            return Ok(());
        }
        reads += 1;
        // The whole file first, then page by page: the third page is bad.
        if reads == 1 || reads == 4 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    let read = read_all(&mut spool);
    let lost: Vec<u64> = read.iter().filter(|stored| stored.payload.is_err()).map(|stored| stored.seq).collect();
    assert!((10..150).contains(&lost.len()) && lost.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{lost:?}");
    assert!(read.iter().all(|stored| stored.payload == Ok(frame(stored.seq)) || stored.payload == Err(Lost::Damaged)));
    assert_eq!(spool.counters().damaged, 1);
}
