//! A day's energy spread over its hours, so that a tariff with hours can price what a daily model found.

/// Spreads `total_wh` in proportion to `weights`; the parts sum to the total exactly.
///
/// * Shape: one part per weight, in order; the largest remainders get the left-over watt-hours, the first wins ties.
///   Without any positive weight the total is spread evenly; without weights there is nothing.
/// * Units: Wh; weights are any non-negative measure of the day's shape, such as the metered use of each hour. Negative
///   weights count as zero.
pub fn spread(total_wh: i64, weights: &[i64]) -> Vec<i64> {
    let positive: Vec<i128> = if weights.iter().any(|weight| *weight > 0) {
        weights.iter().map(|weight| i128::from((*weight).max(0))).collect()
    } else {
        vec![1; weights.len()]
    };
    let sum: i128 = positive.iter().sum();
    if sum == 0 {
        return Vec::new();
    }
    let magnitude = i128::from(total_wh.unsigned_abs());
    let mut parts: Vec<i128> = positive.iter().map(|weight| magnitude * weight / sum).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(magnitude * positive[*index] % sum));
    let mut left = magnitude - parts.iter().sum::<i128>();
    for index in order {
        if left == 0 {
            break;
        }
        parts[index] += 1;
        left -= 1;
    }
    parts.into_iter().map(|part| i64::try_from(if total_wh < 0 { -part } else { part }).unwrap_or(total_wh)).collect()
}
