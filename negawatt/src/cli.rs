//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use daemon::{ExitCode, LogFormat, Verbosity, init_tracing};

use crate::{audit, care, demo, readings, savings, up, weather};

/// Verified energy savings, from a meter's registers to a paid-out cent.
#[derive(Debug, Parser)]
#[command(name = "negawatt", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 a fault of ours, 2 usage, 65 data refused, 69 something we depend on is down, 75 try again, 78 configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    role: Role,
    /// Say what is coped with, too.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Say errors alone.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// How log lines look on standard error.
    #[arg(long, global = true, value_enum, default_value_t = Lines::Text)]
    log: Lines,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lines {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The main job on real input: simulated meters, the real platform, an invoice, payouts, and its audit.
    Demo(demo::Args),
    /// Broker, collector, API and status page in one process, on embedded storage.
    Up(up::Args),
    /// The edge daemon: polls devices and forwards what they say.
    Gateway(gateway::cli::Args),
    /// The collector: MQTT in, durable time series out.
    Collector(collector::cli::Args),
    /// What the collector could not read when it came: looks at it, and reads it again.
    #[command(name = "deadletters")]
    DeadLetters(collector::cli::DeadLetters),
    /// The copies of the readings in other databases: how far they are, and whether they are right.
    Sink(collector::cli::Sink),
    /// Whether everything is there and can be; fills gaps, changes readings, and undoes it.
    Vee(collector::cli::Vee),
    /// What the configuration lets go of: shown first, then dropped, with who answers for it.
    Retention(collector::cli::Retention),
    /// History in bulk, from files: planned and shown first, then committed, and undone if need be.
    Import(collector::cli::Imports),
    /// The HTTP interface and its workers.
    Api(api::cli::Args),
    /// An MQTT 5 broker for one machine; capped, and without a memory of its own.
    Broker(BrokerArgs),
    /// What a store holds: series, their readings, their quality, their extremes.
    Readings(readings::Args),
    /// Looks after a store: check, copy, bring back, write out.
    Store(care::Args),
    /// Weather of stations: brings it in, chooses among them, says what is missing.
    Weather(weather::Args),
    /// What a facility did not use, from two files; and what thousands of them did not.
    Savings(savings::Args),
    /// Recomputes an invoice offline from its evidence bundle.
    Audit(audit::Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct BrokerArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:1883")]
    listen: std::net::SocketAddr,
}

/// How results are printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Human,
    Json,
}

/// Runs the role that was asked for, to its end.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let verbosity = match (cli.verbose, cli.quiet) {
        (true, _) => Verbosity::Verbose,
        (_, true) => Verbosity::Quiet,
        // The demo shows its progress instead of its log.
        _ if matches!(cli.role, Role::Demo(_)) => Verbosity::Quiet,
        _ => Verbosity::Normal,
    };
    let format = match cli.log {
        Lines::Text => LogFormat::Text,
        Lines::Json => LogFormat::Json,
    };
    init_tracing(verbosity, format);
    // Every HTTP client in the process speaks TLS with this; the other choice would bring a C library along.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a cryptography provider was installed before");
    }
    match cli.role {
        Role::Demo(args) => demo::run(args, cli.quiet),
        Role::Up(args) => up::run(args),
        Role::Gateway(args) => gateway::cli::run(args),
        Role::Collector(args) => collector::cli::run(args),
        Role::DeadLetters(args) => collector::cli::run_dead_letters(&args),
        Role::Sink(args) => collector::cli::run_sink(&args),
        Role::Vee(args) => collector::cli::run_vee(&args),
        Role::Retention(args) => collector::cli::run_retention(&args),
        Role::Import(args) => collector::cli::run_imports(&args),
        Role::Api(args) => api::cli::run(args, up::profiles()),
        Role::Broker(args) => broker_role(&args),
        Role::Readings(args) => readings::run(&args),
        Role::Store(args) => care::run(&args),
        Role::Weather(args) => weather::run(&args),
        Role::Savings(args) => savings::run(&args, cli.quiet),
        Role::Audit(args) => audit::run(&args),
    }
}

fn broker_role(args: &BrokerArgs) -> ExitCode {
    match broker::run(args.listen, broker::Limits::default()) {
        Ok(()) => ExitCode::Ok,
        Err(err) => fail(&err, ExitCode::DependencyDown),
    }
}

/// Says an error with all its causes on standard error, and hands the code on.
pub(crate) fn fail(err: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    complain(&format!("error: {}", daemon::chain(err)));
    code
}

/// A line on standard error.
pub(crate) fn complain(line: &str) {
    use std::io::Write;
    // Nobody is left to tell when standard error itself is closed.
    writeln!(std::io::stderr().lock(), "{line}").unwrap_or_default();
}

/// Text on standard output.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    // A reader that has gone away (`| head`) has seen enough.
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
