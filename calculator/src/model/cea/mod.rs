//! Controlled environments: greenhouses and indoor farms, whose use follows light, moisture, water and the crop besides the
//! weather.
//!
//! Use per day is a base load, degree days at balance points from the grid, the declared variables and a level for each crop
//! stage. The declared part is projected out once, so that every balance point costs as little as without it. Variables that
//! the measure itself moves are refused before anything is fitted ([`Plan`]); output that lies far outside the baseline is
//! found afterwards ([`CeaFit::range_findings`]).
//!
//! A ratio such as kWh per kg is never used: with a base load it falls when output rises, although nothing was saved.

mod crop;
mod crop_cycle;
mod drivers;
mod grid;
mod physics;
mod variables;

use serde::{Deserialize, Serialize};

pub use crop::Crop;
pub use crop_cycle::{Growth, Harvest, HarvestError, grown};
pub use drivers::{DriverRow, Drivers};
pub use physics::{PRESSURE_KPA, dehumidification, humidity_ratio, indoor_light, lamp_energy, light_demand, sun_light};
pub use variables::{Election, Measure, NotExogenous, Plan, Variable};

use super::fitted::Load;
use super::ols::{Orthogonal, dot};
use super::parameters::{Parameter, Parameters};
use super::select::FittedDay;
use super::shape::{BalancePoints, Search, Term};
use super::statistics::{Metrics, metrics_of_days};
use crate::baseline::{Commodity, Day};
use crate::degree_days;

/// The name of the method and of our edition of it.
pub const CEA_METHOD: &str = "controlled-environment/1";

/// Beyond the baseline's range by more than this share of it, a variable extrapolates.
pub(crate) const EXTRAPOLATES: f64 = 0.1;
/// Beyond it by more than this share, the period is not billable without a new baseline.
const NOT_BILLABLE: f64 = 0.25;

/// A day with what else is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CeaDay {
    /// Energy and weather.
    pub day: Day,
    /// The crop's stage, when the contract tells stages apart.
    pub stage: Option<String>,
    /// The declared variables in their order.
    pub values: Vec<Option<f64>>,
}

/// A coefficient and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coefficient {
    /// A variable's name, or `stage:` and a stage.
    pub name: String,
    /// Wh per unit of the variable, or Wh per day of a stage above the first one.
    pub value: f64,
    /// Its standard error, as if days were independent.
    pub standard_error: f64,
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CeaFit {
    /// [`CEA_METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// The declared variables.
    pub variables: Vec<Variable>,
    /// The crop stages in order of their names; the first is part of the base load.
    pub stages: Vec<String>,
    /// Base load, Wh per day of 24 hours.
    pub intercept: f64,
    /// Heating.
    pub hdd: Option<Term>,
    /// Cooling.
    pub cdd: Option<Term>,
    /// One for each variable, then one for each stage but the first.
    pub coefficients: Vec<Coefficient>,
    /// Least and greatest value of each variable in the baseline.
    pub ranges: Vec<(f64, f64)>,
    /// How well it fits.
    pub metrics: Metrics,
    /// The fitted days in order of time.
    pub days: Vec<FittedDay>,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CeaError {
    /// A variable must not be used.
    #[error(transparent)]
    NotExogenous(#[from] NotExogenous),
    /// A day has more or fewer values than variables are declared.
    #[error("the day {date} has {found} values for {declared} declared variables")]
    Values {
        /// The day.
        date: jiff::civil::Date,
        /// Its values.
        found: usize,
        /// The variables.
        declared: usize,
    },
    /// A value is NaN or infinite.
    #[error("a value of the day {date} is not a finite number")]
    NotFinite {
        /// The day.
        date: jiff::civil::Date,
    },
    /// Fewer complete days than quantities to find, twice over.
    #[error("{days} complete days do not carry {quantities} quantities; at least twice as many days are needed")]
    TooFewDays {
        /// Days with energy, weather and every variable.
        days: usize,
        /// Quantities of the largest model.
        quantities: usize,
    },
    /// A variable is a combination of the base load, the stages and the variables before it.
    #[error("{name} says nothing that the base load, the stages and the variables before it do not say; leave it out")]
    Dependent {
        /// The variable or stage.
        name: String,
    },
}

/// A variable of the reporting period that leaves the baseline's range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeFinding {
    /// The variable.
    pub variable: Variable,
    /// The baseline's least and greatest value.
    pub baseline: (f64, f64),
    /// The reporting period's mean of the variable.
    pub mean: f64,
    /// How far the mean lies outside, as a share of the range.
    pub beyond: f64,
    /// Whether the period may still be billed.
    pub billable: bool,
}

/// Fits a controlled environment.
///
/// * Shape: days in order of time; those lacking energy, weather or a variable take no part. All have a stage or none has.
/// * Units: Wh, °F, and the units of [`Variable::unit`].
/// * Errors: a variable that the plan or the measure forbids, days that do not carry the model, a variable that is none.
pub fn fit_cea(
    days: &[CeaDay],
    variables: &[Variable],
    plan: &Plan,
    election: Election,
    commodity: Commodity,
    search: &Search,
) -> Result<CeaFit, CeaError> {
    plan.check(variables, election)?;
    let rows = complete(days, variables)?;
    let mut stages: Vec<String> = rows.iter().filter_map(|row| row.stage.clone()).collect();
    stages.sort();
    stages.dedup();
    let quantities = 5 + variables.len() + stages.len().saturating_sub(1);
    if rows.len() < 2 * quantities {
        return Err(CeaError::TooFewDays { days: rows.len(), quantities });
    }
    let mut declared = vec![vec![1.0; rows.len()]];
    let mut names = Vec::with_capacity(quantities);
    for (index, variable) in variables.iter().enumerate() {
        names.push(variable.name().to_owned());
        declared.push(rows.iter().map(|row| row.values[index]).collect());
    }
    for stage in stages.iter().skip(1) {
        names.push(format!("stage:{stage}"));
        declared.push(rows.iter().map(|row| if row.stage.as_ref() == Some(stage) { 1.0 } else { 0.0 }).collect());
    }
    let use_wh: Vec<f64> = rows.iter().map(|row| row.fitted.use_wh).collect();
    let temperatures: Vec<f64> = rows.iter().map(|row| row.fitted.temperature_f).collect();
    let projected = Orthogonal::new(&declared);
    if let Some(index) = (1..declared.len()).find(|column| !projected.keeps(*column)) {
        return Err(CeaError::Dependent { name: names[index - 1].clone() });
    }
    let points = grid::best(&projected, &temperatures, &use_wh, search, commodity);
    let mut columns = declared;
    columns.extend(degree_day_columns(points, &temperatures));
    let (design, solution) = Orthogonal::solving(columns.clone(), &use_wh);

    let mut slopes = solution.iter().skip(names.len() + 1).copied();
    let term = |point: Option<u8>, slope: Option<f64>| point.zip(slope).map(|(point, beta)| Term { balance_f: f64::from(point), beta });
    let hdd = term(points.heating_f, points.heating_f.and_then(|_| slopes.next()));
    let cdd = term(points.cooling_f, points.cooling_f.and_then(|_| slopes.next()));
    let mut fitted: Vec<FittedDay> = rows.iter().map(|row| row.fitted).collect();
    for (row, day) in fitted.iter_mut().enumerate() {
        day.residual_wh = day.use_wh - columns.iter().zip(&solution).map(|(column, value)| column[row] * value).sum::<f64>();
    }
    let unexplained: f64 = fitted.iter().map(|day| day.residual_wh * day.residual_wh).sum();
    let free = rows.len() as f64 - columns.len() as f64 - f64::from(points.shape().slopes());
    let sigma = (unexplained / free.max(1.0)).sqrt();
    let coefficients = names
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let mut one = vec![0.0; columns.len()];
            one[index + 1] = 1.0;
            let weights = design.weights(&one, rows.len());
            Coefficient { name, value: solution[index + 1], standard_error: sigma * dot(&weights, &weights).sqrt() }
        })
        .collect();
    let ranges = (0..variables.len()).map(|index| range(rows.iter().map(|row| row.values[index]))).collect();
    let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let (c, q) = (count(columns.len() - 1), count(columns.len()).saturating_add(points.shape().slopes().into()));
    Ok(CeaFit {
        method: CEA_METHOD.to_owned(),
        commodity,
        variables: variables.to_vec(),
        stages,
        intercept: solution[0],
        hdd,
        cdd,
        coefficients,
        ranges,
        metrics: metrics_of_days(&fitted, c, q),
        days: fitted,
    })
}

impl CeaFit {
    /// What is expected of a day, variables and stage among the base load; `None` when the day lacks something or its stage
    /// was never seen.
    pub fn expected(&self, day: &CeaDay) -> Option<Load> {
        let mean_f = day.day.temperature_f?;
        let mut base_wh = self.intercept;
        for ((value, variable), coefficient) in day.values.iter().zip(&self.variables).zip(&self.coefficients) {
            debug_assert_eq!(variable.name(), coefficient.name, "coefficients begin with the variables");
            base_wh += coefficient.value * (*value)?;
        }
        if let Some(first) = self.stages.first() {
            let stage = day.stage.as_ref()?;
            if stage != first {
                let name = format!("stage:{stage}");
                base_wh += self.coefficients.iter().find(|coefficient| coefficient.name == name)?.value;
            }
        }
        if day.values.len() != self.variables.len() {
            return None;
        }
        let length = day.day.length();
        Some(Load {
            base_wh: base_wh * length,
            heating_wh: self.hdd.map_or(0.0, |term| term.beta * degree_days::heating(term.balance_f, mean_f)),
            cooling_wh: self.cdd.map_or(0.0, |term| term.beta * degree_days::cooling(term.balance_f, mean_f)),
        })
    }

    /// What the coefficients of a day of 24 hours stand by, the base load's one first; `None` where the day lacks something.
    pub(crate) fn columns_of(&self, day: &CeaDay) -> Option<Vec<f64>> {
        let mean_f = day.day.temperature_f?;
        let mut row = vec![1.0];
        for value in &day.values {
            row.push((*value)?);
        }
        for stage in self.stages.iter().skip(1) {
            row.push(if day.stage.as_ref()? == stage { 1.0 } else { 0.0 });
        }
        row.extend(self.hdd.map(|term| degree_days::heating(term.balance_f, mean_f)));
        row.extend(self.cdd.map(|term| degree_days::cooling(term.balance_f, mean_f)));
        (day.values.len() == self.variables.len()).then_some(row)
    }

    /// The derivatives of a day's expectation by everything that was fitted; `None` where the day lacks something.
    ///
    /// * Units: the length of the day in days of 24 hours.
    pub(crate) fn variables_of(&self, day: &CeaDay, length: f64) -> Option<Vec<f64>> {
        let mean_f = day.day.temperature_f?;
        let mut row = vec![length];
        for value in &day.values {
            row.push((*value)? * length);
        }
        for stage in self.stages.iter().skip(1) {
            row.push(if day.stage.as_ref()? == stage { length } else { 0.0 });
        }
        if let Some(term) = self.hdd {
            row.push(degree_days::heating(term.balance_f, mean_f));
            row.push(if mean_f < term.balance_f { term.beta } else { 0.0 });
        }
        if let Some(term) = self.cdd {
            row.push(degree_days::cooling(term.balance_f, mean_f));
            row.push(if mean_f > term.balance_f { -term.beta } else { 0.0 });
        }
        (day.values.len() == self.variables.len()).then_some(row)
    }

    /// The parameters, energies divided by `unit_wh`, the watt-hours of one unit.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        let mut params = vec![("intercept".to_owned(), Parameter::Number(self.intercept / unit_wh))];
        for (term, slope, point) in [(self.hdd, "beta_hdd", "heating_balance_point"), (self.cdd, "beta_cdd", "cooling_balance_point")] {
            let Some(term) = term else { continue };
            params.push((slope.to_owned(), Parameter::Number(term.beta / unit_wh)));
            params.push((point.to_owned(), Parameter::Number(term.balance_f)));
        }
        for coefficient in &self.coefficients {
            params.push((format!("beta_{}", coefficient.name), Parameter::Number(coefficient.value / unit_wh)));
            params.push((format!("standard_error_{}", coefficient.name), Parameter::Number(coefficient.standard_error / unit_wh)));
        }
        Parameters { kind: "controlled_environment".to_owned(), params: params.into_iter().collect() }
    }

    /// Energy per kg of a day if this much were grown in it, Wh: base load spread over the output, what each kg adds, weather.
    ///
    /// Compare it only at equal output.
    pub fn specific_energy_wh(&self, day: &CeaDay, production_kg: f64) -> Option<f64> {
        let index = self.variables.iter().position(|variable| *variable == Variable::Production)?;
        let mut day = day.clone();
        *day.values.get_mut(index)? = Some(production_kg);
        (production_kg > 0.0).then(|| self.expected(&day).map(|load| load.total_wh() / production_kg)).flatten()
    }

    /// Variables whose mean over the reporting days leaves the baseline's range by more than a tenth of it.
    pub fn range_findings(&self, reporting: &[CeaDay]) -> Vec<RangeFinding> {
        let mut findings = Vec::new();
        for (index, (variable, (low, high))) in self.variables.iter().zip(&self.ranges).enumerate() {
            let values: Vec<f64> = reporting.iter().filter_map(|day| day.values.get(index).copied().flatten()).collect();
            if values.is_empty() {
                continue;
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let width = (high - low).max(f64::MIN_POSITIVE);
            let beyond = (low - mean).max(mean - high).max(0.0) / width;
            if beyond > EXTRAPOLATES {
                findings.push(RangeFinding {
                    variable: *variable,
                    baseline: (*low, *high),
                    mean,
                    beyond,
                    billable: beyond <= NOT_BILLABLE,
                });
            }
        }
        findings
    }
}

/// A day that has everything.
#[derive(Debug)]
struct Row {
    fitted: FittedDay,
    stage: Option<String>,
    values: Vec<f64>,
}

fn complete(days: &[CeaDay], variables: &[Variable]) -> Result<Vec<Row>, CeaError> {
    let staged = days.iter().any(|day| day.stage.is_some());
    let mut rows = Vec::with_capacity(days.len());
    for day in days {
        let date = day.day.date;
        if day.values.len() != variables.len() {
            return Err(CeaError::Values { date, found: day.values.len(), declared: variables.len() });
        }
        let known = [day.day.use_wh, day.day.temperature_f];
        if known.iter().chain(&day.values).flatten().any(|value| !value.is_finite()) {
            return Err(CeaError::NotFinite { date });
        }
        let values: Option<Vec<f64>> = day.values.iter().copied().collect();
        let (Some(values), Some(use_wh), Some(temperature_f)) = (values, day.day.use_wh, day.day.temperature_f) else { continue };
        if day.stage.is_none() && staged {
            continue;
        }
        let fitted = FittedDay { date, temperature_f, use_wh: use_wh / day.day.length(), residual_wh: 0.0 };
        rows.push(Row { fitted, stage: day.stage.clone(), values });
    }
    Ok(rows)
}

fn degree_day_columns(points: BalancePoints, temperatures: &[f64]) -> Vec<Vec<f64>> {
    let column = |value: &dyn Fn(f64) -> f64| temperatures.iter().map(|mean_f| value(*mean_f)).collect::<Vec<f64>>();
    let heating = points.heating_f.map(|point| column(&|mean_f| degree_days::heating(f64::from(point), mean_f)));
    let cooling = points.cooling_f.map(|point| column(&|mean_f| degree_days::cooling(f64::from(point), mean_f)));
    heating.into_iter().chain(cooling).collect()
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
#[path = "cea_tests.rs"]
mod tests;
