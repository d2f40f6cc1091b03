//! What is kept of a meter: a line of `meters.jsonl`, and a row of `meters.parquet`.

use calculator::assessment::{Answer, AvoidedEnergy, FittedModel, Status};
use calculator::baseline::{EnergyUnit, Severity};
use calculator::model::Parameter;
use calculator::portfolio::{Month, Role, months_of};
use serde::{Deserialize, Serialize};

use super::super::input::Fault;

/// What became of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Qualified,
    Disqualified,
    NoModel,
    /// Its input was refused; `error` says why.
    Refused,
}

impl Outcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Qualified => "qualified",
            Self::Disqualified => "disqualified",
            Self::NoModel => "no_model",
            Self::Refused => "refused",
        }
    }
}

/// Where a meter stands among the others; it decides nothing of its own result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) station: String,
    pub(super) role: Role,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) stratum: String,
}

/// One meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) meter: String,
    /// SHA-256 over everything that decides the result: by it a finished meter is known again.
    pub(super) key: String,
    pub(super) standing: Standing,
    pub(super) status: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Fault>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<EnergyUnit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<FittedModel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) r_squared_adj: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cvrmse_adj: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) autocorr_resid: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) n_prime: Option<f64>,
    /// The names of the rules that do not hold, those that forbid first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) forbidden_by: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) avoided: Option<AvoidedEnergy>,
    /// Months of the baseline and of the reporting period: year and month in one number, expected and used, Wh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) before: Vec<(i32, i64, i64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) after: Vec<(i32, i64, i64)>,
    /// That of the answer, as `savings report` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
}

impl Row {
    /// A meter that was refused.
    pub(super) const fn refused(meter: String, key: String, standing: Standing, error: Fault) -> Self {
        Self {
            meter,
            key,
            standing,
            status: Outcome::Refused,
            error: Some(error),
            unit: None,
            model: None,
            r_squared_adj: None,
            cvrmse_adj: None,
            autocorr_resid: None,
            n_prime: None,
            forbidden_by: Vec::new(),
            warnings: Vec::new(),
            avoided: None,
            before: Vec::new(),
            after: Vec::new(),
            digest: None,
        }
    }

    /// What an answer says, without what nobody lists of thousands.
    pub(super) fn answered(meter: String, key: String, standing: Standing, answer: Answer) -> Self {
        let (assessment, unit) = (answer.assessment, answer.inputs.settings.unit);
        let per_unit = unit.to_wh(1.0);
        let months = |rows| months_of(rows, per_unit).unwrap_or_default().iter().map(written).collect();
        let metrics = assessment.metrics.as_ref();
        let names = |severity| {
            let found = assessment.sufficiency.findings.iter().filter(|found| found.severity == severity);
            found.map(|found| found.name.clone()).collect()
        };
        Self {
            meter,
            key,
            standing,
            status: match assessment.status {
                Status::Qualified => Outcome::Qualified,
                Status::Disqualified => Outcome::Disqualified,
                Status::NoModel => Outcome::NoModel,
            },
            error: None,
            unit: Some(unit),
            r_squared_adj: assessment.r_squared_adj,
            cvrmse_adj: metrics.and_then(|metrics| metrics.cvrmse_adj),
            autocorr_resid: metrics.and_then(|metrics| metrics.autocorr_resid),
            n_prime: metrics.and_then(|metrics| metrics.n_prime),
            forbidden_by: names(Severity::Disqualification),
            warnings: names(Severity::Warning),
            before: months(&assessment.before),
            after: months(&assessment.after),
            model: assessment.model.map(scalars),
            avoided: assessment.avoided,
            digest: Some(answer.digest),
        }
    }

    /// Whether its figures may be added to others: a qualified baseline, a comparison, and an interval.
    pub(super) fn figures(&self) -> Option<Figures> {
        let avoided = self.avoided.as_ref().filter(|_| self.status == Outcome::Qualified)?;
        let half = avoided.interval_90_half_width?;
        let found = Figures { counterfactual: avoided.counterfactual, observed: avoided.observed, savings: avoided.savings, half };
        [found.counterfactual, found.observed, found.savings, found.half].iter().all(|value| value.is_finite()).then_some(found)
    }
}

/// What is added up, in the unit of the meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) counterfactual: f64,
    pub(super) observed: f64,
    pub(super) savings: f64,
    pub(super) half: f64,
}

/// Parameters that are one number: a model of hours has thousands of others.
fn scalars(mut model: FittedModel) -> FittedModel {
    model.params.retain(|_, parameter| matches!(parameter, Parameter::Number(_) | Parameter::Whole(_)));
    model
}

/// A month as it is written: 201701 is January of 2017.
pub(super) fn written(month: &Month) -> (i32, i64, i64) {
    (month.number.div_euclid(12) * 100 + month.number.rem_euclid(12) + 1, month.counterfactual_wh, month.observed_wh)
}

/// And as it is read again.
pub(super) fn month(written: &(i32, i64, i64)) -> Month {
    let (number, counterfactual_wh, observed_wh) = *written;
    Month { number: number.div_euclid(100) * 12 + number.rem_euclid(100) - 1, counterfactual_wh, observed_wh }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_as_it_was_written() {
        for number in [24_192, 24_203, 24_204] {
            let one = Month { number, counterfactual_wh: 5, observed_wh: -3 };
            assert_eq!(month(&written(&one)), one);
        }
        assert_eq!(written(&Month { number: 2_017 * 12, counterfactual_wh: 0, observed_wh: 0 }).0, 201_701);
    }
}
