//! The balance points of a model whose other variables are already projected out.

use super::super::ols::{Orthogonal, dot};
use super::super::shape::{BalancePoints, Search};
use crate::baseline::Commodity;
use crate::degree_days;

/// What is left of a column below this share of its square is the same as the declared variables.
const SINGULAR: f64 = 1e-10;
/// Models this close in adjusted R² are equal, and the first in canonical order wins.
const EQUAL: f64 = 1e-12;

/// One degree-day column without what the declared variables say.
#[derive(Debug)]
struct Rest {
    point: u8,
    x: Vec<f64>,
    xx: f64,
    xy: f64,
}

/// The balance points with the highest adjusted R² among those whose slopes are not negative; none when no weather helps.
pub(super) fn best(projected: &Orthogonal, temperatures: &[f64], use_wh: &[f64], search: &Search, commodity: Commodity) -> BalancePoints {
    let y = without(projected, use_wh);
    let total = dot(&y, &y);
    let free = use_wh.len() as f64 - projected.basis().len() as f64;
    let rests = |value: fn(f64, f64) -> f64| -> Vec<Option<Rest>> {
        let column = |point: u8| temperatures.iter().map(|mean_f| value(f64::from(point), *mean_f)).collect::<Vec<f64>>();
        search.grid.points().map(|point| rest(point, &column(point), projected, &y, search)).collect()
    };
    // Relative to what the declared variables leave, which is the same for all.
    let score = |unexplained: f64, slopes: f64| -unexplained / (free - slopes);
    let mut best = (score(total, 0.0), BalancePoints::default());
    let mut offer = |unexplained: f64, slopes: f64, points: BalancePoints| {
        let found = score(unexplained, slopes);
        if found > best.0 + EQUAL * (total / free) {
            best = (found, points);
        }
    };
    let heating = rests(degree_days::heating);
    for heat in heating.iter().flatten().filter(|heat| heat.xy >= 0.0) {
        offer(total - heat.xy * heat.xy / heat.xx, 1.0, BalancePoints { heating_f: Some(heat.point), cooling_f: None });
    }
    if commodity == Commodity::Gas {
        return best.1;
    }
    let cooling = rests(degree_days::cooling);
    for cool in cooling.iter().flatten().filter(|cool| cool.xy >= 0.0) {
        offer(total - cool.xy * cool.xy / cool.xx, 1.0, BalancePoints { heating_f: None, cooling_f: Some(cool.point) });
    }
    for (index, cool) in cooling.iter().enumerate() {
        let Some(cool) = cool else { continue };
        for heat in heating[..=index].iter().flatten() {
            let both = dot(&heat.x, &cool.x);
            let left = cool.xx - both * both / heat.xx;
            if left <= SINGULAR * cool.xx {
                continue;
            }
            let cdd = (cool.xy - both * heat.xy / heat.xx) / left;
            let hdd = (heat.xy - both * cdd) / heat.xx;
            if hdd >= 0.0 && cdd >= 0.0 {
                let points = BalancePoints { heating_f: Some(heat.point), cooling_f: Some(cool.point) };
                offer(total - hdd * heat.xy - cdd * cool.xy, 2.0, points);
            }
        }
    }
    best.1
}

/// A column without what the declared variables say of it; none when it has too few degree days or nothing is left.
fn rest(point: u8, column: &[f64], projected: &Orthogonal, y: &[f64], search: &Search) -> Option<Rest> {
    let days = column.iter().filter(|value| **value > 0.0).count();
    if column.iter().sum::<f64>() < search.degree_days_min || days < usize::from(search.days_min) {
        return None;
    }
    let x = without(projected, column);
    let xx = dot(&x, &x);
    (xx > SINGULAR * dot(column, column)).then(|| Rest { point, xx, xy: dot(&x, y), x })
}

/// What is left of a column next to the orthonormal directions; done twice for full precision.
fn without(projected: &Orthogonal, column: &[f64]) -> Vec<f64> {
    let mut rest = column.to_vec();
    for _ in 0..2 {
        for direction in projected.basis() {
            let along = dot(direction, &rest);
            for (rest, direction) in rest.iter_mut().zip(direction) {
                *rest -= along * direction;
            }
        }
    }
    rest
}
