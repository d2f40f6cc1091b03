use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::baseline::{EnergyUnit, TemperatureUnit};

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

/// A facility whose meter is totalled each midnight has a total of the long day and of the short one too.
#[test]
fn a_daily_total_is_the_day_whether_it_lasted_23_or_25_hours() {
    let chicago = TimeZone::get("America/Chicago").unwrap();
    let period = Period::new(date(2016, 3, 1), date(2016, 11, 30)).unwrap();
    let midnight = |date: Date| date.to_zoned(chicago.clone()).unwrap().timestamp();
    let rows: Vec<EnergyRow> =
        period.dates().map(|date| EnergyRow { start: midnight(date), value: Some(24.0), unit: EnergyUnit::KilowattHour }).collect();
    // Whoever takes the shortest step between the rows for their interval finds 23 hours.
    for interval in [1_440, 1_380] {
        let days = energy_days(&rows, interval, &chicago, period, Commodity::Electricity).unwrap();
        let strange: Vec<_> = days.iter().filter(|day| (day.wh, day.present, day.expected) != (Some(24_000.0), 1, 1)).collect();
        assert!(strange.is_empty(), "intervals of {interval} minutes: {} days, the first {:?}", strange.len(), strange[0]);
    }
}

#[test]
fn two_series_shifted_against_one_another_are_not_averaged() {
    let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
    let mut rows = hourly("2020-04-30T18:30:00Z", &vec![Some(1.0); 24]);
    rows.extend(hourly("2020-04-30T19:00:00Z", &vec![Some(3.0); 23]));
    let refused = fold(&rows, &kolkata, date(2020, 5, 1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the interval of 60 minutes at 2020-04-30T18:30:00Z is not over when the one at 2020-04-30T19:00:00Z begins; \
         give one series, or its true interval"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What the rows count is what the days count, wherever the clocks change and whatever the interval.
    #[test]
    fn complete_rows_lose_no_energy(
        zone in prop::sample::select(vec!["America/Chicago", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
        interval in prop::sample::select(vec![1_u16, 5, 15, 30, 60, 120, 180, 240, 360, 480, 720]),
        changes in prop::sample::select(vec![72_i64, 86, 93, 180, 275, 303, 310]),
        midnight: bool,
        seed: u64,
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let first = date(2016, 1, 1).checked_add(jiff::Span::new().days(changes - 2)).unwrap();
        let period = Period::new(first, first.checked_add(jiff::Span::new().days(4)).unwrap()).unwrap();
        let step = SignedDuration::from_mins(i64::from(interval));
        let mut rows = Vec::new();
        for day in period.dates() {
            let (start, end) = bounds(&zone, day).unwrap();
            // A meter that begins anew at midnight, or one that counts in the hours of UTC.
            let late = if midnight { 0 } else { start.as_second().rem_euclid(step.as_secs()) };
            let mut at = start + SignedDuration::from_secs(if late == 0 { 0 } else { step.as_secs() - late });
            while at < end {
                let wh = 1 + (seed ^ at.as_second().unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000;
                rows.push(EnergyRow { start: at, value: Some(f64::from(u32::try_from(wh).unwrap())), unit: EnergyUnit::WattHour });
                at += step;
            }
        }
        let total: f64 = rows.iter().filter_map(|row| row.value).sum();
        let days = energy_days(&rows, interval, &zone, period, Commodity::Electricity).unwrap();
        let found: f64 = days.iter().map(|day| day.wh.expect("every day is complete")).sum();
        prop_assert!((found - total).abs() < 1e-6, "days have {} Wh, rows {} Wh: {:?}", found, total, days);
    }
}
