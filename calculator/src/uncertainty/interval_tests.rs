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
    assert!((shared(&weights, &before, &after, 0.7) - full).abs() < 1e-12);
    assert!(shared(&weights, &before, &after, 0.0).abs() < f64::EPSILON);
}

#[test]
fn powers_are_exact() {
    assert!((power(0.5, 10) - 0.000_976_562_5).abs() < f64::EPSILON);
    assert!((power(0.3, 0) - 1.0).abs() < f64::EPSILON && (power(0.0, 0) - 1.0).abs() < f64::EPSILON);
}
