//! What is left of a damaged store.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::{Account, SalvageError, Salvaged, Seal, backup, fsck, salvage};

fn rows(from: i64, to: i64) -> Vec<Row> {
    (from..to).flat_map(|minute| ["d0", "d1"].map(|device| row(device, minute * 60_000, minute))).collect()
}

/// Two segments, and six commits behind them in the log.
fn filled(dir: &Path) -> Store {
    let store = open(dir);
    for seq in 1..=2 {
        let first = i64::try_from(seq).unwrap() * 100;
        store.commit(&[batch(seq, rows(first, first + 50))]).unwrap();
        store.flush().unwrap();
    }
    for seq in 3..=8 {
        let first = i64::try_from(seq).unwrap() * 100;
        store.commit(&[batch(seq, rows(first, first + 10))]).unwrap();
    }
    store
}

/// Device, minute and value of everything that is there.
fn readings(dir: &Path) -> BTreeSet<(String, i64, i64)> {
    let of = |(device, samples): (String, Vec<Sample>)| {
        samples.into_iter().map(move |sample| (device.clone(), sample.ts_ms / 60_000, sample.raw.unwrap())).collect::<Vec<_>>()
    };
    all(dir).into_iter().flat_map(of).collect()
}

fn files(dir: &Path, sub: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.join(sub)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Turns one bit.
fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1 << (at % 8);
    std::fs::write(path, bytes).unwrap();
}

fn salvaged(dir: &Path, copy: Option<&Path>) -> (tempfile::TempDir, Salvaged, BTreeSet<(String, i64, i64)>) {
    let to = folder();
    let place = to.path().join("rescued");
    let salvaged = salvage(dir, copy, &place).unwrap();
    let readings = readings(&place);
    (to, salvaged, readings)
}

#[test]
fn a_whole_store_is_salvaged_whole_and_goes_on() {
    let dir = folder();
    let store = filled(dir.path());
    assert!(matches!(salvage(dir.path(), None, &dir.path().join("x")), Err(SalvageError::Open(crate::OpenError::InUse { .. }))));
    let (expected, counters) = (readings(dir.path()), store.counters());
    drop(store);
    let (to, salvaged, found) = salvaged(dir.path(), None);
    assert_eq!((salvaged.segments, salvaged.from_copy, salvaged.log_entries, salvaged.losses), (2, 0, 6, vec![]));
    assert_eq!((salvaged.findings.problems, found), (vec![], expected));
    let place = to.path().join("rescued");
    let store = open(&place);
    assert_eq!((store.counters(), store.ack_state(&origin(), SPOOL).contiguous_seq), (counters, 8));
    // What comes again is known, and what is new is not.
    let again = store.commit(&[batch(8, rows(800, 810)), batch(9, rows(805, 815))]).unwrap();
    assert_eq!((again[0].duplicate, again[1].duplicate, again[1].accepted), (20, 10, 10));
    drop(store);
    assert!(matches!(salvage(dir.path(), None, &place), Err(SalvageError::NotEmpty { .. })));
}

#[test]
fn a_segment_that_was_changed_is_named_and_comes_back_from_a_copy() {
    let (dir, copy) = (folder(), folder());
    drop(filled(dir.path()));
    let expected = readings(dir.path());
    backup(dir.path(), copy.path()).unwrap();
    let segment = files(dir.path(), "segments").remove(0);
    let whole = std::fs::read(&segment).unwrap();
    for at in [4, whole.len() / 3, whole.len() - 9] {
        flip(&segment, at);
        let (to, report, found) = salvaged(dir.path(), None);
        let [loss] = report.losses.as_slice() else { panic!("{report:?}") };
        let lost: Vec<_> = loss.series.iter().map(|one| (one.key.device.to_string(), one.first_ms, one.last_ms, one.readings)).collect();
        let series = |device: &str| (device.to_owned(), 6_000_000, 149 * 60_000, 50);
        assert_eq!((lost, loss.path.as_path()), (vec![series("d0"), series("d1")], segment.as_path()), "byte {at}");
        let kept: BTreeSet<_> = expected.iter().filter(|(_, minute, _)| *minute >= 150).cloned().collect();
        assert_eq!((found, report.findings.problems, report.segments), (kept, vec![], 1), "byte {at}");
        let aside = to.path().join("rescued/quarantine").join(segment.file_name().unwrap());
        assert_eq!(std::fs::read(aside).unwrap(), std::fs::read(&segment).unwrap());

        let (_to, report, found) = salvaged(dir.path(), Some(copy.path()));
        assert_eq!((report.losses, report.from_copy, &found), (vec![], 1, &expected), "byte {at}");
        std::fs::write(&segment, &whole).unwrap();
    }
    std::fs::remove_file(&segment).unwrap();
    let (_to, report, _) = salvaged(dir.path(), None);
    assert_eq!(report.losses[0].what, "is not there");
}

#[test]
fn whatever_bit_of_the_log_turns_every_other_commit_is_there_and_nothing_else() {
    let dir = folder();
    drop(filled(dir.path()));
    let expected = readings(dir.path());
    let log = files(dir.path(), "wal").remove(0);
    let whole = std::fs::read(&log).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut told = 0;
    for at in (0..end).step_by(41) {
        flip(&log, at);
        let (_to, report, found) = salvaged(dir.path(), None);
        assert!(found.is_subset(&expected), "byte {at}: nothing is invented");
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(missing.len() <= 20, "byte {at}: more than one commit is lost");
        assert_eq!(!missing.is_empty() || at < 16, !report.losses.is_empty(), "byte {at}: {:?}", report.losses);
        assert_eq!(report.findings.problems, [], "byte {at}");
        told += usize::from(!report.losses.is_empty());
        std::fs::write(&log, &whole).unwrap();
    }
    assert!(told > 10, "{told}");
}

#[test]
fn a_commit_that_was_lost_is_asked_for_again() {
    let dir = folder();
    drop(filled(dir.path()));
    let log = files(dir.path(), "wal").remove(0);
    let frame = std::fs::read(&log).unwrap().windows(16).position(|bytes| bytes == SPOOL).unwrap();
    flip(&log, frame);
    let (to, report, _) = salvaged(dir.path(), None);
    assert!(report.losses[0].what.contains("entries 3 to 3 of the log are lost"), "{:?}", report.losses);
    let store = open(&to.path().join("rescued"));
    let ack = store.ack_state(&origin(), SPOOL);
    assert_eq!((ack.contiguous_seq, ack.holes), (2, vec![(3, 3)]));
    assert_eq!(store.commit(&[batch(3, rows(300, 310))]).unwrap()[0].accepted, 20);
}

#[test]
fn whatever_bit_of_the_manifest_turns_it_is_told_or_does_no_harm() {
    let (dir, copy) = (folder(), folder());
    let store = filled(dir.path());
    let account =
        Account { actor: "anna".to_owned(), reason: "billed".to_owned(), document: String::new(), approval: String::new(), at_ms: 0 };
    store.seal(&Seal { tenant: slug("acme"), facility: slug("hall"), from_ms: 0, to_ms: 7_000_000, account }).unwrap();
    drop(store);
    // SQLite puts everything into the one file when the last connection ends, which is soon.
    let beside = dir.path().join("manifest.sqlite-wal");
    for _wait in 0..500 {
        if !beside.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!beside.exists());
    let expected = readings(dir.path());
    backup(dir.path(), copy.path()).unwrap();
    let manifest = dir.path().join("manifest.sqlite");
    let whole = std::fs::read(&manifest).unwrap();
    let (mut refused, mut told) = (0, 0);
    // Few bytes of a new database say anything.
    let bytes: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).step_by(211).collect();
    for at in bytes {
        flip(&manifest, at);
        let to = folder();
        let place = to.path().join("rescued");
        match salvage(dir.path(), None, &place) {
            Err(err) => {
                assert!(!place.exists(), "byte {at}: {err}");
                refused += 1;
            }
            Ok(report) if report.losses.is_empty() && report.findings.problems.is_empty() => {
                assert_eq!(readings(&place), expected, "byte {at}: not told");
            }
            Ok(_) => told += 1,
        }
        std::fs::write(&manifest, &whole).unwrap();
    }
    assert!(refused > 0 && told + refused > 3, "{refused} refused, {told} told");

    // With a copy, its manifest is taken.
    std::fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    let (to, report, found) = salvaged(dir.path(), Some(copy.path()));
    assert!(report.losses[0].what.contains("the manifest of the copy is in its place"), "{:?}", report.losses);
    assert_eq!(found, expected);
    assert_eq!(fsck(&to.path().join("rescued")).unwrap().problems, []);
}
