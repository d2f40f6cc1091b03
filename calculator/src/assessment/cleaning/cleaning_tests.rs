use jiff::civil::date;

use super::super::{Method, Mode, Remark, Site};
use super::*;
use crate::baseline::{Commodity, EnergyUnit};

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
    let Cleaned { meter, log, .. } = clean(&question(meter), series);
    (meter.rows().iter().map(|row| row.value).collect(), log)
}

#[test]
fn the_steps_have_their_order_and_rows_that_need_nothing_stay() {
    let series = hours((0..72).map(|hour| f64::from(hour % 7) + 1.0));
    let asked = question(MeterSettings::default());
    let Cleaned { meter, log, found, sum_check, .. } = clean(&asked, &series);
    assert!(matches!(meter, Cow::Borrowed(_)) && found.is_empty() && sum_check.is_none());
    let names: Vec<&str> = log.iter().map(|step| step.name.as_str()).collect();
    let all = ["values", "time", "duplicates", "registers", "gaps", "spikes", "stuck values", "zeros", "sum check", "estimated reads"];
    assert_eq!(names, all);
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

/// The rows with these remarks: their places, their origin, and where another meter begins.
fn remarked(series: &Series, places: &[usize], origin: Origin, exchange: Option<usize>) -> Series {
    let of = |index: usize| Remark {
        origin: if places.contains(&index) { origin } else { Origin::Measured },
        serial: exchange.map(|exchange| if index < exchange { "A-17" } else { "B-04" }.to_owned()),
    };
    let remarks: Vec<Remark> = (0..series.rows().len()).map(of).collect();
    Series::remarked(series.rows().to_vec(), &remarks).unwrap()
}

#[test]
fn nothing_is_known_across_an_exchange_of_the_meter() {
    let settings = MeterSettings { register_digits: Some(6), ..MeterSettings::default() };
    let readings = hours([1_000.0, 1_010.0, 1_020.0, 1_500.0, 1_510.0]);
    // Without its serial number the new register would have been a day of 480.
    assert_eq!(cleaned(&readings, settings).0, [Some(10.0), Some(10.0), Some(480.0), Some(10.0), None]);
    let (values, log) = cleaned(&remarked(&readings, &[], Origin::Measured, Some(3)), settings);
    assert_eq!(values, [Some(10.0), Some(10.0), None, Some(10.0), None]);
    assert_eq!((log[3].found.as_str(), log[3].flagged), ("exchanges of the meter, over which nothing is known: 1", 1));
    let (_, log) = cleaned(&remarked(&readings, &[], Origin::Measured, Some(3)), MeterSettings::default());
    assert_eq!(log[3].found, "exchanges of the meter: 1");
}

#[test]
fn a_reading_that_was_estimated_is_none_and_the_difference_around_it_is_exact() {
    let settings = MeterSettings { register_digits: Some(6), ..MeterSettings::default() };
    let readings = hours([1_000.0, 1_019.0, 1_020.0, 1_030.0]);
    let (values, log) = cleaned(&remarked(&readings, &[1], Origin::Estimated, None), settings);
    assert_eq!(values, [Some(10.0), Some(10.0), Some(10.0), None]);
    assert_eq!((log[0].found.as_str(), log[9].found.as_str()), ("rows that the file calls estimated: 1", "readings that nobody took: 1"));
    // Of months the bills are joined, and the register agrees with their sum.
    let months = (0..6).map(|month| Row { at: month * 30 * DAY, value: Some(f64::from(i32::try_from(month).unwrap()) * 300.0) });
    let months = Series::new(months.collect()).unwrap();
    let (values, log) = cleaned(&remarked(&months, &[2], Origin::Estimated, None), settings);
    assert_eq!(values, [Some(300.0), Some(600.0), Some(300.0), Some(300.0), None]);
    assert_eq!(log[3].found, "readings that nobody took, whose bills are joined: 1");
    assert_eq!(log[8].found, "");
}

#[test]
fn estimated_rows_of_the_baseline_take_no_part_and_edited_ones_do() {
    let values = || (0..96).map(|hour| 2.0 + f64::from(hour % 5));
    let (found, log) = cleaned(&remarked(&hours(values()), &[3, 4], Origin::Estimated, None), MeterSettings::default());
    assert_eq!((found.iter().flatten().count(), found[3], found[4]), (94, None, None));
    assert_eq!((log[9].changed, log[9].flagged), (2, 2));
    assert_eq!(log[9].found, "rows that nobody read: 2, of which those of the baseline take no part: 2");
    let (found, log) = cleaned(&remarked(&hours(values()), &[3, 4], Origin::Edited, None), MeterSettings::default());
    assert_eq!((found.iter().flatten().count(), log[0].found.as_str()), (96, "rows that the file calls edited: 2"));
}

#[test]
fn bills_of_the_same_energy_are_held_against_the_rows() {
    let rows = hours((0..31 * 24).map(|_| 1.0));
    let first = rows.rows()[0].at;
    let day = |day: i64, value: Option<f64>| Row { at: first + day * DAY, value };
    let bills = Series::new(vec![day(0, Some(240.0)), day(10, Some(250.0)), day(20, None), day(30, None)]).unwrap();
    let series = rows.billed(&bills);
    let Cleaned { log, found, sum_check, .. } = clean(&question(MeterSettings::default()), &series);
    let check = sum_check.unwrap();
    assert_eq!((check.bills, check.beyond), (2, 1));
    assert!((check.worst + 0.04).abs() < 1e-12 && (check.whole + 10.0 / 490.0).abs() < 1e-12, "{check:?}");
    assert_eq!(log[8].found, "against 2 bills the rows differ by -2.041 %, of one at most by -4.000 %");
    assert!(found.len() == 1 && found[0].name == "sum_check" && (found[0].limit - 0.005).abs() < 1e-12);
    // A meter of class 5 may differ by as much.
    let loose = MeterSettings { accuracy_class: Some(5.0), ..MeterSettings::default() };
    assert!(clean(&question(loose), &series).found.is_empty());
}

#[test]
fn an_hour_is_held_against_the_same_hour_of_the_other_weeks() {
    // Nights of one, days of twenty: the median of all would call no night odd, and no day that stands among nights.
    let of = |hour: i32| if (8..18).contains(&(hour % 24)) { 20.0 } else { 1.0 } + f64::from(hour * 31 % 13) / 10.0;
    let mut values: Vec<f64> = (0..29 * 24).map(of).collect();
    values[5 * 24 + 2] = 19.0;
    let (found, log) = cleaned(&hours(values), MeterSettings::default());
    assert_eq!((log[5].flagged, log[5].changed, found[5 * 24 + 2]), (1, 0, Some(19.0)), "flagged, and never deleted");
    assert_eq!(log[5].found, "rows further than seven deviations from the median of their hour of the week: 1");
}

#[test]
fn a_flow_stands_still_after_six_hours_and_a_change_of_clocks_has_its_rows() {
    let mut values: Vec<f64> = (0..31 * 24).map(|hour| 2.0 + f64::from(hour * 31 % 13) / 10.0).collect();
    values[100..107].fill(2.5);
    let flow = Question { unit: EnergyUnit::CubicMetre, ..question(MeterSettings::default()) };
    let series = hours(values.clone());
    assert!(clean(&flow, &series).log[6].flagged >= 7);
    assert_eq!(clean(&question(MeterSettings::default()), &series).log[6].flagged, 0);
    // On 31 March 2024 an hour was left out in Berlin: a file that has not heard of it lacks another one.
    let mut rows = series.rows().to_vec();
    rows.remove(30 * 24 + 5);
    let log = clean(&question(MeterSettings::default()), &Series::new(rows).unwrap()).log;
    assert_eq!((log[1].found.as_str(), log[1].flagged), ("days of 23 or 25 hours: 1, of them with other rows than their hours have: 1", 1));
}
