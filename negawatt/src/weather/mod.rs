//! `negawatt weather`: observations into the store, the stations around a facility, and how much of the weather is there.

mod coverage;
mod fetch;
mod import;
mod stations;
mod table;
mod typical;

use std::path::PathBuf;

use daemon::ExitCode;

use crate::cli::{Output, complain, say};

/// Weather of stations: brings it in, chooses among them, says what is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human, global = true)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Makes hours of observations and stores them: ISD, GHCNh, Open-Meteo, Meteostat, EPW, TMY3, plain CSV; gzipped or not.
    Import(import::Args),
    /// The stations nearest to a place: how far, how much higher, how complete, and which one stands for it.
    Stations(stations::Args),
    /// Fetches files of a provider into the folder; everything else reads that, and needs no network.
    Fetch(fetch::Args),
    /// How much of the weather the store has, month by month, and what is missing.
    Coverage(coverage::Args),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The store's folder; `negawatt up` keeps it in its data folder.
    #[arg(long, value_name = "FOLDER", default_value = "negawatt-data/store")]
    store: PathBuf,
}

/// What is printed and how it ended, or what is wrong.
type Done = Result<(String, ExitCode), (String, ExitCode)>;

/// Does what the command line asks.
pub(crate) fn run(args: &Args) -> ExitCode {
    let done = match &args.what {
        What::Import(import) => import::run(import, args.output),
        What::Stations(stations) => stations::run(stations, args.output),
        What::Fetch(fetch) => fetch::run(fetch, args.output),
        What::Coverage(coverage) => coverage::run(coverage, args.output),
    };
    match done {
        Ok((text, code)) => {
            say(&text);
            code
        }
        Err((text, code)) => {
            complain(&text);
            code
        }
    }
}

/// An error with all its causes.
fn refused(err: &dyn std::error::Error, code: ExitCode) -> (String, ExitCode) {
    (format!("error: {}", daemon::chain(err)), code)
}
