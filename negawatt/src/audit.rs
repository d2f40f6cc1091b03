//! `negawatt audit BUNDLE`: an invoice recomputed offline, by somebody who need not trust us; and a baseline by its answer.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use daemon::ExitCode;

use crate::cli::{Output, complain, say};

/// Recomputes an invoice from its evidence bundle and compares every step, without a network and without our database.
///
/// Of an answer that `savings fit --output json` printed it recomputes the baseline and judges it by the fifteen categories.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The evidence bundle, a `.nwev` file; or the answer of a baseline, a JSON file.
    bundle: PathBuf,
    /// What is kept beside a baseline's files: certificates, inventory, adjustments, waivers, signatures (JSON).
    #[arg(long, value_name = "FILE")]
    dossier: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// Prints `verified` and what was recomputed, or the first thing that does not match.
pub(crate) fn run(args: &Args) -> ExitCode {
    if args.dossier.is_some() || is_object(&args.bundle) {
        return crate::savings::audit(&args.bundle, args.dossier.as_deref(), args.output);
    }
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

/// Whether a file begins as an object does; a bundle never does.
fn is_object(file: &Path) -> bool {
    let mut first = [0; 64];
    let read = File::open(file).and_then(|mut file| file.read(&mut first));
    read.is_ok_and(|read| first.iter().take(read).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}
