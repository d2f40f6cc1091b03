//! Heating and cooling degree days of one civil day.
//!
//! One civil day has one mean temperature and therefore one degree-day value, whether it lasted 23, 24 or 25 hours.
//! The reference implementation cuts a 25-hour day into a block of 24 hours and a block of one, and so counts its degree
//! days twice; that is a listed divergence, and a test holds it.

/// Degrees by which a day was colder than the heating balance point, °F·day; never negative.
///
/// * Source: CalTRACK 2.0, 3.3.4 (daily).
pub fn heating(balance_f: f64, mean_f: f64) -> f64 {
    (balance_f - mean_f).max(0.0)
}

/// Degrees by which a day was warmer than the cooling balance point, °F·day; never negative.
///
/// * Source: CalTRACK 2.0, 3.3.4 (daily).
pub fn cooling(balance_f: f64, mean_f: f64) -> f64 {
    (mean_f - balance_f).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_cold_or_warm_or_neither() {
        assert_eq!((heating(60.0, 45.0), cooling(60.0, 45.0)), (15.0, 0.0));
        assert_eq!((heating(60.0, 71.0), cooling(60.0, 71.0)), (0.0, 11.0));
        assert_eq!((heating(60.0, 60.0), cooling(60.0, 60.0)), (0.0, 0.0));
    }
}
