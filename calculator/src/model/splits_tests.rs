use jiff::civil::date;

use super::super::change_point::ChangePointKind;
use super::*;

fn year(use_wh: impl Fn(Date, f64) -> f64) -> Vec<Day> {
    (0..365_i32)
        .map(|index| {
            let date = date(2025, 1, 1).checked_add(jiff::Span::new().days(index)).unwrap();
            let mean_f = 55.0 - 25.0 * f64::from((index - 200).abs() - 90) / 90.0 + f64::from(index * 29 % 23) - 11.0;
            let noise = f64::from(index * 7_919 % 1_009) / 504.5 - 1.0;
            Day { date, minutes: 1_440, use_wh: Some(use_wh(date, mean_f) + 500.0 * noise), temperature_f: Some(mean_f) }
        })
        .collect()
}

fn fit(days: &[Day]) -> SplitFit {
    fit_splits(days, Commodity::Electricity, &ChangePointSearch::strict()).unwrap()
}

fn is_weekend(date: Date) -> bool {
    date.weekday().to_monday_zero_offset() >= 5
}

#[test]
fn a_year_of_one_kind_stays_whole() {
    let whole = fit(&year(|_, t| 30_000.0 + 800.0 * (55.0 - t).max(0.0)));
    assert_eq!(whole.parts.len(), 1);
    assert_eq!(whole.parts[0].model.kind, ChangePointKind::ThreeParameterHeating);
    assert_eq!(whole.candidates.len(), 22);
    assert_eq!(whole.candidates[0].parts, [(vec![Season::Summer, Season::Shoulder, Season::Winter], Weekdays::All)]);
}

#[test]
fn weekends_that_differ_are_told_apart() {
    let split = fit(&year(|date, t| {
        let base = if is_weekend(date) { 12_000.0 } else { 30_000.0 };
        base + 800.0 * (55.0 - t).max(0.0)
    }));
    let kinds: Vec<Weekdays> = split.parts.iter().map(|part| part.weekdays).collect();
    assert_eq!(kinds, [Weekdays::Working, Weekdays::Weekend]);
    let at = |date: Date| split.model_of(date).unwrap().predict_wh(70.0);
    assert!((at(date(2025, 7, 7)) - 30_000.0).abs() < 300.0 && (at(date(2025, 7, 6)) - 12_000.0).abs() < 300.0);
}

#[test]
fn a_school_that_is_closed_in_summer_has_a_summer_of_its_own() {
    let split = fit(&year(|date, t| {
        let closed = Season::of(date) == Season::Summer;
        if closed { 8_000.0 } else { 30_000.0 + 800.0 * (55.0 - t).max(0.0) }
    }));
    assert!(split.parts.iter().any(|part| part.seasons == [Season::Summer] && part.weekdays == Weekdays::All));
    assert_eq!(split.model_of(date(2025, 8, 1)).map(|model| model.kind), Some(ChangePointKind::Mean));
}

#[test]
fn every_day_of_a_year_has_exactly_one_part_and_parts_sum_to_the_whole() {
    let days = year(|date, t| if is_weekend(date) { 9_000.0 } else { 30_000.0 } + 700.0 * (50.0 - t).max(0.0));
    let split = fit(&days);
    for day in &days {
        assert_eq!(split.parts.iter().filter(|part| part.holds(day.date)).count(), 1);
    }
    assert_eq!(split.parts.iter().map(|part| part.days).sum::<u32>(), 365);
    let sse: f64 = split.days.iter().map(|day| day.residual_wh * day.residual_wh).sum();
    assert!((split.parts.iter().map(|part| part.sse).sum::<f64>() / sse - 1.0).abs() < 1e-9);
    let least = split.candidates.iter().filter_map(|candidate| candidate.bic).min_by(f64::total_cmp).unwrap();
    assert!((least - split.bic).abs() < 1e-9);
}

#[test]
fn a_part_of_few_days_is_no_part() {
    let spring: Vec<Day> = year(|_, _| 30_000.0).into_iter().filter(|day| [3, 4].contains(&day.date.month())).collect();
    let split = fit(&spring);
    assert_eq!(split.parts.len(), 1);
    assert!(split.candidates.iter().filter(|candidate| candidate.bic.is_some()).count() < 22);
    assert_eq!(fit_splits(&[], Commodity::Gas, &ChangePointSearch::strict()).unwrap_err(), FitError::Empty);
}
