//! `negawatt savings fit` and `report`.

use std::path::PathBuf;

use calculator::assessment::Answer;
use daemon::ExitCode;
use serde::{Deserialize, Serialize};

use super::human;
use super::input::Refused;
use super::question::Args;
use crate::cli::{Output, say};

/// What somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The model of the baseline.
    Baseline,
    /// What was avoided after the intervention.
    Savings,
}

/// An answer with the names of the files that it was computed from; they are no part of its digest.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    files: Named,
}

/// What an answer says of its files.
#[derive(Debug, Deserialize)]
pub(super) struct Files {
    pub(super) files: Named,
}

/// The files of a question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) meter: PathBuf,
    pub(super) temperature: PathBuf,
    /// The file of variables, where the method has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drivers: Option<PathBuf>,
    /// The file of harvests, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) harvests: Option<PathBuf>,
    /// The file of bills, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bills: Option<PathBuf>,
}

/// Prints `negawatt.savings/1`, or the same for people. An answer without a model is an answer: its status says so.
pub(super) fn run(args: &Args, about: About) -> Result<ExitCode, Refused> {
    if about == About::Savings && args.blackout_end.is_none() {
        let message = "a report compares the days after the intervention; write --blackout-end".to_owned();
        return Err(Refused::usage(None, "CalTRACK 3.5: savings are those of the days after the intervention", message));
    }
    let answer = args.answer()?;
    match args.output {
        Output::Json => {
            let files = Named {
                meter: args.meter.clone(),
                temperature: args.temperature.clone(),
                drivers: args.drivers.clone(),
                harvests: args.harvests.clone(),
                bills: args.bills.clone(),
            };
            let mut text = serde_json::to_string(&Printed { answer: &answer, files }).map_err(|err| Refused::bug(&err))?;
            text.push('\n');
            say(&text);
        }
        Output::Human => say(&human::answer(&answer, about)),
    }
    Ok(ExitCode::Ok)
}
