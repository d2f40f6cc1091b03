use super::*;

fn matrix(dates: &[i64], rho: f64) -> Vec<Vec<f64>> {
    dates.iter().map(|a| dates.iter().map(|b| power(rho, (a - b).abs())).collect()).collect()
}

#[test]
fn one_pass_gives_the_double_sum_gaps_included() {
    let dates = [3, 4, 5, 9, 10, 30];
    let weights = [0.5, -1.0, 2.0, 0.25, 3.0, -0.75];
    for rho in [0.0, 0.3, 0.9] {
        let full: f64 =
            matrix(&dates, rho).iter().zip(weights).map(|(row, a)| row.iter().zip(weights).map(|(r, b)| a * b * r).sum::<f64>()).sum();
        assert!((covariance(&weights, &dates, rho) - full).abs() < 1e-12);
    }
}

#[test]
fn the_shared_part_is_the_block_between_the_periods() {
    let (before, after, weights) = ([1, 2, 5], [9, 10, 14], [0.5, 1.5, -2.0]);
    let full: f64 = before.iter().zip(weights).map(|(i, weight)| after.iter().map(|j| weight * power(0.7, j - i)).sum::<f64>()).sum();
    assert!((shared(&weights, &before, &after, &Powers::up_to(0.7, 4)) - full).abs() < 1e-12);
    assert!(shared(&weights, &before, &after, &Powers::up_to(0.0, 4)).abs() < f64::EPSILON);
}

#[test]
fn powers_are_exact() {
    assert!((power(0.5, 10) - 0.000_976_562_5).abs() < f64::EPSILON);
    assert!((power(0.3, 0) - 1.0).abs() < f64::EPSILON && (power(0.0, 0) - 1.0).abs() < f64::EPSILON);
    // Those that are known beforehand are the same to the last bit, and what is not known is made.
    for rho in [0.0, 0.3, 0.987_654_321] {
        let powers = Powers::up_to(rho, 400);
        assert!((0..3_000).all(|exponent| powers.of(exponent).total_cmp(&power(rho, exponent)).is_eq()));
    }
}

/// A month that was fitted with the mean, with a gap, and ten reporting days right behind it.
fn a_month() -> (Vec<Date>, Vec<f64>, Vec<Date>) {
    let day = |number: i8| Date::constant(2025, 1, number);
    let dates: Vec<Date> = (1..=31).filter(|number| *number != 12).map(day).collect();
    let residuals: Vec<f64> = (0..30_u32).map(|index| f64::from(index * 37 % 23) - 11.0 + 6.0 * f64::from(index / 8 % 2)).collect();
    let mean = residuals.iter().sum::<f64>() / 30.0;
    (dates, residuals.iter().map(|residual| residual - mean).collect(), (1..=10).map(|number| Date::constant(2025, 2, number)).collect())
}

fn of_the_month(autocorrelation: f64) -> Interval {
    let (dates, residuals_wh, reporting) = a_month();
    let columns = [vec![1.0; 30]];
    let totals = [10.0];
    interval_of(
        &Design {
            dates: &dates,
            residuals_wh: &residuals_wh,
            columns: &columns,
            totals: &totals,
            reporting: &reporting,
            fitted_quantities: 1.0,
            autocorrelation,
        },
        0.9,
    )
}

/// The whole covariance matrix of both periods, multiplied out: `v'Σv` with v the mean's weights and minus one.
#[test]
fn the_half_width_is_that_of_the_whole_matrix() {
    let (dates, residuals, reporting) = a_month();
    for measured in [0.0, 0.2, 0.6, 0.85] {
        let found = of_the_month(measured);
        let rho = measured + (1.0 + 3.0 * measured) / 30.0;
        let numbers: Vec<i64> = dates.iter().chain(&reporting).map(|date| day_number(*date)).collect();
        let weights: Vec<f64> = std::iter::repeat_n(10.0 / 30.0, 30).chain(std::iter::repeat_n(-1.0, 10)).collect();
        let rows = matrix(&numbers, rho);
        let whole: f64 = rows.iter().zip(&weights).map(|(row, a)| row.iter().zip(&weights).map(|(r, b)| a * b * r).sum::<f64>()).sum();
        // tr(HΣ) with H = 1/30 everywhere.
        let trace: f64 = rows[..30].iter().map(|row| row[..30].iter().sum::<f64>() / 30.0).sum();
        let sigma_squared = residuals.iter().map(|residual| residual * residual).sum::<f64>() / (30.0 - trace);
        let degrees = (30.0 * (1.0 - rho) / (1.0 + rho) - 1.0).max(3.0);
        let expected = super::super::quantile(0.95, degrees) * (sigma_squared * whole).sqrt();
        assert!((found.half_width_wh / expected - 1.0).abs() < 1e-12, "ρ {measured}: {} instead of {expected}", found.half_width_wh);
        assert!((found.degrees_of_freedom / degrees - 1.0).abs() < 1e-12);
        if measured > 0.0 {
            // What both periods share makes the total surer, and leaving it out would be seen.
            assert!(found.shared > 0.05, "ρ {measured}: {}", found.shared);
        }
    }
}

#[test]
fn a_small_sample_underestimates_the_correlation() {
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
    close(of_the_month(0.3).autocorrelation, 0.3 + 1.9 / 30.0);
    close(of_the_month(0.0).autocorrelation, 1.0 / 30.0);
    close(of_the_month(-0.4).autocorrelation, 0.0);
    close(of_the_month(0.98).autocorrelation, 0.99);
    // And what is done with it widens the interval.
    assert!(of_the_month(0.3).half_width_wh > of_the_month(0.25).half_width_wh);
}

#[test]
fn other_errors_widen_as_squares_do() {
    let interval = of_the_month(0.3);
    let error = interval.standard_error_wh();
    assert!((interval.half_width_with(&OtherErrors::default()) - interval.half_width_wh).abs() < 1e-9);
    let others = OtherErrors { adjustments_wh: 2.0 * error, meter_wh: 2.0 * error, weather_wh: 4.0 * error };
    assert!((interval.half_width_with(&others) / interval.half_width_wh - 5.0).abs() < 1e-12);
}
