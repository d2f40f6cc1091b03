//! Flushes beside the commits.

use std::io::ErrorKind;

use super::*;
use crate::fault::{self, Step};
use crate::fsck;

fn minutes(from: i64, to: i64, value: i64) -> Vec<Row> {
    (from..to).map(|minute| row("d0", minute * 60_000, minute + value)).collect()
}

fn small(dir: &Path) -> Store {
    Store::open(dir, Options { flush_rows: 100, wal_file_bytes: 16 << 10, ..options() }).unwrap()
}

#[test]
fn commits_go_on_while_a_flush_writes_and_know_what_it_moves() {
    let dir = folder();
    let store = small(dir.path());
    let manifest = store.hold_manifest();
    store.commit(&[batch(1, minutes(0, 150, 0))]).unwrap();
    // The flush has begun, or will, and cannot end: what it moves is in no segment, and is known all the same.
    let committed = store.commit(&[batch(2, minutes(100, 200, 0)), batch(3, minutes(0, 10, 7)), batch(1, minutes(0, 150, 0))]).unwrap();
    let outcomes: Vec<_> = committed.iter().map(|one| (one.accepted, one.duplicate, one.conflict)).collect();
    assert_eq!(outcomes, [(50, 50, 0), (10, 0, 10), (0, 150, 0)]);
    assert_eq!((store.segments(), store.head_rows()), ([0; 3], 210));
    let beside = Reader::open(dir.path()).unwrap().scan(SeriesId(1), 0..i64::MAX).unwrap();
    assert_eq!((beside.len(), beside[3].raw), (200, Some(10)));
    drop(manifest);
    store.settle();
    assert!(store.segments() != [0; 3]);
    // After it, the same answers come from segments.
    let again = store.commit(&[batch(4, minutes(0, 200, 0)), batch(5, minutes(0, 10, 7))]).unwrap();
    assert_eq!(again.iter().map(|one| one.duplicate).collect::<Vec<_>>(), [200, 10]);
    store.flush().unwrap();
    assert_eq!((store.head_rows(), store.counters().accepted), (0, 210));
    drop(store);
    assert_eq!(fsck(dir.path()).unwrap().problems, []);
    assert_eq!(small(dir.path()).ack_state(&origin(), SPOOL).contiguous_seq, 5);
}

#[test]
fn what_a_flush_moves_can_be_put_back_as_it_was() {
    let dir = folder();
    let store = small(dir.path());
    let manifest = store.hold_manifest();
    store.commit(&[batch(1, minutes(0, 150, 0))]).unwrap();
    let account =
        crate::Account { actor: "anna".to_owned(), reason: "tried".to_owned(), document: String::new(), approval: String::new(), at_ms: 0 };
    let amend = |row: Row| {
        store.amend(&crate::Amendment { tenant: slug("acme"), facility: slug("hall"), rows: vec![row], account: account.clone() })
    };
    let read = minutes(3, 4, 0)[0].clone();
    amend(Row { raw: Some(9), quality: Quality::GOOD.with(units::Reason::Edited), words: None, ..read.clone() }).unwrap();
    amend(Row { raw: Some(4), ..read.clone() }).unwrap_err();
    amend(read).unwrap();
    drop(manifest);
    store.settle();
    let now = Reader::open(dir.path()).unwrap().scan(SeriesId(1), 180_000..240_000).unwrap();
    assert_eq!((now[0].raw, now[0].quality, now[0].version), (Some(3), Quality::GOOD, 2));
}

#[test]
fn a_flush_that_failed_is_made_up_for_whatever_came_since() {
    for step in [Step::SegmentWritten, Step::SegmentRenamed] {
        for restarted in [false, true] {
            let dir = folder();
            let store = small(dir.path());
            let letter =
                crate::DeadLetter { topic: "t".to_owned(), reason: "frame".to_owned(), payload: vec![1], points: 1, received_ms: 0 };
            fault::arm(step, ErrorKind::Other);
            store.commit_with(&[batch(1, minutes(0, 120, 0))], std::slice::from_ref(&letter)).unwrap();
            store.settle();
            assert_eq!((store.segments(), store.head_rows(), store.dead_letters(10).unwrap().len()), ([0; 3], 120, 1));
            // The same again is no reading more, and a new series is one.
            store.commit_with(&[batch(2, minutes(0, 120, 0)), batch(3, vec![row("d1", 0, 1)])], &[letter]).unwrap();
            fault::disarm();
            let store = if restarted {
                drop(store);
                small(dir.path())
            } else {
                store.settle();
                store
            };
            store.flush().unwrap();
            assert_eq!((store.head_rows(), store.counters().accepted, store.counters().duplicate), (0, 121, 120), "{step:?}, {restarted}");
            assert_eq!(store.dead_letters(10).unwrap().len(), 2);
            let findings = fsck(dir.path()).unwrap();
            assert_eq!((findings.problems, findings.rows), (vec![], 121), "{step:?}, {restarted}");
        }
    }
}

#[test]
fn who_commits_faster_than_segments_are_written_waits() {
    let dir = folder();
    let store = small(dir.path());
    for seq in 1..=60 {
        let first = i64::try_from(seq).unwrap() * 50;
        store.commit(&[batch(seq, minutes(first, first + 50, 0))]).unwrap();
        assert!(store.head_rows() < 100 * 4 + 50);
    }
    store.settle();
    store.flush().unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().scan(SeriesId(1), 0..i64::MAX).unwrap().len(), 3_000);
}

#[test]
fn a_seal_covers_what_was_committed_while_it_waited() {
    let dir = folder();
    let store = small(dir.path());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in 1..=200 {
                let minute = i64::try_from(seq).unwrap();
                store.commit(&[batch(seq, minutes(minute, minute + 1, 0))]).unwrap();
            }
        });
        for round in 0..10 {
            let account = crate::Account {
                actor: "anna".to_owned(),
                reason: "billed".to_owned(),
                document: String::new(),
                approval: String::new(),
                at_ms: 1_769_904_000_000,
            };
            let (from_ms, to_ms) = (round * 1_200_000, (round + 1) * 1_200_000);
            store.seal(&crate::Seal { tenant: slug("acme"), facility: slug("hall"), from_ms, to_ms, account }).unwrap();
        }
    });
    store.settle();
    let findings = fsck(dir.path()).unwrap();
    assert_eq!((findings.problems, findings.seals, findings.rows), (vec![], 10, 200));
}

/// Who opened before a merge still reads what it replaced; the next round takes it away, also when it has nothing to merge.
#[test]
fn what_a_compaction_replaced_goes_with_the_next() {
    let dir = folder();
    let store = open(dir.path());
    for seq in 1..=3 {
        let minute = i64::try_from(seq).unwrap() * 10;
        store.commit(&[batch(seq, minutes(minute, minute + 10, 0))]).unwrap();
        store.flush().unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    let files = || std::fs::read_dir(dir.path().join("segments")).unwrap().count();
    store.compact().unwrap();
    assert_eq!((files(), store.segments()), (4, [0, 0, 1]));
    assert_eq!(reader.scan(SeriesId(1), 0..i64::MAX).unwrap().len(), 30);
    store.compact().unwrap();
    assert_eq!(files(), 1);
    assert_eq!(Reader::open(dir.path()).unwrap().scan(SeriesId(1), 0..i64::MAX).unwrap().len(), 30);
    drop(store);
    assert_eq!(fsck(dir.path()).unwrap().problems, []);
}
