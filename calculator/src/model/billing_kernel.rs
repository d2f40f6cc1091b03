//! All candidates of bills at once.
//!
//! Bills are few, so every variable is a short column, centred and scaled by the root of the weights once; a pair then
//! costs one projection of one column on the other, without the cancellation that sums of squares would bring where
//! heating and cooling of a whole year are almost one line. Some heating points are projected side by side, because a sum
//! over bills waits for itself only.

use super::candidate::{Candidate, Estimate, Outcome, Reason};
use super::candidates::Finalists;
use super::kernel::judge;
use super::ols::{Orthogonal, dot};
use super::shape::{BalancePoints, Search};
use crate::baseline::{Bill, Commodity};
use crate::degree_days;

/// A column whose remainder is smaller than this share of its square is the same line as the other.
const SINGULAR: f64 = 1e-12;

/// Bills as weighted observations.
#[derive(Debug)]
pub(super) struct Table<'a> {
    bills: Vec<&'a Bill>,
    /// Use per day, Wh.
    per_day: Vec<f64>,
    /// Days whose weather counts.
    weights: Vec<f64>,
    roots: Vec<f64>,
    weight: f64,
    pub(super) mean: f64,
    /// √w (y − ȳ).
    y: Vec<f64>,
    /// Σ w (y − ȳ)².
    total: f64,
}

/// One degree-day variable at one balance point.
#[derive(Debug)]
struct Column {
    point: u8,
    refused: Option<Reason>,
    mean: f64,
    /// √w (x − x̄).
    x: Vec<f64>,
    xx: f64,
    xy: f64,
    /// Σ w x², to tell a constant from a variable.
    scale: f64,
}

impl<'a> Table<'a> {
    /// * Shape: bills with their energy; all have weather.
    pub(super) fn new(used: &[(&'a Bill, f64)]) -> Self {
        let weights: Vec<f64> = used.iter().map(|(bill, _)| bill.kept_days()).collect();
        let per_day: Vec<f64> = used.iter().map(|(bill, wh)| wh / bill.days()).collect();
        let weight = weights.iter().sum::<f64>();
        let mean = dot(&weights, &per_day) / weight;
        let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
        let y: Vec<f64> = per_day.iter().zip(&roots).map(|(y, root)| root * (y - mean)).collect();
        let total = dot(&y, &y);
        Self { bills: used.iter().map(|(bill, _)| *bill).collect(), per_day, weights, roots, weight, mean, y, total }
    }

    fn column(&self, point: u8, search: &Search, values: &[f64], few_degree_days: Reason, few_days: Reason) -> Column {
        let degree_days = dot(&self.weights, values);
        let mean = degree_days / self.weight;
        let x: Vec<f64> = values.iter().zip(&self.roots).map(|(value, root)| root * (value - mean)).collect();
        let refused = if degree_days < search.degree_days_min {
            Some(few_degree_days)
        } else if values.iter().filter(|value| **value > 0.0).count() < usize::from(search.days_min) {
            Some(few_days)
        } else {
            None
        };
        let scale = values.iter().zip(&self.weights).map(|(value, weight)| weight * value * value).sum();
        Column { point, refused, mean, xx: dot(&x, &x), xy: dot(&x, &self.y), x, scale }
    }

    /// Mean degree days of the bills, for each point; the days of a bill are gone through once for all of them.
    fn degree_days(&self, search: &Search, of_day: impl Fn(f64, f64) -> f64) -> Vec<Vec<f64>> {
        let points: Vec<f64> = search.grid.points().map(f64::from).collect();
        let mut columns = vec![Vec::with_capacity(self.bills.len()); points.len()];
        let mut sums = vec![0.0; points.len()];
        for bill in &self.bills {
            sums.fill(0.0);
            for mean_f in &bill.days_f {
                for (sum, point) in sums.iter_mut().zip(&points) {
                    *sum += of_day(*point, *mean_f);
                }
            }
            for (column, sum) in columns.iter_mut().zip(&sums) {
                column.push(sum / bill.kept_days());
            }
        }
        columns
    }

    fn heating(&self, point: u8) -> Vec<f64> {
        self.bills.iter().map(|bill| bill.heating_f(f64::from(point)).unwrap_or(0.0)).collect()
    }

    fn cooling(&self, point: u8) -> Vec<f64> {
        self.bills.iter().map(|bill| bill.cooling_f(f64::from(point)).unwrap_or(0.0)).collect()
    }

    /// Adjusted R² of a fit with this many slopes; no fit when no degree of freedom is left.
    fn r_squared_adj(&self, unexplained: f64, slopes: u8) -> Option<f64> {
        let n = self.per_day.len() as f64;
        let free = n - f64::from(slopes) - 1.0;
        (free > 0.0 && self.total > 0.0).then(|| 1.0 - unexplained / self.total * (n - 1.0) / free)
    }

    fn single(&self, column: &Column, place: impl Fn(f64) -> (f64, f64)) -> Outcome {
        if let Some(reason) = column.refused {
            return Outcome::NotAttempted(reason);
        }
        if column.xx <= SINGULAR * column.scale {
            return Outcome::NotAttempted(Reason::Singular);
        }
        let slope = column.xy / column.xx;
        let Some(r_squared_adj) = self.r_squared_adj(self.total - slope * column.xy, 1) else {
            return Outcome::NotAttempted(Reason::Singular);
        };
        let (hdd, cdd) = place(slope);
        judge(Estimate { intercept: self.mean - slope * column.mean, hdd, cdd, r_squared_adj })
    }

    fn pair(&self, heating: &Column, cooling: &Column, Projected { along, left, cdd }: Projected) -> Outcome {
        if let Some(reason) = heating.refused.or(cooling.refused) {
            return Outcome::NotAttempted(reason);
        }
        if heating.xx <= SINGULAR * heating.scale || left <= SINGULAR * cooling.scale {
            return Outcome::NotAttempted(Reason::Singular);
        }
        let hdd = heating.xy / heating.xx - cdd * along;
        let unexplained = self.total - heating.xy * heating.xy / heating.xx - cdd * cdd * left;
        let Some(r_squared_adj) = self.r_squared_adj(unexplained, 2) else {
            return Outcome::NotAttempted(Reason::Singular);
        };
        judge(Estimate { intercept: self.mean - hdd * heating.mean - cdd * cooling.mean, hdd, cdd, r_squared_adj })
    }

    /// The candidate at these points again, by orthogonal columns of the weighted rows.
    pub(super) fn refit(&self, points: BalancePoints) -> Estimate {
        let variables: Vec<Vec<f64>> = points
            .heating_f
            .map(|point| self.heating(point))
            .into_iter()
            .chain(points.cooling_f.map(|point| self.cooling(point)))
            .collect();
        let weighted = |values: &[f64]| -> Vec<f64> { values.iter().zip(&self.roots).map(|(value, root)| value * root).collect() };
        let mut columns = vec![self.roots.clone()];
        columns.extend(variables.iter().map(|values| weighted(values)));
        let (_, solution) = Orthogonal::solving(columns, &weighted(&self.per_day));
        let predicted = |bill: usize| {
            let slopes = solution.iter().skip(1).zip(&variables);
            solution[0] + slopes.map(|(slope, values)| slope * values[bill]).sum::<f64>()
        };
        let unexplained = self.per_day.iter().zip(&self.weights).enumerate().map(|(bill, (y, weight))| {
            let residual = y - predicted(bill);
            weight * residual * residual
        });
        let shape = points.shape();
        let r_squared_adj = if shape.slopes() == 0 { 0.0 } else { self.r_squared_adj(unexplained.sum(), shape.slopes()).unwrap_or(0.0) };
        let mut slopes = solution.iter().skip(1).copied();
        let hdd = points.heating_f.and_then(|_| slopes.next()).unwrap_or(0.0);
        let cdd = points.cooling_f.and_then(|_| slopes.next()).unwrap_or(0.0);
        Estimate { intercept: solution[0], hdd, cdd, r_squared_adj }
    }
}

/// Heating points that are projected side by side.
const LANES: usize = 4;

/// The part of a cooling column that a heating column does not explain.
#[derive(Clone, Copy, Debug)]
struct Projected {
    /// How much of the heating column is in the cooling column.
    along: f64,
    /// The square of the rest.
    left: f64,
    /// The slope of the rest.
    cdd: f64,
}

/// The heating columns, some points beside one another, bill by bill.
struct Lanes {
    bills: usize,
    x: Vec<[f64; LANES]>,
    xx: Vec<[f64; LANES]>,
}

impl Lanes {
    fn of(heating: &[Column], bills: usize) -> Self {
        let (mut x, mut xx) = (Vec::with_capacity(bills * heating.len().div_ceil(LANES)), Vec::new());
        for group in heating.chunks(LANES) {
            // A lane without a point is never asked.
            let lanes = |value: &dyn Fn(&Column) -> f64| std::array::from_fn(|lane| group.get(lane).map_or(1.0, value));
            xx.push(lanes(&|column| column.xx));
            x.extend((0..bills).map(|bill| lanes(&|column| column.x[bill])));
        }
        Self { bills, x, xx }
    }

    /// A cooling column on the first `count` heating columns, in their order.
    fn project(&self, cooling: &Column, y: &[f64], count: usize, into: &mut Vec<Projected>) {
        into.clear();
        for (rows, xx) in self.x.chunks_exact(self.bills).zip(&self.xx).take(count.div_ceil(LANES)) {
            let mut along = [-0.0; LANES];
            for (row, cool) in rows.iter().zip(&cooling.x) {
                for (along, heat) in along.iter_mut().zip(row) {
                    *along += heat * cool;
                }
            }
            for (along, xx) in along.iter_mut().zip(xx) {
                *along /= xx;
            }
            let (mut left, mut right) = ([-0.0; LANES], [-0.0; LANES]);
            for ((row, cool), y) in rows.iter().zip(&cooling.x).zip(y) {
                for (lane, (along, heat)) in along.iter().zip(row).enumerate() {
                    let rest = cool - along * heat;
                    left[lane] += rest * rest;
                    right[lane] += rest * y;
                }
            }
            into.extend((0..LANES).map(|lane| Projected { along: along[lane], left: left[lane], cdd: right[lane] / left[lane] }));
        }
    }
}

/// Candidates one after the other, and which of them come close to the best.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) candidates: Vec<Candidate>,
    finalists: Finalists,
}

impl Tried {
    fn with_capacity(candidates: usize) -> Self {
        Self { candidates: Vec::with_capacity(candidates), finalists: Finalists::new() }
    }

    #[inline]
    fn push(&mut self, points: BalancePoints, outcome: Outcome) {
        if let Outcome::Qualified(Estimate { r_squared_adj: score, .. }) = outcome {
            self.finalists.offer(self.candidates.len(), score);
        }
        self.candidates.push(Candidate { points, outcome });
    }

    /// Those that come close to the best of all, by their places.
    pub(super) fn finalists(&self) -> impl Iterator<Item = (usize, BalancePoints)> {
        self.finalists.places().into_iter().filter_map(|place| Some((place, self.candidates.get(place)?.points)))
    }
}

/// Every candidate in canonical order with its outcome.
pub(super) fn fit_all(table: &Table<'_>, search: &Search, commodity: Commodity) -> Tried {
    let columns = |values: Vec<Vec<f64>>, few_degree_days, few_days| -> Vec<Column> {
        let points = search.grid.points().zip(values);
        points.map(|(point, values)| table.column(point, search, &values, few_degree_days, few_days)).collect()
    };
    let heating = table.degree_days(search, degree_days::heating);
    let heating = columns(heating, Reason::FewHeatingDegreeDays, Reason::FewHeatingDays);
    let mut tried = Tried::with_capacity(1 + heating.len() * (heating.len() + 5) / 2);
    let mean = Estimate { intercept: table.mean, hdd: 0.0, cdd: 0.0, r_squared_adj: 0.0 };
    tried.push(BalancePoints::default(), judge(mean));
    for heating in &heating {
        let points = BalancePoints { heating_f: Some(heating.point), cooling_f: None };
        tried.push(points, table.single(heating, |slope| (slope, 0.0)));
    }
    if commodity == Commodity::Gas {
        return tried;
    }
    let cooling = table.degree_days(search, degree_days::cooling);
    let cooling = columns(cooling, Reason::FewCoolingDegreeDays, Reason::FewCoolingDays);
    for cooling in &cooling {
        let points = BalancePoints { heating_f: None, cooling_f: Some(cooling.point) };
        tried.push(points, table.single(cooling, |slope| (0.0, slope)));
    }
    let lanes = Lanes::of(&heating, table.y.len());
    let mut projected = Vec::with_capacity(heating.len() + LANES);
    for (index, cooling) in cooling.iter().enumerate() {
        lanes.project(cooling, &table.y, index + 1, &mut projected);
        for (heating, projected) in heating.iter().zip(&projected).take(index + 1) {
            let points = BalancePoints { heating_f: Some(heating.point), cooling_f: Some(cooling.point) };
            tried.push(points, table.pair(heating, cooling, *projected));
        }
    }
    tried
}
