//! One seam for all methods: rows in, a fitted model out, and what it expects of other rows.
//!
//! Each method keeps its own fit with its own evidence. [`Fitted`] holds any of them, so that a command line, a report or
//! a comparison with the reporting period is written once: [`fit_by`], then [`Fitted::predict`], [`Fitted::parameters`].

use serde::{Deserialize, Serialize};

use super::best::fit_best;
use super::billing::{BillingFit, fit_bills};
use super::by_month::ByMonth;
use super::candidates::Candidates;
use super::cea::{CeaDay, CeaError, CeaFit, Drivers, fit_cea};
use super::change_point::{ChangePointFit, ChangePointKind, ChangePointModel, ChangePointSearch, fit_change_points};
use super::hourly::{HourlyFit, fit_hours};
use super::method::{Method, Mode};
use super::parameters::Parameters;
use super::select::{Fit, FitError, fit};
use super::shape::{Model, Search};
use super::splits::SplitFit;
use super::statistics::Metrics;
use super::towt::{TowtFit, TowtSearch, fit_towt, slots_of_days, slots_of_hours, weekday};
use crate::baseline::{Baseline, Bill, Commodity, Day, Hour};

/// The rows of a baseline.
#[derive(Clone, Copy, Debug)]
pub enum Observations<'a> {
    /// Civil days that the method allows to fit.
    Days(&'a Baseline),
    /// Bills in order of time.
    Bills(&'a [Bill]),
    /// Hours in order of time.
    Hours(&'a [Hour]),
    /// Civil days that the method allows to fit, with what is known beside them.
    Driven(&'a Baseline, &'a Drivers),
}

/// Rows of a reporting period or of a normal year; what a model needs of them is their time and their weather.
#[derive(Clone, Copy, Debug)]
pub enum Conditions<'a> {
    /// Civil days.
    Days(&'a [Day]),
    /// Bills.
    Bills(&'a [Bill]),
    /// Hours.
    Hours(&'a [Hour]),
    /// Civil days with what is known beside them.
    Driven(&'a [CeaDay]),
}

impl Conditions<'_> {
    /// How many rows there are.
    pub const fn len(&self) -> usize {
        match self {
            Self::Days(rows) => rows.len(),
            Self::Bills(rows) => rows.len(),
            Self::Hours(rows) => rows.len(),
            Self::Driven(rows) => rows.len(),
        }
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The measured energy of each row, Wh.
    pub fn observed(&self) -> Vec<Option<f64>> {
        match self {
            Self::Days(rows) => rows.iter().map(|row| row.use_wh).collect(),
            Self::Bills(rows) => rows.iter().map(|row| row.use_wh).collect(),
            Self::Hours(rows) => rows.iter().map(|row| row.use_wh).collect(),
            Self::Driven(rows) => rows.iter().map(|row| row.day.use_wh).collect(),
        }
    }

    const fn noun(&self) -> &'static str {
        match self {
            Self::Days(_) => "days",
            Self::Bills(_) => "bills",
            Self::Hours(_) => "hours",
            Self::Driven(..) => DRIVEN,
        }
    }
}

/// How days with variables are called.
const DRIVEN: &str = "days with variables";

/// What a model expects of one row, in its parts.
///
/// * Units: Wh of the whole row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// What the weather does not move.
    pub base_wh: f64,
    /// What the cold adds.
    pub heating_wh: f64,
    /// What the heat adds.
    pub cooling_wh: f64,
}

impl Load {
    /// All of it.
    pub fn total_wh(&self) -> f64 {
        self.base_wh + self.heating_wh + self.cooling_wh
    }
}

/// A model of any method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "fit", rename_all = "kebab-case")]
pub enum Fitted {
    /// [`Method::CaltrackDaily`].
    CaltrackDaily(Box<Fit>),
    /// [`Method::CaltrackBilling`].
    CaltrackBilling(Box<BillingFit>),
    /// [`Method::CaltrackHourly`].
    CaltrackHourly(Box<HourlyFit>),
    /// [`Method::Towt`].
    Towt(Box<TowtFit>),
    /// [`Method::ChangePoint`].
    ChangePoint(Box<ChangePointFit>),
    /// [`Method::ControlledEnvironment`].
    #[serde(rename = "controlled-environment")]
    Cea(Box<CeaFit>),
    /// Seasons and weekdays apart: one of the models that [`Method::Best`] tries.
    Splits(Box<SplitFit>),
}

/// Rows that a method or a model cannot use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// The method wants rows of another length.
    #[error("{method} does not take {rows}; give it {wanted}")]
    Rows {
        /// The method.
        method: Method,
        /// What was given.
        rows: &'static str,
        /// What it takes.
        wanted: &'static str,
    },
    /// No model came of the rows.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// No model came of the rows and their variables.
    #[error(transparent)]
    Driven(#[from] CeaError),
}

/// Fits the rows by a method.
///
/// * Errors: [`MethodError::Rows`] when the method does not take such rows, else as the method says.
pub fn fit_by(method: Method, mode: Mode, commodity: Commodity, rows: Observations<'_>) -> Result<Fitted, MethodError> {
    match (method, rows) {
        (Method::CaltrackDaily, Observations::Days(baseline)) => {
            let search = if mode == Mode::Strict { Search::strict() } else { Search::compatible() };
            Ok(Fitted::CaltrackDaily(Box::new(fit(baseline, &search)?)))
        }
        (Method::CaltrackBilling, Observations::Bills(bills)) => {
            let gain_min = if mode == Mode::Strict { Search::strict().gain_min } else { 0.0 };
            let search = Search { gain_min, ..Search::billing() };
            Ok(Fitted::CaltrackBilling(Box::new(fit_bills(bills, commodity, &search)?)))
        }
        (Method::CaltrackHourly, Observations::Hours(hours)) => Ok(Fitted::CaltrackHourly(Box::new(fit_hours(hours, commodity)?))),
        (Method::Towt, Observations::Hours(hours)) => {
            Ok(Fitted::Towt(Box::new(fit_towt(&slots_of_hours(hours), 168, commodity, &towt(mode))?)))
        }
        (Method::Towt, Observations::Days(baseline)) => {
            Ok(Fitted::Towt(Box::new(fit_towt(&slots_of_days(baseline.days()), 7, commodity, &towt(mode))?)))
        }
        (Method::ChangePoint, Observations::Days(baseline)) => {
            let search = if mode == Mode::Strict { ChangePointSearch::strict() } else { ChangePointSearch::compatible() };
            Ok(Fitted::ChangePoint(Box::new(fit_change_points(baseline.days(), commodity, &search)?)))
        }
        (Method::ControlledEnvironment, Observations::Driven(baseline, drivers)) => {
            let search = if mode == Mode::Strict { Search::strict() } else { Search::compatible() };
            let days = drivers.beside(baseline.days());
            let fit = fit_cea(&days, &drivers.variables, &drivers.plan, drivers.election, commodity, &search)?;
            Ok(Fitted::Cea(Box::new(fit)))
        }
        (Method::Best, rows) => fit_best(mode, commodity, rows).map(|(fitted, _)| fitted),
        (method, rows) => Err(MethodError::Rows { method, rows: rows.noun(), wanted: wanted(method) }),
    }
}

/// The reference hides negative expectations; ours counts them.
fn towt(mode: Mode) -> TowtSearch {
    TowtSearch { floor_at_zero: mode == Mode::Compatible, ..TowtSearch::default() }
}

const fn wanted(method: Method) -> &'static str {
    match method {
        Method::CaltrackDaily | Method::ChangePoint => "days",
        Method::CaltrackBilling => "bills",
        Method::CaltrackHourly => "hours",
        Method::Towt => "hours or days",
        Method::ControlledEnvironment => DRIVEN,
        Method::Best => "days, bills or hours",
    }
}

impl Observations<'_> {
    const fn noun(&self) -> &'static str {
        match self {
            Self::Days(_) => "days",
            Self::Bills(_) => "bills",
            Self::Hours(_) => "hours",
            Self::Driven(..) => DRIVEN,
        }
    }
}

impl Fitted {
    /// The method that made it.
    pub const fn method(&self) -> Method {
        match self {
            Self::CaltrackDaily(_) => Method::CaltrackDaily,
            Self::CaltrackBilling(_) => Method::CaltrackBilling,
            Self::CaltrackHourly(_) => Method::CaltrackHourly,
            Self::Towt(_) => Method::Towt,
            Self::ChangePoint(_) => Method::ChangePoint,
            Self::Cea(_) => Method::ControlledEnvironment,
            Self::Splits(_) => Method::Best,
        }
    }

    /// The name of the method and of our edition of it.
    pub fn edition(&self) -> &str {
        match self {
            Self::CaltrackDaily(fit) => &fit.method,
            Self::CaltrackBilling(fit) => &fit.method,
            Self::CaltrackHourly(fit) => &fit.method,
            Self::Towt(fit) => &fit.method,
            Self::ChangePoint(fit) => &fit.method,
            Self::Cea(fit) => &fit.method,
            Self::Splits(fit) => &fit.method,
        }
    }

    /// What the meter measures.
    pub const fn commodity(&self) -> Commodity {
        match self {
            Self::CaltrackDaily(fit) => fit.commodity,
            Self::CaltrackBilling(fit) => fit.commodity,
            Self::CaltrackHourly(fit) => fit.commodity,
            Self::Towt(fit) => fit.commodity,
            Self::ChangePoint(fit) => fit.commodity,
            Self::Cea(fit) => fit.commodity,
            Self::Splits(fit) => fit.commodity,
        }
    }

    /// The model's parameters as the reference names them; `unit_wh` is the watt-hours of one unit of the meter.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        match self {
            Self::CaltrackDaily(fit) => fit.model.parameters(unit_wh),
            Self::CaltrackBilling(fit) => fit.model.parameters(unit_wh),
            Self::CaltrackHourly(fit) => fit.parameters(unit_wh),
            Self::Towt(fit) => fit.parameters(unit_wh),
            Self::ChangePoint(fit) => fit.model.parameters(unit_wh),
            Self::Cea(fit) => fit.parameters(unit_wh),
            Self::Splits(fit) => fit.parameters(unit_wh),
        }
    }

    /// Adjusted R² by which the model was chosen.
    pub const fn r_squared_adj(&self) -> f64 {
        match self {
            Self::CaltrackDaily(fit) => fit.r_squared_adj,
            Self::CaltrackBilling(fit) => fit.r_squared_adj,
            Self::CaltrackHourly(fit) => fit.metrics.r_squared_adj,
            Self::Towt(fit) => fit.metrics.r_squared_adj,
            Self::ChangePoint(fit) => fit.metrics.r_squared_adj,
            Self::Cea(fit) => fit.metrics.r_squared_adj,
            Self::Splits(fit) => fit.metrics.r_squared_adj,
        }
    }

    /// How well it fits.
    pub const fn metrics(&self) -> &Metrics {
        match self {
            Self::CaltrackDaily(fit) => &fit.metrics,
            Self::CaltrackBilling(fit) => &fit.metrics,
            Self::CaltrackHourly(fit) => &fit.metrics,
            Self::Towt(fit) => &fit.metrics,
            Self::ChangePoint(fit) => &fit.metrics,
            Self::Cea(fit) => &fit.metrics,
            Self::Splits(fit) => &fit.metrics,
        }
    }

    /// The candidates of the grid, losers included; empty for methods that search no grid.
    pub fn candidates(&self) -> &Candidates {
        static NONE: Candidates = Candidates::none();
        match self {
            Self::CaltrackDaily(fit) => &fit.candidates,
            Self::CaltrackBilling(fit) => &fit.candidates,
            Self::CaltrackHourly(_) | Self::Towt(_) | Self::ChangePoint(_) | Self::Cea(_) | Self::Splits(_) => &NONE,
        }
    }

    /// What the model expects of each row; `None` where the row lacks weather or the model has never seen its like.
    ///
    /// * Errors: [`MethodError::Rows`] when the model was not made for rows of this length.
    pub fn predict(&self, rows: Conditions<'_>) -> Result<Vec<Option<Load>>, MethodError> {
        match (self, rows) {
            (Self::CaltrackDaily(fit), Conditions::Days(days)) => Ok(days.iter().map(|day| of_day(&fit.model, day)).collect()),
            (Self::CaltrackBilling(fit), Conditions::Bills(bills)) => Ok(bills.iter().map(|bill| of_bill(&fit.model, bill)).collect()),
            // A model per day can be asked about days, whatever it was fitted to: that is how a normal year is priced.
            (Self::CaltrackBilling(fit), Conditions::Days(days)) => Ok(days.iter().map(|day| of_day(&fit.model, day)).collect()),
            (Self::CaltrackDaily(fit), Conditions::Bills(bills)) => Ok(bills.iter().map(|bill| of_bill(&fit.model, bill)).collect()),
            (Self::CaltrackHourly(fit), Conditions::Hours(hours)) => {
                let months = ByMonth::of(&fit.segments);
                let load = |hour: &Hour| months.load(hour.month, hour.hour_of_week, hour.temperature_f?);
                Ok(hours.iter().map(load).collect())
            }
            (Self::Towt(fit), Conditions::Hours(hours)) if fit.slots == 168 => {
                let load = |hour: &Hour| split(hour.temperature_f?, |degrees| fit.expected_wh(hour.hour_of_week.into(), degrees));
                Ok(hours.iter().map(load).collect())
            }
            (Self::Towt(fit), Conditions::Days(days)) if fit.slots == 7 => {
                let load = |day: &Day| split(day.temperature_f?, |degrees| Some(fit.expected_wh(weekday(day), degrees)? * day.length()));
                Ok(days.iter().map(load).collect())
            }
            (Self::ChangePoint(fit), Conditions::Days(days)) => Ok(days.iter().map(|day| of_line(&fit.model, day)).collect()),
            (Self::Splits(fit), Conditions::Days(days)) => Ok(days.iter().map(|day| of_line(fit.model_of(day.date)?, day)).collect()),
            (Self::Cea(fit), Conditions::Driven(days)) => Ok(days.iter().map(|day| fit.expected(day)).collect()),
            (_, rows) => Err(MethodError::Rows { method: self.method(), rows: rows.noun(), wanted: wanted(self.method()) }),
        }
    }
}

/// Between these temperatures nothing is called heating or cooling, °F: the knees of the degree hours that the methods use.
pub(super) const NEUTRAL_F: (f64, f64) = (50.0, 65.0);

/// Parts of an expectation that is a line over temperature: heating is what the cold below 50 °F adds, cooling what the heat
/// above 65 °F adds, the rest is base load. They sum to the expectation; a part may be negative where the line bends so.
pub(super) fn split(mean_f: f64, expected: impl Fn(f64) -> Option<f64>) -> Option<Load> {
    let total = expected(mean_f)?;
    let neutral_f = mean_f.clamp(NEUTRAL_F.0, NEUTRAL_F.1);
    let base_wh = if mean_f.total_cmp(&neutral_f).is_eq() { total } else { expected(neutral_f)? };
    let rest = total - base_wh;
    let (heating_wh, cooling_wh) = if mean_f < neutral_f { (rest, 0.0) } else { (0.0, rest) };
    Some(Load { base_wh, heating_wh, cooling_wh })
}

/// A line has no change-point that would tell its parts; there the neutral temperatures do.
fn of_line(model: &ChangePointModel, day: &Day) -> Option<Load> {
    let mean_f = day.temperature_f?;
    if model.kind == ChangePointKind::TwoParameter {
        return split(mean_f, |degrees| Some(model.predict_wh(degrees) * day.length()));
    }
    // As in CalTRACK: the base load follows the hours of the day, degree days do not.
    Some(Load { base_wh: model.base_wh(mean_f) * day.length(), heating_wh: model.heating_wh(mean_f), cooling_wh: model.cooling_wh(mean_f) })
}

fn of_day(model: &Model, day: &Day) -> Option<Load> {
    let mean_f = day.temperature_f?;
    let (heating_wh, cooling_wh) = (model.heating_wh(mean_f), model.cooling_wh(mean_f));
    Some(Load { base_wh: model.intercept * day.length(), heating_wh, cooling_wh })
}

/// Degree days of a bill are the mean of its kept days times all of its days; the base load follows its hours.
fn of_bill(model: &Model, bill: &Bill) -> Option<Load> {
    if bill.days_f.is_empty() {
        return None;
    }
    let days = f64::from(bill.days_total);
    let part = |beta: f64, mean: Option<f64>| mean.map(|mean| beta * mean * days);
    Some(Load {
        base_wh: model.intercept * bill.days(),
        heating_wh: model.hdd.and_then(|term| part(term.beta, bill.heating_f(term.balance_f))).unwrap_or(0.0),
        cooling_wh: model.cdd.and_then(|term| part(term.beta, bill.cooling_f(term.balance_f))).unwrap_or(0.0),
    })
}
