//! Changes that somebody answers for, and what was billed.

use std::io::ErrorKind;

use units::Reason;

use super::*;
use crate::fault::{self, Step};
use crate::{Account, Action, AmendError, Amendment, Seal, broken_at};

fn account(approval: &str) -> Account {
    Account {
        actor: "anna".to_owned(),
        reason: "wrong transformer ratio".to_owned(),
        document: "work order 17".to_owned(),
        approval: approval.to_owned(),
        at_ms: 1_769_904_000_000,
    }
}

fn amendment(ts_ms: i64, raw: i64, approval: &str) -> Amendment {
    let mut row = row("d0", ts_ms, raw);
    (row.quality, row.words) = (Quality::GOOD.with(Reason::Edited), None);
    Amendment { tenant: slug("acme"), facility: slug("hall"), rows: vec![row], account: account(approval) }
}

fn seal() -> Seal {
    Seal { tenant: slug("acme"), facility: slug("hall"), from_ms: 0, to_ms: 120_000, account: account("") }
}

fn values(dir: &Path) -> Vec<(i64, i64)> {
    let samples = Reader::open(dir).unwrap().scan(SeriesId(1), i64::MIN..i64::MAX).unwrap();
    samples.iter().map(|sample| (sample.ts_ms / 60_000, sample.raw.unwrap())).collect()
}

/// The store after nothing, a restart, a flush and a compaction.
fn through_everything(dir: &Path, store: Store, check: impl Fn(&str)) -> Store {
    check("at once");
    drop(store);
    let store = open(dir);
    check("after a restart");
    store.flush().unwrap();
    check("after a flush");
    store.compact().unwrap();
    check("after a compaction");
    drop(store);
    open(dir)
}

#[test]
fn an_amendment_is_the_newest_version_and_is_answered_for() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 60_000, 1)])]).unwrap();
    store.flush().unwrap();
    store.commit(&[batch(2, vec![row("d0", 120_000, 1)])]).unwrap();
    // In a segment, in memory, and where nothing was; then the first value again.
    for (ts_ms, raw) in [(0, 5), (120_000, 6), (180_000, 7), (0, 1)] {
        store.amend(&amendment(ts_ms, raw, "")).unwrap();
    }
    let store = through_everything(dir.path(), store, |when| {
        assert_eq!(values(dir.path()), [(0, 1), (1, 1), (2, 6), (3, 7)], "{when}");
        let reader = Reader::open(dir.path()).unwrap();
        let history = reader.history(SeriesId(1), 0..60_000).unwrap();
        let versions: Vec<_> = history.iter().map(|sample| (sample.raw.unwrap(), sample.version, sample.seq)).collect();
        assert_eq!(versions, [(1, 0, 1), (5, 1, 0), (1, 2, 0)], "{when}");
        let entries = reader.audit();
        assert_eq!((entries.len(), broken_at(entries)), (4, None), "{when}");
        assert_eq!((entries[3].action, entries[3].rows, &entries[3].account), (Action::Amend, 1, &account("")), "{when}");
    });
    let counters = store.counters();
    assert_eq!((counters.accepted, counters.received()), (3, 3), "an amendment was not received from anybody");
    assert_eq!(store.commit(&[batch(3, vec![row("d0", 0, 5)])]).unwrap()[0].duplicate, 1, "a value that is there is there");
    let last = Reader::open(dir.path()).unwrap().audit()[3].clone();
    let anchor = std::fs::read_to_string(dir.path().join("anchors/2026-02-01")).unwrap();
    assert_eq!(anchor, format!("4 {}\n", hex::encode(last.hash())));
}

#[test]
fn only_what_is_stored_can_be_put_back_without_a_mark() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 60_000, 2)])]).unwrap();
    store.flush().unwrap();
    store.amend(&amendment(0, 5, "")).unwrap();
    let back = |rows: Vec<crate::Row>| Amendment { rows, ..amendment(0, 0, "") };
    for wrong in [row("d0", 0, 2), row("d0", 60_000, 1), Row { quality: Quality::GOOD, ..amendment(0, 5, "").rows[0].clone() }] {
        let err = store.amend(&back(vec![row("d0", 0, 1), wrong])).unwrap_err();
        assert!(matches!(err, AmendError::Unmarked { .. }), "{err}");
    }
    store.amend(&back(vec![row("d0", 0, 1), row("d0", 60_000, 2)])).unwrap();
    let first = |reader: &Reader| reader.scan(SeriesId(1), 0..1).unwrap()[0];
    let reader = Reader::open(dir.path()).unwrap();
    let (now, was) = (first(&reader), reader.history(SeriesId(1), 0..1).unwrap()[0]);
    assert_eq!((now.raw, now.quality, now.words, now.version), (was.raw, was.quality, was.words, 2));
}

#[test]
fn what_was_billed_changes_only_with_an_approval() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 60_000, 1), row("d0", 120_000, 1)])]).unwrap();
    let entry = store.seal(&seal()).unwrap();
    assert_eq!((entry.action, entry.rows), (Action::Seal, 2));
    assert!(matches!(store.seal(&Seal { from_ms: 60_000, to_ms: 180_000, ..seal() }), Err(AmendError::AlreadySealed { entry: 1 })));
    // A gateway contradicts it, and fills what was missing behind it.
    let late = store.commit(&[batch(2, vec![row("d0", 0, 9), row("d0", 30_000, 9), row("d0", 120_000, 9)])]).unwrap();
    assert_eq!(late[0].accepted, 3, "nothing that was sent is lost");
    let err = store.amend(&amendment(60_000, 5, "")).unwrap_err();
    assert!(matches!(err, AmendError::Sealed { entry: 1, ts_ms: 60_000 }), "{err}");
    let store = through_everything(dir.path(), store, |when| {
        assert_eq!(values(dir.path()), [(0, 1), (1, 1), (2, 9)], "{when}");
        let reader = Reader::open(dir.path()).unwrap();
        let held: Vec<_> = reader.held_back(SeriesId(1), 0..200_000).unwrap().iter().map(|sample| sample.ts_ms).collect();
        assert_eq!(held, [0, 30_000], "{when}");
        assert_eq!(reader.seals(&slug("acme"), &slug("hall"))[0].lsn, entry.sealed_lsn);
    });
    store.amend(&amendment(60_000, 5, "carl, head of billing")).unwrap();
    let billed = |when: &str| {
        assert_eq!(values(dir.path()), [(0, 1), (1, 5), (2, 9)], "{when}");
        let reader = Reader::open(dir.path()).unwrap();
        let samples = reader.as_of(SeriesId(1), 0..120_000, entry.sealed_lsn).unwrap();
        assert_eq!(samples.iter().map(|sample| sample.raw.unwrap()).collect::<Vec<_>>(), [1, 1], "as it was billed, {when}");
    };
    through_everything(dir.path(), store, billed);
}

#[test]
fn a_seal_says_what_it_covers() {
    let digest = |rows: Vec<crate::Row>| {
        let dir = folder();
        let store = open(dir.path());
        store.commit(&[batch(1, rows)]).unwrap();
        store.seal(&seal()).unwrap().digest
    };
    let one = digest(vec![row("d0", 0, 1), row("d0", 60_000, 1)]);
    assert_eq!(one, digest(vec![row("d0", 60_000, 1), row("d0", 0, 1), row("d0", 120_000, 8)]), "what lies outside does not count");
    assert_ne!(one, digest(vec![row("d0", 0, 1), row("d0", 60_000, 2)]));
    assert_ne!(one, digest(vec![row("d0", 0, 1)]));
}

#[test]
fn a_change_that_nobody_answers_for_is_refused() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1)])]).unwrap();
    let refused = |change: fn(&mut Amendment), said: &str| {
        let mut amendment = amendment(0, 5, "");
        change(&mut amendment);
        let err = store.amend(&amendment).unwrap_err();
        assert!(err.to_string().contains(said), "{err}");
    };
    refused(|amendment| amendment.account.actor = " ".to_owned(), "actor and a reason");
    refused(|amendment| amendment.account.reason.clear(), "actor and a reason");
    refused(|amendment| amendment.rows.clear(), "nothing to change");
    refused(|amendment| amendment.rows[0].point = "p".into(), "no series `d0/p`");
    refused(|amendment| amendment.rows[0].quality = Quality::GOOD, "does not say that it is edited");
    refused(|amendment| amendment.rows[0].ts_ms = i64::MAX, "outside of the calendar");
    assert_eq!((store.head_rows(), Reader::open(dir.path()).unwrap().audit().len()), (1, 0));
}

#[test]
fn killed_between_any_two_steps_of_a_flush_a_change_is_there_once() {
    for step in [Step::SegmentWritten, Step::SegmentRenamed, Step::ManifestPublished, Step::LogTrimmed] {
        let dir = folder();
        let store = open(dir.path());
        store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 120_000, 1)])]).unwrap();
        store.seal(&seal()).unwrap();
        store.amend(&amendment(120_000, 5, "")).unwrap();
        fault::arm(step, ErrorKind::Other);
        store.flush().unwrap_err();
        fault::disarm();
        drop(store);
        let store = open(dir.path());
        store.amend(&amendment(120_000, 6, "")).unwrap();
        drop(store);
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!((reader.audit().len(), broken_at(reader.audit())), (3, None), "{step:?}");
        let history = reader.history(SeriesId(1), 120_000..180_000).unwrap();
        assert_eq!(history.iter().map(|sample| sample.raw.unwrap()).collect::<Vec<_>>(), [1, 5, 6], "{step:?}");
    }
}
