//! `doctor`: whether this machine is fit to be a gateway.

use std::path::{Path, PathBuf};

use daemon::{ExitCode, SystemClock};
use serde::Serialize;

use super::{Output, say};
use crate::{
    config::Config,
    setup::{Finding, State, examine, worst},
};

/// What to examine.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Configuration file; without it only the machine is examined
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the findings are printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    state: State,
    findings: &'a [Finding],
}

pub(super) async fn run(args: DoctorArgs) -> ExitCode {
    let mut findings = Vec::new();
    let mut config = None;
    let mut faulty = false;
    if let Some(path) = &args.config {
        match Config::load(path) {
            Ok(loaded) => {
                findings.push(Finding::green("configuration", format!("{} is right", path.display())));
                config = Some(loaded);
            }
            Err(faults) => {
                faulty = true;
                findings.push(Finding::red("configuration", faults.to_string(), "put it right; `check` says the same"));
            }
        }
    }
    findings.extend(examine(config.as_ref(), Path::new("/"), &SystemClock).await);
    let state = worst(&findings);
    let printed = match args.output {
        Output::Human => findings.iter().map(Finding::text).collect::<Vec<_>>().join("\n"),
        Output::Json => {
            serde_json::to_string(&Report { schema: "negawatt.doctor/1", state, findings: &findings }).expect("texts become JSON")
        }
    };
    match say(&printed) {
        Err(code) => code,
        Ok(()) if faulty => ExitCode::Configuration,
        Ok(()) if state == State::Red => ExitCode::DependencyDown,
        Ok(()) => ExitCode::Ok,
    }
}
