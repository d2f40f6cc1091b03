//! The alarm that rings while it happens: two cumulative sums, one for each direction.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::detect::Direction;
use super::whiten::Whitened;

/// How far a sum may go; a contract term.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cusum {
    /// What each day is allowed, in standard deviations; half of the step to be found.
    pub allowance: f64,
    /// The sum that rings.
    pub limit: f64,
}

impl Cusum {
    /// The usual one: a step of one standard deviation in about ten days, an alarm in 465 quiet days.
    pub const USUAL: Self = Self { allowance: 0.5, limit: 5.0 };

    /// The one that finds a step of this size soonest among those that ring so often in a quiet year.
    ///
    /// * Units: `step` in standard deviations of the whitened residuals, above 0.
    /// * Source: the mean time to an alarm (e^{2kb} − 2kb − 1)/(2k²) of one side with b = h + 1.166 (Siegmund), solved for h.
    pub fn tuned(step: f64, alarms_per_year: f64) -> Self {
        let allowance = 0.5 * step;
        // Both sides ring, so each has half of the alarms.
        let wanted = 2.0 * 365.0 / alarms_per_year;
        let quiet = |limit: f64| {
            let exponent = 2.0 * allowance * (limit + 1.166);
            (libm::exp(exponent) - exponent - 1.0) / (2.0 * allowance * allowance)
        };
        let (mut low, mut high) = (0.0, 1.0);
        while quiet(high) < wanted && high < 1e3 {
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if quiet(middle) < wanted { low = middle } else { high = middle }
        }
        Self { allowance, limit: high }
    }
}

impl Default for Cusum {
    fn default() -> Self {
        Self::USUAL
    }
}

/// A sum went too far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The day it rang.
    pub date: Date,
    /// The day after the sum was last at zero: where the change probably began.
    pub since: Date,
    /// More used than expected, or less.
    pub direction: Direction,
}

/// Every alarm of a series; after one both sums begin anew.
pub fn watch(days: &[Whitened], cusum: Cusum) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let (mut up, mut down) = (0.0_f64, 0.0_f64);
    let (mut up_since, mut down_since) = (None, None);
    for day in days {
        up = (up + day.z - cusum.allowance).max(0.0);
        down = (down - day.z - cusum.allowance).max(0.0);
        up_since = (up > 0.0).then(|| up_since.unwrap_or(day.date));
        down_since = (down > 0.0).then(|| down_since.unwrap_or(day.date));
        let rung = if up > cusum.limit {
            Some((Direction::More, up_since))
        } else if down > cusum.limit {
            Some((Direction::Less, down_since))
        } else {
            None
        };
        if let Some((direction, since)) = rung {
            alarms.push(Alarm { date: day.date, since: since.unwrap_or(day.date), direction });
            (up, down, up_since, down_since) = (0.0, 0.0, None, None);
        }
    }
    alarms
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn series(values: &[f64]) -> Vec<Whitened> {
        date(2025, 1, 1).series(jiff::Span::new().days(1)).zip(values).map(|(date, z)| Whitened { date, z: *z }).collect()
    }

    #[test]
    fn it_rings_in_both_directions_and_begins_anew() {
        let mut values = vec![0.0; 10];
        values.extend([1.5; 6]);
        values.extend([-3.0; 4]);
        let alarms = watch(&series(&values), Cusum::USUAL);
        // Six days at one above the allowance pass the limit of five on the sixth; then 2.5 a day downwards pass it on the third.
        assert_eq!(
            alarms,
            [
                Alarm { date: date(2025, 1, 16), since: date(2025, 1, 11), direction: Direction::More },
                Alarm { date: date(2025, 1, 19), since: date(2025, 1, 17), direction: Direction::Less },
            ]
        );
    }

    #[test]
    fn a_shift_within_the_allowance_never_rings() {
        assert_eq!(watch(&series(&[0.5; 400]), Cusum::USUAL), []);
        assert_eq!(watch(&series(&[-0.5; 400]), Cusum::USUAL), []);
    }

    #[test]
    fn the_tuned_one_waits_longer_for_smaller_steps() {
        let (small, large) = (Cusum::tuned(0.5, 1.0), Cusum::tuned(1.0, 1.0));
        assert!(small.limit > large.limit && small.allowance < large.allowance);
        // Step 1: (e^b − b − 1)/0.5 = 730 at b = 5.917.
        assert!((large.limit - 4.751).abs() < 0.005, "{}", large.limit);
    }
}
