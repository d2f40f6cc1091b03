//! Whoever follows the store has, in the end, what the store has.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::{all, batch, folder, open, origin, row};
use crate::{Account, Amendment, FollowError, Follower, Position, Reader, Sample, Seal, Store};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, u8, u8)>),
    Flush,
    Compact,
    Restart,
    /// Takes portions of a size, so many of them.
    Take(usize, usize),
    /// Ends, and begins again at the position it kept then.
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec((0_u8..4, 0_u8..40, 0_u8..3), 1..30).prop_map(Step::Commit),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
        4 => (1_usize..40, 1_usize..4).prop_map(|(rows, times)| Step::Take(rows, times)),
        1 => Just(Step::Again),
    ]
}

/// What a follower was given: every version, and what a sink would have that keeps the last it was told.
#[derive(Debug, Default)]
struct Copy {
    versions: BTreeMap<(String, i64, u16), Sample>,
    last: BTreeMap<(String, i64), Sample>,
}

impl Copy {
    fn take(&mut self, follower: &mut Follower, position: &mut Position, rows_max: usize) -> bool {
        let portion = follower.next(position, rows_max, u64::MAX).unwrap();
        for (id, sample) in portion.rows {
            let device = follower.key(id).unwrap().device.to_string();
            let sample = Sample { lsn: 0, ..sample };
            self.versions.insert((device.clone(), sample.ts_ms, sample.version), sample);
            self.last.insert((device, sample.ts_ms), sample);
        }
        *position = Position::from_json(&portion.next.to_json()).unwrap();
        portion.caught_up
    }

    fn catch_up(&mut self, follower: &mut Follower, position: &mut Position) {
        for _portion in 0..10_000 {
            if self.take(follower, position, 7) {
                return;
            }
        }
        panic!("it never ends: {position:?}");
    }

    fn assert_is(&self, dir: &Path) {
        let mut expected = Copy::default();
        for (device, samples) in all(dir) {
            for sample in samples {
                let sample = Sample { lsn: 0, ..sample };
                expected.versions.insert((device.clone(), sample.ts_ms, sample.version), sample);
                expected.last.insert((device.clone(), sample.ts_ms), sample);
            }
        }
        assert_eq!(self.versions, expected.versions);
        assert_eq!(self.last, expected.last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_copy_is_whole_and_ends_with_the_newest(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = folder();
        let mut store = Some(open(dir.path()));
        let (mut follower, mut position, mut copy, mut seq) = (Follower::open(dir.path()).unwrap(), Position::default(), Copy::default(), 0);
        let mut kept = Position::default();
        for step in steps {
            let open_store = store.as_ref().unwrap();
            match step {
                Step::Commit(rows) => {
                    seq += 1;
                    let rows = rows.into_iter().map(|(device, minute, raw)| row(&format!("d{device}"), i64::from(minute) * 60_000, raw.into()));
                    open_store.commit(&[batch(seq, rows.collect())]).unwrap();
                }
                Step::Flush => open_store.flush().unwrap(),
                Step::Compact => open_store.compact().unwrap(),
                Step::Restart => {
                    drop(store.take());
                    store = Some(open(dir.path()));
                }
                Step::Take(rows, times) => {
                    kept = position;
                    for _portion in 0..times {
                        copy.take(&mut follower, &mut position, rows);
                    }
                }
                Step::Again => {
                    position = kept;
                    follower = Follower::open(dir.path()).unwrap();
                }
            }
        }
        copy.catch_up(&mut follower, &mut position);
        copy.assert_is(dir.path());
        prop_assert_eq!(position, Position { lsn: store.unwrap().last_lsn(), sweep: None });
    }
}

fn account(reason: &str, approval: &str) -> Account {
    Account { actor: "ops".to_owned(), reason: reason.to_owned(), document: String::new(), approval: approval.to_owned(), at_ms: 1 }
}

fn follow(store: &Store) -> Vec<(i64, i64, u16)> {
    let (mut follower, mut position, mut given) = (Follower::open(store.dir()).unwrap(), Position::default(), Vec::new());
    loop {
        let portion = follower.next(&position, 3, u64::MAX).unwrap();
        given.extend(portion.rows.iter().map(|(_, sample)| (sample.ts_ms / 60_000, sample.raw.unwrap(), sample.version)));
        position = portion.next;
        if portion.caught_up {
            return given;
        }
    }
}

#[test]
fn what_a_seal_holds_back_is_not_given_and_what_is_approved_is() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1), row("d0", 60_000, 1)])]).unwrap();
    let mut follower = Follower::open(dir.path()).unwrap();
    let mut position = follower.next(&Position::default(), 100, u64::MAX).unwrap().next;
    let crate::Origin { tenant, facility, .. } = origin();
    let seal = Seal { tenant: tenant.clone(), facility: facility.clone(), from_ms: 0, to_ms: 600_000, account: account("billed", "") };
    store.seal(&seal).unwrap();
    store.commit(&[batch(2, vec![row("d0", 0, 2), row("d0", 900_000, 5)])]).unwrap();
    let mut edited = row("d0", 60_000, 3);
    (edited.quality, edited.words) = (units::Quality::GOOD.with(units::Reason::Edited), None);
    store.amend(&Amendment { tenant, facility, rows: vec![edited], account: account("meter book", "board") }).unwrap();
    let mut given = Vec::new();
    loop {
        let portion = follower.next(&position, 100, u64::MAX).unwrap();
        given.extend(portion.rows.iter().map(|(_, sample)| (sample.ts_ms / 60_000, sample.raw.unwrap(), sample.version)));
        position = portion.next;
        if portion.caught_up {
            break;
        }
    }
    given.sort_unstable();
    assert_eq!(given, [(1, 3, 1), (15, 5, 0)]);
    let from_the_beginning = [(0, 1, 0), (1, 1, 0), (15, 5, 0), (1, 3, 1)];
    assert_eq!(follow(&store), from_the_beginning);
    store.compact().unwrap();
    let mut once_more = follow(&store);
    once_more.sort_unstable();
    assert_eq!(once_more, [(0, 1, 0), (1, 1, 0), (1, 3, 1), (15, 5, 0)]);
    let reader = Reader::open(dir.path()).unwrap();
    let shown = reader.scan(crate::SeriesId(1), i64::MIN..i64::MAX).unwrap();
    assert_eq!(shown.iter().map(|sample| sample.raw.unwrap()).collect::<Vec<_>>(), [1, 3, 5]);
}

#[test]
fn a_position_of_another_store_is_refused() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, vec![row("d0", 0, 1)])]).unwrap();
    let mut follower = Follower::open(dir.path()).unwrap();
    for sweep in [None, Some(crate::Sweep { target: 99, series: crate::SeriesId(1), after_ms: 0 })] {
        let refused = follower.next(&Position { lsn: 99, sweep }, 10, u64::MAX);
        assert!(matches!(refused, Err(FollowError::Ahead { .. })), "{refused:?}");
    }
}

#[test]
fn what_is_not_durable_yet_is_not_given() {
    let dir = folder();
    let store = open(dir.path());
    for seq in 1..=3 {
        store.commit(&[batch(seq, vec![row("d0", i64::try_from(seq).unwrap() * 60_000, 1)])]).unwrap();
    }
    let (mut follower, last) = (Follower::open(dir.path()).unwrap(), store.last_lsn());
    let portion = follower.next(&Position::default(), 100, last - 1).unwrap();
    assert_eq!((portion.rows.len(), portion.caught_up, portion.next.lsn), (2, true, last - 1));
    let portion = follower.next(&portion.next, 100, last).unwrap();
    assert_eq!((portion.rows.len(), portion.caught_up, portion.next.lsn), (1, true, last));
}
