//! `report`: what a commissioning record says, and whether its signature holds.

use std::path::PathBuf;

use daemon::ExitCode;

use super::{Output, complain, say};
use crate::setup::Record;

/// Which record, and whose it must be.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// A record that `commission` wrote
    #[arg(value_name = "RECORD")]
    path: PathBuf,
    /// The public key that must have signed it, 64 hex digits
    #[arg(long, value_name = "HEX")]
    signed_by: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

pub(super) fn run(args: &ReportArgs) -> ExitCode {
    let bytes = match std::fs::read(&args.path) {
        Ok(bytes) => bytes,
        Err(err) => return complain(&format!("error: {} could not be read: {err}", args.path.display()), ExitCode::Usage),
    };
    let verified = match Record::verify(&bytes) {
        Ok(verified) => verified,
        Err(forgery) => {
            let help = "help: ask for the file as it was written; nothing in this one can be relied on";
            return complain(&format!("error: {}: {}\n{help}", args.path.display(), daemon::chain(&forgery)), ExitCode::DataRefused);
        }
    };
    if let Some(wanted) = args.signed_by.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(&verified.key)) {
        return complain(&format!("error: signed by {}, not by {wanted}", verified.key), ExitCode::DataRefused);
    }
    let printed = match args.output {
        Output::Human => format!("{}\n\nsignature holds, key {}", verified.record.text(), verified.key),
        Output::Json => serde_json::to_string(&serde_json::json!({
            "schema": "negawatt.report/1",
            "verified": true,
            "key": verified.key,
            "verdict": verified.record.verdict(),
            "record": verified.record,
        }))
        .expect("texts and lists become JSON"),
    };
    match say(&printed) {
        Ok(()) => ExitCode::Ok,
        Err(code) => code,
    }
}
