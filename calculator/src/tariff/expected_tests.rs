use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::*;
use crate::tariff::ShapeError;
use crate::tariff::{DemandCharge, DemandPeriod, EnergyCharge, EnergyPeriod, RateTerms, Tier, Version, calendar_months};

fn chicago() -> TimeZone {
    TimeZone::get("America/Chicago").unwrap()
}

/// Hours of working days and weekends with a morning peak that moves from day to day.
fn year(first: Date, end: Date, scale: i64) -> Profile {
    let midnight = |day: Date| day.to_zoned(chicago()).unwrap().timestamp();
    let mut wh = Vec::new();
    for at in midnight(first).series(jiff::Span::new().hours(1)).take_while(|at| *at < midnight(end)) {
        let local = chicago().to_datetime(at);
        let peak_hour = 6 + local.day() % 5;
        let working = local.date().weekday().to_monday_one_offset() <= 5;
        let power = if working && local.hour() == peak_hour {
            50
        } else if working && (6..20).contains(&local.hour()) {
            20
        } else {
            8
        };
        wh.push(power * scale);
    }
    Profile::new(midnight(first), 60, wh).unwrap()
}

fn rate() -> Rate {
    let tiers = |price: &str| vec![Tier { up_to: None, price: price.parse().unwrap() }];
    let mut version = Version::empty(date(2020, 1, 1));
    let period = EnergyPeriod { name: "all hours".into(), windows: vec![], tiers: tiers("0.1"), sell_per_kwh: None };
    version.energy =
        vec![EnergyCharge { name: "energy".into(), tiers_by: Default::default(), allocation: Default::default(), periods: vec![period] }];
    let period = DemandPeriod { name: "all hours".into(), windows: vec![], tiers: tiers("10") };
    version.demand =
        vec![DemandCharge { name: "demand".into(), periods: vec![period], minimum_kw: None, power_factor: None, ratchet: None }];
    let (name, currency) = ("r".into(), "USD".into());
    Rate::try_from(RateTerms { name, currency, proration: Default::default(), rounding: None, versions: vec![version] }).unwrap()
}

#[test]
fn a_shape_knows_the_kinds_of_days() {
    let shape = Shape::fit(&year(date(2024, 1, 1), date(2025, 1, 1), 1_000), &chicago(), &[]).unwrap();
    assert_eq!((shape.fitted().days, shape.fitted().days_left_out), (364, 2), "the days when the clocks change have no 24 hours");
    assert!((0.2..0.6).contains(&shape.fitted().cv_rmse), "{:?}", shape.fitted());
    let all: Vec<u16> = (0..24).collect();
    let sunday = shape.spread(date(2025, 6, 1), 2_400, &all);
    assert_eq!(sunday, vec![100; 24]);
    let monday = shape.spread(date(2025, 6, 2), 24_001, &all);
    assert_eq!(monday.iter().sum::<i64>(), 24_001);
    assert!(monday[8] > monday[14] && monday[14] > monday[2], "{monday:?}");
    let short: Vec<u16> = (0..24).filter(|hour| *hour != 2).collect();
    assert_eq!(shape.spread(date(2025, 3, 9), 999, &short).iter().sum::<i64>(), 999, "the day without two o'clock");
    let few = year(date(2024, 1, 1), date(2024, 1, 4), 1);
    assert_eq!(Shape::fit(&few, &chicago(), &[]).unwrap_err(), ShapeError::TooFewDays { days: 3 });
}

#[test]
fn the_highest_of_mean_shapes_is_too_low_and_the_draws_mend_it() {
    let zone = chicago();
    let baseline = year(date(2024, 1, 1), date(2025, 1, 1), 1_000);
    let shape = Shape::fit(&baseline, &zone, &[]).unwrap();
    let (first, end) = (date(2025, 1, 1), date(2025, 4, 1));
    let measured = year(first, end, 800);
    // The truth: a fifth less of everything, so a fifth of the bill of what would have been.
    let truth = year(first, end, 1_000);
    let days: Vec<(Date, i64)> =
        days_of(&truth, &zone).into_iter().map(|(date, range, _)| (date, truth.wh()[range].iter().sum())).collect();
    let (rate, account, periods) = (rate(), Account::default(), calendar_months(first, end));
    let true_value = crate::tariff::value(&rate, &zone, &periods, (&truth, &account), (&measured, &account)).unwrap();
    let residuals = [400, -300, 120, -220, 90, 10, -100, 250];
    let given = DailyCounterfactual { days: &days, shape: &shape, residuals_wh: &residuals };
    let drawn = |seed| expected_value(&rate, &zone, &periods, (given, &account), (&measured, &account), 60, seed).unwrap();
    let found = drawn(1);
    assert_eq!(found.avoided_wh, true_value.avoided_wh);
    assert_eq!(found.differences.iter().map(|difference| difference.value).sum::<Decimal>(), found.value);
    assert!(found.by_mean_shape < true_value.value, "{} {}", found.by_mean_shape, true_value.value);
    let off = |value: Decimal| ((value - true_value.value) / true_value.value).abs();
    assert!(off(found.value) < Decimal::new(2, 2), "{} of {}", found.value, true_value.value);
    assert!(off(found.by_mean_shape) > Decimal::new(10, 2), "{} of {}", found.by_mean_shape, true_value.value);
    assert!(found.p10 <= found.value && found.value <= found.p90);
    assert_eq!(found, drawn(1), "the same seed, the same bits");
    assert_eq!(found.differences[0], drawn(2).differences[0], "no draw changes the energy");
}

#[test]
fn days_without_a_counterfactual_claim_nothing() {
    let zone = chicago();
    let shape = Shape::fit(&year(date(2024, 1, 1), date(2025, 1, 1), 1_000), &zone, &[]).unwrap();
    let (first, end) = (date(2025, 1, 1), date(2025, 2, 1));
    let (measured, account) = (year(first, end, 800), Account::default());
    let given = DailyCounterfactual { days: &[], shape: &shape, residuals_wh: &[5, -5] };
    let found = expected_value(&rate(), &zone, &calendar_months(first, end), (given, &account), (&measured, &account), 3, 7).unwrap();
    assert_eq!((found.value, found.avoided_wh, found.days_masked), (Decimal::ZERO, 0, 31));
    let quarter = Profile::new(measured.start(), 15, vec![1; 96 * 31]).unwrap();
    let refused = expected_value(&rate(), &zone, &[], (given, &account), (&quarter, &account), 3, 7).unwrap_err();
    assert_eq!(refused, ExpectError::Intervals { shape: 60, profile: 15 });
}
