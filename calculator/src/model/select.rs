//! The fit: every candidate in closed form, the best again on the raw days, and the choice between them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Estimate, Outcome};
use super::kernel::{Spread, fit_all, judge};
use super::ols::Orthogonal;
use super::shape::{BalancePoints, Model, Search, Shape, Term};
use super::statistics::{Metrics, metrics};
use crate::baseline::{Baseline, Commodity, Period};
use crate::degree_days;

/// The name of the method and of our edition of it; changes whenever a fit of the same days could change.
pub const METHOD: &str = "caltrack-2.0-daily/1";

/// Candidates this close in adjusted R² are equal, and the first in canonical order wins.
const EQUAL: f64 = 1e-12;
/// Candidates this close to the best are fitted again from the raw days.
const CLOSE: f64 = 1e-9;

/// A selected model with everything that an auditor asks about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// [`METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// The baseline year.
    pub period: Period,
    /// What was tried.
    pub search: Search,
    /// The winner. [`Shape::InterceptOnly`] means that no weather model qualified or explained anything.
    pub model: Model,
    /// Its adjusted R²; zero by definition for [`Shape::InterceptOnly`].
    pub r_squared_adj: f64,
    /// How well it fits.
    pub metrics: Metrics,
    /// Every candidate in canonical order, losers included.
    pub candidates: Vec<Candidate>,
    /// The fitted days in order of time.
    pub days: Vec<FittedDay>,
}

impl Fit {
    /// Whether the winner depends on the weather at all.
    pub fn responds_to_weather(&self) -> bool {
        self.model.kind != Shape::InterceptOnly
    }
}

/// One day of the baseline as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedDay {
    /// The civil day.
    pub date: Date,
    /// Mean outdoor temperature, °F.
    pub temperature_f: f64,
    /// Use per 24 hours, Wh.
    pub use_wh: f64,
    /// Use minus the model's prediction, Wh per 24 hours (the reference implementation has the other sign).
    pub residual_wh: f64,
}

/// Why there is no model, and therefore no invoice.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// No candidate qualified; each says why.
    #[error("none of {} candidate models qualified", candidates.len())]
    NoneAdmissible {
        /// Every candidate with its reason.
        candidates: Vec<Candidate>,
    },
    /// No row has both energy and weather.
    #[error("no row of the baseline has both energy and weather")]
    Empty,
    /// No use at all: every statistic that is relative to it would be the quotient of zeros.
    #[error("the {days} days of the baseline use nothing on average, so nothing can be measured against them; check the meter's rows")]
    NoUse {
        /// The days with energy and weather.
        days: usize,
    },
}

/// Fits every admissible shape at every balance point and keeps the best.
///
/// * Shape: a qualified baseline, one row per civil day; days lacking energy or weather are left out.
/// * Units: Wh and °F in; intercept Wh per day and slopes Wh per °F·day out.
/// * Errors: [`FitError::NoneAdmissible`] with each candidate's reason, [`FitError::NoUse`]; never NaN, never a silent default.
/// * Source: CalTRACK 2.0, 3.3-3.4. The use of a day of 23 or 25 hours is scaled to 24 (3.2.1).
pub fn fit(baseline: &Baseline, search: &Search) -> Result<Fit, FitError> {
    let days: Vec<FittedDay> = baseline
        .days()
        .iter()
        .filter_map(|day| {
            Some(FittedDay { date: day.date, temperature_f: day.temperature_f?, use_wh: day.use_wh? / day.length(), residual_wh: 0.0 })
        })
        .collect();
    fit_days(days, baseline.commodity(), baseline.period(), search)
}

/// Fits days that somebody else has qualified, or has chosen not to: each has weather and use per 24 hours.
///
/// * Errors: as [`fit`].
pub(crate) fn fit_days(mut days: Vec<FittedDay>, commodity: Commodity, period: Period, search: &Search) -> Result<Fit, FitError> {
    if days.iter().map(|day| day.use_wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: days.len() });
    }
    let mut candidates = fit_all(&days, search, commodity);
    let spread = Spread::of(&days);
    let Some((index, estimate)) = choose(&candidates, search.gain_min, |points| refit(&days, points, &spread)) else {
        return Err(FitError::NoneAdmissible { candidates });
    };
    candidates[index].outcome = Outcome::Qualified(estimate);
    let model = model_of(candidates[index].points, estimate);
    for day in &mut days {
        day.residual_wh = day.use_wh - model.predict_wh(day.temperature_f, 1.0);
    }
    Ok(Fit {
        method: METHOD.to_owned(),
        commodity,
        period,
        search: *search,
        model,
        r_squared_adj: estimate.r_squared_adj,
        metrics: metrics(&days, model.kind),
        candidates,
        days,
    })
}

/// The winner and its numbers from the raw rows: candidates close to the best are fitted again by `refit`.
pub(super) fn choose(candidates: &[Candidate], gain_min: f64, refit: impl Fn(BalancePoints) -> Estimate) -> Option<(usize, Estimate)> {
    let best = candidates.iter().filter_map(Candidate::score).max_by(f64::total_cmp)?;
    let finalists: Vec<(usize, Estimate)> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.score().is_some_and(|score| score >= best - CLOSE))
        .filter_map(|(index, candidate)| match judge(refit(candidate.points)) {
            Outcome::Qualified(estimate) => Some((index, estimate)),
            Outcome::Disqualified(..) | Outcome::NotAttempted(_) => None,
        })
        .collect();
    let best = finalists.iter().map(|(_, estimate)| estimate.r_squared_adj).max_by(f64::total_cmp)?;
    let winner = finalists.into_iter().find(|(_, estimate)| estimate.r_squared_adj >= best - EQUAL)?;
    if winner.1.r_squared_adj >= gain_min {
        return Some(winner);
    }
    // The mean is the first candidate of every search.
    candidates.first().and_then(Candidate::estimate).filter(|mean| mean.intercept >= 0.0).map(|mean| (0, mean))
}

fn refit(days: &[FittedDay], points: BalancePoints, spread: &Spread) -> Estimate {
    let column = |value: &dyn Fn(f64) -> f64| days.iter().map(|day| value(day.temperature_f)).collect::<Vec<f64>>();
    let mut columns = vec![vec![1.0; days.len()]];
    columns.extend(points.heating_f.map(|balance| column(&|mean| degree_days::heating(f64::from(balance), mean))));
    columns.extend(points.cooling_f.map(|balance| column(&|mean| degree_days::cooling(f64::from(balance), mean))));
    let use_wh: Vec<f64> = days.iter().map(|day| day.use_wh).collect();
    let mut solution = Orthogonal::new(&columns).solve(&use_wh).into_iter();
    let mut next = || solution.next().unwrap_or(0.0);
    let intercept = next();
    let hdd = if points.heating_f.is_some() { next() } else { 0.0 };
    let cdd = if points.cooling_f.is_some() { next() } else { 0.0 };
    let estimate = Estimate { intercept, hdd, cdd, r_squared_adj: 0.0 };
    let fitted = model_of(points, estimate);
    let unexplained =
        days.iter().map(|day| day.use_wh - fitted.predict_wh(day.temperature_f, 1.0)).map(|residual| residual * residual).sum();
    Estimate { r_squared_adj: spread.r_squared_adj(unexplained, points.shape()), ..estimate }
}

pub(super) fn model_of(points: BalancePoints, estimate: Estimate) -> Model {
    let term = |point: Option<u8>, beta| point.map(|point| Term { balance_f: f64::from(point), beta });
    Model {
        kind: points.shape(),
        intercept: estimate.intercept,
        hdd: term(points.heating_f, estimate.hdd),
        cdd: term(points.cooling_f, estimate.cdd),
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
