//! The command line of the collector: `run`, `check`, `import`; and of its dead letters and sinks.

mod deadletters;
mod imports;
mod retention;
mod sink;
mod vee;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use daemon::{Clock, ExitCode, SystemClock};
use ids::Slug;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::{OpenError, Options, Store};
use tokio::runtime::Runtime;
use units::Unit;

use crate::config::Config;
use crate::import::{Import, ImportError, Imported};
use crate::serve;

pub use deadletters::{DeadLetters, run as run_dead_letters};
pub use imports::{Imports, run as run_imports};
pub use retention::{Retention, run as run_retention};
pub use sink::{Sink, run as run_sink};
pub use vee::{Vee, run as run_vee};

/// Takes readings from the broker, makes them durable, and acknowledges them.
#[derive(Clone, Debug, Parser)]
#[command(name = "negawatt-collector")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Collects until SIGTERM or SIGINT.
    Run(File),
    /// Checks the configuration and says everything that is wrong with it.
    Check(File),
    /// Imports the history of one point into a store that no collector has open.
    Import(ImportArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct File {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
struct ImportArgs {
    /// The folder of the store.
    #[arg(long, value_name = "FOLDER")]
    store: PathBuf,
    #[arg(long)]
    tenant: Slug,
    #[arg(long)]
    facility: Slug,
    /// As the readings are known afterwards: `utility-meter`, `weather-station`.
    #[arg(long)]
    device: Slug,
    /// `e_int` for energy of an interval, `temp` for a temperature.
    #[arg(long)]
    point: String,
    /// The symbol of the unit; not needed for columns whose name says it.
    #[arg(long, value_parser = parse_unit)]
    unit: Option<Unit>,
    /// The value column, when it is not `value`, `temp_f` or `temp_c`.
    #[arg(long)]
    column: Option<String>,
    /// The zone of times that do not say theirs, like `America/New_York`.
    #[arg(long, value_parser = TimeZone::get)]
    zone: Option<TimeZone>,
    /// A CSV file with a header, or a Parquet file (`.parquet`).
    file: PathBuf,
}

fn parse_unit(symbol: &str) -> Result<Unit, String> {
    Unit::from_symbol(symbol).ok_or_else(|| format!("`{symbol}` is not the symbol of a unit, like kWh or degF"))
}

/// Does what the command line asks.
pub fn run(args: Args) -> ExitCode {
    match args.verb {
        Verb::Run(file) => match Config::load(&file.config) {
            Ok(config) => match Runtime::new() {
                Ok(runtime) => runtime.block_on(serve_until_signal(config)),
                Err(err) => fail(&format!("error: could not start: {err}"), ExitCode::DependencyDown),
            },
            Err(faults) => fail(&faults.to_string(), ExitCode::Configuration),
        },
        Verb::Check(file) => match Config::load(&file.config) {
            Ok(_) => say(&format!("{}: no faults", file.config.display())),
            Err(faults) => fail(&faults.to_string(), ExitCode::Configuration),
        },
        Verb::Import(args) => import(&args),
    }
}

async fn serve_until_signal(config: Config) -> ExitCode {
    let stop = match daemon::shutdown_signal() {
        Ok(stop) => stop,
        Err(err) => return fail(&format!("error: could not watch signals: {err}"), ExitCode::Bug),
    };
    match serve::serve(config, Arc::new(SystemClock), stop).await {
        Ok(()) => ExitCode::Ok,
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), err.exit_code()),
    }
}

fn import(args: &ImportArgs) -> ExitCode {
    let ImportArgs { tenant, facility, device, point, unit, column, zone, .. } = args.clone();
    let import = Import { tenant, facility, device, point, unit, column, zone };
    let body = match std::fs::read(&args.file) {
        Ok(body) => body,
        Err(err) => return fail(&format!("error: could not read {}: {err}", args.file.display()), ExitCode::Usage),
    };
    let store = match Store::open(&args.store, Options::default()) {
        Ok(store) => store,
        Err(err) => {
            let help = match err {
                OpenError::InUse { .. } => "\nhelp: while a collector runs, send the file to its POST /v1/imports",
                _ => "",
            };
            return fail(&format!("error: {}{help}", daemon::chain(&err)), serve::exit_code_of(&err));
        }
    };
    match imported(&import, &store, &args.file, body) {
        Ok(imported) => {
            let code = if imported.rejected_rows == 0 { ExitCode::Ok } else { ExitCode::DataRefused };
            match (say(&summary(&imported)), store.flush()) {
                (ExitCode::Ok, Ok(())) => code,
                (_, Err(err)) => fail(&format!("error: {}", daemon::chain(&err)), ExitCode::TryAgain),
                (other, Ok(())) => other,
            }
        }
        Err(ImportError::Store(err)) => {
            let help = "help: import the file again; what was stored of it is known and stays as it is";
            let code = if err.is_transient() { ExitCode::TryAgain } else { ExitCode::DependencyDown };
            fail(&format!("error: {}\n{help}", daemon::chain(&err)), code)
        }
        Err(err) => fail(&format!("error: {}: {}", args.file.display(), daemon::chain(&err)), ExitCode::DataRefused),
    }
}

fn imported(import: &Import, store: &Store, file: &Path, body: Vec<u8>) -> Result<Imported, ImportError> {
    let now = SystemClock.now();
    if file.extension().is_some_and(|extension| extension == "parquet") {
        import.parquet(store, body.into(), now)
    } else {
        import.csv(store, &body, now)
    }
}

fn summary(imported: &Imported) -> String {
    let Imported { rows, accepted, duplicate, conflict, rejected_rows, rejected, .. } = imported;
    let mut text = format!(
        "{rows} lines: {accepted} accepted ({conflict} contradict a stored value), {duplicate} known before, {rejected_rows} rejected"
    );
    for line in rejected {
        text.push_str(&format!("\n  line {} {}", line.line, line.reason));
    }
    text
}

/// How a command prints what it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

/// What every command says that goes by the collector's configuration.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// The configuration file of the collector.
    #[arg(long, global = true, value_name = "FILE", default_value = "collector.toml")]
    config: PathBuf,
    /// How it is printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Human)]
    output: Output,
}

impl Common {
    /// The configuration; or its faults have been told.
    fn configured(&self) -> Result<Config, ExitCode> {
        Config::load(&self.config).map_err(|faults| fail(&faults.to_string(), ExitCode::Configuration))
    }
}

fn json(value: &impl Serialize) -> ExitCode {
    match serde_json::to_string(value) {
        Ok(text) => say(&text),
        Err(err) => fail(&format!("error: {err}"), ExitCode::Bug),
    }
}

fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::Ok,
        // Whoever reads us has gone: nobody is left to be told.
        Err(_closed) => ExitCode::DependencyDown,
    }
}

fn fail(text: &str, code: ExitCode) -> ExitCode {
    match writeln!(io::stderr().lock(), "{text}") {
        Ok(()) => code,
        Err(_closed) => code,
    }
}
