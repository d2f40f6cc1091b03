//! `negawatt sink`: how far the copies are, and whether they are right.

mod onboard;

use std::path::PathBuf;

use clap::Subcommand;
use daemon::{Clock, ExitCode, SystemClock};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sinks::{DAY_MS, Reconciled, SinkConfig, Status, Target};
use store::Reader;
use tokio::runtime::Runtime;

use super::{Common, Output, fail, json, say};
use crate::config::Config;
use crate::serve;

/// The copies of the readings in other databases: how far they are, and whether they are right.
#[derive(Clone, Debug, clap::Args)]
pub struct Sink {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// How far each is, as its cursor says; beside a collector that runs, too. The collector's own `/v1/sinks` also says why.
    Status,
    /// Finds out whether the server of a sink of InfluxDB 2 is well, makes what is missing there, and says what it did.
    Onboard {
        name: String,
        /// Only tell.
        #[arg(long)]
        check: bool,
        /// Who a server is set up by that was just installed: its first user.
        #[arg(long, value_name = "NAME", requires_all = ["password_file", "token_file"])]
        user: Option<String>,
        /// The password of that user, eight characters or more.
        #[arg(long, value_name = "FILE", requires = "user")]
        password_file: Option<PathBuf>,
        /// A new file for the token of that user, for `token = { file = ... }`.
        #[arg(long, value_name = "FILE", requires = "user")]
        token_file: Option<PathBuf>,
    },
    /// Sends everything after an entry of the log again. A collector that runs does so at once, another at its next start.
    Rewind {
        name: String,
        /// The entry; 0 is the beginning.
        #[arg(long)]
        lsn: u64,
    },
    /// Compares days with the store, by count, least, greatest and sum of every series, and sends again what differs.
    Reconcile {
        name: String,
        /// The first day, UTC.
        #[arg(long, value_name = "DATE")]
        from: Date,
        /// The day after the last.
        #[arg(long, value_name = "DATE")]
        to: Date,
        /// Only tell.
        #[arg(long)]
        check: bool,
    },
}

/// Does what the command line asks.
pub fn run(args: &Sink) -> ExitCode {
    let config = match args.common.configured() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match &args.verb {
        Verb::Status => status(&config, args.common.output),
        Verb::Onboard { name, check, user, password_file, token_file } => match one(&config, name) {
            Ok(sink) => {
                let first = user.as_deref().zip(password_file.as_deref().zip(token_file.as_deref()));
                onboard::run(sink, *check, first, args.common.output)
            }
            Err(code) => code,
        },
        Verb::Rewind { name, lsn } => match one(&config, name) {
            Ok(sink) => rewind(&config, sink, *lsn),
            Err(code) => code,
        },
        Verb::Reconcile { name, from, to, check } => match one(&config, name) {
            Ok(sink) => reconcile(&config, sink, (*from, *to), !check, args.common.output),
            Err(code) => code,
        },
    }
}

fn one<'a>(config: &'a Config, name: &str) -> Result<&'a SinkConfig, ExitCode> {
    config.sinks.iter().find(|sink| sink.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        fail(&format!("error: there is no sink `{name}`\nhelp: the configuration has {known}"), ExitCode::Usage)
    })
}

fn status(config: &Config, output: Output) -> ExitCode {
    let last_lsn = match Reader::open(&config.store) {
        Ok(reader) => reader.last_lsn(),
        Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), serve::exit_code_of(&err)),
    };
    let found: Result<Vec<Status>, _> =
        config.sinks.iter().map(|sink| Status::on_disk(&config.store, sink, last_lsn, &SystemClock)).collect();
    let found = match found {
        Ok(found) => found,
        Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), ExitCode::DataRefused),
    };
    if output == Output::Json {
        return json(&found);
    }
    let line = |sink: &Status| {
        let Status { name, kind, destination, lsn, lag_lsn, written, retried, rejected, .. } = sink;
        format!(
            "{name}  {kind}  {destination}\n  at {lsn}, {lag_lsn} behind; {written} written, {retried} attempts repeated, {rejected} rejected"
        )
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    if lines.is_empty() { say("no sinks") } else { say(&lines.join("\n")) }
}

fn rewind(config: &Config, sink: &SinkConfig, lsn: u64) -> ExitCode {
    match sinks::ask_to_rewind(&config.store, &sink.name, lsn) {
        Ok(()) => {
            say(&format!("{}: everything after entry {lsn} is sent again, by the collector that runs or at its next start", sink.name))
        }
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    }
}

fn reconcile(config: &Config, sink: &SinkConfig, (from, to): (Date, Date), repair: bool, output: Output) -> ExitCode {
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
    let (Ok(from_ms), Ok(to_ms)) = (midnight(from), midnight(to)) else {
        return fail("error: there is no such day", ExitCode::Usage);
    };
    // What is not over is not compared: readings still come.
    let to_ms = to_ms.min(SystemClock.now().as_millisecond().div_euclid(DAY_MS) * DAY_MS);
    let reader = match Reader::open(&config.store) {
        Ok(reader) => reader,
        Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), serve::exit_code_of(&err)),
    };
    let target = match Target::new(sink) {
        Ok(target) => target,
        Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), ExitCode::Configuration),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(err) => return fail(&format!("error: could not start: {err}"), ExitCode::DependencyDown),
    };
    match runtime.block_on(sinks::compare(sink, &target, &reader, from_ms, to_ms, repair)) {
        Ok(done) => told(&done, output),
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    }
}

fn told(done: &Reconciled, output: Output) -> ExitCode {
    let said = if output == Output::Json { json(done) } else { say(&summary(done)) };
    match said {
        ExitCode::Ok if done.left() > 0 => ExitCode::DataRefused,
        said => said,
    }
}

fn summary(done: &Reconciled) -> String {
    let Reconciled { compared, different, repaired, sent, unresolved } = done;
    let mut text = format!("{compared} days of series compared: {different} different, {repaired} mended, {sent} readings sent again");
    for difference in unresolved {
        let count = |shape: &Option<sinks::Shape>| shape.as_ref().map_or(0, |shape| shape.count);
        let sinks::Difference { tenant, facility, device, point, day, ours, theirs } = difference;
        text.push_str(&format!("\n  {tenant}/{facility}/{device}/{point} {day}: {} here, {} there", count(ours), count(theirs)));
    }
    text
}
