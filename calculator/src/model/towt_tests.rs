use super::*;

/// A year of days: weekdays use more and react to heat.
fn year() -> Vec<Slot> {
    (0..365_i32)
        .map(|day| {
            let slot = u16::try_from(day % 7).unwrap();
            let temperature_f = 25.0 + f64::from(day * 29 % 61);
            let busy = slot < 5;
            let use_wh =
                if busy { 40_000.0 + 700.0 * (temperature_f - 65.0).max(0.0) } else { 12_000.0 + 100.0 * (50.0 - temperature_f).max(0.0) };
            Slot { slot, temperature_f, use_wh: use_wh + f64::from(day * 13 % 17) * 40.0, follows: day > 0 }
        })
        .collect()
}

#[test]
fn working_days_are_found_and_have_a_line_of_their_own() {
    let fit = fit_towt(&year(), 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    assert_eq!(fit.occupied, [0, 1, 2, 3, 4]);
    assert_eq!(fit.slopes.len(), fit.knots_f.len() + 1);
    assert!(fit.metrics.r_squared > 0.99, "{}", fit.metrics.r_squared);
    let hot = fit.expected_wh(2, 80.0).unwrap() - fit.expected_wh(2, 70.0).unwrap();
    assert!((hot - 7_000.0).abs() < 700.0, "{hot}");
    assert!((fit.sse - fit.metrics.rmse_wh.powi(2) * 365.0).abs() < 1e-6 * fit.sse);
}

#[test]
fn outer_knots_need_twenty_rows_beyond_them() {
    let fit = fit_towt(&year(), 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    let beyond = |knot: f64| year().iter().filter(|row| row.temperature_f > knot).count();
    assert!(beyond(*fit.knots_f.last().unwrap()) >= BEYOND);
    assert!(fit.knots_f.windows(2).all(|pair| pair[0] < pair[1]));
    let few = fit_towt(&year()[..30], 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    assert_eq!(few.knots_f.len(), 1, "one knot always stays");
}

#[test]
fn two_occupied_intervals_are_none_and_an_unseen_one_has_no_expectation() {
    let rows: Vec<Slot> = year()
        .into_iter()
        .filter(|row| row.slot != 6)
        .map(|row| Slot { use_wh: if row.slot < 2 { 50_000.0 } else { 10_000.0 }, ..row })
        .collect();
    let fit = fit_towt(&rows, 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    assert!(fit.occupied.is_empty() && fit.slopes_occupied.is_empty());
    assert_eq!(fit.expected_wh(6, 60.0), None);
    assert_eq!(fit.expected_wh(7, 60.0), None);
}

#[test]
fn negative_expectations_are_counted_and_only_the_reference_hides_them() {
    let rows: Vec<Slot> = year().into_iter().map(|row| Slot { use_wh: row.use_wh - 30_000.0, ..row }).collect();
    let ours = fit_towt(&rows, 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    let floored = fit_towt(&rows, 7, Commodity::Electricity, &TowtSearch { floor_at_zero: true, ..TowtSearch::default() }).unwrap();
    assert!(ours.negative_expectations > 90 && ours.negative_expectations == floored.negative_expectations);
    assert!(ours.expected_wh(6, 60.0).unwrap() < 0.0);
    assert_eq!(floored.expected_wh(6, 60.0), Some(0.0));
}

#[test]
fn without_temperature_only_the_levels_remain() {
    let search = TowtSearch { temperature: false, ..TowtSearch::default() };
    let fit = fit_towt(&year(), 7, Commodity::Electricity, &search).unwrap();
    assert!(fit.slopes.is_empty() && fit.knots_f.is_empty());
    assert_eq!(fit.expected_wh(3, 20.0), fit.expected_wh(3, 90.0));
    assert_eq!(fit_towt(&[], 7, Commodity::Gas, &search).unwrap_err(), FitError::Empty);
}

#[test]
fn a_constant_moves_the_levels_and_nothing_else() {
    let plain = fit_towt(&year(), 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    let rows: Vec<Slot> = year().into_iter().map(|row| Slot { use_wh: row.use_wh + 5_000.0, ..row }).collect();
    let more = fit_towt(&rows, 7, Commodity::Electricity, &TowtSearch::default()).unwrap();
    for (more, plain) in more.slopes.iter().zip(&plain.slopes) {
        assert!((more - plain).abs() < 1e-6);
    }
    for (more, plain) in more.levels.iter().flatten().zip(plain.levels.iter().flatten()) {
        assert!((more - plain - 5_000.0).abs() < 1e-4);
    }
}
