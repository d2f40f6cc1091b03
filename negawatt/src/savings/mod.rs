//! `negawatt savings`: what a facility did not use, from two files, without a server.
//!
//! One file per subcommand; what they share is how a question is asked ([`question`]) and how its files are read and
//! refused ([`input`]). The computing is the calculator's.

mod candidates;
mod dossier;
mod drivers;
mod fit;
mod human;
mod input;
mod portfolio;
mod price;
mod question;
mod verify;

use daemon::ExitCode;

pub(crate) use dossier::audit;

use crate::cli::Output;

/// Computes savings from a meter's file and a weather station's.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Fits the baseline and compares the year after the intervention with it.
    Fit(question::Args),
    /// As `fit`, and the comparison is what it is about: without days after the intervention it is refused.
    Report(question::Args),
    /// Every model that was tried, in order, with what became of it.
    Candidates(question::Args),
    /// Computes a kept answer again from its files and names the first thing that differs.
    Verify(verify::Args),
    /// Thousands of meters at once, and what they come to: sums with their uncertainty, comparison groups, the best and the worst.
    Portfolio(Box<portfolio::Args>),
    /// What a saving is worth: the bill of what would have been used less the bill of what was.
    Price(price::Args),
}

pub(crate) fn run(args: &Args, quiet: bool) -> ExitCode {
    match &args.verb {
        Verb::Fit(args) => done(fit::run(args, fit::About::Baseline), args.output),
        Verb::Report(args) => done(fit::run(args, fit::About::Savings), args.output),
        Verb::Candidates(args) => done(candidates::run(args), args.output),
        Verb::Verify(args) => done(verify::run(args), args.output),
        Verb::Portfolio(args) => done(portfolio::run(args, quiet), args.output),
        Verb::Price(args) => done(price::run(args), args.output),
    }
}

/// Says what was refused, on standard error and, as an object, where objects are wanted.
fn done(outcome: Result<ExitCode, input::Refused>, output: Output) -> ExitCode {
    outcome.unwrap_or_else(|refused| {
        if output == Output::Json {
            crate::cli::say(&format!("{}\n", refused.object()));
        }
        crate::cli::complain(&format!("error: {refused}"));
        refused.exit_code()
    })
}
