//! Sums that do not wait for themselves.
//!
//! A sum of numbers one after the other takes the time of an addition for each of them. Here eight sums run beside one
//! another and are added up in one fixed order, so that every build on every machine finds the same bits.

/// Sums that run beside one another.
const LANES: usize = 8;

/// The sum over rows of what is made of the values of each row.
///
/// * Shape: columns of one length; of longer ones the rest is not used.
#[inline]
pub(crate) fn sum<const N: usize>(columns: [&[f64]; N], of: impl Fn([f64; N]) -> f64) -> f64 {
    let [sum] = sums(columns, |row| [of(row)]);
    sum
}

/// As [`sum`], of some numbers that are made of each row.
#[inline]
pub(crate) fn sums<const N: usize, const M: usize>(columns: [&[f64]; N], of: impl Fn([f64; N]) -> [f64; M]) -> [f64; M] {
    let rows = columns.iter().map(|column| column.len()).min().unwrap_or(0);
    let columns = columns.map(|column| column.get(..rows).unwrap_or(column).as_chunks::<LANES>());
    let mut sums = [[0.0; LANES]; M];
    let mut admit = |lane: usize, row: [f64; N]| {
        for (sum, value) in sums.iter_mut().zip(of(row)) {
            sum[lane] += value;
        }
    };
    for chunk in 0..rows / LANES {
        let chunk = columns.map(|(whole, _)| &whole[chunk]);
        (0..LANES).for_each(|lane| admit(lane, chunk.map(|values| values[lane])));
    }
    (0..rows % LANES).for_each(|row| admit(row, columns.map(|(_, rest)| rest[row])));
    sums.map(|[a, b, c, d, e, f, g, h]| ((a + e) + (c + g)) + ((b + f) + (d + h)))
}

/// Σ a·b.
///
/// * Shape: as [`sum`].
pub(crate) fn product(a: &[f64], b: &[f64]) -> f64 {
    sum([a, b], |[a, b]| a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_counted_once_whatever_their_number() {
        for rows in 0..40_u32 {
            let numbers: Vec<f64> = (1..=rows).map(f64::from).collect();
            let squares = product(&numbers, &numbers);
            let expected: f64 = numbers.iter().map(|number| number * number).sum();
            assert!((sum([&numbers], |[number]| number) - f64::from(rows * (rows + 1) / 2)).abs() < 1e-9);
            assert!((squares - expected).abs() < 1e-9, "{rows} rows");
        }
        assert!((sum([&[1.0, 2.0], &[3.0]], |[a, b]| a * b) - 3.0).abs() < 1e-12, "the shorter column says how many rows there are");
    }
}
