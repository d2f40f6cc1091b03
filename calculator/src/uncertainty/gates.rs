//! The limits that protocols and contracts set, by name: what was measured, what is allowed, whether it holds.
//!
//! The standards behind them are sold, not published; the limits are those in general use and a contract that cites a
//! clause has to check them against its own copy.

use serde::{Deserialize, Serialize};

use super::by_method::TotalInterval;
use super::interval::Interval;
use super::student;
use crate::baseline::Bound;
use crate::model::Metrics;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Energy.
    Energy,
    /// Peak demand.
    Demand,
}

/// A protocol or a kind of contract that sets a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// ASHRAE Guideline 14, prescriptive path: CV(RMSE), looser the longer the reporting.
    Guideline14Cv,
    /// ASHRAE Guideline 14, prescriptive path: net bias of the baseline model.
    Guideline14Bias,
    /// ASHRAE Guideline 14, performance path: uncertainty against savings at 68 %.
    Guideline14Performance,
    /// Practice of interval-data measurement and verification: CV(RMSE).
    AdvancedCv,
    /// The same: bias.
    AdvancedBias,
    /// The same: R².
    AdvancedRSquared,
    /// IPMVP: savings exceed two standard errors of the baseline's total.
    Ipmvp,
    /// A non-wires alternative under CalTRACK: fractional uncertainty at 90 %.
    CaltrackNonWires,
    /// Pay for performance under CalTRACK: fractional uncertainty at 90 %.
    CaltrackPayForPerformance,
}

impl Gate {
    /// All of them in the order in which they are tried.
    pub const ALL: [Self; 9] = [
        Self::Guideline14Cv,
        Self::Guideline14Bias,
        Self::Guideline14Performance,
        Self::AdvancedCv,
        Self::AdvancedBias,
        Self::AdvancedRSquared,
        Self::Ipmvp,
        Self::CaltrackNonWires,
        Self::CaltrackPayForPerformance,
    ];

    /// Its name where people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guideline14Cv => "ASHRAE Guideline 14 prescriptive, CV(RMSE)",
            Self::Guideline14Bias => "ASHRAE Guideline 14 prescriptive, net bias",
            Self::Guideline14Performance => "ASHRAE Guideline 14 performance, uncertainty over savings at 68 %",
            Self::AdvancedCv => "interval-data practice, CV(RMSE)",
            Self::AdvancedBias => "interval-data practice, NMBE",
            Self::AdvancedRSquared => "interval-data practice, R²",
            Self::Ipmvp => "IPMVP, savings over standard error",
            Self::CaltrackNonWires => "CalTRACK non-wires alternative, uncertainty over savings at 90 %",
            Self::CaltrackPayForPerformance => "CalTRACK pay for performance, uncertainty over savings at 90 %",
        }
    }
}

/// A gate, tried.
///
/// * Shape: `measured` is `None` when there are no savings to be sure of; such a gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Which one.
    pub gate: Gate,
    /// What was found.
    pub measured: Option<f64>,
    /// How it must lie to the limit.
    pub bound: Bound,
    /// What is allowed.
    pub limit: f64,
    /// Whether it holds.
    pub holds: bool,
}

/// Tries every gate.
///
/// * Units: `avoided_wh` is the total that `interval` stands around; `reporting_months` counts months since the measure.
/// * Source: CV and bias with n − q in the denominator, balance points counted as fitted; see [`Gate`].
pub fn gates(metrics: &Metrics, avoided_wh: f64, interval: &Interval, reporting_months: u32, quantity: Quantity) -> Vec<Tried> {
    let known = Some((interval.confidence, interval.t));
    all(metrics, avoided_wh, (interval.standard_error_wh(), interval.degrees_of_freedom, known), reporting_months, quantity)
}

/// As [`gates`], for the interval of any method; drawn weeks have a degree of freedom less than there are weeks.
pub fn gates_by(metrics: &Metrics, avoided_wh: f64, interval: &TotalInterval, reporting_months: u32, quantity: Quantity) -> Vec<Tried> {
    match interval {
        TotalInterval::Rows(interval) => gates(metrics, avoided_wh, interval, reporting_months, quantity),
        TotalInterval::Hours(interval) => {
            let degrees = f64::from(interval.weeks.saturating_sub(1).max(3));
            let t = student::quantile(f64::midpoint(1.0, interval.confidence), degrees);
            let known = Some((interval.confidence, t));
            all(metrics, avoided_wh, (interval.half_width_wh / t, degrees, known), reporting_months, quantity)
        }
    }
}

/// The standard error, its degrees of freedom, and Student's t of them at the one confidence where it is known.
type Error = (f64, f64, Option<(f64, f64)>);

fn all(metrics: &Metrics, avoided_wh: f64, (error, degrees, known): Error, reporting_months: u32, quantity: Quantity) -> Vec<Tried> {
    let fraction = |confidence: f64| {
        let known = known.filter(|(at, _)| at.total_cmp(&confidence).is_eq()).map(|(_, t)| t);
        let width = error * known.unwrap_or_else(|| student::quantile(f64::midpoint(1.0, confidence), degrees));
        (avoided_wh > 0.0).then(|| width / avoided_wh)
    };
    let at_ninety = fraction(0.9);
    let months = match reporting_months {
        0..12 => 0.0,
        12..=60 => 0.05,
        _ => 0.10,
    };
    let cv_limit = months
        + match quantity {
            Quantity::Energy => 0.20,
            Quantity::Demand => 0.30,
        };
    let at_most = |gate, measured, limit| tried(gate, measured, Bound::AtMost, limit);
    let at_least = |gate, measured, limit| tried(gate, measured, Bound::AtLeast, limit);
    vec![
        at_most(Gate::Guideline14Cv, Some(metrics.cv_rmse_strict), cv_limit),
        at_most(Gate::Guideline14Bias, Some(metrics.nmbe_g14.abs()), 0.000_05),
        at_most(Gate::Guideline14Performance, fraction(0.68), 0.5),
        at_most(Gate::AdvancedCv, Some(metrics.cv_rmse_strict), 0.25),
        at_most(Gate::AdvancedBias, Some(metrics.nmbe_g14.abs()), 0.005),
        at_least(Gate::AdvancedRSquared, Some(metrics.r_squared), 0.7),
        at_least(Gate::Ipmvp, (error > 0.0).then(|| avoided_wh / error), 2.0),
        at_most(Gate::CaltrackNonWires, at_ninety, 0.15),
        at_most(Gate::CaltrackPayForPerformance, at_ninety, 0.25),
    ]
}

fn tried(gate: Gate, measured: Option<f64>, bound: Bound, limit: f64) -> Tried {
    let holds = measured.is_some_and(|measured| match bound {
        Bound::AtLeast => measured >= limit,
        Bound::AtMost => measured <= limit,
        Bound::Exactly => measured.total_cmp(&limit).is_eq(),
    });
    Tried { gate, measured, bound, limit, holds }
}

#[cfg(test)]
#[path = "gates_tests.rs"]
mod tests;
