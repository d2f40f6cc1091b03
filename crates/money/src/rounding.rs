//! The one rounding of money.

/// The nearest whole number to `dividend / divisor`; of two that are as near the even one, so that many roundings favour nobody.
///
/// * Shape: the divisor is positive.
pub(crate) fn nearest(dividend: i128, divisor: i128) -> i128 {
    let (floor, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    let is_up = match (divisor - rest).cmp(&rest) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => floor % 2 != 0,
        std::cmp::Ordering::Greater => false,
    };
    floor + i128::from(is_up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_half_goes_to_the_even_neighbour() {
        let halves: Vec<i128> = (-5..=5).map(|halves| nearest(halves, 2)).collect();
        assert_eq!(halves, [-2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2]);
        assert_eq!((nearest(4_999, 10_000), nearest(5_001, 10_000), nearest(-5_001, 10_000)), (0, 1, -1));
    }

    proptest! {
        #[test]
        fn nothing_is_nearer(dividend in -1_000_000_i128..1_000_000, divisor in 1_i128..1_000) {
            let rounded = nearest(dividend, divisor);
            let twice_off = 2 * (rounded * divisor - dividend).abs();
            prop_assert!(twice_off < divisor || twice_off == divisor && rounded % 2 == 0);
            prop_assert_eq!(nearest(-dividend, divisor), -rounded);
        }
    }
}
