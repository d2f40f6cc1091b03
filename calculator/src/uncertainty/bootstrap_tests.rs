use super::*;

/// Noise between −1 and 1, and its seed.
fn noise(seed: u64, hours: usize) -> Vec<f64> {
    let mut draws = Draws::new(seed);
    (0..hours).map(|_| draws.below(20_001) as f64 / 10_000.0 - 1.0).collect()
}

/// A year of hours fitted with the mean.
fn year(values: &[f64]) -> Vec<Option<f64>> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| Some(value - mean)).collect()
}

fn of(residuals: &[Option<f64>], reporting_hours: usize, seed: u64) -> HourlyInterval {
    let weights = vec![reporting_hours as f64 / residuals.len() as f64; residuals.len()];
    let given = HourlyResiduals { residuals_wh: residuals, weights: &weights, reporting_hours, levels: 1.0, day_levels: 1.0 };
    hourly_interval(&given, DRAWS, seed, 0.9).unwrap()
}

/// White noise of variance 1/3: the error of a total over as many hours has twice the variance of their sum.
#[test]
fn white_noise_gives_the_textbook_width() {
    let expected = 1.645 * (2.0 * 8_760.0 / 3.0_f64).sqrt();
    for seed in 1..=4 {
        let found = of(&year(&noise(seed, 8_760)), 8_760, seed);
        assert!((found.bootstrap_wh / expected - 1.0).abs() < 0.25, "seed {seed}: {} instead of {expected}", found.bootstrap_wh);
        assert!((found.daily_wh / expected - 1.0).abs() < 0.25, "seed {seed}: {} instead of {expected}", found.daily_wh);
        assert!((found.half_width_wh - found.bootstrap_wh.max(found.daily_wh)).abs() < f64::EPSILON);
        assert_eq!((found.weeks, found.draws), (52, 2_000));
    }
}

/// Days that resemble one another: 168 independent hours would make far too narrow an interval.
#[test]
fn what_lasts_for_days_widens_it() {
    let days = noise(9, 365);
    let values: Vec<f64> = days.iter().flat_map(|day| std::iter::repeat_n(*day, 24)).collect();
    let found = of(&year(&values), 8_760, 1);
    let as_if_independent = 1.645 * (2.0 * 8_760.0 / 3.0_f64).sqrt();
    assert!(found.bootstrap_wh > 4.0 * as_if_independent && found.daily_wh > 4.0 * as_if_independent, "{found:?}");
}

/// A swing of the seasons is longer than any block; the daily sums see it.
#[test]
fn what_outlives_a_week_is_seen_by_the_daily_sums() {
    let fast = noise(3, 8_760);
    let values: Vec<f64> = fast.iter().enumerate().map(|(hour, fast)| 0.4 * fast + (hour as f64 / 400.0).sin()).collect();
    let found = of(&year(&values), 8_760, 1);
    assert!(found.daily_wh > 1.2 * found.bootstrap_wh, "{found:?}");
    assert!((found.half_width_wh - found.daily_wh).abs() < f64::EPSILON);
    assert!(found.daily_autocorrelation > 0.8);
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_one_nearly_the_same_width() {
    let residuals = year(&noise(5, 8_760));
    assert_eq!(of(&residuals, 8_760, 42), of(&residuals, 8_760, 42));
    let (one, other) = (of(&residuals, 8_760, 1).bootstrap_wh, of(&residuals, 8_760, 2).bootstrap_wh);
    assert!((one - other).abs() > 0.0 && (one / other - 1.0).abs() < 0.1);
}

#[test]
fn a_short_reporting_period_has_its_own_hours_and_little_of_the_model() {
    let residuals = year(&noise(6, 8_760));
    let month = of(&residuals, 30 * 24, 1);
    let expected = 1.645 * (720.0 / 3.0 * (1.0 + 720.0 / 8_760.0_f64)).sqrt();
    assert!((month.bootstrap_wh / expected - 1.0).abs() < 0.25, "{} instead of {expected}", month.bootstrap_wh);
}

#[test]
fn absent_hours_do_not_narrow_it_and_too_many_are_refused() {
    let mut residuals = year(&noise(7, 8_760));
    let whole = of(&residuals, 8_760, 1).bootstrap_wh;
    residuals.iter_mut().enumerate().filter(|(hour, _)| hour % 5 == 0).for_each(|(_, residual)| *residual = None);
    let gaps = of(&residuals, 8_760, 1).bootstrap_wh;
    assert!((gaps / whole - 1.0).abs() < 0.15, "{gaps} with gaps, {whole} without");

    let refused = |residuals: &[Option<f64>], weights: &[f64]| {
        let given = HourlyResiduals { residuals_wh: residuals, weights, reporting_hours: 100, levels: 1.0, day_levels: 1.0 };
        hourly_interval(&given, 10, 1, 0.9).unwrap_err().to_string()
    };
    assert_eq!(refused(&residuals[..1_000], &[0.1; 1_000]), "5 weeks have half of their hours; a block bootstrap needs at least 9");
    assert_eq!(refused(&[Some(1.0)], &[]), "1 residuals have 0 weights; give one for each hour");
    assert_eq!(refused(&[Some(1.0), Some(f64::NAN)], &[1.0, 1.0]), "hour 1 of the residuals or their weights is not a finite number");
}
