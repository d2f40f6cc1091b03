//! The one place where energy becomes whole watt-hours.

/// Energies up to 2^53 Wh (nine million GWh) are exact integers in a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The nearest whole watt-hour, half away from zero; `None` beyond what a float counts exactly.
pub(crate) fn whole_wh(wh: f64) -> Option<i64> {
    let rounded = wh.round();
    #[expect(clippy::cast_possible_truncation, reason = "the magnitude was just checked to be an exact integer")]
    (rounded.abs() < WHOLE_MAX).then_some(rounded as i64)
}

/// Rounds a running total and hands out the whole watt-hours it grew by, so that rows sum to the rounded total.
#[derive(Debug, Default)]
pub(crate) struct Running {
    exact: f64,
    whole: i64,
}

impl Running {
    pub(crate) fn add(&mut self, wh: f64) -> Option<i64> {
        self.exact += wh;
        let whole = whole_wh(self.exact)?;
        let step = whole - self.whole;
        self.whole = whole;
        Some(step)
    }

    pub(crate) const fn exact(&self) -> f64 {
        self.exact
    }

    pub(crate) const fn whole(&self) -> i64 {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_the_rounded_total() {
        let mut running = Running::default();
        let rows: Vec<i64> = std::iter::repeat_n(0.4, 10).map(|wh| running.add(wh).unwrap()).collect();
        assert_eq!(rows, [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]);
        assert_eq!((rows.iter().sum::<i64>(), running.whole()), (4, 4));
        assert_eq!(whole_wh(-2.5), Some(-3));
        assert_eq!(whole_wh(1e17), None);
        assert_eq!(whole_wh(f64::NAN), None);
    }
}
