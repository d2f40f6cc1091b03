//! `negawatt savings candidates`: every model that was tried, in canonical order, and the reason why each lost.

use std::fmt::Write as _;

use calculator::assessment::{Answer, Status};
use calculator::model::{Candidate, Outcome, Reason, Shape};
use daemon::ExitCode;
use serde::Serialize;

use super::input::Refused;
use super::question::Args;
use crate::cli::{Output, say};

/// One candidate by the names of the published program.
#[derive(Debug, Serialize)]
struct Tried {
    model_type: &'static str,
    heating_balance_point: Option<u8>,
    cooling_balance_point: Option<u8>,
    status: &'static str,
    intercept: Option<f64>,
    beta_hdd: Option<f64>,
    beta_cdd: Option<f64>,
    r_squared_adj: Option<f64>,
    selected: bool,
    /// Why it was not selected.
    reason: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Refused> {
    let answer = args.answer()?;
    let tried = tried(&answer, args.unit_factor()?);
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
                model_type: match candidate.shape() {
                    Shape::InterceptOnly => "intercept_only",
                    Shape::HddOnly => "hdd_only",
                    Shape::CddOnly => "cdd_only",
                    Shape::CddHdd => "cdd_hdd",
                },
                heating_balance_point: candidate.points.heating_f,
                cooling_balance_point: candidate.points.cooling_f,
                status,
                intercept: estimate.map(|estimate| estimate.intercept / per_unit),
                beta_hdd: estimate.filter(|_| candidate.points.heating_f.is_some()).map(|estimate| estimate.hdd / per_unit),
                beta_cdd: estimate.filter(|_| candidate.points.cooling_f.is_some()).map(|estimate| estimate.cdd / per_unit),
                r_squared_adj: estimate.map(|estimate| estimate.r_squared_adj),
                selected,
                reason,
            }
        })
        .collect()
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
    let mut text = format!("{:<16}{:>5}{:>5}  {:<14}{:>12}  {}\n", "model", "hdd", "cdd", "status", "adjusted R²", "reason");
    for one in tried {
        let point = |point: Option<u8>| point.map_or_else(|| "-".to_owned(), |point| point.to_string());
        let fit = one.r_squared_adj.map_or_else(|| "-".to_owned(), |fit| format!("{fit:.6}"));
        let reason = if one.selected { "selected" } else { one.reason.as_deref().unwrap_or_default() };
        let (heating, cooling) = (point(one.heating_balance_point), point(one.cooling_balance_point));
        // Writing to a text in memory cannot fail.
        writeln!(text, "{:<16}{heating:>5}{cooling:>5}  {:<14}{fit:>12}  {reason}", one.model_type, one.status).unwrap_or_default();
    }
    text
}
