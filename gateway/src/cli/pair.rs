//! `pair`: a code for a browser, and the end of every session.

use std::{net::SocketAddr, path::PathBuf};

use daemon::{Clock as _, ExitCode, SystemClock};
use serde_json::json;

use super::{Output, complain, say};
use crate::{
    config::Config,
    local::{CODE_LIFE, Pairing},
};

/// For which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct PairArgs {
    /// Configuration file of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End every session and the code that counts now, instead of making one
    #[arg(long)]
    revoke: bool,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

pub(super) fn run(args: &PairArgs) -> ExitCode {
    let config = match Config::load_to_run(&args.config) {
        Ok(config) => config,
        Err(faults) => return complain(&faults, ExitCode::Configuration),
    };
    let Some(address) = config.listen else {
        let help = "help: write [http] into it; then the page is at 127.0.0.1:7501";
        return complain(&format!("error: {} has no page\n{help}", args.config.display()), ExitCode::Configuration);
    };
    let (pairing, now) = (Pairing::of(&config.data_dir), SystemClock.now());
    let told = if args.revoke {
        pairing.revoke(now).map(|ended| match args.output {
            Output::Human => format!("{ended} sessions ended"),
            Output::Json => json!({ "schema": "negawatt.pairing-revoked/1", "sessions": ended }).to_string(),
        })
    } else {
        pairing.new_code(now).map(|code| match args.output {
            Output::Human => {
                format!("code   {code}\npage   {}\nvalid  {} minutes, for one browser", url(address), CODE_LIFE.as_mins())
            }
            Output::Json => {
                json!({ "schema": "negawatt.pairing-code/1", "code": code.to_string(), "page": url(address), "valid_s": CODE_LIFE.as_secs() }).to_string()
            }
        })
    };
    match told {
        Ok(line) => say(&line).err().unwrap_or(ExitCode::Ok),
        Err(err) => {
            let help = "help: run this as the user of the gateway, or as root";
            let what = format!("error: {} cannot be written to: {err}\n{help}", config.data_dir.join("local").display());
            complain(&what, ExitCode::DependencyDown)
        }
    }
}

/// Where a browser finds the page; every address of this machine is no address that one could type.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("http://ADDRESS-OF-THIS-MACHINE:{}/", address.port()) } else { format!("http://{address}/") }
}
