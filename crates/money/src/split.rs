//! Splitting an amount so that the parts are the whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Money, MoneyError};

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

    /// This share of an amount, rounded once, half away from zero.
    pub fn of(self, amount: Money) -> Result<Money, MoneyError> {
        let product = i128::from(amount.minor) * i128::from(self.0);
        let whole = i128::from(Self::WHOLE.0);
        let rounded = (product.abs() + whole / 2) / whole * product.signum();
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

    #[test]
    fn the_earlier_share_gets_the_odd_cent() {
        let third = Share::parts_per_million(333_333).unwrap();
        let parts = Money::new(100, Currency::Usd).split(&[third, third, third]).unwrap();
        assert_eq!(parts.iter().map(|part| part.minor).collect::<Vec<_>>(), [34, 33, 33]);
        assert!(Money::new(1, Currency::Usd).split(&[]).is_err());
    }

    #[test]
    fn shares_read_as_percent() {
        assert_eq!(Share::parts_per_million(175_000).unwrap().to_string(), "17.5 %");
        assert_eq!(Share::WHOLE.to_string(), "100 %");
        assert!(Share::parts_per_million(1_000_001).is_err());
    }
}
