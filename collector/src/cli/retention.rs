//! `negawatt retention`: what may go by the configuration, and letting it go.

use clap::Subcommand;
use daemon::{Clock, ExitCode, SystemClock};
use serde::Serialize;
use store::{Account, OpenError, Options, Reader, RetentionError, Store};

use super::{Common, Output, fail, json, say};
use crate::config::Config;
use crate::retention::{self, ApplyError, Plan};
use crate::serve;

/// Lets readings go that are older than the configuration keeps. Nothing goes by itself.
#[derive(Clone, Debug, clap::Args)]
pub struct Retention {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Shows what would go, what needs an archive, and what stays; beside a collector that runs, too.
    Plan,
    /// Does what the plan shows. No collector may have the store open.
    Apply {
        /// The plan's name, as `plan` shows it: if anything has changed since, nothing goes.
        #[arg(long)]
        plan: String,
        /// Who answers for it.
        #[arg(long)]
        actor: String,
        #[arg(long)]
        reason: String,
        /// What it rests on: a letter, a decision.
        #[arg(long, default_value = "")]
        document: String,
    },
}

/// Does what the command line asks.
pub fn run(args: &Retention) -> ExitCode {
    let config = match args.common.configured() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match &args.verb {
        Verb::Plan => match Reader::open(&config.store) {
            Ok(reader) => {
                let plan = Plan::of(&reader, &config.retention, SystemClock.now());
                print(&plan, plan.text(), args.common.output)
            }
            Err(err) => unopened(&err),
        },
        Verb::Apply { plan, actor, reason, document } => {
            let (actor, reason, document) = (actor.clone(), reason.clone(), document.clone());
            let at_ms = SystemClock.now().as_millisecond();
            apply(&config, plan, &Account { actor, reason, document, approval: String::new(), at_ms }, args.common.output)
        }
    }
}

fn apply(config: &Config, plan: &str, account: &Account, output: Output) -> ExitCode {
    // A folder without a store gets none from here.
    if let Err(err) = Reader::open(&config.store) {
        return unopened(&err);
    }
    let opened = Store::open(&config.store, Options::default()).and_then(|store| Reader::open(&config.store).map(|reader| (store, reader)));
    let (store, reader) = match opened {
        Ok(opened) => opened,
        Err(err) => return unopened(&err),
    };
    match retention::apply(&store, &reader, &config.retention, plan, account) {
        Ok(applied) => {
            let text = format!(
                "{} months with {} readings went, {} files are in the archive; their quarters of an hour stay",
                applied.months, applied.readings, applied.files_archived
            );
            print(&applied, text, output)
        }
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), code(&err)),
    }
}

fn code(err: &ApplyError) -> ExitCode {
    match err {
        ApplyError::Changed { .. } | ApplyError::Blocked { .. } => ExitCode::DataRefused,
        ApplyError::Store(RetentionError::Unaccounted | RetentionError::NeedsArchive { .. }) => ExitCode::DataRefused,
        ApplyError::Store(_) => ExitCode::DependencyDown,
    }
}

fn unopened(err: &OpenError) -> ExitCode {
    let help = match err {
        OpenError::InUse { .. } => "\nhelp: while a collector runs, it is asked: POST /v1/retention with {\"plan\", \"actor\", \"reason\"}",
        _ => "",
    };
    fail(&format!("error: {}{help}", daemon::chain(err)), serve::exit_code_of(err))
}

fn print(value: &impl Serialize, text: String, output: Output) -> ExitCode {
    match output {
        Output::Human => say(&text),
        Output::Json => json(value),
    }
}
