//! The arithmetic of time-of-week models: a level for every slot of the week and slopes over temperature bins.
//!
//! The dummies of the slots are eliminated exactly: least squares within the slots (Frisch and Waugh) has only as many
//! unknowns as there are bins. What is needed of the rows are sums per slot, so segments that overlap share one pass over
//! the rows, and dropping an endpoint merges two features by addition.

use std::array::from_fn;

use super::factor::{Factor, Square};
use super::ols::dot;

/// Most features that the sums have room for: six endpoints make seven bins.
pub(super) const FEATURES: usize = 7;
/// Products of two features, the upper triangle by rows.
const PRODUCTS: usize = FEATURES * (FEATURES + 1) / 2;
/// Endpoints of temperature bins in ascending order, °F.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bins<'a>(pub(super) &'a [f64]);

impl Bins<'_> {
    /// One feature per bin; together they sum to the temperature.
    ///
    /// * Source: CalTRACK 2.0, 3.9.2: x₁ = min(T, B₁), then what of T lies in each bin, then what lies above the last.
    #[inline]
    pub(super) fn features(&self, temperature_f: f64) -> [f64; FEATURES] {
        let mut features = [0.0; FEATURES];
        // The first bin begins at no degree but zero, below which it is negative.
        let mut below = 0.0;
        for (feature, upper) in features.iter_mut().zip(self.0.iter().chain([&f64::INFINITY])) {
            if temperature_f <= *upper {
                *feature = temperature_f - below;
                break;
            }
            *feature = upper - below;
            below = *upper;
        }
        features
    }

    /// What slopes make of a temperature.
    pub(super) fn response(&self, slopes: &[f64], temperature_f: f64) -> f64 {
        dot(slopes, &self.features(temperature_f))
    }
}

/// Weighted sums of the rows of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) weight: f64,
    y: f64,
    x: [f64; FEATURES],
    xy: [f64; FEATURES],
    xx: [f64; PRODUCTS],
}

impl Sums {
    pub(super) const ZERO: Self = Self { weight: 0.0, y: 0.0, x: [0.0; FEATURES], xy: [0.0; FEATURES], xx: [0.0; PRODUCTS] };

    /// Counts a row of weight one.
    pub(super) fn admit(&mut self, x: &[f64; FEATURES], y: f64) {
        self.weight += 1.0;
        self.y += y;
        let mut product = 0;
        for (row, value) in x.iter().enumerate() {
            self.x[row] += value;
            self.xy[row] += value * y;
            for other in &x[row..] {
                self.xx[product] += value * other;
                product += 1;
            }
        }
    }

    /// The sums of each slot over three months of rows, each with a weight.
    pub(super) fn weighted(months: [(&[Self], f64); 3]) -> Vec<Self> {
        let [(one, of_one), (two, of_two), (three, of_three)] = months;
        let together = |a: f64, b: f64, c: f64| of_one * a + of_two * b + of_three * c;
        let slots = one.iter().zip(two).zip(three);
        slots
            .map(|((one, two), three)| Self {
                weight: together(one.weight, two.weight, three.weight),
                y: together(one.y, two.y, three.y),
                x: from_fn(|row| together(one.x[row], two.x[row], three.x[row])),
                xy: from_fn(|row| together(one.xy[row], two.xy[row], three.xy[row])),
                xx: from_fn(|product| together(one.xx[product], two.xx[product], three.xx[product])),
            })
            .collect()
    }

    /// Adds other sums, each with a weight.
    pub(super) fn add(&mut self, other: &Self, weight: f64) {
        self.weight += weight * other.weight;
        self.y += weight * other.y;
        let own = self.x.iter_mut().chain(&mut self.xy).chain(&mut self.xx);
        own.zip(other.x.iter().chain(&other.xy).chain(&other.xx)).for_each(|(sum, value)| *sum += weight * value);
    }

    /// Counts rows of one bin: each has these features, and one of its own, `d`.
    ///
    /// * Shape: n, Σ d, Σ d², Σ y and Σ d·y of the rows.
    pub(super) fn admit_bin(&mut self, full: &[f64; FEATURES], [rows, d, dd, y, dy]: [f64; 5], own: usize) {
        self.weight += rows;
        self.y += y;
        let mut product = 0;
        for row in 0..FEATURES {
            self.x[row] += if row == own { d } else { full[row] * rows };
            self.xy[row] += if row == own { dy } else { full[row] * y };
            for column in row..FEATURES {
                self.xx[product] += match (row == own, column == own) {
                    (true, true) => dd,
                    (true, false) => full[column] * d,
                    (false, true) => full[row] * d,
                    (false, false) => full[row] * full[column] * rows,
                };
                product += 1;
            }
        }
    }

    /// Without the products.
    pub(super) const fn level(&self) -> Level {
        Level { weight: self.weight, y: self.y, x: self.x }
    }

    /// Merges features: feature `k` becomes part of feature `into[k]`. The products with the use, and of each other in full.
    fn merged(&self, into: &[usize; FEATURES]) -> ([f64; FEATURES], Square) {
        let mut xx = [[0.0; FEATURES]; FEATURES];
        let mut products = self.xx.iter();
        for row in 0..FEATURES {
            let to = into[row];
            for (column, product) in (row..FEATURES).zip(products.by_ref()) {
                let other = into[column];
                xx[to][other] += product;
                if row != column {
                    xx[other][to] += product;
                }
            }
        }
        (merged(&self.xy, into), xx)
    }

    /// All of them, one after the other.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        [self.weight, self.y].into_iter().chain(self.x).chain(self.xy).chain(self.xx)
    }
}

fn merged(values: &[f64; FEATURES], into: &[usize; FEATURES]) -> [f64; FEATURES] {
    let mut merged = [0.0; FEATURES];
    for (value, to) in values.iter().zip(into) {
        merged[*to] += value;
    }
    merged
}

/// What the rows of one slot add up to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) weight: f64,
    pub(super) y: f64,
    pub(super) x: [f64; FEATURES],
}

impl Level {
    pub(super) const ZERO: Self = Self { weight: 0.0, y: 0.0, x: [0.0; FEATURES] };

    /// Adds other rows, each with a weight.
    pub(super) fn add(&mut self, other: &Self, weight: f64) {
        self.weight += weight * other.weight;
        self.y += weight * other.y;
        self.x.iter_mut().zip(&other.x).for_each(|(sum, value)| *sum += weight * value);
    }
}

/// Which of many equally good solutions is taken when bins cannot be told from levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ties {
    /// The shortest vector of levels and slopes, as a pseudo-inverse gives it.
    Shortest,
    /// Later features that the earlier ones span have no slope.
    DropLater,
}

/// Slopes of the bins and the level of every slot that has rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solution {
    pub(super) slopes: Vec<f64>,
    pub(super) levels: Vec<Option<f64>>,
}

/// Least squares of the slots that share their slopes.
///
/// * Shape: one entry per slot, `None` for a slot that is not part of this group; `kept` says which of the endpoints of the
///   sums are used, so the solution has one slope more than there are kept endpoints.
pub(super) fn solve(slots: &[Option<&Sums>], kept: &[bool], ties: Ties) -> Solution {
    Normal::of(slots, kept).solution(ties)
}

/// The normal equations of slots that share their slopes, with the levels eliminated.
#[derive(Debug)]
pub(super) struct Normal {
    slots: Vec<Option<Level>>,
    /// Which merged feature each feature of the sums is part of.
    into: [usize; FEATURES],
    gram: Square,
    right: [f64; FEATURES],
    factor: Factor,
}

impl Normal {
    /// As [`solve`] takes them.
    pub(super) fn of(slots: &[Option<&Sums>], kept: &[bool]) -> Self {
        let mut all = Sums::ZERO;
        slots.iter().flatten().for_each(|slot| all.add(slot, 1.0));
        Self::around(slots.iter().map(|slot| slot.map(Sums::level)).collect(), &all, kept)
    }

    /// * Shape: the levels of the slots, and the sums over all of them; a slot without rows is none.
    pub(super) fn around(mut slots: Vec<Option<Level>>, all: &Sums, kept: &[bool]) -> Self {
        let mut into = [0; FEATURES];
        let mut bin = 0;
        for (feature, target) in into.iter_mut().enumerate() {
            *target = bin;
            bin += usize::from(kept.get(feature).copied().unwrap_or(false));
        }
        let (mut right, mut gram) = all.merged(&into);
        let (raw, count) = (from_fn(|row| gram[row][row]), bin + 1);
        for slot in &mut slots {
            *slot = slot.filter(|level| level.weight > 0.0).map(|level| Level { x: merged(&level.x, &into), ..level });
            let Some(Level { weight, y, x }) = slot else { continue };
            let x = &x[..count];
            for ((row, equation), sum) in gram.iter_mut().enumerate().zip(x) {
                let mean = sum / *weight;
                right[row] -= mean * *y;
                // The upper half; the other is the same.
                equation[row..count].iter_mut().zip(&x[row..]).for_each(|(entry, other)| *entry -= mean * other);
            }
        }
        for row in 1..count {
            let (above, below) = gram.split_at_mut(row);
            below[0].iter_mut().zip(above).for_each(|(entry, upper)| *entry = upper[row]);
        }
        let factor = Factor::new(&gram, &raw, count);
        Self { slots, into, gram, right, factor }
    }

    pub(super) fn solution(&self, ties: Ties) -> Solution {
        let mut slopes = self.factor.solve(&self.right);
        if ties == Ties::Shortest && !self.factor.is_full_rank() {
            shorten(&mut slopes, &self.factor.null_space(&self.gram), &self.slots);
        }
        let level = |slot: &Level| (slot.y - dot(&slot.x, &slopes)) / slot.weight;
        let levels = self.slots.iter().map(|slot| slot.as_ref().map(level)).collect();
        Solution { slopes, levels }
    }

    /// What a row of these slots changes in the sum of what is expected of other rows, whose sums these are.
    pub(super) fn influence(&self, asked: &[Sums]) -> Influence<'_> {
        let mut beyond = [0.0; FEATURES];
        let mut shares = vec![0.0; self.slots.len()];
        for ((slot, asked), share) in self.slots.iter().zip(asked).zip(&mut shares) {
            let Some(slot) = slot else { continue };
            *share = asked.weight / slot.weight;
            for (feature, sum) in asked.x.iter().enumerate() {
                beyond[self.into[feature]] += sum;
            }
            for (beyond, sum) in beyond.iter_mut().zip(&slot.x) {
                *beyond -= *share * sum;
            }
        }
        Influence { normal: self, shares, along: self.factor.solve(&beyond) }
    }

    /// How far a row lies from the mean of its slot; `None` where the slot has no rows here.
    pub(super) fn deviation(&self, slot: usize, features: &[f64; FEATURES]) -> Option<[f64; FEATURES]> {
        let own = self.slots.get(slot)?.as_ref()?;
        let mut deviation = own.x.map(|sum| -sum / own.weight);
        for (feature, value) in features.iter().enumerate() {
            deviation[self.into[feature]] += value;
        }
        Some(deviation)
    }

    /// The share of its own level that a row of weight one is.
    pub(super) fn share_of_level(&self, slot: usize) -> f64 {
        self.slots.get(slot).and_then(Option::as_ref).map_or(0.0, |slot| 1.0 / slot.weight)
    }

    /// What the slopes take out of the square of a sum of rows with these summed deviations.
    pub(super) fn taken(&self, deviations: &[f64; FEATURES]) -> f64 {
        dot(&self.factor.solve(deviations), deviations)
    }
}

/// The derivative of a sum of expectations by the rows that the model was fitted to.
#[derive(Debug)]
pub(super) struct Influence<'a> {
    normal: &'a Normal,
    shares: Vec<f64>,
    along: Vec<f64>,
}

impl Influence<'_> {
    /// The weight of a row that counts once; `None` where the slot has no rows here.
    pub(super) fn of(&self, slot: usize, features: &[f64; FEATURES]) -> Option<f64> {
        let deviation = self.normal.deviation(slot, features)?;
        Some(self.shares.get(slot)? + dot(&self.along, &deviation))
    }
}

/// Moves the slopes along directions that change no fitted value until slopes and levels together are shortest.
fn shorten(slopes: &mut [f64], directions: &[Vec<f64>], slots: &[Option<Level>]) {
    let d = directions.len();
    let (mut gram, mut right) = (vec![vec![0.0; d]; d], vec![0.0; d]);
    let mut equation = |along: &[f64], value: f64| {
        for (row, right) in right.iter_mut().enumerate() {
            *right += along[row] * value;
            for (column, entry) in gram[row].iter_mut().enumerate() {
                *entry += along[row] * along[column];
            }
        }
    };
    for (feature, slope) in slopes.iter().enumerate() {
        let along: Vec<f64> = directions.iter().map(|direction| direction[feature]).collect();
        equation(&along, -slope);
    }
    for slot in slots.iter().flatten() {
        let along: Vec<f64> = directions.iter().map(|direction| dot(direction, &slot.x) / slot.weight).collect();
        equation(&along, (slot.y - dot(slopes, &slot.x)) / slot.weight);
    }
    // Positive definite, because the directions are independent.
    for pivot in 0..d {
        for row in pivot + 1..d {
            let share = gram[row][pivot] / gram[pivot][pivot];
            let (above, below) = gram.split_at_mut(row);
            for (entry, upper) in below[0].iter_mut().zip(&above[pivot]) {
                *entry -= share * upper;
            }
            right[row] -= share * right[pivot];
        }
    }
    for pivot in (0..d).rev() {
        let known: f64 = (pivot + 1..d).map(|column| gram[pivot][column] * right[column]).sum();
        right[pivot] = (right[pivot] - known) / gram[pivot][pivot];
    }
    for (direction, amount) in directions.iter().zip(&right) {
        for (slope, along) in slopes.iter_mut().zip(direction) {
            *slope += amount * along;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [f64; 2] = [45.0, 65.0];

    /// Four slots, each with temperatures of its own.
    fn rows() -> Vec<(usize, f64, f64)> {
        (0..60_i32)
            .map(|row| {
                let (slot, temperature) = (usize::try_from(row % 4).unwrap(), 30.0 + f64::from(row * 17 % 53));
                let level = [10.0, 20.0, 15.0, 5.0][slot];
                (slot, temperature, level + Bins(&ENDS).response(&[-0.4, 0.1, 0.9], temperature))
            })
            .collect()
    }

    fn sums(rows: &[(usize, f64, f64)]) -> Vec<Sums> {
        let mut sums = vec![Sums::ZERO; 4];
        for (slot, temperature, y) in rows {
            sums[*slot].admit(&Bins(&ENDS).features(*temperature), *y);
        }
        sums
    }

    #[test]
    fn features_sum_to_the_temperature() {
        for temperature in [-20.0, 30.0, 45.0, 50.0, 65.0, 80.0] {
            assert!((Bins(&ENDS).features(temperature).iter().sum::<f64>() - temperature).abs() < 1e-12);
        }
        let features = Bins(&ENDS).features(50.0);
        assert!((features[0] - 45.0).abs() < 1e-12 && (features[1] - 5.0).abs() < 1e-12 && features[2..].iter().sum::<f64>() == 0.0);
    }

    #[test]
    fn levels_and_slopes_are_found_again() {
        let sums = sums(&rows());
        let slots: Vec<Option<&Sums>> = sums.iter().map(Some).collect();
        let found = solve(&slots, &[true, true], Ties::Shortest);
        for (slope, expected) in found.slopes.iter().zip([-0.4, 0.1, 0.9]) {
            assert!((slope - expected).abs() < 1e-10);
        }
        for (level, expected) in found.levels.iter().zip([10.0, 20.0, 15.0, 5.0]) {
            assert!((level.unwrap() - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn a_bin_that_nothing_reaches_is_settled_by_the_rule() {
        let mild: Vec<_> = rows().into_iter().filter(|(_, temperature, _)| (46.0..64.0).contains(temperature)).collect();
        let sums = sums(&mild);
        let slots: Vec<Option<&Sums>> = sums.iter().map(Some).collect();
        let (short, dropped) = (solve(&slots, &[true, true], Ties::Shortest), solve(&slots, &[true, true], Ties::DropLater));
        assert!(dropped.slopes[0] == 0.0 && dropped.slopes[2] == 0.0);
        assert!((short.slopes[1] - 0.1).abs() < 1e-10 && short.slopes[0] != 0.0 && short.slopes[2] == 0.0);
        let length = |solution: &Solution| {
            dot(&solution.slopes, &solution.slopes) + solution.levels.iter().flatten().map(|level| level * level).sum::<f64>()
        };
        assert!(length(&short) < length(&dropped));
        for (slot, temperature, y) in &mild {
            for solution in [&short, &dropped] {
                let fitted = solution.levels[*slot].unwrap() + Bins(&ENDS).response(&solution.slopes, *temperature);
                assert!((fitted - y).abs() < 1e-9);
            }
        }
    }

    /// The sum of expectations is linear in the rows, with exactly these weights.
    #[test]
    fn weights_reproduce_the_sum_of_expectations() {
        let (rows, asked) = (rows(), [(0, 33.0), (0, 71.0), (1, 52.0), (3, 80.0)]);
        let own = sums(&rows);
        let slots: Vec<Option<&Sums>> = own.iter().map(Some).collect();
        let mut of_asked = vec![Sums::ZERO; 4];
        for (slot, temperature) in asked {
            of_asked[slot].admit(&Bins(&ENDS).features(temperature), 0.0);
        }
        for kept in [[true, true], [false, true]] {
            let normal = Normal::of(&slots, &kept);
            let influence = normal.influence(&of_asked);
            let found: f64 =
                rows.iter().map(|(slot, temperature, y)| y * influence.of(*slot, &Bins(&ENDS).features(*temperature)).unwrap()).sum();
            let ends: Vec<f64> = ENDS.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(end, _)| end).collect();
            let solution = normal.solution(Ties::DropLater);
            let expected: f64 = asked
                .iter()
                .map(|(slot, temperature)| solution.levels[*slot].unwrap() + Bins(&ends).response(&solution.slopes, *temperature))
                .sum();
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        }
    }

    #[test]
    fn a_slot_without_rows_has_no_level() {
        let sums = sums(&rows().into_iter().filter(|(slot, ..)| *slot != 2).collect::<Vec<_>>());
        let slots: Vec<Option<&Sums>> = sums.iter().map(Some).collect();
        assert_eq!(solve(&slots, &[true, true], Ties::Shortest).levels[2], None);
    }
}
