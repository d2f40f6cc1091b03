use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::*;

fn hourly(first: &str, values: &[Option<f64>]) -> Vec<EnergyRow> {
    let first: Timestamp = first.parse().unwrap();
    let rows = values.iter().zip(0..);
    rows.map(|(value, hour)| EnergyRow { start: first + SignedDuration::from_hours(hour), value: *value, unit: EnergyUnit::KilowattHour })
        .collect()
}

fn one_day(date: Date) -> Period {
    Period::new(date, date.tomorrow().unwrap()).unwrap()
}

fn fold(rows: &[EnergyRow], zone: &TimeZone, date: Date) -> Result<EnergyDay, DaysError> {
    energy_days(rows, 60, zone, one_day(date), Commodity::Electricity).map(|days| days[0])
}

#[test]
fn civil_days_have_23_24_or_25_hours_and_each_hour_counts_once() {
    let chicago = TimeZone::get("America/Chicago").unwrap();
    for (day, first, minutes) in [
        (date(2016, 3, 13), "2016-03-13T06:00:00Z", 23 * 60),
        (date(2016, 7, 1), "2016-07-01T05:00:00Z", 24 * 60),
        (date(2016, 11, 6), "2016-11-06T05:00:00Z", 25 * 60),
    ] {
        let hours = usize::from(minutes) / 60;
        // One hour more on both sides, which belongs to other days.
        let mut rows = hourly(first, &vec![Some(1.0); hours + 1]);
        rows.extend(hourly(first, &[Some(1.0)]).iter().map(|row| EnergyRow { start: row.start - SignedDuration::from_hours(1), ..*row }));
        let folded = fold(&rows, &chicago, day).unwrap();
        assert_eq!((folded.minutes, folded.present), (minutes, u32::from(minutes) / 60));
        assert_eq!(folded.wh, Some(1_000.0 * f64::from(minutes) / 60.0));
    }
}

#[test]
fn more_than_half_of_the_hours_make_a_day_and_the_rest_is_its_mean() {
    let day = date(2020, 5, 1);
    let with = |present: usize| {
        let values: Vec<Option<f64>> = (0..24).map(|hour| (hour < present).then_some(2.0)).collect();
        fold(&hourly("2020-05-01T00:00:00Z", &values), &TimeZone::UTC, day).unwrap().wh
    };
    assert_eq!((with(24), with(13), with(12), with(0)), (Some(48_000.0), Some(48_000.0), None, None));
}

#[test]
fn a_zero_hour_is_missing_electricity_but_measured_gas() {
    let rows = hourly("2020-05-01T00:00:00Z", &[vec![Some(0.0); 12], vec![Some(1.0); 12]].concat());
    let fold = |commodity| energy_days(&rows, 60, &TimeZone::UTC, one_day(date(2020, 5, 1)), commodity).unwrap()[0];
    assert_eq!((fold(Commodity::Electricity).wh, fold(Commodity::Electricity).present), (None, 12));
    assert_eq!(fold(Commodity::Gas).wh, Some(12_000.0));
}

#[test]
fn bad_rows_are_refused_by_name() {
    let day = date(2020, 5, 1);
    let good = hourly("2020-05-01T00:00:00Z", &vec![Some(1.0); 24]);
    let refused = |change: &dyn Fn(&mut Vec<EnergyRow>)| {
        let mut rows = good.clone();
        change(&mut rows);
        fold(&rows, &TimeZone::UTC, day).unwrap_err().to_string()
    };
    assert_eq!(refused(&|rows| rows[3].value = Some(f64::NAN)), "the value at 2020-05-01T03:00:00Z is not a finite number");
    assert_eq!(refused(&|rows| rows[5].unit = EnergyUnit::WattHour), "the series mixes units: kWh until 2020-05-01T05:00:00Z, then Wh");
    assert_eq!(
        refused(&|rows| rows.push(EnergyRow { value: Some(1.5), ..good[2] })),
        "two rows at 2020-05-01T02:00:00Z disagree: 1000 and 1500"
    );
    assert_eq!(
        refused(&|rows| rows[4].start += SignedDuration::from_mins(7)),
        "the row at 2020-05-01T04:07:00Z does not begin on a whole interval of 60 minutes"
    );
    assert!(matches!(energy_days(&good, 0, &TimeZone::UTC, one_day(day), Commodity::Gas), Err(DaysError::Interval { minutes: 0 })));
}

#[test]
fn an_identical_repetition_counts_once_and_a_value_beats_a_gap() {
    let day = date(2020, 5, 1);
    let mut rows = hourly("2020-05-01T00:00:00Z", &vec![Some(1.0); 24]);
    rows.push(rows[7]);
    rows.push(EnergyRow { value: None, ..rows[9] });
    rows.reverse();
    assert_eq!(fold(&rows, &TimeZone::UTC, day).unwrap().wh, Some(24_000.0));
}

#[test]
fn temperatures_are_means_of_hours_whatever_their_interval_and_unit() {
    let first: Timestamp = "2020-05-01T00:00:00Z".parse().unwrap();
    let rows: Vec<TemperatureRow> = (0..24 * 60_i64)
        .map(|minute| TemperatureRow {
            at: first + SignedDuration::from_mins(minute),
            value: Some(if minute < 720 { 0.0 } else { 20.0 }),
            unit: TemperatureUnit::Celsius,
        })
        .collect();
    let day = |rows: &[TemperatureRow]| temperature_days(rows, &TimeZone::UTC, one_day(date(2020, 5, 1))).unwrap()[0];
    assert_eq!((day(&rows).mean_f, day(&rows).present), (Some(50.0), 24));
    // The first hours as one reading each: the hour still weighs the same.
    let thinned: Vec<TemperatureRow> =
        rows.iter().enumerate().filter(|(index, _)| *index >= 720 || index % 60 == 51).map(|(_, row)| *row).collect();
    assert_eq!(day(&thinned).mean_f, Some(50.0));
    assert_eq!(day(&rows[..720]).mean_f, None, "half of the hours are not more than half");
}

#[test]
fn days_are_joined_by_date_and_named_once() {
    let (first, second) = (date(2020, 5, 1), date(2020, 5, 2));
    let joined = join(&[EnergyDay::whole(second, Some(5.0))], &[TemperatureDay::whole(first, Some(50.0))]).unwrap();
    assert_eq!(
        joined.iter().map(|day| (day.date, day.use_wh, day.temperature_f)).collect::<Vec<_>>(),
        [(first, None, Some(50.0)), (second, Some(5.0), None)]
    );
    let twice = join(&[EnergyDay::whole(first, None), EnergyDay::whole(first, Some(1.0))], &[]).unwrap_err();
    assert_eq!(twice.to_string(), "the day 2020-05-01 appears twice");
}
