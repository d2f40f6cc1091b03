//! Energy is conserved, whatever is missing.

use super::*;
use proptest::prelude::*;
use units::{Quality, Reason, Unit};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const REACH: Reach = Reach { linear_ms: 2 * HOUR, longest_ms: 7 * 24 * HOUR };

fn sample(ts_ms: i64, raw: i64) -> Sample {
    Sample { ts_ms, raw: Some(raw), quality: Quality::GOOD, words: None, seq: 1, version: 0, lsn: 1 }
}

fn plan_of(kind: Kind, samples: &[Sample], interval_ms: i64, range: Range<i64>, beside: Option<&Beside<'_>>) -> Plan {
    let nameplate = Nameplate { per_hour_max: Nameplate::steps_per_hour(1_000_000, Unit::KilowattHour, -2), exchanged: Vec::new() };
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let subject = Subject { kind, grid: Grid::new(interval_ms, 0), samples, nameplate: &nameplate, zone: &zone, reach: REACH };
    subject.plan(&range, beside)
}

/// The readings with the estimates among them.
fn filled(samples: &[Sample], plan: &Plan) -> Vec<Sample> {
    let estimates = plan
        .fills
        .iter()
        .flat_map(|fill| &fill.rows)
        .map(|(ts_ms, raw)| Sample { quality: Quality::uncertain(Reason::Estimated), ..sample(*ts_ms, *raw) });
    let mut by_time: BTreeMap<i64, Sample> = samples.iter().map(|sample| (sample.ts_ms, *sample)).collect();
    by_time.extend(estimates.map(|sample| (sample.ts_ms, sample)));
    by_time.into_values().collect()
}

proptest! {
    /// What passed over the gaps is what the counter says, to the last step; nothing goes back; every moment is filled.
    #[test]
    fn a_filled_counter_says_what_it_said(rises in prop::collection::vec(0_i64..900, 30..400), missing in prop::collection::btree_set(1_usize..399, 1..200), silent: bool) {
        let mut counter = 0;
        let mut whole = Vec::new();
        for (minute, rise) in (0_i64..).zip(&rises) {
            counter += rise;
            whole.push(sample(minute * MINUTE, counter));
        }
        let last = whole.len() - 1;
        let gone = |place: &usize| missing.contains(place) && *place < last;
        let kept: Vec<Sample> = whole.iter().enumerate().filter_map(|(place, sample)| match gone(&place) {
            true if silent => Some(Sample { raw: None, quality: Quality::SILENT, ts_ms: sample.ts_ms + 7, ..*sample }),
            true => None,
            false => Some(*sample),
        }).collect();
        let plan = plan_of(Kind::Counter, &kept, MINUTE, 0..400 * MINUTE, None);
        prop_assert!(plan.left.iter().all(|(_, left)| *left == Left::Open), "{:?}", plan.left);
        let full = filled(&kept, &plan);
        prop_assert_eq!(full.len(), whole.len());
        let values: Vec<i64> = full.iter().map(|sample| sample.raw.unwrap()).collect();
        prop_assert!(values.is_sorted(), "a counter goes back");
        for (before, after) in whole.iter().zip(&full) {
            prop_assert_eq!(before.ts_ms / MINUTE, after.ts_ms / MINUTE);
            prop_assert!(gone(&usize::try_from(before.ts_ms / MINUTE).unwrap()) || before.raw == after.raw, "a reading was changed");
        }
        for fill in &plan.fills {
            let (first, end) = (usize::try_from(fill.from_ms / MINUTE).unwrap(), usize::try_from(fill.to_ms / MINUTE).unwrap());
            prop_assert_eq!(fill.passed, Some(whole[end].raw.unwrap() - whole[first - 1].raw.unwrap()));
        }
    }

    /// A counter that runs out of digits within a gap has used what it has used.
    #[test]
    fn a_gap_over_a_rollover_conserves_energy(start in 9_000_i64..10_000, rises in prop::collection::vec(1_i64..40, 10..60), from in 2_usize..5, length in 1_usize..4) {
        let mut counters = vec![start];
        for rise in &rises {
            counters.push((counters[counters.len() - 1] + rise) % 10_000);
        }
        let whole: Vec<Sample> = (0_i64..).zip(&counters).map(|(minute, raw)| sample(minute * MINUTE, *raw)).collect();
        let kept: Vec<Sample> = whole.iter().enumerate().filter(|(place, _)| !(from..from + length).contains(place)).map(|(_, sample)| *sample).collect();
        let nameplate = Nameplate { per_hour_max: Some(100_000), exchanged: Vec::new() };
        let full = filled(&kept, &plan_of(Kind::Counter, &kept, MINUTE, 0..60 * MINUTE, None));
        prop_assert_eq!(full.len(), whole.len());
        prop_assert_eq!(counter::passed(&full, &nameplate), Some(rises.iter().sum::<i64>()));
        prop_assert!(full.iter().all(|sample| (0..10_000).contains(&sample.raw.unwrap())));
    }

    /// Intervals that are missing add up to what the counter beside them says, in its finer or coarser steps.
    #[test]
    fn filled_intervals_add_up_to_the_counter(usage in prop::collection::vec(0_i64..500, 96 * 9), from in 96_usize * 7..96 * 8, length in 1_usize..90, shift in -1_i32..=2) {
        let quarter = 15 * MINUTE;
        let mut counter = 1_000_000_i64;
        let mut counters = Vec::new();
        for (place, used) in (0_i64..).zip(&usage) {
            counters.push(sample(place * quarter, counter));
            counter += used;
        }
        counters.push(sample(i64::try_from(usage.len()).unwrap() * quarter, counter));
        let scale = |steps: i64| if shift >= 0 { steps * 10_i64.pow(shift.unsigned_abs()) } else { (steps + 5) / 10 };
        let kept: Vec<Sample> = (0_i64..).zip(&usage).enumerate().filter(|(place, _)| !(from..from + length).contains(place))
            .map(|(_, (slot, used))| sample(slot * quarter, scale(*used))).collect();
        let nameplate = Nameplate::default();
        let beside = Beside { samples: &counters, grid: Grid::new(quarter, 0), nameplate: &nameplate, shift };
        let plan = plan_of(Kind::Interval, &kept, quarter, 0..96 * 9 * quarter, Some(&beside));
        prop_assert_eq!((plan.fills.len(), plan.left.len()), (1, 0));
        let fill = &plan.fills[0];
        let passed: i64 = usage[from..from + length].iter().sum();
        prop_assert_eq!(fill.rows.len(), length);
        prop_assert_eq!(fill.rows.iter().map(|(_, raw)| raw).sum::<i64>(), scale(passed));
        prop_assert!(fill.rows.iter().all(|(_, raw)| *raw >= 0));
        prop_assert_eq!(fill.method == Method::LikeDayScaled, length > 8, "{:?}", fill.method);
    }

    #[test]
    fn parts_add_up(whole in 0_i64..i64::MAX, weights in prop::collection::vec(0_i64..1_000_000_000, 1..50)) {
        let parts = allot(whole, &weights);
        let sum = if weights.iter().any(|weight| *weight > 0) { whole } else { 0 };
        prop_assert_eq!(parts.iter().sum::<i64>(), sum);
        prop_assert!(parts.iter().zip(&weights).all(|(part, weight)| *part >= 0 && (*weight > 0 || *part == 0)));
    }
}

#[test]
fn a_long_gap_has_the_shape_of_like_days() {
    // Eight days of 10 steps an hour at night and 50 by day; six hours of the last day are missing.
    let rise = |hour: i64| if (8..18).contains(&(hour % 24)) { 50 } else { 10 };
    let mut counter = 0;
    let mut whole = Vec::new();
    for hour in 0..24 * 9 {
        counter += rise(hour);
        whole.push(sample(hour * HOUR, counter));
    }
    let kept: Vec<Sample> = whole.iter().filter(|sample| !(24 * 8 + 5..24 * 8 + 11).contains(&(sample.ts_ms / HOUR))).copied().collect();
    let plan = plan_of(Kind::Counter, &kept, HOUR, 0..24 * 9 * HOUR, None);
    assert_eq!((plan.fills.len(), plan.fills[0].method), (1, Method::LikeDayScaled));
    assert_eq!(
        filled(&kept, &plan).iter().map(|sample| sample.raw).collect::<Vec<_>>(),
        whole.iter().map(|sample| sample.raw).collect::<Vec<_>>()
    );
}

#[test]
fn what_a_counter_does_not_say_is_not_estimated() {
    let counter = |raws: &[(i64, i64)]| raws.iter().map(|(minute, raw)| sample(minute * MINUTE, *raw)).collect::<Vec<_>>();
    let left = |samples: &[Sample], range: Range<i64>| {
        let plan = plan_of(Kind::Counter, samples, MINUTE, range, None);
        assert!(plan.fills.is_empty(), "{:?}", plan.fills);
        plan.left.into_iter().map(|(span, left)| (span.start / MINUTE, span.end / MINUTE, left)).collect::<Vec<_>>()
    };
    let reset = counter(&[(0, 5_000), (1, 5_001), (5, 1), (6, 2), (7, 3), (8, 4)]);
    assert_eq!(left(&reset, 0..9 * MINUTE), [(2, 5, Left::Break)]);
    assert_eq!(left(&counter(&[(0, 1), (1, 2)]), 0..5 * MINUTE), [(2, 5, Left::Open)], "nothing came yet");
    let days = 8 * 24 * 60;
    assert_eq!(left(&counter(&[(0, 1), (days, 2)]), 0..MINUTE * 10), [(1, days, Left::Long)]);
}

#[test]
fn sampled_values_are_joined_by_a_short_line_and_no_more() {
    let samples = [sample(0, -10), sample(4 * MINUTE, 0)];
    let plan = plan_of(Kind::Sampled, &samples, MINUTE, 0..5 * MINUTE, None);
    assert_eq!(plan.fills[0].rows, [(MINUTE, -7), (2 * MINUTE, -5), (3 * MINUTE, -2)]);
    let far = [sample(0, -10), sample(4 * HOUR, 0)];
    assert_eq!(plan_of(Kind::Sampled, &far, MINUTE, 0..5 * HOUR, None).left[0].1, Left::Long);
}

#[test]
fn intervals_without_a_counter_are_those_of_like_days() {
    let hours: Vec<Sample> = (0..24 * 15).map(|hour| sample(hour * HOUR, 100 + hour % 24 + 10 * (hour / (24 * 7)))).collect();
    let missing = 24 * 14 + 3..24 * 14 + 9;
    let kept: Vec<Sample> = hours.iter().filter(|sample| !missing.contains(&(sample.ts_ms / HOUR))).copied().collect();
    let plan = plan_of(Kind::Interval, &kept, HOUR, 0..24 * 15 * HOUR, None);
    assert_eq!(plan.fills[0].method, Method::LikeDay);
    // The mean of the two weeks before: 100 and 110, and the hour.
    assert_eq!(plan.fills[0].rows.iter().map(|(_, raw)| *raw).collect::<Vec<_>>(), [108, 109, 110, 111, 112, 113]);
    assert_eq!(plan_of(Kind::Interval, &kept[24 * 14 - 4..], HOUR, 24 * 14 * HOUR..24 * 15 * HOUR, None).left[0].1, Left::NoLikeDay);
}
