//! A reader that is brought up to date knows what one knows that is opened now.

use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::{Account, Amendment, DeadLetter, Readers, Seal};

#[derive(Clone, Debug)]
enum Event {
    Commit {
        devices: std::ops::Range<u8>,
        minute: i64,
        raw: i64,
    },
    Letter,
    Amend {
        minute: i64,
        raw: i64,
    },
    Seal,
    Flush,
    Compact,
    Restart,
    /// The last entry of the log was never safe: after the restart another has its number.
    LastEntryLost,
    Ask,
}

fn event() -> impl Strategy<Value = Event> {
    let commit = (0_u8..4, 1_u8..5, 0_i64..60_000, 0_i64..50).prop_map(|(from, of, minute, raw)| Event::Commit {
        devices: from..from + of,
        minute,
        raw,
    });
    prop_oneof![
        8 => commit,
        1 => Just(Event::Letter),
        1 => (0_i64..60_000, 100_i64..150).prop_map(|(minute, raw)| Event::Amend { minute, raw }),
        1 => Just(Event::Seal),
        2 => Just(Event::Flush),
        1 => Just(Event::Compact),
        1 => Just(Event::Restart),
        1 => Just(Event::LastEntryLost),
        6 => Just(Event::Ask),
    ]
}

fn account() -> Account {
    Account { actor: "anna".to_owned(), reason: "tried".to_owned(), document: String::new(), approval: "yes".to_owned(), at_ms: 0 }
}

/// Everything that anybody can see of a snapshot.
fn told(reader: &Reader) -> String {
    let of_series = |info: crate::SeriesInfo| {
        let all = i64::MIN..i64::MAX;
        (
            reader.scan(info.id, all.clone()).unwrap(),
            reader.history(info.id, all.clone()).unwrap(),
            reader.held_back(info.id, all).unwrap(),
            info,
        )
    };
    let series: Vec<_> = reader.all_series().into_iter().map(of_series).collect();
    let mut spools = reader.spools();
    spools.sort_by(|one, other| one.origin.cmp(&other.origin));
    let lsns = (reader.last_lsn(), reader.flushed_lsn());
    let state = (reader.totals(), reader.segments(), reader.audit(), reader.dead_letters(), reader.seals(&slug("acme"), &slug("hall")));
    let quarters: Vec<_> = reader.derived().iter().map(|row| (&row.path, row.through_lsn)).collect();
    format!("{series:?} {spools:?} {lsns:?} {state:?} {quarters:?} {:?}", reader.profiles(&slug("acme"), &slug("hall"), &slug("d0")))
}

/// Blanks the last frame of the log, as a power cut may.
fn lose_last_entry(dir: &Path) {
    let Some(reader) = Reader::open_following(dir).ok().filter(|(reader, ..)| reader.last_lsn() > reader.flushed_lsn()) else { return };
    let last = reader.0.last_lsn();
    let Some(mut tail) = crate::wal::Tail::after(&dir.join("wal"), last - 1).unwrap() else { return };
    let (path, from) = (tail.place().0.to_owned(), tail.place().1);
    assert!(matches!(tail.next().unwrap(), crate::wal::Next::Frame(lsn, _) if lsn == last));
    // It may have been the first of another file.
    let (other, to) = tail.place();
    let from = if other == path { from } else { 16 };
    let blank = vec![0; usize::try_from(to - from).unwrap()];
    std::fs::File::options().write(true).open(other).unwrap().write_all_at(&blank, from).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn are_as_new(events in proptest::collection::vec(event(), 1..40)) {
        let dir = folder();
        let mut store = open(dir.path());
        let readers = Readers::new(dir.path());
        for (seq, event) in (1..).zip(events) {
            match event {
                Event::Commit { devices, minute, raw } => {
                    let rows = devices.map(|device| row(&format!("d{device}"), minute * 60_000, raw)).collect();
                    let origin = Origin { gateway: slug(&format!("gw-{}", seq % 3)), ..origin() };
                    store.commit(&[Batch { origin, ..batch(seq, rows) }]).unwrap();
                }
                Event::Letter => {
                    let letter = DeadLetter { topic: format!("t{seq}"), reason: "frame".to_owned(), payload: vec![1], points: 1, received_ms: 0 };
                    store.commit_with(&[], &[letter]).unwrap();
                }
                // Sealed, the same, or not a value of a series that there is: then nothing is changed.
                Event::Amend { minute, raw } => drop(store.amend(&Amendment {
                    tenant: slug("acme"),
                    facility: slug("hall"),
                    rows: vec![Row { words: None, quality: Quality::GOOD.with(units::Reason::Edited), ..row("d0", minute * 60_000, raw) }],
                    account: account(),
                })),
                Event::Seal => {
                    let range = (i64::from(u32::try_from(seq).unwrap()) * 60_000)..(i64::from(u32::try_from(seq).unwrap()) + 1) * 60_000;
                    drop(store.seal(&Seal { tenant: slug("acme"), facility: slug("hall"), from_ms: range.start, to_ms: range.end, account: account() }));
                }
                Event::Flush => store.flush().unwrap(),
                Event::Compact => store.compact().unwrap(),
                Event::Restart | Event::LastEntryLost => {
                    drop(store);
                    if matches!(event, Event::LastEntryLost) {
                        lose_last_entry(dir.path());
                    }
                    store = open(dir.path());
                }
                Event::Ask => {
                    let kept = readers.ask(told).unwrap();
                    prop_assert_eq!(kept, told(&Reader::open(dir.path()).unwrap()));
                }
            }
        }
        let kept = readers.ask(told).unwrap();
        prop_assert_eq!(kept, told(&Reader::open(dir.path()).unwrap()));
    }
}

/// A reader that is kept has the manifest open, and it is small all the same.
#[test]
fn do_not_keep_the_log_of_the_manifest() {
    let dir = folder();
    let store = open(dir.path());
    let readers = Readers::new(dir.path());
    for seq in 1..20 {
        store.commit(&[batch(seq, (0..200).map(|device| row(&format!("d{device}-{seq}"), 0, 1)).collect())]).unwrap();
        store.flush().unwrap();
        readers.ask(Reader::last_lsn).unwrap();
    }
    let log = || std::fs::metadata(dir.path().join("manifest.sqlite-wal")).unwrap().len();
    assert!(log() > 100_000);
    store.compact().unwrap();
    assert_eq!(log(), 0);
    assert_eq!(readers.ask(told).unwrap(), told(&Reader::open(dir.path()).unwrap()));
    store.commit(&[batch(20, vec![row("d0", 60_000, 1)])]).unwrap();
    store.flush().unwrap();
    assert!(log() > 0);
    drop(store);
    assert_eq!(log(), 0);
}

#[test]
fn a_store_that_comes_later_or_is_another_is_noticed() {
    let dir = folder();
    let place = dir.path().join("store");
    let readers = Readers::new(&place);
    readers.ask(Reader::last_lsn).unwrap_err();
    let first = open(&place);
    first.commit(&[batch(1, vec![row("d0", 0, 1)])]).unwrap();
    assert_eq!(readers.ask(|reader| reader.scan(SeriesId(1), 0..1).unwrap().len()).unwrap(), 1);
    drop(first);
    std::fs::rename(&place, dir.path().join("old")).unwrap();
    readers.ask(Reader::last_lsn).unwrap_err();
    let second = open(&place);
    second.commit(&[batch(1, vec![row("d9", 0, 5)])]).unwrap();
    let raw =
        readers.ask(|reader| (reader.key(SeriesId(1)).unwrap().device.clone(), reader.scan(SeriesId(1), 0..1).unwrap()[0].raw)).unwrap();
    assert_eq!(raw, (slug("d9"), Some(5)));
}

/// The first had a row for each series of a segment, the second said the names of its device with each series.
#[test]
fn the_manifest_of_an_earlier_version_is_read_and_taken_over() {
    for format in [1, 2] {
        is_taken_over(format);
    }
}

fn is_taken_over(format: i64) {
    let dir = folder();
    let store = open(dir.path());
    for (seq, day) in [(1, 0), (2, 40), (3, 41)] {
        let rows = (0..5).map(|device| row(&format!("d{device}"), day * 86_400_000, device)).collect();
        store.commit(&[batch(seq, rows)]).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    let now = told(&Reader::open(dir.path()).unwrap());
    crate::manifest::make_old(&dir.path().join("manifest.sqlite"), format);
    assert_eq!(told(&Reader::open(dir.path()).unwrap()), now);
    let readers = Readers::new(dir.path());
    assert_eq!(readers.ask(told).unwrap(), now);
    let store = open(dir.path());
    assert_eq!(readers.ask(told).unwrap(), now);
    store.commit(&[batch(4, vec![row("d0", 60_000, 3), row("d9", 60_000, 4)])]).unwrap();
    store.compact().unwrap();
    assert_eq!(readers.ask(told).unwrap(), told(&Reader::open(dir.path()).unwrap()));
    drop(store);
    let series = |reader: &Reader| reader.all_series().into_iter().map(|info| (info.id, info.key.device.to_string())).collect::<Vec<_>>();
    let named = (1..=5).map(|id| (SeriesId(id), format!("d{}", id - 1))).chain([(SeriesId(6), "d9".to_owned())]);
    assert_eq!(series(&Reader::open(dir.path()).unwrap()), named.collect::<Vec<_>>());
    assert_eq!(crate::fsck(dir.path()).unwrap().problems, []);
}
