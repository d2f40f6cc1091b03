use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn days(use_wh: impl Fn(usize, f64) -> f64) -> Vec<Day> {
    let first = date(2025, 1, 1);
    (0..365_usize)
        .map(|index| {
            let mean_f = 20.0 + f64::from(u32::try_from(index * 29 % 67).unwrap()) + f64::from(u32::try_from(index % 10).unwrap()) / 10.0;
            let date = first.checked_add(jiff::Span::new().days(i64::try_from(index).unwrap())).unwrap();
            Day { date, minutes: 1_440, use_wh: Some(use_wh(index, mean_f)), temperature_f: Some(mean_f) }
        })
        .collect()
}

fn noise(index: usize) -> f64 {
    f64::from(u32::try_from(index * 7_919 % 1_009).unwrap()) / 504.5 - 1.0
}

fn best(days: &[Day]) -> ChangePointFit {
    fit_change_points(days, Commodity::Electricity, &ChangePointSearch::strict()).unwrap()
}

#[test]
fn each_form_is_recognised_with_its_change_points_off_any_grid() {
    let five = best(&days(|index, t| 20_000.0 + 900.0 * (52.34 - t).max(0.0) + 1_500.0 * (t - 67.89).max(0.0) + 100.0 * noise(index)));
    assert_eq!(five.model.kind, ChangePointKind::FiveParameter);
    assert!((five.model.heating.unwrap().at_f - 52.34).abs() < 0.1 && (five.model.cooling.unwrap().at_f - 67.89).abs() < 0.1);
    let four = best(&days(|index, t| 20_000.0 + 900.0 * (58.21 - t).max(0.0) + 1_500.0 * (t - 58.21).max(0.0) + 100.0 * noise(index)));
    assert_eq!(four.model.kind, ChangePointKind::FourParameter);
    assert!((four.model.heating.unwrap().at_f - 58.21).abs() < 0.1);
    assert_eq!(
        best(&days(|index, t| 20_000.0 + 900.0 * (55.0 - t).max(0.0) + 100.0 * noise(index))).model.kind,
        ChangePointKind::ThreeParameterHeating
    );
    assert_eq!(
        best(&days(|index, t| 20_000.0 + 900.0 * (t - 60.0).max(0.0) + 100.0 * noise(index))).model.kind,
        ChangePointKind::ThreeParameterCooling
    );
    assert_eq!(best(&days(|index, t| 20_000.0 + 90.0 * t + 100.0 * noise(index))).model.kind, ChangePointKind::TwoParameter);
    assert_eq!(best(&days(|index, _| 20_000.0 + 100.0 * noise(index))).model.kind, ChangePointKind::Mean);
}

#[test]
fn the_interval_holds_the_truth_and_widens_with_noise() {
    let with = |percent: f64| best(&days(|index, t| 20_000.0 + 900.0 * (55.0 - t).max(0.0) + percent * noise(index)));
    let (quiet, loud) = (with(500.0).model.heating.unwrap(), with(5_000.0).model.heating.unwrap());
    for knee in [quiet, loud] {
        let (low, high) = knee.interval_f.unwrap();
        assert!(low <= knee.at_f && knee.at_f <= high && low <= 55.0 && 55.0 <= high, "{low} {} {high}", knee.at_f);
    }
    let width = |knee: Knee| knee.interval_f.map(|(low, high)| high - low).unwrap();
    assert!(width(loud) > 3.0 * width(quiet));
}

/// The least that a fine grid of change-points finds, by the same least squares.
fn grid(kind: ChangePointKind, rows: &[(f64, f64)]) -> f64 {
    let sorted = Sorted::new(rows);
    let (low, high) = (sorted.points[0], sorted.points[sorted.points.len() - 1]);
    let steps = 400;
    let at = |step: i32| low + (high - low) * f64::from(step) / f64::from(steps);
    (1..steps).filter_map(|step| exact::sse_with_one(kind, &sorted, at(step))).min_by(f64::total_cmp).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_grid_finds_less(seed in 1..10_000_usize, tau in 35.0..75.0_f64, heat in -500.0..900.0_f64, cool in -500.0..900.0_f64, wild in 10.0..20_000.0_f64) {
        let rows: Vec<(f64, f64)> = days(|index, t| 30_000.0 + heat * (tau - t).max(0.0) + cool * (t - tau).max(0.0) + wild * noise(index * seed))
            .iter()
            .map(|day| (day.temperature_f.unwrap(), day.use_wh.unwrap()))
            .take(80)
            .collect();
        let search = ChangePointSearch { rows_min: 1, ..ChangePointSearch::compatible() };
        let sorted = Sorted::new(&rows);
        for kind in [ChangePointKind::ThreeParameterCooling, ChangePointKind::ThreeParameterHeating, ChangePointKind::FourParameter] {
            let found = search_kind(kind, &sorted, &search).unwrap();
            prop_assert!(found.sse <= grid(kind, &rows) * (1.0 + 1e-9));
        }
        let sse = |kind| search_kind(kind, &sorted, &search).unwrap().sse;
        // A form that contains another never leaves more.
        prop_assert!(sse(ChangePointKind::FourParameter) <= sse(ChangePointKind::ThreeParameterHeating) * (1.0 + 1e-9));
        prop_assert!(sse(ChangePointKind::FiveParameterSloped) <= sse(ChangePointKind::FourParameter) * (1.0 + 1e-9));
        prop_assert!(sse(ChangePointKind::FiveParameterSloped) <= sse(ChangePointKind::FiveParameter) * (1.0 + 1e-9));
    }

    #[test]
    fn a_constant_moves_only_the_base_and_the_order_of_days_nothing(add in 1_000.0..50_000.0_f64, turn in 1..364_usize) {
        let plain = days(|index, t| 20_000.0 + 900.0 * (52.3 - t).max(0.0) + 1_500.0 * (t - 67.8).max(0.0) + 3_000.0 * noise(index));
        let more: Vec<Day> = plain.iter().map(|day| Day { use_wh: day.use_wh.map(|wh| wh + add), ..*day }).collect();
        let (a, b) = (best(&plain).model, best(&more).model);
        prop_assert_eq!(a.kind, b.kind);
        prop_assert!((b.base - a.base - add).abs() < 1e-3);
        prop_assert!((b.heating.unwrap().slope - a.heating.unwrap().slope).abs() < 1e-4);
        prop_assert!((b.heating.unwrap().at_f - a.heating.unwrap().at_f).abs() < 1e-5);
        let mut turned = plain.clone();
        turned.rotate_left(turn);
        prop_assert!((best(&turned).sse / best(&plain).sse - 1.0).abs() < 1e-9);
    }
}

#[test]
fn rules_leave_out_what_they_forbid() {
    let falling = days(|index, t| 60_000.0 - 900.0 * (t - 60.0).max(0.0) + 1_000.0 * noise(index));
    let signed = best(&falling);
    let cooling = signed.candidates.iter().find(|candidate| candidate.kind == ChangePointKind::ThreeParameterCooling).unwrap();
    assert!(cooling.model.is_none_or(|model| model.cooling.unwrap().slope >= 0.0));
    let free = fit_change_points(&falling, Commodity::Electricity, &ChangePointSearch::compatible()).unwrap();
    assert_eq!(free.model.kind, ChangePointKind::ThreeParameterCooling);
    let gas = fit_change_points(&falling, Commodity::Gas, &ChangePointSearch::strict()).unwrap();
    assert!(gas.candidates.iter().all(|candidate| candidate.model.is_none_or(|model| model.cooling.is_none())));
    assert_eq!(fit_change_points(&[], Commodity::Gas, &ChangePointSearch::strict()).unwrap_err(), FitError::Empty);
}
