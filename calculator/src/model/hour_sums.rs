//! The usable hours of a month, and what the models of it and of its neighbours need to know of them.
//!
//! Within a temperature bin a row has one feature of its own and the full width of every bin below. So five sums for each
//! bin of each hour of the week hold all products of all features.

use super::hourly::{ENDPOINTS_F, WEEK};
use super::time_of_week::{FEATURES, Level, Sums};

/// One usable row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its place among the hours.
    pub(super) hour: u32,
    /// The hour of the week.
    pub(super) slot: u8,
    /// The temperature bin of the whole grid.
    pub(super) bin: u8,
    pub(super) temperature_f: f64,
    /// Cooling and heating degree hours.
    pub(super) degrees: [f64; 2],
    pub(super) use_wh: f64,
}

/// The rows of one temperature bin: n, Σ d, Σ d², Σ y and Σ d·y, where d is how far the temperature lies above the lower end.
type Bin = [f64; 5];

/// The rows of a month.
#[derive(Debug)]
pub(super) struct MonthRows {
    pub(super) rows: Vec<Row>,
    bins: Vec<[Bin; FEATURES]>,
    /// The coldest and the warmest bin that have rows.
    range: (usize, usize),
    /// What the rows of each hour of the week add up to.
    levels: Vec<Level>,
}

impl MonthRows {
    pub(super) fn new() -> Self {
        Self { rows: Vec::with_capacity(744), bins: vec![[[0.0; 5]; FEATURES]; WEEK], range: (FEATURES - 1, 0), levels: Vec::new() }
    }

    pub(super) fn admit(&mut self, row: Row) {
        let bin = usize::from(row.bin);
        let (d, y) = (row.temperature_f - LOWER_F[bin], row.use_wh);
        self.range = (self.range.0.min(bin), self.range.1.max(bin));
        let sums = &mut self.bins[usize::from(row.slot)][bin];
        for (sum, value) in sums.iter_mut().zip([1.0, d, d * d, y, d * y]) {
            *sum += value;
        }
        self.rows.push(row);
    }

    /// After the last row.
    pub(super) fn finish(&mut self) {
        self.levels = self.bins.iter().map(level_of).collect();
    }

    /// Rows of each bin.
    pub(super) fn counts(&self) -> [u32; FEATURES] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of the hours of a month")]
        std::array::from_fn(|bin| self.bins.iter().map(|bins| bins[bin][0]).sum::<f64>() as u32)
    }

    /// Rows of an hour of the week.
    pub(super) fn rows_of(&self, slot: usize) -> f64 {
        self.levels.get(slot).map_or(0.0, |level| level.weight)
    }
}

/// Three months, each with its weight.
pub(super) type Near<'a> = [(&'a MonthRows, f64); 3];

/// What the rows of an hour of the week add up to in three months.
pub(super) fn level(near: Near<'_>, slot: usize) -> Level {
    let mut sum = Level::ZERO;
    for (month, weight) in near {
        if let Some(level) = month.levels.get(slot) {
            sum.add(level, weight);
        }
    }
    sum
}

/// The products of the features in three months, of the hours of the week that are not occupied and of those that are.
pub(super) fn products(near: Near<'_>, occupied: &[bool; WEEK]) -> [Sums; 2] {
    let mut totals = [[[0.0; 5]; FEATURES]; 2];
    for (month, weight) in near.into_iter().filter(|(month, _)| !month.rows.is_empty()) {
        let mut sums = [[[0.0; 5]; FEATURES]; 2];
        let used = month.range.0..=month.range.1;
        for (bins, occupied) in month.bins.iter().zip(occupied) {
            let sums = sums[usize::from(*occupied)][used.clone()].as_flattened_mut();
            sums.iter_mut().zip(bins[used.clone()].as_flattened()).for_each(|(sum, value)| *sum += value);
        }
        let totals = totals.as_flattened_mut().as_flattened_mut();
        totals.iter_mut().zip(sums.as_flattened().as_flattened()).for_each(|(total, sum)| *total += weight * sum);
    }
    totals.map(|bins| {
        let mut sums = Sums::ZERO;
        bins.into_iter().enumerate().for_each(|(bin, of_bin)| sums.admit_bin(&features(bin), of_bin, bin));
        sums
    })
}

/// The full widths of the bins below one.
fn features(bin: usize) -> [f64; FEATURES] {
    std::array::from_fn(|feature| if feature < bin { LOWER_F[feature + 1] - LOWER_F[feature] } else { 0.0 })
}

/// The temperature bin of the whole grid; an endpoint belongs to the bin below it.
#[inline]
pub(super) fn bin_of(temperature_f: f64) -> u8 {
    ENDPOINTS_F.iter().map(|end| u8::from(*end < temperature_f)).sum()
}

/// Where each bin begins: the first at no degree but zero, below which its feature is negative.
pub(super) const LOWER_F: [f64; FEATURES] = {
    let [a, b, c, d, e, f] = ENDPOINTS_F;
    [0.0, a, b, c, d, e, f]
};

fn level_of(bins: &[Bin; FEATURES]) -> Level {
    let mut level = Level::ZERO;
    for (bin, [rows, d, _, y, _]) in bins.iter().enumerate().rev() {
        // All the rows of warmer bins fill this one.
        let full = LOWER_F.get(bin + 1).map_or(0.0, |upper| level.weight * (upper - LOWER_F[bin]));
        level.x[bin] = d + full;
        level.weight += rows;
        level.y += y;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::super::time_of_week::Bins;
    use super::*;

    /// The sums of bins are those of the features, row by row.
    #[test]
    fn bins_hold_the_products_of_all_features() {
        let mut month = MonthRows::new();
        let mut by_row = vec![Sums::ZERO; WEEK];
        for hour in 0..700_u32 {
            let (slot, temperature_f) =
                (u8::try_from(hour % 5).unwrap(), 61.0 - 40.0 * (f64::from(hour) / 9.0).sin() + f64::from(hour % 7));
            let use_wh = 100.0 + f64::from(hour * 37 % 101);
            month.admit(Row { hour: 0, slot, bin: bin_of(temperature_f), temperature_f, degrees: [0.0; 2], use_wh });
            by_row[usize::from(slot)].admit(&Bins(&ENDPOINTS_F).features(temperature_f), use_wh);
        }
        month.finish();
        let near = [(&month, 0.5), (&month, 1.0), (&month, 0.5)];
        let mut expected = Sums::ZERO;
        by_row[1..4].iter().for_each(|sums| expected.add(sums, 2.0));
        let [other, found] = products(near, &std::array::from_fn(|slot| (1..4).contains(&slot)));
        let close = |found: f64, expected: f64| assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} {expected}");
        found.numbers().zip(expected.numbers()).for_each(|(found, expected)| close(found, expected));
        close(other.level().weight, 2.0 * (by_row[0].weight + by_row[4].weight));
        for (slot, sums) in by_row.iter().enumerate() {
            let (found, expected) = (level(near, slot), sums.level());
            close(found.weight, 2.0 * expected.weight);
            close(found.y, 2.0 * expected.y);
            found.x.iter().zip(expected.x).for_each(|(found, expected)| close(*found, 2.0 * expected));
        }
        assert_eq!(month.counts().iter().sum::<u32>(), 700);
        close(month.rows_of(2), 140.0);
    }
}
