use super::*;
use crate::baseline::{EnergyUnit, TemperatureUnit};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn read(start: &str, value: Option<f64>) -> EnergyRow {
    EnergyRow { start: at(start), value, unit: EnergyUnit::KilowattHour }
}

/// 40 °F in every hour, but `None` where `missing` says so.
fn weather(from: &str, hours: i64, missing: impl Fn(i64) -> bool) -> Vec<TemperatureRow> {
    (0..hours)
        .map(|hour| TemperatureRow {
            at: at(from) + SignedDuration::from_hours(hour),
            value: (!missing(hour)).then_some(40.0),
            unit: TemperatureUnit::Fahrenheit,
        })
        .collect()
}

#[test]
fn a_bill_ends_where_the_next_begins_and_keeps_its_length() {
    let reads = [read("2025-03-31T06:00:00Z", None), read("2025-01-30T06:00:00Z", Some(100.0)), read("2025-03-02T06:00:00Z", Some(80.0))];
    let bills = bills(&reads, &weather("2025-01-30T06:00:00Z", 24 * 60, |_| false), &Cut::FromStart).unwrap();
    assert_eq!(
        bills.iter().map(|bill| (bill.use_wh, bill.days_total, bill.days())).collect::<Vec<_>>(),
        [(Some(100_000.0), 31, 31.0), (Some(80_000.0), 29, 29.0)]
    );
    assert_eq!(bills[0].heating_f(60.0), Some(20.0));
    assert_eq!(bills[0].cooling_f(60.0), Some(0.0));
}

#[test]
fn a_day_with_half_of_its_hours_is_dropped_and_a_bill_with_nine_tenths_is_kept() {
    let reads = [read("2025-01-01T00:00:00Z", Some(1.0)), read("2025-01-31T00:00:00Z", None)];
    let bill =
        |missing: &dyn Fn(i64) -> bool| bills(&reads, &weather("2025-01-01T00:00:00Z", 720, missing), &Cut::FromStart).unwrap().remove(0);
    let half = bill(&|hour| hour < 12);
    assert_eq!((half.days_f.len(), half.days_total), (29, 30));
    assert_eq!(bill(&|hour| hour % 24 < 11).days_f.len(), 0, "more than a tenth of the hours is missing");
    assert_eq!(bill(&|hour| hour < 72).days_f.len(), 27, "exactly nine tenths are there");
}

#[test]
fn a_civil_day_of_25_hours_is_one_day_of_weather() {
    let zone = TimeZone::get("America/Chicago").unwrap();
    let reads = [read("2025-10-15T05:00:00Z", Some(1.0)), read("2025-11-15T06:00:00Z", None)];
    let rows = weather("2025-10-15T05:00:00Z", 24 * 31 + 1, |_| false);
    let civil = bills(&reads, &rows, &Cut::CivilDays(zone)).unwrap().remove(0);
    let blocks = bills(&reads, &rows, &Cut::FromStart).unwrap().remove(0);
    assert_eq!((civil.days_total, civil.days_f.len()), (31, 31));
    assert_eq!((blocks.days_total, blocks.days_f.len()), (32, 31), "the reference begins a block of one hour");
    assert!((civil.days() - (31.0 + 1.0 / 24.0)).abs() < 1e-12);
}

#[test]
fn the_year_is_the_boundary_nearest_to_365_days() {
    let reads: Vec<EnergyRow> = (0..15)
        .map(|month| EnergyRow {
            start: at("2025-01-10T00:00:00Z") + SignedDuration::from_hours(24 * 30 * month),
            value: Some(1.0),
            unit: EnergyUnit::KilowattHour,
        })
        .collect();
    let all = bills(&reads, &[], &Cut::FromStart).unwrap();
    let before = bills_before(&all, at("2026-02-20T00:00:00Z"), 365);
    assert_eq!((before.len(), before.first().unwrap().start), (12, at("2025-02-09T00:00:00Z")));
    assert_eq!(before.last().unwrap().end, at("2026-02-04T00:00:00Z"));
    assert_eq!(bills_after(&all, at("2025-02-01T00:00:00Z"), 100).len(), 3);
    assert!(bills_before(&all, at("2025-01-01T00:00:00Z"), 365).is_empty());
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    let twice = [read("2025-01-01T00:00:00Z", Some(1.0)), read("2025-01-01T00:00:00Z", Some(2.0))];
    assert!(matches!(bills(&twice, &[], &Cut::FromStart), Err(DaysError::Conflict { .. })));
    let nan = [read("2025-01-01T00:00:00Z", Some(f64::NAN)), read("2025-02-01T00:00:00Z", None)];
    assert!(matches!(bills(&nan, &[], &Cut::FromStart), Err(DaysError::NotFinite { .. })));
    let mut mixed = [read("2025-01-01T00:00:00Z", Some(1.0)), read("2025-02-01T00:00:00Z", None)];
    mixed[1].unit = EnergyUnit::Therm;
    assert!(matches!(bills(&mixed, &[], &Cut::FromStart), Err(DaysError::MixedUnits { .. })));
}
