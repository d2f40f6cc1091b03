use jiff::civil::date;

use super::*;

const QUIET: Noise = Noise { rho: 0.0, sigma_wh: 1_000.0 };

/// Days that are expected to use 20 kWh, with noise of 1 kWh that sums to zero over six days.
fn days(count: usize, shift: impl Fn(usize) -> f64) -> Vec<DayResidual> {
    noisy_days(count, 1.0, shift)
}

fn noisy_days(count: usize, amplitude: f64, shift: impl Fn(usize) -> f64) -> Vec<DayResidual> {
    let noise = [900.0, -1_100.0, 300.0, -400.0, 1_200.0, -900.0];
    date(2025, 1, 1)
        .series(jiff::Span::new().days(1))
        .take(count)
        .enumerate()
        .map(|(index, date)| DayResidual {
            date,
            expected_wh: 20_000.0 + 50.0 * (index % 30) as f64,
            residual_wh: amplitude * noise[index % 6] + shift(index),
        })
        .collect()
}

#[test]
fn gains_and_losses_are_seen_alike() {
    for (sign, direction) in [(1.0, Direction::More), (-1.0, Direction::Less)] {
        let events = detect(&days(120, |index| if index >= 60 { sign * 2_000.0 } else { 0.0 }), QUIET, &Trigger::USUAL);
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((event.first, event.last, event.direction), (date(2025, 3, 2), date(2025, 4, 30), direction));
        assert!((event.shift_wh - sign * 2_000.0).abs() < 1e-9);
        // 1,000·√(1/60 + 1/60).
        assert!((event.error_wh - 182.574_185_835_055_37).abs() < 1e-9, "{}", event.error_wh);
        assert!((event.share.abs() - 0.096).abs() < 0.002);
        assert!(event.chow.is_some_and(|chow| chow.base && chow.probability < 1e-6));
    }
}

#[test]
fn what_is_small_or_short_or_unsure_does_not_count() {
    let step = |size: f64| days(300, move |index| if index >= 150 { size } else { 0.0 });
    // 2.9 % of the use, although the days are sure of it.
    let sure = Noise { sigma_wh: 100.0, ..QUIET };
    let quiet_step = |share: f64| noisy_days(300, 0.1, move |index| if index >= 150 { share * 20_725.0 } else { 0.0 });
    assert_eq!(detect(&quiet_step(0.029), sure, &Trigger::USUAL).len(), 0);
    assert_eq!(detect(&quiet_step(0.031), sure, &Trigger::USUAL).len(), 1);
    // Thirteen days of more use are weather or luck.
    let short = days(200, |index| if (100..113).contains(&index) { 2_500.0 } else { 0.0 });
    assert!(detect(&short, QUIET, &Trigger::USUAL).iter().all(|event| event.shift_wh.abs() < 2_500.0));
    // The same step where days resemble one another so much that the means say little.
    let moody = Noise { rho: 0.95, sigma_wh: 1_000.0 };
    assert_eq!(detect(&step(900.0), moody, &Trigger::USUAL), []);
    assert_eq!(detect(&[], QUIET, &Trigger::USUAL), []);
}

#[test]
fn a_response_to_the_weather_that_changed_is_told_from_a_base_load() {
    let slope = days(240, |index| if index >= 120 { 3.0 * (50.0 * (index % 30) as f64 - 400.0) } else { 0.0 });
    let found = chow(&slope, 120, QUIET).unwrap();
    assert!(!found.base && found.probability < 1e-6, "{found:?}");
    let nothing = chow(&days(240, |_| 0.0), 120, QUIET).unwrap();
    assert!(nothing.probability > 0.9, "{nothing:?}");
    assert_eq!(chow(&slope, 2, QUIET), None);
}

#[test]
fn correlation_makes_a_shift_less_sure() {
    let with = |rho| {
        let days = days(120, |index| if index >= 60 { 4_000.0 } else { 0.0 });
        difference(&days[..60], &days[60..], Noise { rho, sigma_wh: 1_000.0 }).1
    };
    assert!(with(0.6) > 1.8 * with(0.0), "{} against {}", with(0.6), with(0.0));
}
