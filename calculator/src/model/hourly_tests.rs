use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

/// A year of hours: an office that works on weekdays from eight to five, heats below 50 °F and cools above 65 °F.
fn year(noise: u64) -> Vec<Hour> {
    let first: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let mut state = noise;
    (0..8_760_i32)
        .map(|index| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wobble = f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1_u32 << 24) - 0.5;
            let start = first + SignedDuration::from_hours(i64::from(index));
            let month = u8::try_from(start.to_zoned(jiff::tz::TimeZone::UTC).month()).unwrap();
            let hour_of_week = u8::try_from(index % 168).unwrap();
            let season = f64::from((index / 24 - 200).abs()) / 4.0;
            let temperature_f = 80.0 - season - f64::from(index % 24 - 12).abs() + 20.0 * wobble;
            let busy = hour_of_week < 120 && (8..17).contains(&(hour_of_week % 24));
            let level = if busy { 9_000.0 } else { 3_000.0 };
            let slope = if busy { 90.0 } else { 30.0 };
            let use_wh = level + slope * ((50.0 - temperature_f).max(0.0) + 2.0 * (temperature_f - 65.0).max(0.0)) + 200.0 * wobble;
            Hour { start, month, hour_of_week, use_wh: Some(use_wh), temperature_f: Some(temperature_f) }
        })
        .collect()
}

#[test]
fn busy_hours_are_found_and_have_slopes_of_their_own() {
    let fit = fit_hours(&year(7), Commodity::Electricity).unwrap();
    assert_eq!(fit.segments.iter().map(|segment| segment.month).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    for segment in &fit.segments {
        assert_eq!(segment.occupied.len(), 45, "{}", segment.name);
        assert!(segment.occupied.contains(&8) && !segment.occupied.contains(&128));
        assert_eq!(segment.slopes.len(), segment.endpoints_f.len() + 1);
        assert_eq!(segment.slopes_occupied.len(), segment.slopes.len());
        assert!(segment.metrics.r_squared > 0.97, "{}: {}", segment.name, segment.metrics.r_squared);
    }
    assert_eq!(fit.segment(1).unwrap().name, "dec-jan-feb-weighted");
    assert_eq!(fit.residuals_wh.len(), 8_760);
}

#[test]
fn endpoints_are_dropped_from_the_outside_in() {
    let month = |counts| [counts, [0; 7], [0; 7]];
    assert_eq!(kept_endpoints(month([50; 7])), [true; 6]);
    assert_eq!(kept_endpoints(month([5, 5, 50, 50, 50, 5, 0])), [false, false, true, true, false, false]);
    assert_eq!(kept_endpoints(month([50, 50, 3, 50, 50, 50, 50])), [true, true, false, true, true, true]);
    assert_eq!(kept_endpoints(month([1, 1, 1, 1, 1, 1, 1])), [false; 6]);
}

#[test]
fn an_hour_of_the_week_that_was_never_seen_has_no_expectation() {
    let hours: Vec<Hour> = year(3).into_iter().filter(|hour| hour.hour_of_week != 30).collect();
    let fit = fit_hours(&hours, Commodity::Electricity).unwrap();
    assert_eq!(fit.expected_wh(5, 30, 60.0), None, "the reference predicts from the temperature alone here");
    assert!(fit.expected_wh(5, 31, 60.0).is_some());
    assert!(fit.segments.iter().all(|segment| segment.occupied.binary_search(&30).is_err()), "the reference calls it occupied");
}

#[test]
fn months_without_rows_have_no_model_and_no_rows_at_all_are_an_error() {
    let winter: Vec<Hour> = year(1).into_iter().filter(|hour| [1, 2, 12].contains(&hour.month)).collect();
    let fit = fit_hours(&winter, Commodity::Gas).unwrap();
    assert_eq!(fit.segments.len(), 3);
    assert_eq!(fit.expected_wh(7, 0, 70.0), None);
    assert_eq!(fit_hours(&[], Commodity::Gas).unwrap_err(), FitError::Empty);
    let nothing: Vec<Hour> = winter.iter().map(|hour| Hour { use_wh: Some(0.0), ..*hour }).collect();
    assert!(matches!(fit_hours(&nothing, Commodity::Gas), Err(FitError::NoUse { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn a_constant_moves_every_expectation_by_itself_and_a_factor_scales_it(seed in 1..1_000_u64, add in 100.0..5_000.0_f64, factor in 0.5..3.0_f64) {
        let hours = year(seed);
        let changed = |change: &dyn Fn(f64) -> f64| {
            let rows: Vec<Hour> = hours.iter().map(|hour| Hour { use_wh: hour.use_wh.map(change), ..*hour }).collect();
            fit_hours(&rows, Commodity::Electricity).unwrap()
        };
        let (plain, more, scaled) = (changed(&|wh| wh), changed(&|wh| wh + add), changed(&|wh| wh * factor));
        for (month, hour, temperature_f) in [(1, 10, 20.0), (4, 100, 55.0), (7, 160, 88.0), (10, 60, 61.0)] {
            let at = |fit: &HourlyFit| fit.expected_wh(month, hour, temperature_f).unwrap();
            prop_assert!((at(&more) - at(&plain) - add).abs() < 1e-3);
            prop_assert!((at(&scaled) - at(&plain) * factor).abs() < 1e-3);
        }
        let reversed: Vec<Hour> = hours.iter().rev().copied().collect();
        let reversed = fit_hours(&reversed, Commodity::Electricity).unwrap();
        prop_assert!((reversed.expected_wh(4, 100, 55.0).unwrap() - plain.expected_wh(4, 100, 55.0).unwrap()).abs() < 1e-6);
    }
}
