//! All candidates at once, in closed form from the running sums.
//!
//! The normal equations of at most two slopes have a solution of a dozen operations, because heating and cooling days are
//! disjoint when the heating point is not above the cooling point: Σ h·c is zero.

use super::candidate::{Candidate, Estimate, Outcome, Reason};
use super::select::FittedDay;
use super::shape::{BalancePoints, Search, Shape};
use super::sums::{GridSums, Sums};
use crate::baseline::Commodity;

/// A determinant smaller than this share of its largest term is zero.
const SINGULAR: f64 = 1e-12;

/// The use of the baseline around its mean.
#[derive(Debug)]
pub(super) struct Spread {
    days: f64,
    mean: f64,
    /// Σ (y − ȳ)².
    total: f64,
}

impl Spread {
    pub(super) fn of(days: &[FittedDay]) -> Self {
        let count = days.len() as f64;
        let mean = days.iter().map(|day| day.use_wh).sum::<f64>() / count;
        let total = days.iter().map(|day| (day.use_wh - mean) * (day.use_wh - mean)).sum();
        Self { days: count, mean, total }
    }

    /// Adjusted R² of a model of this shape that leaves this much of the total unexplained.
    ///
    /// Zero by definition for the mean, and for use that never varies.
    pub(super) fn r_squared_adj(&self, unexplained: f64, shape: Shape) -> f64 {
        if shape == Shape::InterceptOnly || self.total <= 0.0 { 0.0 } else { 1.0 - unexplained * self.penalty(shape) }
    }

    /// (n−1)/(n−c−1) over the total.
    fn penalty(&self, shape: Shape) -> f64 {
        (self.days - 1.0) / (self.days - f64::from(shape.slopes()) - 1.0) / self.total
    }
}

/// One degree-day variable at one balance point, around its mean.
#[derive(Debug)]
struct Variable {
    point: u8,
    /// Why no candidate with this variable is attempted.
    refused: Option<Reason>,
    x: f64,
    mean: f64,
    /// Σ (x − x̄)².
    spread: f64,
    xx: f64,
    xy: f64,
}

impl Variable {
    fn new(point: u8, sums: &Sums, spread: &Spread, search: &Search, few_degree_days: Reason, few_days: Reason) -> Self {
        let mean = sums.x / spread.days;
        let refused = if sums.x < search.degree_days_min {
            Some(few_degree_days)
        } else if sums.days < u32::from(search.days_min) {
            Some(few_days)
        } else {
            None
        };
        Self { point, refused, x: sums.x, mean, spread: sums.xx - sums.x * mean, xx: sums.xx, xy: sums.xy }
    }
}

/// Every candidate in canonical order with its outcome.
pub(super) fn fit_all(days: &[FittedDay], search: &Search, commodity: Commodity) -> Vec<Candidate> {
    let spread = Spread::of(days);
    let temperatures: Vec<f64> = days.iter().map(|day| day.temperature_f).collect();
    let centred: Vec<f64> = days.iter().map(|day| day.use_wh - spread.mean).collect();
    let sums = GridSums::new(search.grid.points(), &temperatures, &centred);
    let variables = |sums: &[Sums], few_degree_days, few_days| -> Vec<Variable> {
        let points = search.grid.points().zip(sums);
        points.map(|(point, sums)| Variable::new(point, sums, &spread, search, few_degree_days, few_days)).collect()
    };
    let heating = variables(&sums.heating, Reason::FewHeatingDegreeDays, Reason::FewHeatingDays);
    let cooling = variables(&sums.cooling, Reason::FewCoolingDegreeDays, Reason::FewCoolingDays);

    let mut candidates = Vec::with_capacity(1 + heating.len() * (heating.len() + 5) / 2);
    let mean = Estimate { intercept: spread.mean, hdd: 0.0, cdd: 0.0, r_squared_adj: 0.0 };
    candidates.push(Candidate { points: BalancePoints::default(), outcome: judge(mean) });
    let penalty = spread.penalty(Shape::HddOnly);
    candidates.extend(heating.iter().map(|heating| {
        let points = BalancePoints { heating_f: Some(heating.point), cooling_f: None };
        let outcome = single(&spread, heating, penalty, |slope| (slope, 0.0));
        Candidate { points, outcome }
    }));
    if commodity == Commodity::Gas {
        return candidates;
    }
    candidates.extend(cooling.iter().map(|cooling| {
        let points = BalancePoints { heating_f: None, cooling_f: Some(cooling.point) };
        let outcome = single(&spread, cooling, penalty, |slope| (0.0, slope));
        Candidate { points, outcome }
    }));
    let penalty = spread.penalty(Shape::CddHdd);
    for (index, cooling) in cooling.iter().enumerate() {
        candidates.extend(heating[..=index].iter().map(|heating| {
            let points = BalancePoints { heating_f: Some(heating.point), cooling_f: Some(cooling.point) };
            Candidate { points, outcome: pair(&spread, heating, cooling, penalty) }
        }));
    }
    candidates
}

/// A candidate of one slope; `place` says which of (heating, cooling) it is.
fn single(spread: &Spread, variable: &Variable, penalty: f64, place: impl Fn(f64) -> (f64, f64)) -> Outcome {
    if let Some(reason) = variable.refused {
        return Outcome::NotAttempted(reason);
    }
    if variable.spread <= SINGULAR * variable.xx || spread.total <= 0.0 {
        return Outcome::NotAttempted(Reason::Singular);
    }
    let slope = variable.xy / variable.spread;
    let (hdd, cdd) = place(slope);
    let unexplained = spread.total - slope * variable.xy;
    judge(Estimate { intercept: spread.mean - slope * variable.mean, hdd, cdd, r_squared_adj: 1.0 - unexplained * penalty })
}

/// A candidate of two slopes.
fn pair(spread: &Spread, heating: &Variable, cooling: &Variable, penalty: f64) -> Outcome {
    if let Some(reason) = heating.refused.or(cooling.refused) {
        return Outcome::NotAttempted(reason);
    }
    let hc = -heating.x * cooling.mean;
    let product = heating.spread * cooling.spread;
    let determinant = product - hc * hc;
    if determinant <= SINGULAR * product || spread.total <= 0.0 {
        return Outcome::NotAttempted(Reason::Singular);
    }
    let scale = 1.0 / determinant;
    let hdd = (heating.xy * cooling.spread - cooling.xy * hc) * scale;
    let cdd = (cooling.xy * heating.spread - heating.xy * hc) * scale;
    let unexplained = spread.total - hdd * heating.xy - cdd * cooling.xy;
    let intercept = spread.mean - hdd * heating.mean - cdd * cooling.mean;
    judge(Estimate { intercept, hdd, cdd, r_squared_adj: 1.0 - unexplained * penalty })
}

/// Whether an estimate may take part.
///
/// * Source: CalTRACK 2.0, 3.3.4 and the reference code, which rejects negative values only.
pub(super) fn judge(estimate: Estimate) -> Outcome {
    if estimate.intercept < 0.0 {
        Outcome::Disqualified(Reason::NegativeIntercept, estimate)
    } else if estimate.hdd < 0.0 {
        Outcome::Disqualified(Reason::NegativeHeating, estimate)
    } else if estimate.cdd < 0.0 {
        Outcome::Disqualified(Reason::NegativeCooling, estimate)
    } else {
        Outcome::Qualified(estimate)
    }
}
