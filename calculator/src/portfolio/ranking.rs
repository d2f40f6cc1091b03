//! The first and the last of many.

/// The places of the `count` largest values, largest first, and of the `count` smallest, smallest first.
///
/// What has no value, or none that is finite, has no rank. Of equal values the earlier place comes first in either list, so
/// that lists do not depend on how anything was computed; no place is in both lists.
pub fn ranked(values: impl IntoIterator<Item = Option<f64>>, count: usize) -> (Vec<usize>, Vec<usize>) {
    let finite = |(place, value): (usize, Option<f64>)| Some((place, value.filter(|value| value.is_finite())?));
    let mut known: Vec<(usize, f64)> = values.into_iter().enumerate().filter_map(finite).collect();
    known.sort_unstable_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    let first = count.min(known.len());
    let (top, rest) = known.split_at_mut(first);
    rest.sort_unstable_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
    let places = |ranked: &[(usize, f64)]| ranked.iter().take(count).map(|(place, _)| *place).collect();
    (places(top), places(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_told_apart() {
        let values = [Some(3.0), None, Some(5.0), Some(-1.0), Some(5.0), Some(f64::NAN), Some(-1.0), Some(0.0)];
        assert_eq!(ranked(values, 2), (vec![2, 4], vec![3, 6]));
        assert_eq!(ranked(values, 4), (vec![2, 4, 0, 7], vec![3, 6]));
        assert_eq!(ranked([None, Some(1.0)], 3), (vec![1], vec![]));
        assert_eq!(ranked([], 3), (vec![], vec![]));
    }
}
