//! All candidates of bills at once.
//!
//! Bills are few, so every variable is a short column, centred and scaled by the root of the weights once; a pair then
//! costs one projection of one column on the other, without the cancellation that sums of squares would bring where
//! heating and cooling of a whole year are almost one line.

use super::candidate::{Candidate, Estimate, Outcome, Reason};
use super::kernel::judge;
use super::ols::{Orthogonal, dot};
use super::shape::{BalancePoints, Search};
use crate::baseline::{Bill, Commodity};

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
    mean: f64,
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

    /// * Shape: `rest` is room for one column.
    fn pair(&self, heating: &Column, cooling: &Column, rest: &mut [f64]) -> Outcome {
        if let Some(reason) = heating.refused.or(cooling.refused) {
            return Outcome::NotAttempted(reason);
        }
        if heating.xx <= SINGULAR * heating.scale {
            return Outcome::NotAttempted(Reason::Singular);
        }
        let along = dot(&heating.x, &cooling.x) / heating.xx;
        for ((rest, cool), heat) in rest.iter_mut().zip(&cooling.x).zip(&heating.x) {
            *rest = cool - along * heat;
        }
        let left = dot(rest, rest);
        if left <= SINGULAR * cooling.scale {
            return Outcome::NotAttempted(Reason::Singular);
        }
        let cdd = dot(rest, &self.y) / left;
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
        let solution = Orthogonal::new(&columns).solve(&weighted(&self.per_day));
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

/// Every candidate in canonical order with its outcome.
pub(super) fn fit_all(table: &Table<'_>, search: &Search, commodity: Commodity) -> Vec<Candidate> {
    let heating: Vec<Column> = search
        .grid
        .points()
        .map(|point| table.column(point, search, &table.heating(point), Reason::FewHeatingDegreeDays, Reason::FewHeatingDays))
        .collect();
    let mut candidates = Vec::with_capacity(1 + heating.len() * (heating.len() + 5) / 2);
    let mean = Estimate { intercept: table.mean, hdd: 0.0, cdd: 0.0, r_squared_adj: 0.0 };
    candidates.push(Candidate { points: BalancePoints::default(), outcome: judge(mean) });
    candidates.extend(heating.iter().map(|heating| {
        let points = BalancePoints { heating_f: Some(heating.point), cooling_f: None };
        Candidate { points, outcome: table.single(heating, |slope| (slope, 0.0)) }
    }));
    if commodity == Commodity::Gas {
        return candidates;
    }
    let cooling: Vec<Column> = search
        .grid
        .points()
        .map(|point| table.column(point, search, &table.cooling(point), Reason::FewCoolingDegreeDays, Reason::FewCoolingDays))
        .collect();
    candidates.extend(cooling.iter().map(|cooling| {
        let points = BalancePoints { heating_f: None, cooling_f: Some(cooling.point) };
        Candidate { points, outcome: table.single(cooling, |slope| (0.0, slope)) }
    }));
    let mut rest = vec![0.0; table.y.len()];
    for (index, cooling) in cooling.iter().enumerate() {
        for heating in &heating[..=index] {
            let points = BalancePoints { heating_f: Some(heating.point), cooling_f: Some(cooling.point) };
            candidates.push(Candidate { points, outcome: table.pair(heating, cooling, &mut rest) });
        }
    }
    candidates
}
