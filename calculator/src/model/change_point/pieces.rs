//! Sums over runs of temperatures, and least squares of a few functions that are straight on each run.

/// Sums of the rows of a run of temperatures; temperature and use are counted from the means of all rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    pub(super) n: f64,
    t: f64,
    tt: f64,
    y: f64,
    ty: f64,
    yy: f64,
}

impl Run {
    fn less(self, other: Self) -> Self {
        Self {
            n: self.n - other.n,
            t: self.t - other.t,
            tt: self.tt - other.tt,
            y: self.y - other.y,
            ty: self.ty - other.ty,
            yy: self.yy - other.yy,
        }
    }
}

/// Rows in order of temperature with their running sums.
#[derive(Debug)]
pub(super) struct Sorted {
    /// Distinct temperatures, ascending, from their mean.
    pub(super) points: Vec<f64>,
    /// Sums of those rows; the first entry is of no row.
    prefix: Vec<Run>,
    /// Temperature and use of each row, from their means, in the order given.
    pub(super) rows: Vec<(f64, f64)>,
    pub(super) mean_f: f64,
    pub(super) mean_wh: f64,
}

impl Sorted {
    pub(super) fn new(rows: &[(f64, f64)]) -> Self {
        let count = rows.len().max(1) as f64;
        let mean_f = rows.iter().map(|(t, _)| t).sum::<f64>() / count;
        let mean_wh = rows.iter().map(|(_, y)| y).sum::<f64>() / count;
        let rows: Vec<(f64, f64)> = rows.iter().map(|(t, y)| (t - mean_f, y - mean_wh)).collect();
        let mut order = rows.clone();
        // Ties in temperature by use: the order of the rows given must not matter.
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (mut points, mut prefix) = (Vec::new(), vec![Run::default()]);
        let mut run = Run::default();
        for (t, y) in &order {
            if points.last().is_none_or(|last: &f64| last < t) {
                points.push(*t);
                prefix.push(run);
            }
            run = Run { n: run.n + 1.0, t: run.t + t, tt: run.tt + t * t, y: run.y + y, ty: run.ty + t * y, yy: run.yy + y * y };
            if let Some(last) = prefix.last_mut() {
                *last = run;
            }
        }
        Self { points, prefix, rows, mean_f, mean_wh }
    }

    /// The rows of the points `from..to`.
    pub(super) fn run(&self, from: usize, to: usize) -> Run {
        self.prefix[to].less(self.prefix[from])
    }

    /// How many points are below a temperature.
    pub(super) fn below(&self, at: f64) -> usize {
        self.points.partition_point(|point| *point < at)
    }
}

/// Functions a + b·t on one run.
pub(super) type Straight<const K: usize> = [(f64, f64); K];

/// The solution of a small least squares: coefficients and what they leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solved<const K: usize> {
    pub(super) coefficients: [f64; K],
    pub(super) sse: f64,
}

/// Least squares of `K` functions that are straight on each run; `None` when they are not independent.
pub(super) fn solve<const K: usize>(runs: &[(Run, Straight<K>)]) -> Option<Solved<K>> {
    let (mut gram, mut right, mut total) = ([[0.0; K]; K], [0.0; K], 0.0);
    for (run, functions) in runs {
        total += run.yy;
        for (row, (a, b)) in functions.iter().enumerate() {
            right[row] += a * run.y + b * run.ty;
            for (column, (c, d)) in functions.iter().enumerate().take(row + 1) {
                gram[row][column] += a * c * run.n + (a * d + b * c) * run.t + b * d * run.tt;
            }
        }
    }
    // Cholesky, then forward and back.
    let mut factor = [[0.0; K]; K];
    let mut along = [0.0; K];
    for row in 0..K {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| factor[row][k] * factor[column][k]).sum();
            let rest = gram[row][column] - known;
            if row == column {
                if rest <= 1e-11 * gram[row][row] || gram[row][row] <= 0.0 {
                    return None;
                }
                factor[row][row] = rest.sqrt();
            } else {
                factor[row][column] = rest / factor[column][column];
            }
        }
        let known: f64 = (0..row).map(|k| factor[row][k] * along[k]).sum();
        along[row] = (right[row] - known) / factor[row][row];
    }
    let mut coefficients = [0.0; K];
    for row in (0..K).rev() {
        let known: f64 = (row + 1..K).map(|k| factor[k][row] * coefficients[k]).sum();
        coefficients[row] = (along[row] - known) / factor[row][row];
    }
    Some(Solved { coefficients, sse: (total - along.iter().map(|along| along * along).sum::<f64>()).max(0.0) })
}

/// What a mean leaves of a run, with the mean.
pub(super) fn flat(run: Run) -> Option<Solved<1>> {
    solve(&[(run, [(1.0, 0.0)])])
}

/// What a line leaves of a run, with its value at zero and its slope.
pub(super) fn line(run: Run) -> Option<Solved<2>> {
    solve(&[(run, [(1.0, 0.0), (0.0, 1.0)])])
}
