//! Splitting an amount so that the parts are the whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Money, MoneyError, rounding::nearest};

/// A share of an amount, in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(u32);

/// More than the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} parts per million are more than the whole (1000000)")]
pub struct ShareError(pub u32);

impl Share {
    /// The whole.
    pub const WHOLE: Self = Self(1_000_000);

    /// A share in parts per million, at most the whole.
    pub const fn parts_per_million(ppm: u32) -> Result<Self, ShareError> {
        if ppm <= Self::WHOLE.0 { Ok(Self(ppm)) } else { Err(ShareError(ppm)) }
    }

    /// The parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// This share of an amount, rounded once, half to even.
    pub fn of(self, amount: Money) -> Result<Money, MoneyError> {
        let product = i128::from(amount.minor) * i128::from(self.0);
        let rounded = nearest(product, i128::from(Self::WHOLE.0));
        i64::try_from(rounded).map(|minor| Money::new(minor, amount.currency)).map_err(|_too_big| MoneyError::Overflow)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            write!(f, "{percent} %")
        } else {
            let decimals = format!("{rest:04}");
            write!(f, "{percent}.{} %", decimals.trim_end_matches('0'))
        }
    }
}

impl Money {
    /// The amount in as many parts as there are shares, in proportion to them, by largest remainder.
    ///
    /// * Law: the parts sum to the amount exactly, whatever the shares sum to, as long as one is not zero.
    /// * Ties: the earlier share gets the odd minor unit, so the order is a contract term.
    /// * Errors: [`MoneyError::NoShares`] when there is nobody to split for.
    pub fn split(self, shares: &[Share]) -> Result<Vec<Self>, MoneyError> {
        let weight: u64 = shares.iter().map(|share| u64::from(share.ppm())).sum();
        if weight == 0 {
            return Err(MoneyError::NoShares(self));
        }
        let weight = i128::from(weight);
        let magnitude = i128::from(self.minor).abs();
        let exact: Vec<i128> = shares.iter().map(|share| magnitude * i128::from(share.ppm())).collect();
        let mut parts: Vec<i128> = exact.iter().map(|part| part / weight).collect();
        let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
        by_remainder.sort_by_key(|index| std::cmp::Reverse(exact[*index] % weight));
        let missing = magnitude - parts.iter().sum::<i128>();
        let missing = usize::try_from(missing).map_err(|_too_many| MoneyError::Overflow)?;
        for index in by_remainder.into_iter().take(missing) {
            parts[index] += 1;
        }
        let sign = i128::from(self.minor.signum());
        parts
            .into_iter()
            .map(|part| i64::try_from(part * sign).map(|minor| Self::new(minor, self.currency)).map_err(|_too_big| MoneyError::Overflow))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Currency;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(minor: i64, ppm in prop::collection::vec(0_u32..=1_000_000, 1..12)) {
            prop_assume!(ppm.iter().any(|share| *share > 0) && minor != i64::MIN);
            let shares: Vec<_> = ppm.iter().map(|share| Share::parts_per_million(*share).unwrap()).collect();
            let amount = Money::new(minor, Currency::Usd);
            let parts = amount.split(&shares).unwrap();
            prop_assert_eq!(Money::sum(Currency::Usd, parts.iter().copied()).unwrap(), amount);
            for (part, share) in parts.iter().zip(&shares) {
                prop_assert!(share.ppm() > 0 || part.minor == 0);
                prop_assert!(part.minor.signum() * minor.signum() >= 0);
            }
        }
    }

    proptest! {
        /// Largest remainder: every part is its exact share rounded down or up, those with the larger remainder are rounded
        /// up first, and a credit is split as the debit of the same amount.
        #[test]
        fn a_part_is_its_exact_share_to_less_than_one_unit(minor in i64::MIN + 1..=i64::MAX, ppm in prop::collection::vec(0_u32..=1_000_000, 1..9)) {
            let weight: i128 = ppm.iter().map(|share| i128::from(*share)).sum();
            prop_assume!(weight > 0);
            let shares: Vec<_> = ppm.iter().map(|share| Share::parts_per_million(*share).unwrap()).collect();
            let parts = Money::new(minor, Currency::Usd).split(&shares).unwrap();
            let opposite: Vec<_> = Money::new(-minor, Currency::Usd).split(&shares).unwrap();
            let mut rounded_down_most = -1;
            let mut rounded_up_least = weight;
            for ((part, other), share) in parts.iter().zip(&opposite).zip(&ppm) {
                prop_assert_eq!(part.minor, -other.minor);
                let exact = i128::from(minor).abs() * i128::from(*share);
                let (whole, rest) = (exact / weight, exact % weight);
                match i128::from(part.minor).abs() - whole {
                    0 => rounded_down_most = rounded_down_most.max(rest),
                    1 => rounded_up_least = rounded_up_least.min(rest),
                    off => prop_assert!(false, "a part is {off} off its share"),
                }
            }
            prop_assert!(rounded_up_least >= rounded_down_most);
        }

        /// A share of an amount is the exact one to half a unit, a half to the even neighbour.
        #[test]
        fn a_share_is_rounded_once(minor: i64, ppm in 0_u32..=1_000_000) {
            let found = i128::from(Share::parts_per_million(ppm).unwrap().of(Money::new(minor, Currency::Usd)).unwrap().minor);
            let exact = i128::from(minor) * i128::from(ppm);
            let twice_off = 2 * (found * 1_000_000 - exact);
            prop_assert!(twice_off.abs() <= 1_000_000);
            prop_assert!(twice_off.abs() < 1_000_000 || found % 2 == 0);
        }
    }

    #[test]
    fn the_earlier_share_gets_the_odd_cent() {
        let third = Share::parts_per_million(333_333).unwrap();
        let parts = Money::new(100, Currency::Usd).split(&[third, third, third]).unwrap();
        assert_eq!(parts.iter().map(|part| part.minor).collect::<Vec<_>>(), [34, 33, 33]);
        let (few, many) = (Share::parts_per_million(200_000).unwrap(), Share::parts_per_million(400_000).unwrap());
        let parts = Money::new(7, Currency::Usd).split(&[few, many, many]).unwrap();
        assert_eq!(parts.iter().map(|part| part.minor).collect::<Vec<_>>(), [1, 3, 3], "the larger remainders first");
        let half = Share::parts_per_million(500_000).unwrap();
        let halved = [1, 3, 5, -3].map(|minor| half.of(Money::new(minor, Currency::Usd)).unwrap().minor);
        assert_eq!(halved, [0, 2, 2, -2], "a half goes to the even neighbour");
        assert!(Money::new(1, Currency::Usd).split(&[]).is_err());
    }

    #[test]
    fn shares_read_as_percent() {
        assert_eq!(Share::parts_per_million(175_000).unwrap().to_string(), "17.5 %");
        assert_eq!(Share::WHOLE.to_string(), "100 %");
        assert!(Share::parts_per_million(1_000_001).is_err());
    }
}
