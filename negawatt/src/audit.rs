//! `negawatt audit BUNDLE`: an invoice recomputed offline, by somebody who need not trust us.

use std::path::PathBuf;

use daemon::ExitCode;

use crate::cli::{Output, complain, say};

/// Recomputes an invoice from its evidence bundle and compares every step, without a network and without our database.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The evidence bundle, a `.nwev` file.
    bundle: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// Prints `verified` and what was recomputed, or the first thing that does not match.
pub(crate) fn run(args: &Args) -> ExitCode {
    match evidence::audit(&args.bundle) {
        Ok(verified) => {
            match args.output {
                Output::Human => say(&format!("verified\n{verified}\n")),
                Output::Json => {
                    say(&format!("{}\n", serde_json::json!({ "schema": "negawatt.audit/1", "result": "verified", "verified": verified })))
                }
            }
            ExitCode::Ok
        }
        Err(mismatch) => {
            let reason = daemon::chain(&mismatch);
            if args.output == Output::Json {
                say(&format!("{}\n", serde_json::json!({ "schema": "negawatt.audit/1", "result": "refused", "reason": reason })));
            }
            complain(&format!("error: {}: {reason}", args.bundle.display()));
            ExitCode::DataRefused
        }
    }
}
