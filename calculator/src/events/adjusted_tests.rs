use jiff::civil::date;

use super::super::ledger::tests::entry;
use super::*;
use crate::baseline::{Commodity, Day, EnergyDay, TemperatureDay, qualify};
use crate::events::{Adjustment, Method};
use crate::model::{Search, fit};
use crate::savings::avoided;

/// The first 28 days of April against a year with some noise.
fn april() -> Avoided {
    let mean_f = |day: usize| 30.0 + f64::from(u8::try_from(day * 29 % 47).unwrap());
    let wh = |day: usize| 500_000.0 + 4_000.0 * (60.0 - mean_f(day)).max(0.0) + if day * 7 % 11 < 5 { 20_000.0 } else { -16_666.0 };
    let year = Period::before(date(2025, 4, 1), 365).unwrap();
    let (energy, weather): (Vec<_>, Vec<_>) = year
        .dates()
        .enumerate()
        .map(|(day, date)| (EnergyDay::whole(date, Some(wh(day))), TemperatureDay::whole(date, Some(mean_f(day)))))
        .unzip();
    let fit = fit(&qualify(&energy, &weather, Commodity::Electricity, year).unwrap(), &Search::compatible()).unwrap();
    let days: Vec<Day> = Period::new(date(2025, 4, 1), date(2025, 4, 29))
        .unwrap()
        .dates()
        .enumerate()
        .map(|(day, date)| Day { date, minutes: 1_440, use_wh: Some(0.8 * wh(day)), temperature_f: Some(mean_f(day)) })
        .collect();
    avoided(&fit, &days).unwrap()
}

#[test]
fn adjustments_move_the_total_and_widen_the_interval() {
    let avoided = april();
    let untouched = Ledger::default().adjust(&avoided, OtherErrors::default()).unwrap();
    assert_eq!((untouched.avoided_wh, untouched.uncertainty_wh), (avoided.avoided_wh, avoided.uncertainty_wh));
    assert_eq!(untouched.standing, Standing::Stands { share: 0.0 });

    // Lamps from the 11th on: eighteen of the compared days.
    let mut ledger = Ledger::default();
    ledger.agree(entry("lamps")).unwrap();
    let adjusted = ledger.adjust(&avoided, OtherErrors::default()).unwrap();
    assert_eq!(adjusted.adjustments_wh, 18 * 50_000);
    assert_eq!(avoided.days.iter().map(|day| ledger.on(day.date)).sum::<i64>(), adjusted.adjustments_wh);
    assert_eq!(adjusted.avoided_wh, adjusted.counterfactual_wh + adjusted.adjustments_wh - adjusted.observed_wh);
    let (model, own) = (avoided.interval.half_width_wh, avoided.interval.t * 18.0 * 3_000.0);
    assert_eq!(Some(adjusted.uncertainty_wh), crate::savings::whole_wh(model.hypot(own)));
    assert!(matches!(adjusted.standing, Standing::Stands { share } if (0.1..0.5).contains(&share)), "{adjusted:?}");

    let others = OtherErrors { meter_wh: 1e6, ..OtherErrors::default() };
    assert!(ledger.adjust(&avoided, others).unwrap().uncertainty_wh > adjusted.uncertainty_wh);
}

#[test]
fn too_much_of_it_asks_for_a_new_baseline() {
    let avoided = april();
    let mut ledger = Ledger::default();
    ledger.agree(Adjustment { wh_per_day: -90_000, ..entry("a hall was closed") }).unwrap();
    let adjusted = ledger.adjust(&avoided, OtherErrors::default()).unwrap();
    assert!(adjusted.avoided_wh < avoided.avoided_wh);
    assert!(matches!(adjusted.standing, Standing::Rebaseline { .. }), "{adjusted:?}");
}

#[test]
fn days_that_are_left_out_must_not_be_compared() {
    let mut ledger = Ledger::default();
    let fire = Adjustment {
        method: Method::ExcludedDays,
        why_not_better: Some("nothing measured it".to_owned()),
        wh_per_day: 0,
        error_wh_per_day: 0,
        end: Some(date(2025, 4, 12)),
        ..entry("fire")
    };
    ledger.agree(fire).unwrap();
    let error = ledger.adjust(&april(), OtherErrors::default()).unwrap_err();
    assert_eq!(error.to_string(), "2025-04-11 is left out by an adjustment; take it out before the days are compared");
}
