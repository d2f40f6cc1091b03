//! Least squares of at most two variables from the raw rows, for the few candidates that may win.
//!
//! The normal equations of centred columns, and once again for what they leave: that brings back the digits that squaring
//! loses. Where the two variables are almost one line, the columns are made orthogonal instead.

use super::lanes::sums;
use super::ols::Orthogonal;

/// A determinant below this share of its first term is left to orthogonal columns.
const NEARLY_SINGULAR: f64 = 1e-6;

/// The intercept and the slopes of variables, in their order; a variable that there is not has no slope.
///
/// * Shape: columns of one length; `mean` is that of `y`.
pub(super) fn refit(variables: &[Vec<f64>], y: &[f64], mean: f64) -> [f64; 3] {
    let found = match variables {
        [] => Some([mean, 0.0, 0.0]),
        [one] => two(one, &vec![0.0; y.len()], y, mean),
        [one, other, ..] => two(one, other, y, mean),
    };
    found.unwrap_or_else(|| orthogonal(variables, y))
}

fn two(one: &[f64], other: &[f64], y: &[f64], mean: f64) -> Option<[f64; 3]> {
    let rows = y.len() as f64;
    let [mean_one, mean_other] = sums([one, other], |values| values).map(|sum| sum / rows);
    let centred = |column: &[f64], mean: f64| -> Vec<f64> { column.iter().map(|value| value - mean).collect() };
    let (one, other) = (centred(one, mean_one), centred(other, mean_other));
    let [first, second, both] = sums([&one, &other], |[one, other]| [one * one, other * other, one * other]);
    let determinant = first * second - both * both;
    // A variable that never varies has no slope, and so none to tell from another's.
    let single = second <= 0.0;
    if first <= 0.0 || (!single && determinant <= NEARLY_SINGULAR * first * second) {
        return None;
    }
    let solve = |along_one: f64, along_other: f64| {
        if single {
            (along_one / first, 0.0)
        } else {
            ((along_one * second - along_other * both) / determinant, (along_other * first - along_one * both) / determinant)
        }
    };
    let [along, along_other] = sums([&one, &other, y], |[one, other, y]| [one * (y - mean), other * (y - mean)]);
    let (slope, slope_other) = solve(along, along_other);
    let rest: Vec<f64> = y.iter().zip(&one).zip(&other).map(|((y, one), other)| y - mean - slope * one - slope_other * other).collect();
    let [along, along_other, more] = sums([&one, &other, &rest], |[one, other, rest]| [one * rest, other * rest, rest]);
    let (further, further_other) = solve(along, along_other);
    let (slope, slope_other, mean) = (slope + further, slope_other + further_other, mean + more / rows);
    Some([mean - slope * mean_one - slope_other * mean_other, slope, slope_other])
}

fn orthogonal(variables: &[Vec<f64>], y: &[f64]) -> [f64; 3] {
    let columns = std::iter::once(vec![1.0; y.len()]).chain(variables.iter().cloned()).collect();
    let (_, solution) = Orthogonal::solving(columns, y);
    std::array::from_fn(|column| solution.get(column).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways find the same, and where a variable never varies, or is the other one, there is an answer too.
    #[test]
    fn it_agrees_with_orthogonal_columns() {
        let days = || (0..200_u32).map(|day| 52.0 - 28.0 * (f64::from(day) / 31.0).cos() + f64::from(day * 37 % 23));
        let cold: Vec<f64> = days().map(|degrees| (55.0 - degrees).max(0.0)).collect();
        let warm: Vec<f64> = days().map(|degrees| (degrees - 63.0).max(0.0)).collect();
        let y: Vec<f64> = days().map(|degrees| 9_000.0 + 31.0 * degrees + 7.0 * (degrees * 1.7).sin()).collect();
        let mean = y.iter().sum::<f64>() / 200.0;
        for variables in [vec![], vec![cold.clone()], vec![cold.clone(), warm.clone()], vec![warm, cold.clone()]] {
            for (found, expected) in refit(&variables, &y, mean).into_iter().zip(orthogonal(&variables, &y)) {
                assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} instead of {expected}");
            }
        }
        let slope = refit(std::slice::from_ref(&cold), &y, mean)[1];
        assert!((refit(&[cold.clone(), cold.clone()], &y, mean)[1] - slope).abs() < 1e-9, "a variable twice is one variable");
        assert!((refit(&[cold, vec![4.0; 200]], &y, mean)[1] - slope).abs() < 1e-9, "and one that never varies is none");
    }
}
