use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::{disk::Step, *};

const SEGMENT: usize = 4096;
const SMALL: SpoolOptions = SpoolOptions { bytes_max: 1 << 20, segment_bytes: SEGMENT };

fn id(number: u8) -> SpoolId {
    SpoolId::from_bytes([number; 16])
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, SMALL, || id(7)).unwrap()
}

fn frame(seq: u64) -> Vec<u8> {
    format!("frame {seq} ").repeat(usize::try_from(seq % 7).unwrap() + 1).into_bytes()
}

fn append(spool: &mut Spool, count: u64) {
    for _ in 0..count {
        let seq = spool.next_seq;
        assert_eq!(spool.append(&frame(seq)).unwrap(), seq);
    }
    spool.commit().unwrap();
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
    seqs.map(|seq| Stored { seq, payload: Some(frame(seq)) }).collect()
}

fn copy(folder: &Path) -> TempDir {
    fn into(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                into(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let copied = tempdir().unwrap();
    into(folder, copied.path());
    copied
}

fn newest_segment(folder: &Path) -> PathBuf {
    Segment::list(&folder.join("segments")).unwrap().pop().unwrap().path
}

#[test]
fn what_is_committed_is_read_back_over_segments_and_restarts() {
    let folder = tempdir().unwrap();
    for restart in 0..5 {
        let mut spool = open(folder.path());
        assert_eq!((spool.id(), spool.counters().committed), (id(7), restart * 100));
        append(&mut spool, 100);
        assert_eq!(read_all(&mut spool), whole(1..=(restart + 1) * 100));
    }
    assert!(Segment::list(&folder.path().join("segments")).unwrap().len() > 3);
}

#[test]
fn what_is_not_committed_is_not_read() {
    let folder = tempdir().unwrap();
    let mut spool = open(folder.path());
    append(&mut spool, 3);
    spool.append(b"in memory").unwrap();
    assert_eq!(read_all(&mut spool), whole(1..=3));
    drop(spool);
    assert_eq!(read_all(&mut open(folder.path())), whole(1..=3));
}

#[test]
fn one_gateway_at_a_time() {
    let folder = tempdir().unwrap();
    let first = open(folder.path());
    assert!(matches!(Spool::open(folder.path(), SMALL, || id(8)), Err(SpoolError::Locked { .. })));
    drop(first);
    open(folder.path());
}

#[test]
fn a_torn_write_costs_itself_and_its_number_is_never_used_again() {
    let folder = tempdir().unwrap();
    let mut spool = open(folder.path());
    append(&mut spool, 5);
    let start = spool.active.end;
    append(&mut spool, 1);
    let end = spool.active.end;
    drop(spool);
    let path = newest_segment(folder.path());
    let written = fs::read(&path).unwrap();
    for torn_at in start..=end {
        let mut torn = written.clone();
        torn[torn_at..end].fill(0);
        fs::write(&path, &torn).unwrap();
        let case = copy(folder.path());
        let mut spool = open(case.path());
        // The payload ends in a blank, so only the untorn record is whole.
        let expected_last = if torn_at == end { 6 } else { 5 };
        assert_eq!(read_all(&mut spool)[..expected_last], whole(1..=u64::try_from(expected_last).unwrap()), "torn at {torn_at}");
        let burnt = u64::from(torn_at > start && torn_at < end);
        let next = u64::try_from(expected_last).unwrap() + 1 + burnt;
        assert_eq!(spool.append(&frame(next)).unwrap(), next, "torn at {torn_at}");
        spool.commit().unwrap();
        drop(spool);
        let mut again = open(case.path());
        let last = read_all(&mut again).pop().unwrap();
        assert_eq!(last, Stored { seq: next, payload: Some(frame(next)) });
        assert_eq!(case.path().join("quarantine").exists(), burnt == 1);
    }
}

#[test]
fn a_lost_sector_costs_only_what_was_not_confirmed_as_durable() {
    let folder = tempdir().unwrap();
    let mut spool = open(folder.path());
    append(&mut spool, 10);
    let durable_to = spool.active.end;
    for seq in 11..=30 {
        spool.append(&frame(seq)).unwrap();
    }
    spool.commit().unwrap();
    let end = spool.active.end;
    drop(spool);
    let path = newest_segment(folder.path());
    let written = fs::read(&path).unwrap();
    for sector in (durable_to / 512)..=(end / 512) {
        let mut torn = written.clone();
        let from = (sector * 512).max(durable_to);
        torn[from..(sector + 1) * 512].fill(0);
        fs::write(&path, &torn).unwrap();
        let mut spool = open(folder.path());
        let read = read_all(&mut spool);
        assert_eq!(read[..10], whole(1..=10));
        for stored in &read[10..] {
            assert!(stored.payload.as_ref().is_none_or(|payload| *payload == frame(stored.seq)), "sector {sector}");
        }
        assert!(spool.next_seq > 10);
        drop(spool);
        fs::write(&path, &written).unwrap();
    }
}

/// Copies the folder before every step that touches the disk.
fn kill_points(folder: &Path, work: impl FnOnce(&mut Spool)) -> Vec<(Step, TempDir)> {
    let points = Arc::new(Mutex::new(Vec::new()));
    let mut spool = open(folder);
    let (taken, from) = (Arc::clone(&points), folder.to_owned());
    spool.disk.before = Some(Box::new(move |step| {
        taken.lock().unwrap().push((step, copy(&from)));
        Ok(())
    }));
    work(&mut spool);
    drop(spool);
    Arc::try_unwrap(points).unwrap().into_inner().unwrap()
}

#[test]
fn killed_at_any_step_nothing_that_was_committed_is_lost() {
    let folder = tempdir().unwrap();
    append(&mut open(folder.path()), 90);
    let mut committed_before = 90;
    for round in 0..12 {
        let points = kill_points(folder.path(), |spool| {
            append(spool, 17);
            spool.acknowledge(40 + round * 10).unwrap();
            spool.checkpoint().unwrap();
        });
        assert!(points.len() >= 4);
        for (step, case) in points {
            let mut spool = open(case.path());
            assert_eq!(spool.id(), id(7));
            let read = read_all(&mut spool);
            let count = usize::try_from(committed_before).unwrap();
            assert_eq!(read[..count], whole(1..=committed_before), "round {round}, before {step:?}");
            for stored in &read[count..] {
                assert_eq!(stored.payload.as_deref(), Some(&frame(stored.seq)[..]));
            }
            let next = spool.next_seq;
            append(&mut spool, 3);
            assert_eq!(spool.read(next, 10_000).unwrap(), whole(next..=next + 2));
        }
        committed_before += 17;
    }
}

#[test]
fn killed_while_it_is_made_it_is_made_anew() {
    for stop_at in 0..20 {
        let folder = tempdir().unwrap();
        let mut left = stop_at;
        let disk = Disk {
            before: Some(Box::new(move |_| {
                left -= 1;
                if left < 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
            })),
        };
        let made = Spool::open_on(disk, folder.path(), SMALL, || id(7));
        let finished = made.is_ok();
        drop(made);
        let mut spool = Spool::open(folder.path(), SMALL, || id(8)).unwrap();
        append(&mut spool, 3);
        assert_eq!(read_all(&mut spool), whole(1..=3));
        if finished {
            assert_eq!(spool.id(), id(7));
            return;
        }
    }
    panic!("making a spool takes more steps than this test knows");
}

#[test]
fn a_full_disk_loses_nothing_that_fits_memory_and_recovers() {
    let folder = tempdir().unwrap();
    let mut spool = open(folder.path());
    append(&mut spool, 60);
    let full = Arc::new(Mutex::new(true));
    let refuse = Arc::clone(&full);
    spool.disk.before = Some(Box::new(move |step| match step {
        Step::Create | Step::Write if *refuse.lock().unwrap() => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }));
    for seq in 61..=200 {
        spool.append(&frame(seq)).unwrap();
        let err = spool.commit().unwrap_err();
        assert!(matches!(err, SpoolError::Write { .. }));
        if seq == 61 {
            let told = daemon::chain(&err).replace(&folder.path().display().to_string(), "[folder]");
            insta::assert_snapshot!(told, @"could not write 1 frames to the spool in [folder]: no storage space");
        }
    }
    assert_eq!(read_all(&mut spool), whole(1..=60));
    *full.lock().unwrap() = false;
    assert_eq!(spool.commit().unwrap(), 200);
    assert_eq!(read_all(&mut spool), whole(1..=200));
}

#[test]
fn memory_for_a_refusing_disk_is_bounded() {
    let folder = tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), SpoolOptions::within(8 << 20), || id(7)).unwrap();
    spool.disk.before = Some(Box::new(|_| Err(io::ErrorKind::StorageFull.into())));
    let big = vec![1; 500_000];
    let kept = (0..20).take_while(|_| spool.append(&big).is_ok()).count();
    assert_eq!(kept, 8);
    assert!(matches!(spool.append(&big), Err(SpoolError::Full { waiting: 8, .. })));
    assert!(matches!(spool.append(&vec![0; 2 << 20]), Err(SpoolError::TooLarge { .. })));
}

#[test]
fn delivered_frames_go_first_and_others_are_counted() {
    let folder = tempdir().unwrap();
    let options = SpoolOptions { bytes_max: 4 * 4096, segment_bytes: SEGMENT };
    let mut spool = Spool::open(folder.path(), options, || id(7)).unwrap();
    append(&mut spool, 300);
    let dropped = spool.counters().dropped;
    assert!(dropped > 0 && spool.segments.len() <= 4);
    let read = read_all(&mut spool);
    let gone = read.iter().filter(|stored| stored.payload.is_none()).count();
    assert_eq!(u64::try_from(gone).unwrap(), dropped);
    assert_eq!(read.last(), Some(&Stored { seq: 300, payload: Some(frame(300)) }));
    spool.acknowledge(300).unwrap();
    append(&mut spool, 60);
    assert_eq!(spool.counters().dropped, dropped);
    drop(spool);
    let spool = Spool::open(folder.path(), options, || id(8)).unwrap();
    assert_eq!((spool.id(), spool.counters().committed), (id(7), 360));
    assert_eq!(spool.counters().acknowledged, 300);
}

#[test]
fn an_empty_folder_under_an_old_name_gets_a_new_name() {
    let folder = tempdir().unwrap();
    append(&mut open(folder.path()), 5);
    fs::remove_dir_all(folder.path().join("segments")).unwrap();
    let spool = Spool::open(folder.path(), SMALL, || id(9)).unwrap();
    // Its numbers start at 1 again, so it must not be taken for the old one.
    assert_eq!((spool.id(), spool.counters().committed, spool.counters().acknowledged), (id(9), 0, 0));
}

#[test]
fn a_disk_that_lied_does_not_get_the_same_numbers_again() {
    let folder = tempdir().unwrap();
    let mut spool = open(folder.path());
    append(&mut spool, 5);
    spool.append(b"waits").unwrap();
    // The collector has frames 6 to 8, which this disk claimed to have and does not.
    spool.acknowledge(8).unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.read(9, 100).unwrap(), [Stored { seq: 9, payload: Some(b"waits".to_vec()) }]);
    assert_eq!(spool.append(b"next").unwrap(), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_anywhere_never_changes_a_frame(segment: proptest::sample::Index, at: proptest::sample::Index, bit in 0_u8..8) {
        let folder = tempdir().unwrap();
        append(&mut open(folder.path()), 150);
        let segments = Segment::list(&folder.path().join("segments")).unwrap();
        let path = &segments[segment.index(segments.len())].path;
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(path, bytes).unwrap();
        let mut spool = open(folder.path());
        let read = read_all(&mut spool);
        let lost = read.iter().filter(|stored| stored.payload.is_none()).count();
        prop_assert!(lost <= 1);
        for stored in read.iter().filter(|stored| stored.payload.is_some()) {
            prop_assert_eq!(stored.payload.as_ref().unwrap(), &frame(stored.seq));
        }
        prop_assert!(spool.next_seq >= 151);
        append(&mut spool, 2);
    }
}
