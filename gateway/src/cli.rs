//! The command line: `run` and `check` for the daemon, the rest for the technician who installs it.
//!
//! Data goes to standard output, talk to standard error. Exit codes are those of [`daemon::ExitCode`].

mod command;
mod commission;
mod device;
mod doctor;
mod identify;
mod live;
mod pair;
mod probe;
mod profile;
mod replay;
mod report;
mod scan;
mod setup;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{ArgAction, Subcommand, ValueEnum};
use daemon::{ExitCode, LogFormat, SystemClock, Verbosity};
use ids::IdSource;
use tokio::runtime::Runtime;

use crate::{
    config::Config,
    modbus::Endpoint,
    serve::{ServeError, serve},
    status::Status,
    uplink::Mqtt,
};

/// What the gateway is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Say more about what was coped with
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll, keep and deliver until stopped by SIGTERM or SIGINT
    #[command(after_help = EXIT_CODES)]
    Run {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How log lines on standard error look
        #[arg(long, value_enum, default_value_t = Log::Text)]
        log: Log,
    },
    /// Check a configuration and tell everything that is wrong with it at once
    #[command(after_help = EXIT_CODES)]
    Check {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Also try to reach the broker and every device
        #[arg(long)]
        connect: bool,
    },
    /// Read every point of one device once
    #[command(after_help = EXIT_CODES)]
    Probe(probe::ProbeArgs),
    /// Find out who is on serial buses and hosts, and how they are set
    #[command(after_help = EXIT_CODES)]
    Scan(scan::ScanArgs),
    /// Find out what a device is
    #[command(after_help = EXIT_CODES)]
    Identify(identify::IdentifyArgs),
    /// Find devices, ask what is missing, and write a configuration
    #[command(after_help = EXIT_CODES)]
    Setup(setup::SetupArgs),
    /// Examine this machine: clock, disk, ports, broker, spool
    #[command(after_help = EXIT_CODES)]
    Doctor(doctor::DoctorArgs),
    /// Show a device while somebody works on it
    #[command(after_help = EXIT_CODES)]
    Live(live::LiveArgs),
    /// Prove that a device reads right: identity, physics, latency; leaves a signed record
    #[command(after_help = EXIT_CODES)]
    Commission(commission::CommissionArgs),
    /// Make a code for a browser that wants to see the gateway's page, or end every session
    #[command(after_help = EXIT_CODES)]
    Pair(pair::PairArgs),
    /// Show a commissioning record and check its signature
    #[command(after_help = EXIT_CODES)]
    Report(report::ReportArgs),
    /// Make a technician's key for signing records
    #[command(after_help = EXIT_CODES)]
    Key(commission::KeyArgs),
    /// Devices that are known, and profiles of your own
    #[command(after_help = EXIT_CODES)]
    Device {
        #[command(subcommand)]
        device: device::Device,
    },
    /// Have frames sent again that were delivered before
    #[command(after_help = EXIT_CODES)]
    Replay(replay::ReplayArgs),
    /// Keys for commands from afar, and commands signed with them
    #[command(name = "command")]
    Order {
        #[command(subcommand)]
        order: command::Order,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Human,
    /// One JSON object
    Json,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  a fault of ours
   2  the command line is wrong
  65  what was read is not fit for billing, or a record was changed
  69  something we depend on is down: a device, the broker, the disk
  78  the configuration is wrong; starting again cannot help";

/// Threads for work that blocks, which is the disk and little else.
const BLOCKING_MAX: usize = 16;

/// Does what was asked, and says how it ended.
pub fn run(args: Args) -> ExitCode {
    let verbosity = match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    let log = match &args.command {
        Command::Run { log: Log::Json, .. } => LogFormat::Json,
        _ => LogFormat::Text,
    };
    daemon::init_tracing(verbosity, log);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(BLOCKING_MAX).enable_all().build() {
            Ok(runtime) => runtime,
            Err(err) => return complain(&format!("error: could not start: {err}"), ExitCode::DependencyDown),
        };
    let code = match args.command {
        Command::Run { config, .. } => run_gateway(&runtime, &config),
        Command::Check { config, connect } => check(&runtime, &config, connect),
        Command::Device { device } => runtime.block_on(device::run(device)),
        Command::Order { order } => command::run(order),
        Command::Replay(args) => replay::run(&args),
        Command::Probe(args) => runtime.block_on(probe::probe(args)),
        Command::Scan(command) => runtime.block_on(scan::run(command, args.quiet)),
        Command::Identify(command) => runtime.block_on(identify::run(command)),
        Command::Commission(command) => runtime.block_on(commission::run(command, args.quiet)),
        Command::Setup(command) => runtime.block_on(setup::run(command)),
        Command::Doctor(command) => runtime.block_on(doctor::run(command)),
        Command::Live(command) => runtime.block_on(live::run(command)),
        Command::Pair(command) => pair::run(&command),
        Command::Report(command) => report::run(&command),
        Command::Key(command) => commission::key(&command),
    };
    // A serial port that hangs while it is opened must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

fn run_gateway(runtime: &Runtime, path: &Path) -> ExitCode {
    let config = match Config::load_to_run(path) {
        Ok(config) => config,
        Err(faults) => return complain(&faults, ExitCode::Configuration),
    };
    let entropy = match daemon::entropy() {
        Ok(entropy) => entropy,
        Err(err) => return complain(&format!("error: no randomness from the system: {err}"), ExitCode::DependencyDown),
    };
    let served = runtime.block_on(async {
        let stop = match daemon::shutdown_signal() {
            Ok(stop) => stop,
            Err(err) => return Some(complain(&format!("error: cannot watch for signals: {err}"), ExitCode::Bug)),
        };
        let served = serve(config, Arc::new(SystemClock), IdSource::from_entropy(entropy), Arc::new(Status::default()), stop).await;
        served.err().map(|err| complain(&explain(&err), err.exit_code()))
    });
    served.unwrap_or(ExitCode::Ok)
}

/// An error with its causes and, where there is one, the next step.
fn explain(err: &ServeError) -> String {
    let help = match err {
        ServeError::Spool(crate::SpoolError::Locked { .. }) => "\nhelp: stop the other gateway, or give this one another gateway.data_dir",
        ServeError::Spool(_) | ServeError::DataDir { .. } => {
            "\nhelp: see that the disk has room and that this user may write to gateway.data_dir"
        }
        ServeError::Listen(_) => "\nhelp: give the page another http.listen, or stop the program that has the port",
        ServeError::Task { .. } => "\nhelp: this is a fault of ours; the log above says more",
    };
    format!("error: {}{help}", daemon::chain(err))
}

fn check(runtime: &Runtime, path: &Path, connect: bool) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(faults) => return complain(&faults, ExitCode::Configuration),
    };
    let points: usize = config.devices().map(|device| device.points().len()).sum();
    let summary = format!("{}: {}, {points} points every {} s", path.display(), config.extent(), config.interval.as_secs());
    if let Err(code) = say(&summary) {
        return code;
    }
    if connect { runtime.block_on(try_everything(&config)) } else { ExitCode::Ok }
}

/// Reaches for the broker and every device, and tells each outcome.
async fn try_everything(config: &Config) -> ExitCode {
    let broker = format!("{}:{}", config.broker.host, config.broker.port);
    let reached = Mqtt::try_connect(&config.broker).await.map_err(|err| daemon::chain(&err));
    let mut lines = vec![(format!("broker {broker}"), reached)];
    if let Some(address) = config.listen {
        let (note, free) = match crate::local::listen(address).await {
            Err(err) if err.is_in_use() => (" (in use, by the gateway if it runs)", Ok(())),
            other => ("", other.map(drop).map_err(|err| daemon::chain(&err))),
        };
        lines.push((format!("page {address}{note}"), free));
    }
    for bus in &config.buses {
        let opened = bus.endpoint.stream().await.map(drop);
        let is_open = opened.is_ok();
        lines.push((format!("bus {} at {}", bus.name, bus.endpoint), opened.map_err(|err| cannot_open(&bus.endpoint, &err))));
        for device in &bus.devices {
            if !is_open {
                lines.push((format!("device {}", device.id), Err(format!("not asked, as bus {} is closed", bus.name))));
                continue;
            }
            let read = crate::poll::probe(&bus.endpoint, device.unit, &device.profile).await;
            lines.push((format!("device {}", device.id), read.map(drop).map_err(|err| daemon::chain(&err))));
        }
    }
    let mut code = ExitCode::Ok;
    for (what, outcome) in lines {
        let line = match outcome {
            Ok(()) => format!("  ok      {what}"),
            Err(reason) => {
                code = ExitCode::DependencyDown;
                format!("  failed  {what}: {reason}")
            }
        };
        if let Err(code) = say(&line) {
            return code;
        }
    }
    code
}

/// Why a bus is closed, and what to do.
fn cannot_open(endpoint: &Endpoint, err: &io::Error) -> String {
    let next = match (err.kind(), endpoint) {
        (io::ErrorKind::PermissionDenied, _) => "; add this user to the group dialout and log in again",
        (io::ErrorKind::NotFound, Endpoint::Rtu { .. }) => "; plug the adapter in: `scan` lists the ports there are",
        (io::ErrorKind::ResourceBusy, _) => "; stop the gateway that has it",
        (_, Endpoint::Rtu { .. }) => "; if a gateway runs, it has the port",
        _ => "; check address, port and cable",
    };
    format!("{err}{next}")
}

/// Data, on standard output. A reader that went away is no fault of ours.
fn say(line: &str) -> Result<(), ExitCode> {
    let written = writeln!(io::stdout().lock(), "{line}");
    written.map_err(|err| if err.kind() == io::ErrorKind::BrokenPipe { ExitCode::Ok } else { ExitCode::DependencyDown })
}

/// Talk, on standard error.
fn complain(message: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    // There is nobody left to tell when this fails.
    drop(writeln!(io::stderr().lock(), "{message}"));
    code
}
