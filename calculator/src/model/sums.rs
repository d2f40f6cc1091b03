//! Running sums over the grid: what each balance point needs for least squares, from one pass over the days.
//!
//! Points are whole degrees, so days of one degree enter together: a day lies below the points above its degree and above
//! those below. A balance point one degree higher adds one degree to every day below it and admits the days in between.
//! So each point's sums follow from its neighbour's by additions of like sign: nothing is subtracted, no digits are lost.

use std::ops::RangeInclusive;

/// What least squares needs to know about one degree-day variable.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Days with degree days.
    pub(super) days: u32,
    /// Σ x, the degree days of the baseline.
    pub(super) x: f64,
    /// Σ x².
    pub(super) xx: f64,
    /// Σ x·(y − ȳ).
    pub(super) xy: f64,
}

/// The days of one degree between two neighbouring points, seen from the point above and from the one below.
#[derive(Clone, Copy, Debug, Default)]
struct Degree {
    /// Σ x, Σ x² and Σ x·(y − ȳ), where x is how far a day lies below the upper point, and how far above the lower one.
    sums: [[f64; 2]; 3],
    /// Σ (y − ȳ).
    y: f64,
    days: f64,
    /// Days that lie on the lower point: not above it, but above every lower one.
    on_point: f64,
}

/// The sums of every point of a grid, in ascending order of points.
#[derive(Debug)]
pub(super) struct GridSums {
    pub(super) heating: Vec<Sums>,
    pub(super) cooling: Vec<Sums>,
}

impl GridSums {
    /// * Shape: temperatures and use run in parallel; `mean` is that of the use.
    pub(super) fn new(points: RangeInclusive<u8>, temperatures: &[f64], use_wh: &[f64], mean: f64) -> Self {
        let first = f64::from(*points.start());
        let count = points.len();
        // Below the first point, between two, and from the last on; what is beyond an end is seen from that end only.
        let mut degrees = vec![Degree::default(); count + 1];
        for (temperature, use_wh) in temperatures.iter().zip(use_wh) {
            let index = degree_of(temperature - first).min(count);
            let upper = first + index as f64;
            let (x, y) = ([upper - temperature, temperature - (upper - 1.0)], use_wh - mean);
            let degree = &mut degrees[index];
            for (side, x) in x.into_iter().enumerate() {
                degree.sums[0][side] += x;
                degree.sums[1][side] += x * x;
                degree.sums[2][side] += x * y;
            }
            degree.y += y;
            degree.days += 1.0;
            degree.on_point += if x[1] > 0.0 { 0.0 } else { 1.0 };
        }
        let heating = sweep(degrees[..count].iter().map(|degree| (degree.sums.map(|[below, _]| below), 0.0, degree)));
        // Cooling is heating seen from above.
        let mut cooling = sweep(degrees[1..].iter().rev().map(|degree| (degree.sums.map(|[_, above]| above), degree.on_point, degree)));
        cooling.reverse();
        Self { heating, cooling }
    }
}

/// Zero below the first point, one for its own degree, and so on.
fn degree_of(degrees: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255, and 0 if no number")]
    let whole = degrees.clamp(0.0, 255.0) as usize;
    if degrees < 0.0 { 0 } else { whole + 1 }
}

/// The sums of point after point, away from the days already counted.
///
/// * Shape: for each point the sums of the days that it admits, and how many of those lie on it.
fn sweep<'a>(points: impl ExactSizeIterator<Item = ([f64; 3], f64, &'a Degree)>) -> Vec<Sums> {
    let (mut x, mut xx, mut xy, mut y, mut days) = (0.0, 0.0, 0.0, 0.0, 0.0);
    points
        .map(|(admitted, on_point, degree)| {
            xx += 2.0 * x + days;
            x += days;
            xy += y;
            x += admitted[0];
            xx += admitted[1];
            xy += admitted[2];
            y += degree.y;
            days += degree.days;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of days")]
            let count = (days - on_point) as u32;
            Sums { days: count, x, xx, xy }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sums of a point by its definition.
    fn defined(degrees: impl Iterator<Item = (f64, f64)>) -> Sums {
        degrees.filter(|(x, _)| *x > 0.0).fold(Sums::default(), |sums, (x, y)| Sums {
            days: sums.days + 1,
            x: sums.x + x,
            xx: sums.xx + x * x,
            xy: sums.xy + x * y,
        })
    }

    proptest! {
        /// However the days lie, on a point, in one degree or beyond the grid, the sums are those of the definition.
        #[test]
        fn sums_are_those_of_the_days(
            temperatures in prop::collection::vec(prop_oneof![-200.0..300.0, 50.0..53.0, Just(51.0), Just(40.0), Just(60.0), Just(39.999_999_999_999_99)], 0..200),
            first in 40_u8..52,
        ) {
            let use_wh: Vec<f64> = (0..temperatures.len()).map(|row| (row * 37 % 101) as f64).collect();
            let found = GridSums::new(first..=60, &temperatures, &use_wh, 50.0);
            let days = || temperatures.iter().copied().zip(use_wh.iter().map(|use_wh| use_wh - 50.0));
            for (point, (heating, cooling)) in (first..=60).zip(found.heating.iter().zip(&found.cooling)) {
                let point = f64::from(point);
                let expected = [defined(days().map(|(t, y)| (point - t, y))), defined(days().map(|(t, y)| (t - point, y)))];
                for (found, expected) in [heating, cooling].into_iter().zip(expected) {
                    prop_assert_eq!(found.days, expected.days);
                    let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-12 * scale;
                    prop_assert!(close(found.x, expected.x, expected.x) && close(found.xx, expected.xx, expected.xx));
                    prop_assert!(close(found.xy, expected.xy, 50.0 * expected.x), "{} and {}", found.xy, expected.xy);
                }
            }
            prop_assert_eq!(found.heating.len(), usize::from(61 - first));
        }
    }
}
