//! A series cut into parts of one level each: the cut that explains most for the number of its parts.

use serde::{Deserialize, Serialize};

/// Days of one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Index of the first day.
    pub first: usize,
    /// Index after the last day.
    pub end: usize,
    /// Their mean.
    pub mean: f64,
}

/// The best cut, by trying all (dynamic programming).
///
/// * Shape: values of variance 1 around their levels; each part has at least `days_min` of them. A series shorter than two
///   parts is one part; an empty one has none.
/// * Source: least squares about the means plus `penalty`·ln n for each part.
pub fn segments(values: &[f64], penalty: f64, days_min: usize) -> Vec<Segment> {
    let (n, least) = (values.len(), days_min.max(1));
    if n == 0 {
        return Vec::new();
    }
    let mut sums = vec![0.0];
    let mut squares = vec![0.0];
    for value in values {
        sums.push(sums[sums.len() - 1] + value);
        squares.push(squares[squares.len() - 1] + value * value);
    }
    let cost = |first: usize, end: usize| {
        let sum: f64 = sums[end] - sums[first];
        squares[end] - squares[first] - sum * sum / (end - first) as f64
    };
    let price = penalty * libm::log(n as f64);
    // The best cut of the first `end` days, and where its last part begins.
    let mut best = vec![f64::INFINITY; n + 1];
    let mut begins = vec![0; n + 1];
    best[0] = -price;
    for end in least..=n {
        for first in (0..=end - least).filter(|first| *first == 0 || *first >= least) {
            let total = best[first] + cost(first, end) + price;
            if total < best[end] {
                best[end] = total;
                begins[end] = first;
            }
        }
    }
    if n < least {
        return vec![Segment { first: 0, end: n, mean: sums[n] / n as f64 }];
    }
    let mut found = Vec::new();
    let mut end = n;
    while end > 0 {
        let first = begins[end];
        found.push(Segment { first, end, mean: (sums[end] - sums[first]) / (end - first) as f64 });
        end = first;
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wobble(index: usize) -> f64 {
        [0.9, -1.1, 0.3, -0.4, 1.2, -0.9][index % 6]
    }

    #[test]
    fn two_steps_are_cut_where_they_are() {
        let level = |index| if (40..70).contains(&index) { 3.0 } else { 0.0 };
        let values: Vec<f64> = (0..120).map(|index| level(index) + wobble(index)).collect();
        let found: Vec<(usize, usize)> = segments(&values, 3.0, 14).iter().map(|part| (part.first, part.end)).collect();
        assert_eq!(found, [(0, 40), (40, 70), (70, 120)]);
    }

    #[test]
    fn a_level_series_is_one_part_and_a_short_one_too() {
        let values: Vec<f64> = (0..120).map(wobble).collect();
        assert_eq!(segments(&values, 3.0, 14).len(), 1);
        assert_eq!(segments(&values[..5], 3.0, 14).len(), 1);
        assert_eq!(segments(&[], 3.0, 14), []);
    }

    #[test]
    fn no_part_is_shorter_than_allowed() {
        let values: Vec<f64> = (0..60).map(|index| if (20..25).contains(&index) { 20.0 } else { wobble(index) }).collect();
        assert!(segments(&values, 3.0, 14).iter().all(|part| part.end - part.first >= 14));
    }
}
