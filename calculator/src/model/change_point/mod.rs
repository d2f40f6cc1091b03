//! Change-point models of one to five parameters, found exactly and not on a grid.
//!
//! Between two neighbouring temperatures the best place of a change-point is known in closed form: fit the pieces apart, and
//! where they cross inside the gap, that is the optimum; otherwise it lies on a temperature of the data. So one sweep over
//! the gaps finds the best fit there is, for one change-point in O(n) and for two in O(n²) steps of constant cost.
//!
//! * Source: the family of ASHRAE RP-1050; Hudson 1966 for the argument about the gaps.

mod exact;
mod pieces;
mod profile;

use serde::{Deserialize, Serialize};

pub use exact::ChangePointSearch;
use exact::{Found, search_kind};
use pieces::Sorted;

use super::parameters::{Parameter, Parameters};
use super::select::{FitError, FittedDay};
use super::statistics::{Metrics, metrics_of_days};
use crate::baseline::{Commodity, Day};

/// The name of the method and of our edition of it.
pub const CHANGE_POINT_METHOD: &str = "change-point-exact/1";

/// The form of a change-point model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChangePointKind {
    /// A mean.
    #[serde(rename = "mean")]
    Mean,
    /// A line: a + b·T.
    #[serde(rename = "2p")]
    TwoParameter,
    /// Flat, then rising with the heat: a + c·(T − τ)⁺.
    #[serde(rename = "3pc")]
    ThreeParameterCooling,
    /// Falling with warmth, then flat: a + h·(τ − T)⁺.
    #[serde(rename = "3ph")]
    ThreeParameterHeating,
    /// Two lines that meet: a + h·(τ − T)⁺ + c·(T − τ)⁺.
    #[serde(rename = "4p")]
    FourParameter,
    /// Two lines with a flat part between: a + h·(τ₁ − T)⁺ + c·(T − τ₂)⁺.
    #[serde(rename = "5p")]
    FiveParameter,
    /// As the one before, but the middle may slope: what nmecr calls five parameters.
    #[serde(rename = "5p_sloped")]
    FiveParameterSloped,
}

impl ChangePointKind {
    /// All of them, the simpler first.
    pub const ALL: [Self; 7] = [
        Self::Mean,
        Self::TwoParameter,
        Self::ThreeParameterCooling,
        Self::ThreeParameterHeating,
        Self::FourParameter,
        Self::FiveParameter,
        Self::FiveParameterSloped,
    ];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::TwoParameter => "2p",
            Self::ThreeParameterCooling => "3pc",
            Self::ThreeParameterHeating => "3ph",
            Self::FourParameter => "4p",
            Self::FiveParameter => "5p",
            Self::FiveParameterSloped => "5p_sloped",
        }
    }

    /// Fitted quantities, change-points included: `q` in the formulas.
    pub const fn quantities(self) -> u16 {
        match self {
            Self::Mean => 1,
            Self::TwoParameter => 2,
            Self::ThreeParameterCooling | Self::ThreeParameterHeating => 3,
            Self::FourParameter => 4,
            Self::FiveParameter => 5,
            Self::FiveParameterSloped => 6,
        }
    }

    /// Slopes: `c` in the formulas.
    pub const fn slopes(self) -> u16 {
        match self {
            Self::Mean => 0,
            Self::TwoParameter | Self::ThreeParameterCooling | Self::ThreeParameterHeating => 1,
            Self::FourParameter | Self::FiveParameter => 2,
            Self::FiveParameterSloped => 3,
        }
    }
}

/// A change-point with its slope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// Where the slope begins, °F.
    pub at_f: f64,
    /// Wh per °F·day away from it.
    pub slope: f64,
    /// The interval of `at_f` by profile likelihood, °F; `None` where it was not asked for.
    pub interval_f: Option<(f64, f64)>,
}

/// A model of a day's use over its mean temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangePointModel {
    /// Its form.
    pub kind: ChangePointKind,
    /// Wh per day: of the flat part, at 0 °F for a line, at the lower change-point for a sloped middle.
    pub base: f64,
    /// Wh per °F·day of a line or of a sloped middle; zero in every other form.
    pub slope: f64,
    /// What begins below.
    pub heating: Option<Knee>,
    /// What begins above.
    pub cooling: Option<Knee>,
}

impl ChangePointModel {
    /// Wh of heating on a day with this mean temperature.
    pub fn heating_wh(&self, mean_f: f64) -> f64 {
        self.heating.map_or(0.0, |knee| knee.slope * (knee.at_f - mean_f).max(0.0))
    }

    /// Wh of cooling on a day with this mean temperature.
    pub fn cooling_wh(&self, mean_f: f64) -> f64 {
        self.cooling.map_or(0.0, |knee| knee.slope * (mean_f - knee.at_f).max(0.0))
    }

    /// Wh of the part between the change-points, or of the line.
    pub fn base_wh(&self, mean_f: f64) -> f64 {
        self.base + self.slope * self.middle(mean_f)
    }

    /// Wh of a day of 24 hours with this mean temperature.
    pub fn predict_wh(&self, mean_f: f64) -> f64 {
        self.base_wh(mean_f) + self.heating_wh(mean_f) + self.cooling_wh(mean_f)
    }

    fn middle(&self, mean_f: f64) -> f64 {
        match (self.heating, self.cooling) {
            (Some(low), Some(high)) => (mean_f.min(high.at_f) - low.at_f).max(0.0),
            _ => mean_f,
        }
    }

    /// The model's parameters, energies divided by `unit_wh`, the watt-hours of one unit.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        let mut params = vec![("intercept", Parameter::Number(self.base / unit_wh))];
        if matches!(self.kind, ChangePointKind::TwoParameter | ChangePointKind::FiveParameterSloped) {
            params.push(("slope", Parameter::Number(self.slope / unit_wh)));
        }
        for (knee, slope, point, interval) in [
            (self.heating, "beta_hdd", "heating_balance_point", "heating_balance_point_interval"),
            (self.cooling, "beta_cdd", "cooling_balance_point", "cooling_balance_point_interval"),
        ] {
            let Some(knee) = knee else { continue };
            params.push((slope, Parameter::Number(knee.slope / unit_wh)));
            params.push((point, Parameter::Number(knee.at_f)));
            params.extend(knee.interval_f.map(|(low, high)| (interval, Parameter::List(vec![low, high]))));
        }
        Parameters::new(self.kind.name(), params)
    }
}

/// One form and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangePointCandidate {
    /// The form.
    pub kind: ChangePointKind,
    /// Its best model; `None` when the constraints on rows and signs leave none.
    pub model: Option<ChangePointModel>,
    /// Σr² of that model, Wh².
    pub sse: f64,
    /// n·ln(Σr²/n) + q·ln n, as relative to other models of the same rows.
    pub bic: f64,
}

/// A selected model with the forms that lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangePointFit {
    /// [`CHANGE_POINT_METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// What was allowed.
    pub search: ChangePointSearch,
    /// The form with the least information criterion.
    pub model: ChangePointModel,
    /// Σr², Wh².
    pub sse: f64,
    /// Its information criterion.
    pub bic: f64,
    /// How well it fits.
    pub metrics: Metrics,
    /// Every form in order of its parameters, losers included.
    pub candidates: Vec<ChangePointCandidate>,
    /// The fitted days in order of time.
    pub days: Vec<FittedDay>,
}

/// Days with energy and weather, their use per 24 hours.
pub(super) fn fitted_days(days: &[Day]) -> Vec<FittedDay> {
    days.iter()
        .filter_map(|day| {
            Some(FittedDay { date: day.date, temperature_f: day.temperature_f?, use_wh: day.use_wh? / day.length(), residual_wh: 0.0 })
        })
        .collect()
}

/// Fits every form to days and keeps the one with the least information criterion.
///
/// * Shape: days in any order; those without energy or weather take no part.
/// * Units: Wh and °F.
/// * Errors: [`FitError::Empty`], [`FitError::NoUse`].
/// * Source: BIC over {mean, 2P, 3PC, 3PH, 4P, 5P}; a change-point counts as a fitted quantity.
pub fn fit_change_points(days: &[Day], commodity: Commodity, search: &ChangePointSearch) -> Result<ChangePointFit, FitError> {
    let mut days = fitted_days(days);
    if days.is_empty() {
        return Err(FitError::Empty);
    }
    if days.iter().map(|day| day.use_wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: days.len() });
    }
    let rows: Vec<(f64, f64)> = days.iter().map(|day| (day.temperature_f, day.use_wh)).collect();
    let (mut candidates, index) = change_points(&rows, commodity, search);
    let Some(mut model) = candidates[index].model else { return Err(FitError::Empty) };
    profile::add_intervals(&mut model, &Sorted::new(&rows), candidates[index].sse);
    candidates[index].model = Some(model);
    for day in &mut days {
        day.residual_wh = day.use_wh - model.predict_wh(day.temperature_f);
    }
    Ok(ChangePointFit {
        method: CHANGE_POINT_METHOD.to_owned(),
        commodity,
        search: *search,
        model,
        sse: candidates[index].sse,
        bic: candidates[index].bic,
        metrics: metrics_of_days(&days, model.kind.slopes(), model.kind.quantities()),
        candidates,
        days,
    })
}

/// Every form fitted to (temperature, use), and the index of the best: the mean at least.
pub(super) fn change_points(rows: &[(f64, f64)], commodity: Commodity, search: &ChangePointSearch) -> (Vec<ChangePointCandidate>, usize) {
    let sorted = Sorted::new(rows);
    let candidates: Vec<ChangePointCandidate> = ChangePointKind::ALL
        .into_iter()
        .filter(|kind| search.allows(*kind, commodity))
        .map(|kind| {
            let found = search_kind(kind, &sorted, search);
            let (model, sse) = found.map_or((None, f64::MAX), |Found { model, sse }| (Some(model), sse));
            let bic = if model.is_some() { information(sse, rows.len(), kind.quantities()) } else { f64::MAX };
            ChangePointCandidate { kind, model, sse, bic }
        })
        .collect();
    let best = (0..candidates.len()).min_by(|a, b| candidates[*a].bic.total_cmp(&candidates[*b].bic)).unwrap_or(0);
    (candidates, best)
}

/// n·ln(Σr²/n) + q·ln n; the sum is kept away from zero, so that a perfect fit is a number too.
pub(super) fn information(sse: f64, rows: usize, quantities: u16) -> f64 {
    let n = rows as f64;
    n * libm::log((sse / n).max(f64::MIN_POSITIVE)) + f64::from(quantities) * libm::log(n)
}

#[cfg(test)]
#[path = "change_point_tests.rs"]
mod tests;
