use jiff::civil::date;

use super::*;
use crate::baseline::{EnergyDay, Period, TemperatureDay, qualify};
use crate::model::{Search, fit};

fn temperature(day: u32) -> f64 {
    20.0 + f64::from(day * 29 % 61)
}

/// 30 kWh a day and 1 kWh for each degree below 55 °F, with 2 kWh of noise.
fn a_fit(commodity: Commodity) -> Fit {
    let year = Period::before(date(2025, 1, 1), 365).unwrap();
    let (energy, weather): (Vec<_>, Vec<_>) = year
        .dates()
        .zip(0..)
        .map(|(date, day)| {
            let wh = 30_000.0 + 1_000.0 * (55.0 - temperature(day)).max(0.0) + if day * 7 % 11 < 5 { 2_000.0 } else { -1_666.0 };
            (EnergyDay::whole(date, Some(wh)), TemperatureDay::whole(date, Some(temperature(day))))
        })
        .unzip();
    fit(&qualify(&energy, &weather, commodity, year).unwrap(), &Search::compatible()).unwrap()
}

fn reporting(days: u16) -> Vec<Day> {
    let period = Period::new(date(2025, 2, 1), date(2025, 2, 1).checked_add(jiff::Span::new().days(i64::from(days))).unwrap()).unwrap();
    period
        .dates()
        .zip(0..)
        .map(|(date, day)| Day {
            date,
            minutes: 1_440,
            use_wh: Some(24_000.4 + 800.0 * (55.0 - temperature(day)).max(0.0)),
            temperature_f: Some(temperature(day)),
        })
        .collect()
}

#[test]
fn rows_and_parts_sum_to_the_totals_to_the_watt_hour() {
    let avoided = avoided(&a_fit(Commodity::Electricity), &reporting(28)).unwrap();
    assert_eq!(avoided.avoided_wh, avoided.counterfactual_wh - avoided.observed_wh);
    assert_eq!(avoided.days.iter().map(|day| day.avoided_wh).sum::<i64>(), avoided.avoided_wh);
    assert_eq!(avoided.days.iter().map(|day| day.observed_wh).sum::<i64>(), avoided.observed_wh);
    assert_eq!(avoided.base_wh + avoided.heating_wh + avoided.cooling_wh, avoided.counterfactual_wh);
    assert!(avoided.avoided_wh > avoided.uncertainty_wh && avoided.uncertainty_wh > 0);
    assert_eq!((avoided.days_total, avoided.days_compared, avoided.masked.len()), (28, 28, 0));
}

#[test]
fn more_confidence_is_wider() {
    let (fit, days) = (a_fit(Commodity::Electricity), reporting(28));
    let width = |confidence| avoided_at(&fit, &days, confidence).unwrap().uncertainty_wh;
    assert!(width(0.68) < width(0.9) && width(0.9) < width(0.99));
}

#[test]
fn what_is_missing_is_masked_and_listed_and_too_much_of_it_is_not_billable() {
    let fit = a_fit(Commodity::Electricity);
    let mut days = reporting(28);
    days[1].use_wh = None;
    days[2].temperature_f = None;
    let two = avoided(&fit, &days).unwrap();
    assert_eq!(
        two.masked,
        [
            Missing { date: date(2025, 2, 2), has_energy: false, has_weather: true, has_variables: true },
            Missing { date: date(2025, 2, 3), has_energy: true, has_weather: false, has_variables: true }
        ]
    );
    assert!(two.is_billable());
    days[3].use_wh = Some(0.0);
    assert!(!avoided(&fit, &days).unwrap().is_billable(), "25 of 28 days are less than nine tenths");
}

#[test]
fn days_that_cannot_be_compared_are_refused() {
    let electricity = a_fit(Commodity::Electricity);
    let refused = |fit: &Fit, change: &dyn Fn(&mut Vec<Day>)| {
        let mut days = reporting(5);
        change(&mut days);
        avoided(fit, &days).unwrap_err().to_string()
    };
    assert_eq!(refused(&electricity, &|days| days.clear()), "none of 0 reporting days has both energy and weather");
    assert_eq!(
        refused(&electricity, &|days| days.iter_mut().for_each(|day| day.use_wh = None)),
        "none of 5 reporting days has both energy and weather"
    );
    assert_eq!(refused(&electricity, &|days| days.push(days[0])), "the reporting day 2025-02-01 appears twice");
    assert_eq!(
        refused(&electricity, &|days| days[0].use_wh = Some(f64::NAN)),
        "a value of the reporting day 2025-02-01 is not a finite number"
    );
    assert_eq!(
        refused(&electricity, &|days| days[0].date = date(2024, 12, 31)),
        "the reporting day 2024-12-31 is not after the baseline, which ends before 2025-01-01"
    );
    assert_eq!(
        refused(&a_fit(Commodity::Gas), &|days| days[4].use_wh = Some(-1.0)),
        "the fuel use of the reporting day 2025-02-05 is negative"
    );
}

#[test]
fn the_long_day_of_autumn_has_one_degree_day_value() {
    let fit = a_fit(Commodity::Electricity);
    let day = |minutes| [Day { date: date(2025, 11, 2), minutes, use_wh: Some(1.0), temperature_f: Some(25.0) }];
    let (usual, long) = (avoided(&fit, &day(1_440)).unwrap(), avoided(&fit, &day(1_500)).unwrap());
    assert_eq!(usual.heating_wh, long.heating_wh, "the reference counts the degree days of a 25-hour day twice");
    let hour = long.base_wh - usual.base_wh;
    assert!((hour * 24 - usual.base_wh).abs() <= 24, "one hour more of base load: {hour} Wh");
}
