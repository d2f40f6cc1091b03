use jiff::civil::date;

use super::super::{Method, Mode, Site};
use super::*;
use crate::baseline::EnergyUnit;

fn question(meter: MeterSettings) -> Question {
    Question {
        method: Method::CaltrackDaily,
        mode: Mode::Strict,
        commodity: Commodity::Electricity,
        unit: EnergyUnit::KilowattHour,
        zone: TimeZone::get("Europe/Berlin").ok(),
        blackout_start: date(2025, 1, 1),
        blackout_end: None,
        drivers: None,
        site: Site::default(),
        meter,
    }
}

/// Hours from 1 March 2024; NaN is absent.
fn hours(values: impl IntoIterator<Item = f64>) -> Series {
    const FIRST: i64 = 1_709_251_200;
    let rows = values.into_iter().zip(0..).map(|(value, hour)| Row { at: FIRST + hour * HOUR, value: (!value.is_nan()).then_some(value) });
    Series::new(rows.collect()).unwrap()
}

fn cleaned(series: &Series, meter: MeterSettings) -> (Vec<Option<f64>>, Vec<CleaningStep>) {
    let (series, log) = clean(&question(meter), series);
    (series.rows().iter().map(|row| row.value).collect(), log)
}

#[test]
fn the_steps_have_their_order_and_rows_that_need_nothing_stay() {
    let series = hours((0..72).map(|hour| f64::from(hour % 7) + 1.0));
    let asked = question(MeterSettings::default());
    let (same, log) = clean(&asked, &series);
    assert!(matches!(same, Cow::Borrowed(_)));
    let names: Vec<&str> = log.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["values", "time", "duplicates", "registers", "gaps", "spikes", "stuck values", "zeros"]);
    assert!(log.iter().zip(1..).all(|(step, place)| step.step == place && step.rows == 72 && step.changed == 0));
    let energy: f64 = series.rows().iter().filter_map(|row| row.value).sum();
    assert!(log.iter().all(|step| (step.energy - energy).abs() < 1e-9));
}

#[test]
fn a_register_becomes_differences_over_its_rollover_and_not_over_a_reset() {
    let settings = MeterSettings { register_digits: Some(4), ..MeterSettings::default() };
    // Up to 9,990, over to 10, then back to zero for another reason.
    let readings = [9_950.0, 9_970.0, 9_990.0, 10.0, 30.0, 5.0, 25.0];
    let (values, log) = cleaned(&hours(readings), settings);
    assert_eq!(values, [Some(20.0), Some(20.0), Some(20.0), Some(20.0), None, Some(20.0), None]);
    assert_eq!(log[3].found, "rollovers that were bridged: 1, resets, over which nothing is known: 1");
    assert!((log[3].energy - 100.0).abs() < 1e-9 && log[3].flagged == 1);
    // Twenty kilowatt-hours in an hour are more than ten kilowatts.
    let (values, log) = cleaned(&hours(readings), MeterSettings { rated_kw: Some(10.0), ..settings });
    assert!(values.iter().all(Option::is_none), "{values:?}");
    assert!(log[3].found.starts_with("resets, over which nothing is known: 2") && log[5].changed == 4, "{log:?}");
}

#[test]
fn a_gap_of_readings_is_shared_within_a_day_and_left_open_beyond() {
    let settings = MeterSettings { register_digits: Some(6), ..MeterSettings::default() };
    let (values, log) = cleaned(&hours([100.0, f64::NAN, f64::NAN, 130.0, 140.0]), settings);
    assert_eq!(values, [Some(10.0), Some(10.0), Some(10.0), Some(10.0), None]);
    assert_eq!(log[3].found, "rows without a reading that share what was used within their day: 2");
    let mut long = vec![100.0];
    long.extend(std::iter::repeat_n(f64::NAN, 30));
    long.extend([410.0, 420.0]);
    let (values, _) = cleaned(&hours(long), settings);
    assert_eq!(values.iter().flatten().count(), 1);
}

#[test]
fn what_the_connection_cannot_carry_is_missing_and_what_is_odd_is_flagged() {
    let mut values: Vec<f64> = (0..200).map(|hour| 2.0 + f64::from(hour * 31 % 13) / 10.0).collect();
    (values[10], values[20]) = (500.0, 9.0);
    let (found, log) = cleaned(&hours(values.clone()), MeterSettings { rated_kw: Some(20.0), ..MeterSettings::default() });
    assert_eq!((found[10], found[20]), (None, Some(9.0)));
    assert_eq!((log[5].changed, log[5].flagged), (1, 1));
    let (found, log) = cleaned(&hours(values), MeterSettings::default());
    assert_eq!((found[10], log[5].changed, log[5].flagged), (Some(500.0), 0, 2));
}

#[test]
fn stuck_values_zeros_gaps_and_the_clock_are_told() {
    let mut values: Vec<f64> = (0..31 * 24).map(|hour| 2.0 + f64::from(hour * 31 % 13) / 10.0).collect();
    values[100..130].fill(2.5);
    values[200..205].fill(0.0);
    (values[300], values[301]) = (f64::NAN, f64::NAN);
    let (_, log) = cleaned(&hours(values), MeterSettings { multiplier: 40.0, ..MeterSettings::default() });
    assert_eq!(log[0].found, "times 40 for the transformers");
    assert_eq!(log[1].found, "days of 23 or 25 hours: 1");
    assert_eq!(log[4].found, "rows without a value: 2");
    assert!(log[6].flagged >= 30 && log[6].flagged <= 32, "{:?}", log[6]);
    assert_eq!(log[7].flagged, 5);
}
