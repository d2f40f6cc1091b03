//! What is answered: one object for every method, in the unit of the meter.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::question::Question;
use super::statistics::Statistics;
use super::sufficiency::Sufficiency;
use crate::model::{CandidateRow, Candidates, Method, Mode, Parameter, Parameters};
use crate::uncertainty::Tried;

/// The name and edition of the answer's form.
pub const SCHEMA: &str = "negawatt.savings/1";

/// Whether the numbers may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The baseline satisfies every criterion and has a model.
    Qualified,
    /// No candidate qualified: there is no number at all.
    NoModel,
    /// A criterion forbids the baseline. Numbers that stand beside this are for comparison with other programs only.
    Disqualified,
}

/// A fitted model by the names of the published program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedModel {
    /// `intercept_only`, `hdd_only`, `cdd_only`, `cdd_hdd`, or the name of another family.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters: energy in the unit of the meter, temperatures in °F.
    pub params: BTreeMap<String, Parameter>,
}

/// What was not used, in the unit of the meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AvoidedEnergy {
    /// What the baseline would have used under the weather of the reporting period.
    pub counterfactual: f64,
    /// What was used.
    pub observed: f64,
    /// The difference; negative when more was used.
    pub savings: f64,
    /// Half of the published program's band by fractional savings uncertainty.
    pub fsu_band: Option<f64>,
    /// Half of its band by least squares.
    pub ols_band: Option<f64>,
    /// The part of that band that comes from not knowing the model.
    pub ols_band_model: Option<f64>,
    /// The part of it that comes from the noise of the reporting days.
    pub ols_band_noise: Option<f64>,
    /// Our interval of the savings at 90 %: from, to; none where there are too few weeks of hours to draw from.
    pub interval_90: Option<[f64; 2]>,
    /// Half of its width.
    pub interval_90_half_width: Option<f64>,
    /// The counterfactual's base load.
    pub base_load: f64,
    /// Its heating.
    pub heating_load: f64,
    /// Its cooling.
    pub cooling_load: f64,
    /// Rows of the reporting period.
    pub rows: u32,
    /// Rows with energy and weather; only these are compared.
    pub rows_compared: u32,
    /// `rows_compared / rows`; below 0.9 the period is not billable.
    pub coverage: f64,
    /// The share of what was used that lies in rows that could not be compared; none where nothing was used.
    #[serde(default)]
    pub energy_masked: Option<f64>,
}

/// The share of the energy that lies in rows that were not compared.
///
/// * Shape: what each row used, and whether it was compared.
pub(super) fn masked(rows: impl Iterator<Item = (Option<f64>, bool)>) -> Option<f64> {
    let (mut all, mut masked) = (0.0, 0.0);
    for (used, compared) in rows {
        all += used.unwrap_or(0.0);
        masked += if compared { 0.0 } else { used.unwrap_or(0.0) };
    }
    (all > 0.0).then(|| masked / all)
}

/// Whole months of so many days.
pub(super) fn months(days: f64) -> u32 {
    const DAYS_OF_MONTH: f64 = 365.25 / 12.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the months of a few years")]
    let months = (days / DAYS_OF_MONTH).round().max(0.0) as u32;
    months
}

/// A day or a bill as the model saw it, in the unit of the meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AssessedRow {
    /// The civil day on which it begins.
    pub date: Date,
    /// Mean outdoor temperature, °F.
    pub temperature_f: f64,
    /// What was used.
    pub observed: f64,
    /// What the model expects of such weather.
    pub expected: f64,
}

/// The answer, without the digest over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// How it was computed.
    pub method: Method,
    /// By whose rules.
    pub mode: Mode,
    /// Whether its numbers may be used.
    pub status: Status,
    /// The model, where there is one.
    pub model: Option<FittedModel>,
    /// The selected model's adjusted R².
    pub r_squared_adj: Option<f64>,
    /// How well it fits.
    pub metrics: Option<Statistics>,
    /// Whether the baseline may be used.
    pub sufficiency: Sufficiency,
    /// What was not used, where there is a model and a reporting period.
    pub avoided: Option<AvoidedEnergy>,
    /// The limits of protocols by name, where there is something that they limit.
    #[serde(default)]
    pub gates: Vec<Tried>,
    /// Every candidate of a grid of balance points, in canonical order.
    #[serde(skip)]
    pub candidates: Candidates,
    /// Every other candidate: forms, splits, months, methods.
    #[serde(skip)]
    pub tried: Vec<CandidateRow>,
    /// The rows of the baseline with energy and weather, in order of time; hours as the sums of their days.
    #[serde(skip)]
    pub before: Vec<AssessedRow>,
    /// The compared rows after the intervention, likewise.
    #[serde(skip)]
    pub after: Vec<AssessedRow>,
}

impl Assessment {
    /// An answer without a model.
    pub(super) const fn without_model(question: &Question, status: Status, sufficiency: Sufficiency) -> Self {
        Self {
            method: question.method,
            mode: question.mode,
            status,
            model: None,
            r_squared_adj: None,
            metrics: None,
            sufficiency,
            avoided: None,
            gates: Vec::new(),
            candidates: Candidates::none(),
            tried: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        }
    }
}

impl From<Parameters> for FittedModel {
    fn from(parameters: Parameters) -> Self {
        Self { kind: parameters.kind, params: parameters.params }
    }
}

impl FittedModel {
    /// The parameter of this name, where it is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.params.get(name)? {
            Parameter::Number(number) => Some(*number),
            Parameter::Whole(number) => i32::try_from(*number).ok().map(f64::from),
            Parameter::List(_) | Parameter::Wholes(_) | Parameter::Part(_) => None,
        }
    }
}
