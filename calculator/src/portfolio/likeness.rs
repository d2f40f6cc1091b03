//! How much of their errors facilities have in common, measured on their baselines.
//!
//! What two facilities have in common shows in what their models leave unexplained in the same month: a heat wave that the
//! station missed, a holiday that no model knows. The months' sums of residuals, each meter's divided by their own root mean
//! square, are multiplied pair by pair. The mean product over pairs of different stations is the share that all facilities
//! have in common; what pairs of one station have beyond it is the share of the station. Sums are of integers, so that
//! the order in which meters come changes nothing.

use std::collections::BTreeMap;

use super::months::Month;
use crate::uncertainty::Common;

/// Residuals are counted in millionths of their root mean square.
const SCALE: f64 = 1e6;
/// A meter with fewer months says too little.
const MONTHS_MIN: usize = 6;
/// Fewer pairs say nothing.
const PAIRS_MIN: f64 = 30.0;

/// What the meters of one station left unexplained in one month.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    meters: i64,
    sum: i64,
    squares: i128,
}

/// The residuals of many meters, month by month and station by station.
#[derive(Clone, Debug, Default)]
pub struct Likeness {
    cells: BTreeMap<(i32, u32), Cell>,
}

impl Likeness {
    /// Takes the baseline's months of a meter.
    pub fn add(&mut self, station: u32, months: &[Month]) {
        #[expect(clippy::cast_precision_loss, reason = "watt-hours of a month")]
        let residual = |month: &Month| (month.observed_wh - month.counterfactual_wh) as f64;
        let squares: f64 = months.iter().map(|month| residual(month).powi(2)).sum();
        let root = (squares / months.len() as f64).sqrt();
        if months.len() < MONTHS_MIN || root <= 0.0 {
            return;
        }
        for month in months {
            #[expect(clippy::cast_possible_truncation, reason = "a few root mean squares, in millionths")]
            let z = (residual(month) / root * SCALE).round() as i64;
            let cell = self.cells.entry((month.number, station)).or_default();
            cell.meters += 1;
            cell.sum += z;
            cell.squares += i128::from(z) * i128::from(z);
        }
    }

    /// The shares of station and method, each at least 0, or `None` where too few meters share a month.
    pub fn common(&self, bias: f64) -> Option<Common> {
        let (mut near, mut far) = (Pairs::default(), Pairs::default());
        let mut months: BTreeMap<i32, Cell> = BTreeMap::new();
        for ((month, _), cell) in &self.cells {
            near.add(*cell);
            let all = months.entry(*month).or_default();
            all.meters += cell.meters;
            all.sum += cell.sum;
            all.squares += cell.squares;
        }
        for cell in months.values() {
            far.add(*cell);
        }
        // Pairs of different stations are all pairs less those of one.
        let far = Pairs { count: far.count - near.count, products: far.products - near.products };
        let method = far.mean().unwrap_or(0.0).clamp(0.0, 1.0);
        let station = (near.mean()? - method).clamp(0.0, 1.0 - method);
        Some(Common { station, method, bias })
    }
}

/// Products of residuals over ordered pairs of meters.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs {
    count: i128,
    products: i128,
}

impl Pairs {
    fn add(&mut self, cell: Cell) {
        let (meters, sum) = (i128::from(cell.meters), i128::from(cell.sum));
        self.count += meters * (meters - 1);
        self.products += sum * sum - cell.squares;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and their products")]
    fn mean(&self) -> Option<f64> {
        let count = self.count as f64;
        (count >= 2.0 * PAIRS_MIN).then(|| self.products as f64 / count / (SCALE * SCALE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uncertainty::Draws;

    /// Meters whose residuals are of what all, the station, and they alone have: shares 0.2, 0.3, 0.5.
    fn simulated(reverse: bool) -> Common {
        let mut draws = Draws::new(11);
        let mut normal = || (0..12).map(|_| draws.below(1_000_001) as f64 / 1e6).sum::<f64>() - 6.0;
        let common: Vec<f64> = (0..48).map(|_| normal()).collect();
        let mut meters = Vec::new();
        for station in 0..12 {
            let own: Vec<f64> = (0..48).map(|_| normal()).collect();
            for meter in 0..20 {
                let months: Vec<Month> = (0..48)
                    .map(|month| {
                        let at = usize::try_from(month).unwrap();
                        let z = 0.2_f64.sqrt() * common[at] + 0.3_f64.sqrt() * own[at] + 0.5_f64.sqrt() * normal();
                        #[expect(clippy::cast_possible_truncation, reason = "a simulated residual")]
                        let observed_wh = 1_000_000 + (z * 1e4 * f64::from(meter + 1)) as i64;
                        Month { number: month, counterfactual_wh: 1_000_000, observed_wh }
                    })
                    .collect();
                meters.push((station, months));
            }
        }
        if reverse {
            meters.reverse();
        }
        let mut likeness = Likeness::default();
        meters.iter().for_each(|(station, months)| likeness.add(*station, months));
        likeness.common(0.01).unwrap()
    }

    #[test]
    fn shares_are_measured_in_any_order() {
        let found = simulated(false);
        assert!((found.method - 0.2).abs() < 0.06 && (found.station - 0.3).abs() < 0.06, "{found:?}");
        assert!((found.bias - 0.01).abs() < 1e-15);
        assert_eq!(found, simulated(true));
    }

    #[test]
    fn one_meter_shares_nothing_that_could_be_measured() {
        let months: Vec<Month> = (0..12).map(|number| Month { number, counterfactual_wh: 5, observed_wh: i64::from(number) }).collect();
        let mut likeness = Likeness::default();
        likeness.add(0, &months);
        assert_eq!(likeness.common(0.0), None);
        likeness.add(0, &[]);
        assert_eq!(likeness.common(0.0), None);
    }
}
