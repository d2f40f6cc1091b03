use ids::Slug;
use jiff::civil::date;
use proptest::prelude::*;
use units::{Quality, Reason, Unit};

use super::*;
use crate::inputs::{MeterProfile, Words};

const MINUTE: i64 = 60_000;

fn calendar() -> FacilityCalendar {
    FacilityCalendar::named("America/Chicago").unwrap()
}

fn meter(exponent: i8, unit: Unit, rows: Vec<(i64, Option<i64>, Quality)>) -> Meter {
    Meter {
        device: Slug::parse("main").unwrap(),
        point: "e_imp".to_owned(),
        unit,
        exponent,
        profile: MeterProfile { id: "x".to_owned(), hash: String::new(), text: String::new() },
        rows: rows.into_iter().map(|(ts_ms, raw, quality)| CounterRow { ts_ms, raw, quality, words: Words::NONE }).collect(),
    }
}

fn start(day: Date) -> i64 {
    calendar().start_of(day).unwrap().as_millisecond()
}

fn good(ts_ms: i64, raw: i64) -> (i64, Option<i64>, Quality) {
    (ts_ms, Some(raw), Quality::GOOD)
}

fn energies(meter: &Meter, period: Range<Date>) -> Vec<Option<i64>> {
    meter_days(meter, &calendar(), period).unwrap().days.iter().map(|day| day.energy_wh).collect()
}

#[test]
fn a_day_is_the_difference_of_two_midnights_also_where_the_clocks_change() {
    let period = date(2026, 3, 7)..date(2026, 3, 10);
    let rows = (7..=10).map(|day| good(start(date(2026, 3, day)), i64::from(day) * 1_500)).collect();
    assert_eq!(energies(&meter(-3, Unit::KilowattHour, rows), period.clone()), [Some(1_500); 3]);
    let days = meter_days(&meter(0, Unit::WattHour, Vec::new()), &calendar(), period).unwrap();
    let facility = energy_days(&[days], &calendar()).unwrap();
    assert_eq!(facility.iter().map(|day| (day.minutes, day.wh)).collect::<Vec<_>>(), [(1_440, None), (1_380, None), (1_440, None)]);
}

#[test]
fn a_missing_midnight_takes_a_reading_of_the_hour_before_and_no_older_one() {
    let (first, second, third) = (date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3));
    let rows = |late_by| {
        vec![
            good(start(first), 0),
            good(start(second) - late_by, 900),
            (start(second), None, Quality::SILENT),
            good(start(second) + MINUTE, 1_001),
            good(start(third), 2_000),
        ]
    };
    let with = |late_by| energies(&meter(0, Unit::WattHour, rows(late_by)), first..third);
    assert_eq!(with(60 * MINUTE), [Some(900), Some(1_100)], "the same reading closes and opens, and nothing is lost");
    assert_eq!(with(61 * MINUTE), [None, None]);
}

#[test]
fn an_unusable_reading_is_no_reading_and_a_counter_that_went_back_breaks_its_day_only() {
    let (first, second, third) = (date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3));
    let bad = Quality::bad(Reason::OutOfRange);
    let rows = vec![
        good(start(first), 5_000),
        (start(first) + MINUTE, Some(1), bad),
        good(start(first) + 2 * MINUTE, 4_999),
        good(start(second), 6_000),
        good(start(third), 7_000),
    ];
    let days = meter_days(&meter(0, Unit::WattHour, rows), &calendar(), first..third).unwrap().days;
    assert_eq!((days[0].energy_wh, days[0].break_ms), (None, Some(start(first) + 2 * MINUTE)));
    assert_eq!((days[1].energy_wh, days[1].break_ms), (Some(1_000), None));
}

#[test]
fn what_nobody_read_stands_for_no_midnight_and_makes_no_counter_go_back() {
    let (first, second, third) = (date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3));
    let rows = |quality| vec![good(start(first), 5_000), (start(second), Some(9_000), quality), good(start(third), 7_000)];
    for reason in [Reason::Estimated, Reason::Edited, Reason::Substituted] {
        let meter = meter(0, Unit::WattHour, rows(Quality::uncertain(reason)));
        assert_eq!(energies(&meter, first..third), [None, None], "{reason:?}");
    }
    let within = vec![
        good(start(first), 5_000),
        (start(first) + MINUTE, Some(9_000), Quality::uncertain(Reason::Estimated)),
        good(start(second), 6_000),
        good(start(third), 7_000),
    ];
    assert_eq!(energies(&meter(0, Unit::WattHour, within), first..third), [Some(1_000); 2]);
}

#[test]
fn a_counter_is_rounded_half_away_from_zero_on_both_sides_of_it() {
    let (first, second) = (date(2026, 1, 1), date(2026, 1, 2));
    let rows = vec![good(start(first), -15), good(start(second), 25)];
    assert_eq!(energies(&meter(-4, Unit::KilowattHour, rows), first..second), [Some(5)], "from -1.5 Wh to 2.5 Wh");
}

#[test]
fn an_hour_weighs_what_its_counters_rose_and_nothing_where_one_went_back() {
    let hour = |hour: i64| start(date(2026, 1, 1)) + hour * 60 * MINUTE;
    let rows = vec![good(hour(0), 100), good(hour(1) - MINUTE, 130), good(hour(1), 140), good(hour(2), 120), good(hour(3), 125)];
    let other = vec![good(hour(0), 0), (hour(1), Some(9_999), Quality::SILENT), good(hour(3), 7)];
    let meters = [meter(0, Unit::WattHour, rows), meter(0, Unit::WattHour, other)];
    let starts: Vec<Timestamp> = (0..4).map(|index| Timestamp::from_millisecond(hour(index)).unwrap()).collect();
    let weights = hour_weights(&meters, &starts, Timestamp::from_millisecond(hour(4)).unwrap()).unwrap();
    assert_eq!(weights, [40, 0, 5 + 7, 0]);
}

#[test]
fn what_cannot_be_a_counter_is_refused() {
    let first = date(2026, 1, 1);
    let of = |meter: &Meter| meter_days(meter, &calendar(), first..date(2026, 1, 2));
    let twice = vec![good(start(first), 1), good(start(first), 2)];
    assert!(matches!(of(&meter(0, Unit::WattHour, twice)), Err(DeriveError::Order { .. })));
    assert!(matches!(of(&meter(0, Unit::Volt, vec![good(start(first), 1)])), Err(DeriveError::Unit { .. })));
    assert!(matches!(of(&meter(18, Unit::KilowattHour, vec![good(start(first), 1)])), Err(DeriveError::Counter { .. })));
}

proptest! {
    /// However the counter rises and whichever readings are missing within the days: the days sum to the display.
    #[test]
    fn days_sum_to_the_display(steps in prop::collection::vec(0_i64..50_000, 96), skip in prop::collection::vec(any::<bool>(), 96)) {
        let (first, end) = (date(2026, 1, 1), date(2026, 1, 5));
        let mut total = 0;
        let mut rows = vec![good(start(first), 0)];
        for (hour, (step, skip)) in (1_i64..).zip(steps.iter().zip(&skip)) {
            total += step;
            if hour % 24 == 0 || !skip {
                rows.push(good(start(first) + hour * 60 * MINUTE, total));
            }
        }
        let days = energies(&meter(-4, Unit::KilowattHour, rows), first..end);
        let sum: i64 = days.into_iter().map(Option::unwrap).sum();
        prop_assert_eq!(sum, (total + 5) / 10);
    }
}
