//! Energy in its tiers.

use super::charge::Allocation;

/// The energy of each tier of each period, Wh.
///
/// * Shape: `slots` are the period and the energy of each interval in order of time, nothing negative; `bounds` are each period's
///   upper bounds, rising, the last one without end.
/// * Law: the tiers of a period sum to its energy.
pub(super) fn tiers(slots: impl Iterator<Item = (usize, i64)>, bounds: &[Vec<i64>], allocation: Allocation) -> Vec<Vec<i64>> {
    let mut filled: Vec<Vec<i64>> = bounds.iter().map(|bounds| vec![0; bounds.len()]).collect();
    match allocation {
        Allocation::Chronological => {
            let mut before = 0;
            for (period, wh) in slots {
                fill(&mut filled[period], &bounds[period], before, before + wh);
                before += wh;
            }
        }
        Allocation::ByPeriod => {
            for (period, wh) in sums(slots, bounds.len()).into_iter().enumerate() {
                fill(&mut filled[period], &bounds[period], 0, wh);
            }
        }
        Allocation::Proportional => {
            let sums = sums(slots, bounds.len());
            let total: i64 = sums.iter().sum();
            for (period, wh) in sums.into_iter().enumerate() {
                let mut below = 0;
                for (tier, bound) in bounds[period].iter().enumerate() {
                    let until = part(wh, (*bound).min(total), total);
                    filled[period][tier] = until - below;
                    below = until;
                }
            }
        }
    }
    filled
}

/// The energy of each period.
pub(super) fn sums(slots: impl Iterator<Item = (usize, i64)>, periods: usize) -> Vec<i64> {
    let mut sums = vec![0; periods];
    for (period, wh) in slots {
        sums[period] += wh;
    }
    sums
}

/// Puts what lies between two fillings into the tiers it lies in.
fn fill(filled: &mut [i64], bounds: &[i64], from: i64, to: i64) {
    let mut below = 0;
    for (filled, bound) in filled.iter_mut().zip(bounds) {
        *filled += (to.min(*bound) - from.max(below)).max(0);
        below = *bound;
    }
}

/// `wh × of / whole`, to the nearest watt-hour, a half up.
fn part(wh: i64, of: i64, whole: i64) -> i64 {
    if whole == 0 {
        return 0;
    }
    let (wh, of, whole) = (i128::from(wh), i128::from(of), i128::from(whole));
    i64::try_from((2 * wh * of + whole) / (2 * whole)).unwrap_or(i64::MAX)
}
