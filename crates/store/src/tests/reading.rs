//! Readers beside the writer, letters, profiles and speed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{DeadLetter, OpenError, ProfileSeen};

#[test]
fn a_reader_beside_a_busy_writer_always_sees_whole_commits() {
    let dir = folder();
    let store = Store::open(dir.path(), Options { flush_rows: 400, wal_file_bytes: 16 << 10, ..options() }).unwrap();
    let done = AtomicBool::new(false);
    let (done, path) = (&done, dir.path());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for seq in 1..=300 {
                let first = i64::try_from(seq).unwrap() * 10;
                store.commit(&[batch(seq, (first..first + 10).map(|minute| row("d0", minute * 60_000, minute)).collect())]).unwrap();
                if seq.is_multiple_of(70) {
                    store.compact().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut last = 0;
        while !done.load(Ordering::SeqCst) {
            let reader = Reader::open(path).unwrap();
            let rows = reader.totals().rows;
            assert!(rows >= last && rows.is_multiple_of(10), "{rows} after {last}");
            assert_eq!(reader.totals().counters.accepted, rows);
            last = rows;
        }
    });
    assert_eq!(all(dir.path())[0].1.len(), 3_000);
}

#[test]
fn the_newest_version_is_read_and_the_older_are_kept() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 60_000, 1)])]).unwrap();
    store.flush().unwrap();
    store.commit(&[batch(2, vec![row("d0", 0, 2)])]).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let info = reader.series(&slug("acme"), &slug("hall")).remove(0);
    assert_eq!((info.key.point.as_str(), info.key.exponent), ("e_imp", -2));
    let values = |samples: Vec<Sample>| samples.iter().map(|sample| (sample.ts_ms, sample.raw, sample.seq)).collect::<Vec<_>>();
    assert_eq!(values(reader.scan(info.id, 0..120_000).unwrap()), [(0, Some(2), 2), (60_000, Some(1), 1)]);
    assert_eq!(values(reader.history(info.id, 0..60_000).unwrap()), [(0, Some(1), 1), (0, Some(2), 2)]);
    assert_eq!(reader.scan(info.id, 1..60_000).unwrap(), []);
    assert!(reader.series(&slug("acme"), &slug("other")).is_empty());
    assert_eq!(reader.facilities(), [(slug("acme"), slug("hall"))]);
}

#[test]
fn what_was_written_in_haste_is_packed_well_once() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, (0..5_000).map(|minute| row("d0", minute * 60_000, minute * minute % 977)).collect())]).unwrap();
    store.flush().unwrap();
    let packed = || {
        let reader = Reader::open(dir.path()).unwrap();
        let totals = reader.totals();
        (totals.segments, totals.segment_bytes)
    };
    let in_haste = packed();
    store.compact().unwrap();
    let well = packed();
    assert!(well.0 == 1 && well.1 < in_haste.1, "{well:?} after {in_haste:?}");
    let files = || std::fs::read_dir(dir.path().join("segments")).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
    store.compact().unwrap();
    let before = files();
    store.compact().unwrap();
    assert_eq!((files(), packed()), (before, well), "there is nothing left to do");
}

#[test]
fn series_that_begin_together_are_numbered_point_by_point() {
    let dir = folder();
    let store = open(dir.path());
    let points =
        |device: &str, names: &[&str]| names.iter().map(|name| Row { point: (*name).into(), ..row(device, 0, 1) }).collect::<Vec<_>>();
    let rows = [points("d0", &["u_1", "i_1", "p"]), points("d1", &["u_1", "i_1", "p"])].concat();
    store.commit(&[batch(1, rows)]).unwrap();
    store.commit(&[batch(2, points("d2", &["u_1", "p"]))]).unwrap();
    let known = |reader: &Reader| {
        let series = reader.all_series();
        series.iter().map(|info| format!("{} {} {}", info.id.0, info.key.point, info.key.device)).collect::<Vec<_>>()
    };
    let expected = ["1 i_1 d0", "2 i_1 d1", "3 p d0", "4 p d1", "5 u_1 d0", "6 u_1 d1", "7 p d2", "8 u_1 d2"];
    assert_eq!(known(&Reader::open(dir.path()).unwrap()), expected);
    drop(store);
    assert_eq!(known(&Reader::open(dir.path()).unwrap()), expected, "from the log");
    drop(open(dir.path()));
    assert_eq!(known(&Reader::open(dir.path()).unwrap()), expected, "from the manifest");
}

#[test]
fn letters_are_counted_and_kept_through_restart_and_flush() {
    let dir = folder();
    let store = open(dir.path());
    let letter = |reason: &str| DeadLetter {
        topic: "nw/1/x".to_owned(),
        reason: reason.to_owned(),
        payload: vec![0, 255],
        points: 4,
        received_ms: 1,
    };
    store.commit_with(&[batch(1, vec![row("d0", 0, 1)])], &[letter("schema")]).unwrap();
    store.flush().unwrap();
    store.commit_with(&[], &[letter("clock_window")]).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.dead_letters(10).unwrap(), [letter("clock_window"), letter("schema")]);
    assert_eq!((store.counters().dead_letter, store.counters().received()), (8, 9));
    assert_eq!(Reader::open(dir.path()).unwrap().dead_letters(), store.dead_letters(10).unwrap());
}

#[test]
fn a_numbered_letter_is_acknowledged_and_counted_once() {
    let dir = folder();
    let store = open(dir.path());
    let letter = DeadLetter { topic: "t".to_owned(), reason: "schema".to_owned(), payload: vec![1], points: 3, received_ms: 1 };
    let bad = Batch { letter: Some(letter), ..batch(1, Vec::new()) };
    for _time in 0..3 {
        store.commit(std::slice::from_ref(&bad)).unwrap();
    }
    let counters = store.counters();
    assert_eq!((counters.dead_letter, counters.duplicate, counters.received()), (3, 6, 9));
    assert_eq!(store.ack_state(&origin(), SPOOL).contiguous_seq, 1);
    assert_eq!(store.dead_letters(10).unwrap().len(), 1);
}

#[test]
fn profiles_are_known_by_time() {
    let dir = folder();
    let store = open(dir.path());
    let seen =
        |hash: u8| ProfileSeen { device: slug("d0"), profile: "eastron-sdm630".to_owned(), profile_hash: vec![hash], config_hash: vec![9] };
    for (seq, hash) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        let ts_ms = 60_000 * i64::try_from(seq).unwrap();
        store.commit(&[Batch { profiles: vec![seen(hash)], ..batch(seq, vec![row("d0", ts_ms, 1)]) }]).unwrap();
        if seq == 3 {
            store.flush().unwrap();
        }
    }
    let periods = Reader::open(dir.path()).unwrap().profiles(&slug("acme"), &slug("hall"), &slug("d0"));
    assert_eq!(periods.iter().map(|period| (period.from_ms, period.profile_hash[0])).collect::<Vec<_>>(), [(60_000, 1), (180_000, 2)]);
}

#[test]
fn no_store_is_told() {
    let dir = folder();
    assert!(matches!(Reader::open(dir.path()), Err(OpenError::Absent { .. })));
}

/// Not a benchmark: it fails when a commit has become ten times dearer than it was.
#[test]
fn commits_are_cheap() {
    let dir = folder();
    let store = Store::open(dir.path(), Options { flush_rows: 100_000, wal_file_bytes: 4 << 20, ..options() }).unwrap();
    let devices: Vec<String> = (0..50).map(|device| format!("device-{device}")).collect();
    let started = cpu_seconds();
    for seq in 1..=200_u64 {
        let minutes = (0..20).map(|minute| (i64::try_from(seq).unwrap() * 20 + minute) * 60_000);
        let rows = minutes.flat_map(|ts_ms| devices.iter().map(move |device| row(device, ts_ms, ts_ms / 7)));
        store.commit(&[batch(seq, rows.collect())]).unwrap();
    }
    let seconds = cpu_seconds() - started;
    assert_eq!(store.counters().accepted, 200_000);
    assert!(seconds < 4.0, "200,000 readings took {seconds} s of this thread");
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::from_secs(time.tv_sec.try_into().unwrap()).as_secs_f64()
        + Duration::from_nanos(time.tv_nsec.try_into().unwrap()).as_secs_f64()
}

use std::time::Duration;
