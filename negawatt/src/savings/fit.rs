//! `negawatt savings fit` and `report`.

use daemon::ExitCode;

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

/// Prints `negawatt.savings/1`, or the same for people. An answer without a model is an answer: its status says so.
pub(super) fn run(args: &Args, about: About) -> Result<ExitCode, Refused> {
    if about == About::Savings && args.blackout_end.is_none() {
        let message = "a report compares the days after the intervention; write --blackout-end".to_owned();
        return Err(Refused::usage(None, "CalTRACK 3.5: savings are those of the days after the intervention", message));
    }
    let answer = args.answer()?;
    match args.output {
        Output::Json => {
            let mut text = serde_json::to_string(&answer).map_err(|err| Refused::bug(&err))?;
            text.push('\n');
            say(&text);
        }
        Output::Human => say(&human::answer(&answer, about)),
    }
    Ok(ExitCode::Ok)
}
