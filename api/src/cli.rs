//! The command line of the API: `run`, `check`, `openapi`, `migrate`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use daemon::{ExitCode, SystemClock};
use ids::IdSource;

use crate::config::{Config, DeviceProfile};
use crate::db::Db;
use crate::serve;

/// The HTTP API, its workers and its database.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Serves until SIGTERM or SIGINT.
    Run(File),
    /// Checks the configuration and says everything that is wrong with it.
    Check(File),
    /// Prints the OpenAPI document.
    Openapi,
    /// Brings the database up to date and exits.
    Migrate(File),
}

#[derive(Clone, Debug, clap::Args)]
struct File {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Does what the command line asks, in a runtime of its own. `profiles` are the device profiles that evidence bundles carry.
pub fn run(args: Args, profiles: Vec<DeviceProfile>) -> ExitCode {
    match args.verb {
        Verb::Run(file) => match Config::load(&file.config) {
            Ok(config) => in_runtime(serve_until_signal(Config { profiles, ..config })),
            Err(faults) => fail(&faults.to_string(), ExitCode::Configuration),
        },
        Verb::Check(file) => match Config::load(&file.config) {
            Ok(_) => say(&format!("{}: no faults\n", file.config.display())),
            Err(faults) => fail(&faults.to_string(), ExitCode::Configuration),
        },
        Verb::Openapi => say(&serve::openapi_json()),
        Verb::Migrate(file) => match Config::load(&file.config) {
            Ok(config) => in_runtime(migrate(config)),
            Err(faults) => fail(&faults.to_string(), ExitCode::Configuration),
        },
    }
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    }
}

async fn serve_until_signal(config: Config) -> ExitCode {
    let prepared = daemon::entropy().and_then(|entropy| Ok((entropy, daemon::shutdown_signal()?)));
    let (entropy, stop) = match prepared {
        Ok(prepared) => prepared,
        Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    };
    match serve::serve(config, Arc::new(SystemClock), IdSource::from_entropy(entropy), stop).await {
        Ok(()) => ExitCode::Ok,
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), err.exit_code()),
    }
}

async fn migrate(config: Config) -> ExitCode {
    match Db::open(&config.database).await {
        Ok(db) => {
            db.close().await;
            say(&format!("{}: up to date\n", config.database.display()))
        }
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), serve::ServeError::from(err).exit_code()),
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::Ok,
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => ExitCode::Ok,
        Err(_) => ExitCode::DependencyDown,
    }
}

fn fail(message: &str, code: ExitCode) -> ExitCode {
    // When stderr is closed too, the exit code still tells.
    writeln!(io::stderr().lock(), "{message}").unwrap_or_default();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verbs_are_these() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let verbs: Vec<_> = Args::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        assert_eq!(verbs, ["run", "check", "openapi", "migrate"]);
    }
}
