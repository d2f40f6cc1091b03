use jiff::SignedDuration;

use super::*;

/// Twelve bills of thirty days that heat below 60 °F and cool above 68 °F.
fn year(base: f64, heating: f64, cooling: f64) -> Vec<Bill> {
    let first: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
    (0..12_i32)
        .map(|month| {
            let days_f: Vec<f64> =
                (0..30_i32).map(|day| 58.0 - 28.0 * f64::from((month - 6).abs() - 3) / 3.0 + f64::from(day * 7 % 13)).collect();
            let degrees = |value: &dyn Fn(f64) -> f64| days_f.iter().map(|mean| value(*mean)).sum::<f64>();
            let use_wh =
                30.0 * base + heating * degrees(&|mean| (60.0 - mean).max(0.0)) + cooling * degrees(&|mean| (mean - 68.0).max(0.0));
            let start = first + SignedDuration::from_hours(24 * 30 * i64::from(month));
            Bill { start, end: start + SignedDuration::from_hours(720), use_wh: Some(use_wh), days_f, days_total: 30 }
        })
        .collect()
}

#[test]
fn a_known_facility_is_found_again() {
    let fit = fit_bills(&year(20_000.0, 900.0, 1_300.0), Commodity::Electricity, &Search::billing()).unwrap();
    let (hdd, cdd) = (fit.model.hdd.unwrap(), fit.model.cdd.unwrap());
    assert!((hdd.balance_f - 60.0).abs() < 1e-9 && (cdd.balance_f - 68.0).abs() < 1e-9);
    assert!((hdd.beta - 900.0).abs() < 1e-6 && (cdd.beta - 1_300.0).abs() < 1e-6 && (fit.model.intercept - 20_000.0).abs() < 1e-4);
    assert!(fit.r_squared_adj > 0.999_999 && !fit.is_thin());
    assert_eq!(fit.candidates.len(), 2_014);
}

#[test]
fn a_constant_moves_only_the_base_load_and_a_factor_moves_everything() {
    let noisy = |add: f64, factor: f64| {
        let mut bills = year(20_000.0, 900.0, 1_300.0);
        for (index, bill) in (0_i32..).zip(&mut bills) {
            let noise = f64::from(index * 5 % 7) * 9_000.0;
            bill.use_wh = bill.use_wh.map(|wh| (wh + noise + add * 30.0) * factor);
        }
        fit_bills(&bills, Commodity::Electricity, &Search::billing()).unwrap()
    };
    let (plain, more, double) = (noisy(0.0, 1.0), noisy(5_000.0, 1.0), noisy(0.0, 2.0));
    let slopes = |fit: &BillingFit| [fit.model.hdd, fit.model.cdd].map(|term| term.map(|term| term.beta));
    for (found, expected) in
        slopes(&more).iter().zip(slopes(&plain)).chain(slopes(&double).map(|beta| beta.map(|beta| beta / 2.0)).iter().zip(slopes(&plain)))
    {
        assert!((found.unwrap() - expected.unwrap()).abs() < 1e-6);
    }
    assert!((more.model.intercept - plain.model.intercept - 5_000.0).abs() < 1e-6);
    assert!((double.model.intercept - 2.0 * plain.model.intercept).abs() < 1e-6);
    assert!((double.r_squared_adj - plain.r_squared_adj).abs() < 1e-12);
}

#[test]
fn bills_without_energy_or_weather_take_no_part_and_none_at_all_is_an_error() {
    let mut bills = year(20_000.0, 900.0, 0.0);
    bills[3].use_wh = None;
    bills[4].days_f.clear();
    bills[5].use_wh = Some(0.0);
    assert_eq!(fit_bills(&bills, Commodity::Electricity, &Search::billing()).unwrap().bills.len(), 9);
    assert!(fit_bills(&bills[..8], Commodity::Electricity, &Search::billing()).unwrap().is_thin());
    assert_eq!(fit_bills(&bills[3..4], Commodity::Gas, &Search::billing()).unwrap_err(), FitError::Empty);
    let zero: Vec<Bill> = year(0.0, 0.0, 0.0);
    assert_eq!(fit_bills(&zero, Commodity::Gas, &Search::billing()).unwrap_err(), FitError::NoUse { days: 12 });
}
