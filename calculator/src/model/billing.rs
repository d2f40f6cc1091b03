//! The CalTRACK billing method: the daily method's candidates on periods of a month or two.
//!
//! A bill is one observation of use per day, weighted with the days whose weather is known. Its degree days are means over
//! those days, so a bill of spring can heat and cool. Twelve bills are few: what this method reports as a perfect fit of
//! five quantities to five bills is fiction, and [`BillingFit::is_thin`] says so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::billing_kernel::{Table, fit_all};
use super::candidate::Estimate;
use super::candidates::Candidates;
use super::select::{FitError, choose, model_of};
use super::shape::{Model, Search, Shape};
use super::statistics::{Metrics, Residual, Residuals, metrics_of, squared_correlation};
use crate::baseline::{Bill, Commodity};

/// The name of the method and of our edition of it.
pub const BILLING_METHOD: &str = "caltrack-2.0-billing/1";

/// Fewer bills than this carry no invoice, whatever R² says.
pub const BILLS_MIN: usize = 9;

/// A selected model of bills with everything that an auditor asks about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BillingFit {
    /// [`BILLING_METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// What was tried.
    pub search: Search,
    /// The winner, per day.
    pub model: Model,
    /// Its adjusted R² in the weighted fit; zero by definition for [`Shape::InterceptOnly`].
    pub r_squared_adj: f64,
    /// How well the energy of whole bills is met. R² here is the squared correlation of observed and predicted bills.
    pub metrics: Metrics,
    /// Every candidate in canonical order, losers included.
    pub candidates: Candidates,
    /// The fitted bills in order of time.
    pub bills: Vec<FittedBill>,
}

impl BillingFit {
    /// Whether there are too few bills for their statistics to mean anything.
    pub fn is_thin(&self) -> bool {
        self.bills.len() < BILLS_MIN
    }

    /// Whether the winner depends on the weather at all.
    pub fn responds_to_weather(&self) -> bool {
        self.model.kind != Shape::InterceptOnly
    }
}

/// One bill of the baseline as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedBill {
    /// When it begins.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// The days whose weather counts: its weight.
    pub kept_days: f64,
    /// The energy of the bill, Wh.
    pub use_wh: f64,
    /// Use minus the model's prediction for the whole bill, Wh.
    pub residual_wh: f64,
}

/// Fits every admissible shape at every balance point to bills and keeps the best.
///
/// * Shape: bills of the baseline in order of time; those without energy or weather take no part.
/// * Units: Wh and °F in; intercept Wh per day and slopes Wh per °F·day out.
/// * Errors: [`FitError::NoneAdmissible`] with each candidate's reason, [`FitError::NoUse`], [`FitError::Empty`].
/// * Source: CalTRACK 2.0, 3.2-3.4: least squares weighted with the days of the bill, no least number of days with degree days.
pub fn fit_bills(bills: &[Bill], commodity: Commodity, search: &Search) -> Result<BillingFit, FitError> {
    let used: Vec<(&Bill, f64)> = bills
        .iter()
        .filter(|bill| !bill.days_f.is_empty())
        .filter_map(|bill| Some((bill, bill.use_wh.filter(|wh| *wh != 0.0 || commodity == Commodity::Gas)?)))
        .collect();
    if used.is_empty() {
        return Err(FitError::Empty);
    }
    if used.iter().map(|(_, wh)| wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: used.len() });
    }
    let table = Table::new(&used);
    let tried = fit_all(&table, search, commodity);
    let mean = Estimate { intercept: table.mean, hdd: 0.0, cdd: 0.0, r_squared_adj: 0.0 };
    let Some((index, points, estimate)) = choose(tried.finalists(), mean, search.gain_min, |points| table.refit(points)) else {
        return Err(FitError::NoneAdmissible { candidates: Candidates::listed(tried.candidates, None) });
    };
    let candidates = Candidates::listed(tried.candidates, Some((index, estimate)));
    let model = model_of(points, estimate);
    let fitted: Vec<FittedBill> = used
        .iter()
        .map(|(bill, use_wh)| FittedBill {
            start: bill.start,
            end: bill.end,
            kept_days: bill.kept_days(),
            use_wh: *use_wh,
            residual_wh: use_wh - per_day(&model, bill) * bill.days(),
        })
        .collect();
    let rows: Residuals = fitted
        .iter()
        .zip(std::iter::once(None).chain(fitted.iter().map(|bill| Some(bill.end))))
        .map(|(bill, before)| Residual { observed: bill.use_wh, residual: bill.residual_wh, follows: before == Some(bill.start) })
        .collect();
    let mut metrics = metrics_of(&rows, model.kind.slopes().into(), model.kind.fitted_quantities().into());
    metrics.set_r_squared(squared_correlation(&rows));
    Ok(BillingFit {
        method: BILLING_METHOD.to_owned(),
        commodity,
        search: *search,
        r_squared_adj: estimate.r_squared_adj,
        model,
        metrics,
        candidates,
        bills: fitted,
    })
}

/// Mean use per day that the model expects in the weather of a bill, Wh.
fn per_day(model: &Model, bill: &Bill) -> f64 {
    let heating = model.hdd.and_then(|term| Some(term.beta * bill.heating_f(term.balance_f)?));
    let cooling = model.cdd.and_then(|term| Some(term.beta * bill.cooling_f(term.balance_f)?));
    model.intercept + heating.unwrap_or(0.0) + cooling.unwrap_or(0.0)
}

#[cfg(test)]
#[path = "billing_tests.rs"]
mod tests;
