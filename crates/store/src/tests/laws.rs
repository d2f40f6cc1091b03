//! Whatever is sent, however often and in whatever order, and whenever the process is restarted, flushed or compacted:
//! the store is what a plain map would be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use units::{Reason, Severity};

use super::*;
use crate::AckState;

/// Device, minute, value.
type Offer = (u8, i64, i64);

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u64, Vec<Offer>)>),
    Restart,
    Flush,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    // Few devices, times and values, two months: so that everything collides with everything.
    let rows = proptest::collection::vec((0_u8..3, 0_i64..40, 0_i64..3), 0..12);
    prop_oneof![
        6 => proptest::collection::vec((1_u64..30, rows), 1..4).prop_map(Step::Commit),
        1 => Just(Step::Restart),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ]
}

/// 2026-01-31T23:40Z, so that twenty of the forty minutes are in February.
fn ts_ms(minute: i64) -> i64 {
    1_769_902_800_000 + minute * 60_000
}

#[derive(Debug, Default)]
struct Model {
    seqs: BTreeSet<u64>,
    /// Values in the order of their arrival.
    values: BTreeMap<(u8, i64), Vec<i64>>,
    accepted: u64,
    duplicate: u64,
    conflict: u64,
    offered: u64,
}

impl Model {
    fn commit(&mut self, seq: u64, rows: &[Offer]) -> crate::Committed {
        let mut committed = crate::Committed::default();
        self.offered += rows.len() as u64;
        let repeat = !self.seqs.insert(seq);
        for (device, minute, raw) in rows {
            let values = self.values.entry((*device, *minute)).or_default();
            if repeat || values.contains(raw) {
                committed.duplicate += 1;
            } else {
                committed.accepted += 1;
                committed.conflict += u64::from(!values.is_empty());
                values.push(*raw);
            }
        }
        self.values.retain(|_, values| !values.is_empty());
        self.accepted += committed.accepted;
        self.duplicate += committed.duplicate;
        self.conflict += committed.conflict;
        committed
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_store_is_a_map_with_versions(steps in proptest::collection::vec(step(), 1..25), flush_rows in prop_oneof![Just(1_000_000), 3_usize..20]) {
        let dir = folder();
        // With few rows it is flushed beside the commits, and whenever it likes.
        let open = |dir: &Path| Store::open(dir, Options { flush_rows, ..options() }).unwrap();
        let mut store = Some(open(dir.path()));
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Commit(batches) => {
                    let expected: Vec<_> = batches.iter().map(|(seq, rows)| model.commit(*seq, rows)).collect();
                    let rows = |rows: &[Offer]| rows.iter().map(|(d, m, raw)| row(&format!("d{d}"), ts_ms(*m), *raw)).collect();
                    let batches: Vec<Batch> = batches.iter().map(|(seq, r)| batch(*seq, rows(r))).collect();
                    prop_assert_eq!(store.as_ref().unwrap().commit(&batches).unwrap(), expected);
                }
                Step::Restart => {
                    drop(store.take());
                    store = Some(open(dir.path()));
                }
                Step::Flush => store.as_ref().unwrap().flush().unwrap(),
                Step::Compact => store.as_ref().unwrap().compact().unwrap(),
            }
            let counters = store.as_ref().unwrap().counters();
            prop_assert_eq!((counters.accepted, counters.duplicate, counters.conflict), (model.accepted, model.duplicate, model.conflict));
            prop_assert_eq!(counters.received(), model.offered);
        }
        let ack = store.as_ref().unwrap().ack_state(&origin(), SPOOL);
        prop_assert_eq!(&ack, &expected_ack(&model.seqs));
        prop_assert_eq!(stored(dir.path()), model.values.clone());
        prop_assert_eq!(Reader::open(dir.path()).unwrap().totals().rows, model.accepted);
    }
}

fn expected_ack(seqs: &BTreeSet<u64>) -> AckState {
    let highest_seq = seqs.last().copied().unwrap_or(0);
    let contiguous_seq = (1..).take_while(|seq| seqs.contains(seq)).last().unwrap_or(0);
    let mut holes: Vec<(u64, u64)> = Vec::new();
    for missing in (1..highest_seq).filter(|seq| !seqs.contains(seq)) {
        match holes.last_mut() {
            Some((_, last)) if *last + 1 == missing => *last = missing,
            _ => holes.push((missing, missing)),
        }
    }
    AckState { contiguous_seq, holes, highest_seq }
}

/// What a reader finds, in the shape of the model; versions count from 0 and later ones are marked.
fn stored(dir: &Path) -> BTreeMap<(u8, i64), Vec<i64>> {
    let mut values: BTreeMap<(u8, i64), Vec<i64>> = BTreeMap::new();
    for (device, samples) in all(dir) {
        let device: u8 = device.trim_start_matches('d').parse().unwrap();
        for sample in samples {
            let versions = values.entry((device, (sample.ts_ms - ts_ms(0)) / 60_000)).or_default();
            assert_eq!(usize::from(sample.version), versions.len());
            assert_eq!(sample.quality.has(Reason::Conflict), sample.version > 0);
            assert_eq!(sample.quality.severity(), if sample.version > 0 { Severity::Uncertain } else { Severity::Good });
            assert_eq!(sample.words, Words::new(&sample.raw.unwrap().to_be_bytes()));
            versions.push(sample.raw.unwrap());
        }
    }
    values
}

#[test]
fn a_month_of_minutes_in_any_order_stays_exact_through_automatic_flushes() {
    let dir = folder();
    let store = Store::open(dir.path(), Options { flush_rows: 3_000, wal_file_bytes: 64 << 10, ..options() }).unwrap();
    // Each minute thrice, in a walk that visits all of them.
    let minutes: Vec<i64> = (0..20_000).map(|index| index * 7_919 % 20_000).collect();
    let mut seq = 0;
    for _round in 0..3 {
        for chunk in minutes.chunks(500) {
            seq += 1;
            let rows = chunk.iter().map(|minute| row("d0", ts_ms(*minute), *minute)).collect();
            store.commit(&[batch(seq, rows)]).unwrap();
        }
    }
    let counters = store.counters();
    assert_eq!((counters.accepted, counters.duplicate, counters.conflict), (20_000, 40_000, 0));
    store.settle();
    assert!(store.head_rows() < 3_000);
    let reader = Reader::open(dir.path()).unwrap();
    let samples = reader.scan(SeriesId(1), ts_ms(0)..ts_ms(20_000)).unwrap();
    assert!(samples.iter().map(|sample| (sample.ts_ms, sample.raw)).eq((0..20_000).map(|minute| (ts_ms(minute), Some(minute)))));
}
