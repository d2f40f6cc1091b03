//! The fit: every candidate in closed form, the best again on the raw days, and the choice between them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::candidate::{Estimate, Outcome};
use super::candidates::Candidates;
use super::kernel::{Solved, Spread, judge};
use super::lanes::product;
use super::refit::refit;
use super::shape::{BalancePoints, Model, Search, Shape, Term};
use super::statistics::{Metrics, metrics};
use crate::baseline::{Baseline, Commodity, Period, USUAL_MINUTES};
use crate::degree_days;

/// The name of the method and of our edition of it; changes whenever a fit of the same days could change.
pub const METHOD: &str = "caltrack-2.0-daily/2";

/// Candidates this close in adjusted R² are equal, and the first in canonical order wins.
const EQUAL: f64 = 1e-12;

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
    pub candidates: Candidates,
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
        candidates: Candidates,
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
    let mut days = Vec::with_capacity(baseline.days().len());
    for day in baseline.days() {
        if let (Some(temperature_f), Some(use_wh)) = (day.temperature_f, day.use_wh) {
            let use_wh = if day.minutes == USUAL_MINUTES { use_wh } else { use_wh / day.length() };
            days.push(FittedDay { date: day.date, temperature_f, use_wh, residual_wh: 0.0 });
        }
    }
    fit_days(days, baseline.commodity(), baseline.period(), search)
}

/// Fits days that somebody else has qualified, or has chosen not to: each has weather and use per 24 hours.
///
/// * Errors: as [`fit`].
pub(crate) fn fit_days(mut days: Vec<FittedDay>, commodity: Commodity, period: Period, search: &Search) -> Result<Fit, FitError> {
    let rows = Columns::of(&days);
    if rows.spread.sum == 0.0 {
        return Err(FitError::NoUse { days: days.len() });
    }
    let solved = Solved::new(&rows.temperatures_f, &rows.use_wh, rows.spread, search, commodity);
    // The mean is the first candidate of every search.
    let mean = Estimate { intercept: rows.spread.mean, hdd: 0.0, cdd: 0.0, r_squared_adj: 0.0 };
    let Some((index, points, estimate)) = choose(solved.finalists(), mean, search.gain_min, |points| rows.refit(points)) else {
        return Err(FitError::NoneAdmissible { candidates: Candidates::solved(solved, None) });
    };
    let candidates = Candidates::solved(solved, Some((index, estimate)));
    let model = model_of(points, estimate);
    let residuals_wh = rows.residuals_wh(points, &estimate);
    for (day, residual_wh) in days.iter_mut().zip(&residuals_wh) {
        day.residual_wh = *residual_wh;
    }
    Ok(Fit {
        method: METHOD.to_owned(),
        commodity,
        period,
        search: *search,
        model,
        r_squared_adj: estimate.r_squared_adj,
        metrics: metrics(&rows.use_wh, &residuals_wh, &days, model.kind),
        candidates,
        days,
    })
}

/// The winner and its numbers from the raw rows: candidates close to the best are fitted again by `refit`.
pub(super) fn choose(
    close: impl Iterator<Item = (usize, BalancePoints)>,
    mean: Estimate,
    gain_min: f64,
    refit: impl Fn(BalancePoints) -> Estimate,
) -> Option<(usize, BalancePoints, Estimate)> {
    let finalists: Vec<(usize, BalancePoints, Estimate)> = close
        .filter_map(|(index, points)| match judge(refit(points)) {
            Outcome::Qualified(estimate) => Some((index, points, estimate)),
            Outcome::Disqualified(..) | Outcome::NotAttempted(_) => None,
        })
        .collect();
    let best = finalists.iter().map(|(.., estimate)| estimate.r_squared_adj).max_by(f64::total_cmp)?;
    let winner = finalists.into_iter().find(|(.., estimate)| estimate.r_squared_adj >= best - EQUAL)?;
    if winner.2.r_squared_adj >= gain_min {
        return Some(winner);
    }
    (mean.intercept >= 0.0).then_some((0, BalancePoints::default(), mean))
}

/// The days, column by column.
struct Columns {
    temperatures_f: Vec<f64>,
    use_wh: Vec<f64>,
    spread: Spread,
}

impl Columns {
    fn of(days: &[FittedDay]) -> Self {
        let use_wh: Vec<f64> = days.iter().map(|day| day.use_wh).collect();
        Self { temperatures_f: days.iter().map(|day| day.temperature_f).collect(), spread: Spread::of(&use_wh), use_wh }
    }

    fn refit(&self, points: BalancePoints) -> Estimate {
        let heating = points.heating_f.map(|balance| self.column(|mean| degree_days::heating(f64::from(balance), mean)));
        let cooling = points.cooling_f.map(|balance| self.column(|mean| degree_days::cooling(f64::from(balance), mean)));
        let is_heating = heating.is_some();
        let variables: Vec<Vec<f64>> = heating.into_iter().chain(cooling).collect();
        let [intercept, first, second] = refit(&variables, &self.use_wh, self.spread.mean);
        let (hdd, cdd) = if is_heating { (first, second) } else { (0.0, first) };
        let estimate = Estimate { intercept, hdd, cdd, r_squared_adj: 0.0 };
        let residuals_wh = self.residuals_wh(points, &estimate);
        let unexplained = product(&residuals_wh, &residuals_wh);
        Estimate { r_squared_adj: self.spread.r_squared_adj(unexplained, points.shape()), ..estimate }
    }

    fn column(&self, value: impl Fn(f64) -> f64) -> Vec<f64> {
        self.temperatures_f.iter().map(|mean_f| value(*mean_f)).collect()
    }

    /// What a model leaves of each day of 24 hours, as [`Model::predict_wh`] has it; a term that it lacks has no slope.
    fn residuals_wh(&self, points: BalancePoints, estimate: &Estimate) -> Vec<f64> {
        let [heating_f, cooling_f] = [points.heating_f, points.cooling_f].map(|point| f64::from(point.unwrap_or(0)));
        let Estimate { intercept, hdd, cdd, .. } = *estimate;
        let predicted =
            |mean_f: f64| intercept + hdd * degree_days::heating(heating_f, mean_f) + cdd * degree_days::cooling(cooling_f, mean_f);
        self.use_wh.iter().zip(&self.temperatures_f).map(|(use_wh, mean_f)| use_wh - predicted(*mean_f)).collect()
    }
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
