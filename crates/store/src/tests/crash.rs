//! Torn, flipped, killed and full.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::fault::{self, Step};
use crate::{CommitError, Follower, OpenError, Position, Row, Upkeep, WalError, fsck};

fn only_log(dir: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

/// Three commits of one row; answers where each frame of the log ends.
fn three_commits(dir: &Path) -> Vec<usize> {
    let store = open(dir);
    let mut ends = Vec::new();
    for seq in 1..=3 {
        store.commit(&[batch(seq, vec![row("d0", 60_000 * i64::try_from(seq).unwrap(), 5)])]).unwrap();
        ends.push(usize::try_from(store.wal_bytes()).unwrap());
    }
    ends
}

/// Turns a bit of each of these bytes, and leaves the log as it was.
fn each_flip_is_told(dir: &Path, log: &Path, whole: &[u8], bytes: Range<usize>) {
    for at in bytes {
        let mut flipped = whole.to_vec();
        flipped[at] ^= 0x10;
        std::fs::write(log, &flipped).unwrap();
        let err = Store::open(dir, options()).unwrap_err();
        assert!(matches!(err, OpenError::Wal(WalError::Damaged { .. })), "byte {at}: {err}");
    }
    std::fs::write(log, whole).unwrap();
}

#[test]
fn a_commit_that_was_torn_anywhere_is_cut_and_the_ones_before_it_stay() {
    let dir = folder();
    let ends = three_commits(dir.path());
    let log = only_log(dir.path());
    let whole = std::fs::read(&log).unwrap();
    for cut in ends[1]..ends[2] {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        // A byte that is zero anyway tears nothing.
        let lost = torn != whole;
        std::fs::write(&log, &torn).unwrap();
        let store = open(dir.path());
        assert_eq!(store.ack_state(&origin(), SPOOL).contiguous_seq, if lost { 2 } else { 3 }, "cut at {cut}");
        store.commit(&[batch(3, vec![row("d0", 180_000, 5)])]).unwrap();
        drop(store);
        assert_eq!(open(dir.path()).counters().accepted, 3);
    }
}

#[test]
fn a_log_that_ends_early_is_a_torn_commit_too() {
    let dir = folder();
    let ends = three_commits(dir.path());
    let log = only_log(dir.path());
    let whole = std::fs::read(&log).unwrap();
    for cut in ends[1]..ends[2] {
        std::fs::write(&log, &whole[..cut]).unwrap();
        assert_eq!(open(dir.path()).counters().accepted, 2);
    }
}

#[test]
fn a_flipped_bit_before_the_last_commit_is_told_and_not_stepped_over() {
    let dir = folder();
    let ends = three_commits(dir.path());
    let log = only_log(dir.path());
    let whole = std::fs::read(&log).unwrap();
    each_flip_is_told(dir.path(), &log, &whole, 0..ends[1]);
    assert_eq!(open(dir.path()).counters().accepted, 3);
}

#[test]
fn a_flipped_bit_before_a_torn_commit_is_told_too() {
    let dir = folder();
    let ends = three_commits(dir.path());
    let log = only_log(dir.path());
    let mut whole = std::fs::read(&log).unwrap();
    // Of the last commit only its header was written, and what a payload may begin with.
    let torn = ends[1] + 20;
    whole[torn..].fill(0);
    each_flip_is_told(dir.path(), &log, &whole, ends[0]..ends[1]);
    assert_eq!(open(dir.path()).counters().accepted, 2);
}

#[test]
fn killed_between_any_two_steps_of_a_flush_nothing_is_lost_or_doubled() {
    for step in [Step::SegmentWritten, Step::SegmentRenamed, Step::ManifestPublished, Step::LogTrimmed] {
        let dir = folder();
        three_commits(dir.path());
        let store = open(dir.path());
        fault::arm(step, ErrorKind::Other);
        store.flush().unwrap_err();
        fault::disarm();
        drop(store);
        // What a process that was killed leaves behind, and one that failed removes.
        for stranger in ["0000000077.parquet", "0000000078.tmp"] {
            std::fs::write(dir.path().join("segments").join(stranger), b"PAR1").unwrap();
        }
        let store = open(dir.path());
        assert_eq!(store.counters().accepted, 3, "{step:?}");
        let repeated = store.commit(&[batch(9, vec![row("d0", 120_000, 5)])]).unwrap();
        assert_eq!((repeated[0].accepted, repeated[0].duplicate), (0, 1), "{step:?}");
        store.flush().unwrap();
        assert_eq!(all(dir.path())[0].1.len(), 3, "{step:?}");
        drop(store);
        let files = std::fs::read_dir(dir.path().join("segments")).unwrap().count();
        assert_eq!(files as u64, Reader::open(dir.path()).unwrap().totals().segments);
    }
}

#[test]
fn a_full_disk_refuses_changes_nothing_and_is_got_over() {
    let dir = folder();
    let store = open(dir.path());
    let rows = |seq: u64| (0..300).map(|minute| row("d0", minute * 60_000, i64::try_from(seq).unwrap())).collect::<Vec<_>>();
    store.commit(&[batch(1, rows(1))]).unwrap();
    fault::arm(Step::Preallocate, ErrorKind::StorageFull);
    let before = store.counters();
    let err = store.commit(&[batch(2, rows(2))]).unwrap_err();
    assert!(err.is_transient());
    assert!(err.to_string().contains("no space left") && err.to_string().contains("wal"), "{err}");
    assert_eq!(store.counters(), before);
    assert_eq!(store.ack_state(&origin(), SPOOL).contiguous_seq, 1);
    fault::disarm();
    assert_eq!(store.commit(&[batch(2, rows(2))]).unwrap()[0].conflict, 300);
    assert_eq!(store.ack_state(&origin(), SPOOL).contiguous_seq, 2);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    // Also where a full disk is noticed only now, on a file system that cannot preallocate.
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        let dir = folder();
        let store = open(dir.path());
        store.commit(&[batch(1, vec![row("d0", 0, 1)])]).unwrap();
        fault::arm(Step::Sync, kind);
        assert!(!store.commit(&[batch(2, vec![row("d0", 60_000, 2)])]).unwrap_err().is_transient());
        fault::disarm();
        assert!(matches!(store.commit(&[batch(3, vec![])]), Err(CommitError::Wal(WalError::Stopped { .. }))));
        assert_eq!(store.ack_state(&origin(), SPOOL), crate::AckState::default());
        assert!(store.flush().is_err() && store.probe().is_err());
        drop(store);
        let contiguous = open(dir.path()).ack_state(&origin(), SPOOL).contiguous_seq;
        assert!(contiguous >= 1, "what was acknowledged is there");
    }
}

#[test]
fn a_log_file_whose_folder_is_not_synced_ends_what_may_be_written() {
    let dir = folder();
    let store = open(dir.path());
    let rows = |seq: u64| (0..300).map(|minute| row("d0", minute * 60_000, i64::try_from(seq).unwrap())).collect::<Vec<_>>();
    store.commit(&[batch(1, rows(1))]).unwrap();
    fault::arm(Step::FolderSync, ErrorKind::Other);
    assert!(!store.commit(&[batch(2, rows(2))]).unwrap_err().is_transient());
    fault::disarm();
    // The old file would take it; but it would come behind the beginning of the new one.
    assert!(matches!(store.commit(&[batch(3, vec![row("d1", 0, 1)])]), Err(CommitError::Wal(WalError::Stopped { .. }))));
    drop(store);
    for seq in 2..4 {
        let store = open(dir.path());
        assert_eq!(store.ack_state(&origin(), SPOOL).contiguous_seq, seq - 1);
        store.commit(&[batch(seq, rows(seq))]).unwrap();
    }
    assert_eq!(open(dir.path()).counters().accepted, 900);
}

#[test]
fn a_log_file_that_was_begun_and_never_used_is_stepped_over() {
    let dir = folder();
    three_commits(dir.path());
    let log = only_log(dir.path());
    let header = |first: u64| [&std::fs::read(&log).unwrap()[..8], &first.to_le_bytes(), &[0; 64]].concat();
    let unused = log.with_file_name("00000000000000000002.wal");
    std::fs::write(&unused, header(2)).unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().totals().counters.accepted, 3);
    let store = open(dir.path());
    assert!(!unused.exists());
    store.commit(&[batch(4, vec![row("d0", 999_960_000, 4)])]).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).counters().accepted, 4);
    // With anything in it, it contradicts the other.
    std::fs::write(&unused, [header(2), vec![1; 64]].concat()).unwrap();
    assert!(matches!(Store::open(dir.path(), options()).unwrap_err(), OpenError::Wal(WalError::Damaged { .. })));
}

#[test]
fn one_process_writes() {
    let dir = folder();
    let store = open(dir.path());
    let err = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(err, OpenError::InUse { .. }));
    drop(store);
    open(dir.path());
}

#[test]
fn a_missing_log_file_is_told() {
    let dir = folder();
    let store = open(dir.path());
    for seq in 1..=40 {
        store.commit(&[batch(seq, (0..60).map(|minute| row("d0", minute * 60_000, i64::try_from(seq).unwrap())).collect())]).unwrap();
    }
    drop(store);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2);
    std::fs::remove_file(&files[1]).unwrap();
    assert!(matches!(Store::open(dir.path(), options()), Err(OpenError::Wal(WalError::Hole { .. }))));
}

#[test]
fn a_trimmed_file_that_comes_back_is_no_hole() {
    let dir = folder();
    let store = open(dir.path());
    let rows = |seq: u64| (0..60).map(|minute| row("d0", minute * 60_000, i64::try_from(seq).unwrap())).collect();
    for seq in 1..=40 {
        store.commit(&[batch(seq, rows(seq))]).unwrap();
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2);
    let first = std::fs::read(&files[0]).unwrap();
    store.flush().unwrap();
    store.commit(&[batch(41, rows(41))]).unwrap();
    drop(store);
    std::fs::write(&files[0], first).unwrap();
    assert_eq!(open(dir.path()).counters().accepted, 41 * 60);
    Reader::open(dir.path()).unwrap();
}

#[test]
fn rubbish_behind_the_end_is_never_taken_for_a_commit() {
    let dir = folder();
    let ends = three_commits(dir.path());
    let log = only_log(dir.path());
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.write_all_at(&[0xff; 64], ends[2] as u64 + 100).unwrap();
    assert_eq!(open(dir.path()).counters().accepted, 3);
    let rest = std::fs::read(&log).unwrap();
    assert!(rest[ends[2]..].iter().all(|byte| *byte == 0));
}

/// Every file under the folder of the store with its allocated length.
fn files(dir: &Path, sub: &str) -> Vec<PathBuf> {
    std::fs::read_dir(dir.join(sub)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn segments_that_cannot_be_written_do_not_fill_the_disk() {
    for step in [Step::SegmentWritten, Step::SegmentRenamed] {
        let dir = folder();
        let store = Store::open(dir.path(), Options { flush_rows: 10, wal_file_bytes: 16 << 10, ..options() }).unwrap();
        fault::arm(step, ErrorKind::StorageFull);
        for seq in 1..=30 {
            store.commit(&[batch(seq, vec![row("d0", 60_000 * i64::try_from(seq).unwrap(), 5)])]).unwrap();
        }
        store.settle();
        store.flush().unwrap_err();
        assert_eq!(files(dir.path(), "wal").len(), 1, "{step:?}: the log has room, and grows by no file");
        assert_eq!(files(dir.path(), "segments"), Vec::<PathBuf>::new(), "{step:?}: what is no segment is removed");
        fault::disarm();
        store.commit(&[batch(31, (31..50).map(|minute| row("d0", 60_000 * minute, 5)).collect())]).unwrap();
        store.settle();
        assert_eq!((store.head_rows(), store.segments()), (0, [2, 0, 0]), "{step:?}: it is tried again, and then what came since");
        assert_eq!(all(dir.path())[0].1.len(), 49);
    }
}

#[test]
fn a_log_file_that_finds_no_space_leaves_nothing_behind() {
    let dir = folder();
    let store = open(dir.path());
    fault::arm(Step::Preallocate, ErrorKind::StorageFull);
    let many = (0..600).map(|minute| row("d0", minute * 60_000, 1)).collect::<Vec<_>>();
    store.commit(&[batch(1, many)]).unwrap_err();
    fault::disarm();
    let log = only_log(dir.path());
    assert!(log.extension().is_some_and(|extension| extension == "wal"), "{}", log.display());
}

#[test]
fn more_than_one_frame_of_readings_is_committed_in_several() {
    let dir = folder();
    let store = open(dir.path());
    let long = "p".repeat(2_000);
    let rows = |seq: i64| {
        let long = &long;
        let row = |number: i64| crate::Row { point: format!("{long}{number}").into(), ..row("d0", seq, 1) };
        (0..3_000).map(row).collect::<Vec<_>>()
    };
    // About 6 MB each at most, as they are counted before they are written.
    let batches: Vec<_> = (1..=12).map(|seq| batch(seq, rows(i64::try_from(seq).unwrap()))).collect();
    let committed = store.commit(&batches).unwrap();
    assert_eq!(committed.iter().map(|outcome| outcome.accepted).collect::<Vec<_>>(), [3_000; 12]);
    assert_eq!(store.ack_state(&origin(), SPOOL).contiguous_seq, 12);
    drop(store);
    assert_eq!(open(dir.path()).counters().accepted, 36_000);
}

#[test]
fn a_damaged_segment_is_never_merged_into_a_new_one() {
    let dir = folder();
    let store = open(dir.path());
    for seq in 1..=2 {
        store.commit(&[batch(seq, vec![row("d0", 60_000 * i64::try_from(seq).unwrap(), 5)])]).unwrap();
        store.flush().unwrap();
    }
    let mut segments = files(dir.path(), "segments");
    segments.sort();
    let whole = std::fs::read(&segments[0]).unwrap();
    // In the names at the end, where Parquet itself notices nothing.
    let at = whole.windows(6).position(|window| window == b"\"acme\"").unwrap();
    let mut damaged = whole.clone();
    damaged[at + 1] ^= 1;
    std::fs::write(&segments[0], &damaged).unwrap();
    let err = store.compact().unwrap_err();
    assert!(err.to_string().contains("restore it from a copy"), "{err}");
    assert_eq!((store.segments(), std::fs::read(&segments[0]).unwrap()), ([2, 0, 0], damaged));
    std::fs::write(&segments[0], &whole).unwrap();
    store.compact().unwrap();
    assert_eq!((store.segments(), all(dir.path())[0].1.len()), ([0, 0, 1], 2));
    let Upkeep { flushes, merges, derivations } = store.upkeep();
    assert_eq!((flushes.times, merges.times, derivations.times), (2, 2, 1), "the merge that failed took its time too");
    assert!([flushes, merges, derivations].iter().all(|spent| spent.time > Duration::ZERO));
}

#[test]
fn messages_without_readings_are_moved_out_of_memory_too() {
    let dir = folder();
    let store = open(dir.path());
    let letter = |seq: u8| crate::DeadLetter {
        topic: "t".to_owned(),
        reason: "frame".to_owned(),
        payload: vec![seq; 4_000],
        points: 1,
        received_ms: 0,
    };
    for seq in 0..200 {
        store.commit_with(&[], &[letter(seq)]).unwrap();
    }
    store.settle();
    assert!(store.wal_bytes() < 20 * (16 << 10), "{} bytes of log wait", store.wal_bytes());
    for seq in 0..200 {
        store.commit_with(&[batch(1, Vec::new())], &[]).unwrap();
        store.commit_with(&[], &[letter(seq)]).unwrap();
    }
    let (counters, letters) = (store.counters(), store.dead_letters(1_000).unwrap().len());
    assert_eq!((counters.dead_letter, counters.repeated_batches, letters), (400, 199, 400));
    drop(store);
    let store = open(dir.path());
    assert_eq!((store.counters(), store.dead_letters(1_000).unwrap().len()), (counters, 400));
}

/// A log file without a frame that is too short for the first one: another in its place would have its name, and would go when it is trimmed.
#[test]
fn a_fresh_log_file_that_is_too_short_is_made_longer_and_stays() {
    let options = Options { flush_rows: 1_000, wal_file_bytes: 4 << 10, ..options() };
    let rows = |device, minutes: Range<i64>| minutes.map(|minute| row(device, 60_000 * minute, minute)).collect::<Vec<_>>();
    let goes_on = |dir: &Path, first: Vec<Row>| {
        let store = Store::open(dir, options.clone()).unwrap();
        let mut follower = Follower::open(dir).unwrap();
        let mut position = follower.next(&Position::default(), 10_000, u64::MAX).unwrap().next;
        let count = first.len() as u64 + 2;
        let manifest = store.hold_manifest();
        store.commit(&[batch(1, first)]).unwrap();
        // The flush has begun, and cannot end before this one is in the log too: its file is not left for another.
        store.commit(&[batch(2, rows("d0", 0..1))]).unwrap();
        drop(manifest);
        store.settle();
        store.commit(&[batch(3, rows("d0", 1..2))]).unwrap();
        assert_eq!(files(dir, "wal").len(), 1, "what is acknowledged is in a file that has a name");
        let mut followed = 0;
        while followed < count {
            let portion = follower.next(&position, 10_000, u64::MAX).unwrap();
            assert!(!portion.rows.is_empty() || !portion.caught_up, "{followed} of {count}");
            (position, followed) = (portion.next, followed + portion.rows.len() as u64);
        }
        // As a kill leaves it: what is in memory is not moved to segments.
        drop(store);
        assert_eq!(Reader::open(dir).unwrap().totals().rows, count);
        assert_eq!(fsck(dir).unwrap().problems, []);
    };
    // A frame longer than a file.
    let dir = folder();
    goes_on(dir.path(), rows("d1", 1_000..3_000));
    // A disk that was full when the log was opened again: the file was cut behind its header.
    let dir = folder();
    drop(Store::open(dir.path(), options.clone()).unwrap());
    fault::arm(Step::Preallocate, ErrorKind::StorageFull);
    Store::open(dir.path(), options.clone()).unwrap_err();
    fault::disarm();
    goes_on(dir.path(), rows("d1", 1_000..2_000));
}
