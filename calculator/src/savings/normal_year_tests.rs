use jiff::civil::date;

use super::*;
use crate::baseline::{Commodity, simulated};
use crate::model::{Method, Mode, Observations, fit_by};
use crate::savings::compare;

fn year() -> Vec<f64> {
    (0..8_760_i32).map(|hour| 55.0 - 25.0 * f64::from((hour / 24 - 200).abs() - 90) / 90.0 + f64::from(hour % 24) / 2.0).collect()
}

fn model(base: f64, slope: f64, method: Method) -> Fitted {
    let baseline = simulated::year(|_, day, mean_f| base + slope * (55.0 - mean_f).max(0.0) + f64::from(day * 13 % 17) * 20.0);
    fit_by(method, Mode::Strict, Commodity::Electricity, Observations::Days(&baseline)).unwrap()
}

#[test]
fn the_leap_day_has_the_weather_of_the_day_before() {
    let (leap, usual) = (normal_days(&year(), 2024).unwrap(), normal_days(&year(), 2025).unwrap());
    assert_eq!((leap.len(), usual.len()), (366, 365));
    assert_eq!(leap[59].date, date(2024, 2, 29));
    assert_eq!(leap[59].temperature_f, leap[58].temperature_f);
    assert_eq!(leap[60].temperature_f, usual[59].temperature_f);
    assert_eq!(leap[365].temperature_f, usual[364].temperature_f);
    let hours = normal_hours(&year(), 2024, Offset::constant(-6)).unwrap();
    assert_eq!((hours.len(), hours[0].start.to_string(), hours[0].hour_of_week), (8_784, "2024-01-01T06:00:00Z".to_owned(), 0));
    assert_eq!(hours[59 * 24 + 5].temperature_f, hours[58 * 24 + 5].temperature_f);
}

#[test]
fn parts_sum_to_the_savings_and_the_same_model_saves_nothing() {
    let days = normal_days(&year(), 2025).unwrap();
    for method in [Method::CaltrackDaily, Method::ChangePoint, Method::Towt] {
        let (before, after) = (model(30_000.0, 900.0, method), model(24_000.0, 600.0, method));
        let saved = normal_year(&before, &after, Conditions::Days(&days), 0.9).unwrap();
        assert_eq!(saved.savings_wh, saved.baseline_wh - saved.reporting_wh);
        assert_eq!(saved.base_wh + saved.heating_wh + saved.cooling_wh, saved.savings_wh);
        // Time of week has no balance point of its own: what heating below 55 °F saves above 50 °F counts as base load there.
        let most = if method == Method::Towt { 365 * 1_000 } else { 365 * 300 };
        assert!((saved.base_wh - 365 * 6_000).abs() < most, "{method}: {}", saved.base_wh);
        assert!(saved.heating_wh > 0);
        assert_eq!(normal_year(&before, &before, Conditions::Days(&days), 0.9).unwrap().savings_wh, 0);
        assert_eq!(saved.reference.is_some(), method == Method::CaltrackDaily);
    }
}

#[test]
fn savings_add_over_months_whatever_the_method() {
    let mut days = normal_days(&year(), 2025).unwrap();
    for (day, index) in days.iter_mut().zip(0_i32..) {
        day.use_wh = Some(25_000.0 + f64::from(index * 37 % 101) * 33.3);
    }
    for method in [Method::CaltrackDaily, Method::ChangePoint, Method::Towt, Method::Best] {
        let fitted = model(30_000.0, 900.0, method);
        let whole = compare(&fitted, Conditions::Days(&days)).unwrap();
        let months: f64 = (1..=12)
            .map(|month| {
                let own: Vec<Day> = days.iter().copied().filter(|day| day.date.month() == month).collect();
                compare(&fitted, Conditions::Days(&own)).unwrap().exact.avoided_wh
            })
            .sum();
        assert!((months - whole.exact.avoided_wh).abs() < 1e-3, "{method}: {months} against {}", whole.exact.avoided_wh);
        assert_eq!(whole.rows.iter().flatten().map(|row| row.avoided_wh).sum::<i64>(), whole.avoided_wh);
    }
}

#[test]
fn what_is_no_normal_year_is_refused() {
    assert_eq!(normal_days(&year()[..8_000], 2025).unwrap_err(), NormalYearError::Hours { found: 8_000 });
    let mut nan = year();
    nan[99] = f64::NAN;
    assert_eq!(normal_hours(&nan, 2025, Offset::UTC).unwrap_err(), NormalYearError::NotFinite { hour: 100 });
}
