//! `negawatt savings candidates`: every model that was tried, in canonical order, and the reason why each lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use calculator::assessment::{Answer, Status};
use calculator::model::{Candidate, CandidateRow, Outcome, Parameter, Parameters, Reason};
use daemon::ExitCode;
use serde::Serialize;
use serde_json::Number;

use super::input::Refused;
use super::question::Args;
use crate::cli::{Output, say};

/// One candidate by the names of the published program.
#[derive(Debug, Serialize)]
struct Tried {
    model_type: String,
    heating_balance_point: Option<Number>,
    cooling_balance_point: Option<Number>,
    status: &'static str,
    intercept: Option<f64>,
    beta_hdd: Option<f64>,
    beta_cdd: Option<f64>,
    r_squared_adj: Option<f64>,
    /// The information criterion, by which methods and forms are compared that have no common grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    bic: Option<f64>,
    /// What these columns do not hold of its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<BTreeMap<String, Parameter>>,
    selected: bool,
    /// Why it was not selected.
    reason: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Refused> {
    let answer = args.answer()?;
    let mut tried = tried(&answer, args.unit_factor()?);
    tried.extend(answer.assessment.tried.iter().map(|row| of_row(row, &answer.assessment.tried)));
    match args.output {
        Output::Json => {
            let object = serde_json::json!({
                "schema": "negawatt.savings.candidates/1",
                "method": answer.assessment.method,
                "mode": answer.assessment.mode,
                "status": answer.assessment.status,
                "digest": answer.digest,
                "candidates": tried,
            });
            say(&format!("{object}\n"));
        }
        Output::Human => say(&table(&tried)),
    }
    Ok(ExitCode::Ok)
}

/// Each candidate with its reason; energies are divided by `per_unit`.
fn tried(answer: &Answer, per_unit: f64) -> Vec<Tried> {
    let assessment = &answer.assessment;
    let best = assessment.r_squared_adj.filter(|_| assessment.status != Status::NoModel);
    let winner = assessment.model.as_ref().map(|model| {
        let point = |name: &str| model.number(name);
        (point("heating_balance_point"), point("cooling_balance_point"))
    });
    let is_winner =
        |candidate: &Candidate| winner == Some((candidate.points.heating_f.map(f64::from), candidate.points.cooling_f.map(f64::from)));
    assessment
        .candidates
        .iter()
        .map(|candidate| {
            let selected = is_winner(candidate);
            let estimate = candidate.estimate();
            let (status, reason) = match candidate.outcome {
                Outcome::Qualified(_) if selected => ("QUALIFIED", None),
                Outcome::Qualified(estimate) => ("QUALIFIED", Some(lost(estimate.r_squared_adj, best))),
                Outcome::Disqualified(reason, _) => ("DISQUALIFIED", Some(words(reason).to_owned())),
                Outcome::NotAttempted(reason) => ("NOT ATTEMPTED", Some(words(reason).to_owned())),
            };
            Tried {
                model_type: candidate.shape().name().to_owned(),
                heating_balance_point: candidate.points.heating_f.map(Number::from),
                cooling_balance_point: candidate.points.cooling_f.map(Number::from),
                status,
                intercept: estimate.map(|estimate| estimate.intercept / per_unit),
                beta_hdd: estimate.filter(|_| candidate.points.heating_f.is_some()).map(|estimate| estimate.hdd / per_unit),
                beta_cdd: estimate.filter(|_| candidate.points.cooling_f.is_some()).map(|estimate| estimate.cdd / per_unit),
                r_squared_adj: estimate.map(|estimate| estimate.r_squared_adj),
                bic: None,
                params: None,
                selected,
                reason,
            }
        })
        .collect()
}

/// A form, a split, a month or a method.
fn of_row(row: &CandidateRow, all: &[CandidateRow]) -> Tried {
    let number = |name: &str| row.parameters.as_ref().and_then(|parameters| parameters.number(name));
    let point = |name: &str| number(name).and_then(Number::from_f64);
    let least = all.iter().filter(|other| other.selected).find_map(|other| other.bic);
    let reason = match (&row.reason, row.bic.zip(least)) {
        (Some(reason), _) => Some(plain(reason)),
        (None, Some((bic, least))) if !row.selected && bic > least => {
            Some(format!("its information criterion is {:.1} higher", bic - least))
        }
        (None, _) if !row.selected => Some("as good as the selected one, which comes first in order".to_owned()),
        _ => None,
    };
    let rest = |parameters: &Parameters| -> BTreeMap<String, Parameter> {
        let mut rest = parameters.params.clone();
        rest.retain(|name, _| {
            !["intercept", "beta_hdd", "beta_cdd", "heating_balance_point", "cooling_balance_point"].contains(&name.as_str())
        });
        rest
    };
    Tried {
        model_type: row.kind.clone(),
        heating_balance_point: point("heating_balance_point"),
        cooling_balance_point: point("cooling_balance_point"),
        status: match row.status {
            "qualified" => "QUALIFIED",
            "disqualified" => "DISQUALIFIED",
            _ => "NOT ATTEMPTED",
        },
        intercept: number("intercept"),
        beta_hdd: number("beta_hdd"),
        beta_cdd: number("beta_cdd"),
        r_squared_adj: row.r_squared_adj,
        bic: row.bic,
        params: row.parameters.as_ref().map(rest).filter(|rest| !rest.is_empty()),
        selected: row.selected,
        reason,
    }
}

/// A reason in words.
fn plain(reason: &str) -> String {
    match reason {
        "no_place_within_the_rules" => "no place of its change-points satisfies the rules on rows and signs".to_owned(),
        "few_days_in_a_part" => "fewer than 30 days in a part".to_owned(),
        other => other.to_owned(),
    }
}

fn lost(r_squared_adj: f64, best: Option<f64>) -> String {
    match best {
        Some(best) if best - r_squared_adj <= 1e-12 => "as good as the selected one, which comes first in order".to_owned(),
        Some(best) if best < r_squared_adj => "explains too little more than the mean for strict mode".to_owned(),
        Some(best) => format!("explains less: adjusted R² is {:.3e} lower", best - r_squared_adj),
        None => "nothing was selected".to_owned(),
    }
}

const fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::FewHeatingDegreeDays => "fewer than 20 heating degree days",
        Reason::FewCoolingDegreeDays => "fewer than 20 cooling degree days",
        Reason::FewHeatingDays => "fewer than 10 days with heating degree days",
        Reason::FewCoolingDays => "fewer than 10 days with cooling degree days",
        Reason::Singular => "its variables cannot be told apart",
        Reason::NegativeIntercept => "its base load is negative",
        Reason::NegativeHeating => "its heating falls when it gets colder",
        Reason::NegativeCooling => "its cooling falls when it gets warmer",
    }
}

fn table(tried: &[Tried]) -> String {
    let width = tried.iter().map(|one| one.model_type.len()).max().unwrap_or(0).max(14) + 2;
    let by_bic = tried.iter().any(|one| one.bic.is_some());
    let criterion = if by_bic { "BIC" } else { "adjusted R²" };
    let mut text = format!("{:<width$}{:>6}{:>6}  {:<14}{criterion:>12}  {}\n", "model", "hdd", "cdd", "status", "reason");
    for one in tried {
        let point = |point: &Option<Number>| {
            let degrees = |number: &Number| {
                number.as_u64().map_or_else(|| format!("{:.2}", number.as_f64().unwrap_or(f64::NAN)), |whole| whole.to_string())
            };
            point.as_ref().map_or_else(|| "-".to_owned(), degrees)
        };
        let fit = match (one.bic, one.r_squared_adj) {
            (Some(bic), _) => format!("{bic:.2}"),
            (None, Some(fit)) => format!("{fit:.6}"),
            (None, None) => "-".to_owned(),
        };
        let reason = if one.selected { "selected" } else { one.reason.as_deref().unwrap_or_default() };
        let (heating, cooling) = (point(&one.heating_balance_point), point(&one.cooling_balance_point));
        // Writing to a text in memory cannot fail.
        writeln!(text, "{:<width$}{heating:>6}{cooling:>6}  {:<14}{fit:>12}  {reason}", one.model_type, one.status).unwrap_or_default();
    }
    text
}
