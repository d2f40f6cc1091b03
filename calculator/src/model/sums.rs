//! Running sums over the grid: what each balance point needs for least squares, from one pass over the days.
//!
//! A balance point one degree higher adds one degree to every day below it and admits the days in between. So each
//! point's sums follow from its neighbour's by additions of like sign: nothing is subtracted and no digits are lost.

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
    /// Σ (y − ȳ) over the days with degree days.
    y: f64,
}

impl Sums {
    /// Moves the balance point by one degree, away from the days already counted.
    fn widen(&mut self) {
        let days = f64::from(self.days);
        self.xx += 2.0 * self.x + days;
        self.x += days;
        self.xy += self.y;
    }

    fn admit(&mut self, degrees: f64, y: f64) {
        self.days += 1;
        self.x += degrees;
        self.xx += degrees * degrees;
        self.xy += degrees * y;
        self.y += y;
    }
}

/// The sums of every point of a grid, in ascending order of points.
#[derive(Debug)]
pub(super) struct GridSums {
    pub(super) heating: Vec<Sums>,
    pub(super) cooling: Vec<Sums>,
}

impl GridSums {
    /// * Shape: `temperatures` and `centred` (use minus its mean) run in parallel.
    pub(super) fn new(points: std::ops::RangeInclusive<u8>, temperatures: &[f64], centred: &[f64]) -> Self {
        let order = ascending(temperatures);
        let heating = sweep(points.clone().map(f64::from), order.iter().map(|day| (temperatures[*day], centred[*day])));
        // Cooling is heating seen from above: the same sweep over negated temperatures.
        let mut cooling =
            sweep(points.rev().map(|point| -f64::from(point)), order.iter().rev().map(|day| (-temperatures[*day], centred[*day])));
        cooling.reverse();
        Self { heating, cooling }
    }
}

/// Days in order of temperature, stable in time.
fn ascending(temperatures: &[f64]) -> Vec<usize> {
    // Whole numbers that lie in order as the temperatures do, each with its row, so that equal ones keep their order.
    let key = |degrees: f64| {
        let bits = degrees.to_bits().cast_signed();
        bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
    };
    let mut order: Vec<(i64, usize)> = temperatures.iter().enumerate().map(|(row, degrees)| (key(*degrees), row)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, row)| row).collect()
}

fn sweep(points: impl Iterator<Item = f64>, days: impl Iterator<Item = (f64, f64)>) -> Vec<Sums> {
    let mut days = days.peekable();
    let mut sums = Sums::default();
    points
        .map(|point| {
            sums.widen();
            while let Some((temperature, y)) = days.next_if(|(temperature, _)| *temperature < point) {
                sums.admit(point - temperature, y);
            }
            sums
        })
        .collect()
}
