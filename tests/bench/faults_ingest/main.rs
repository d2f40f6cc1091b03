//! Whatever is killed, stopped, torn or repeated, every point that was offered is stored once: `cargo xtask bench
//! faults-ingest` builds and starts it.
//!
//! Each run is a broker and a collector in processes of their own, gateways that keep what is not acknowledged, a client
//! that writes line protocol, another database that copies go to, and faults drawn from the seed. What was offered is written
//! down first; when all of it has been acknowledged the store is read back and compared, point by point.

mod clock;
mod copy;
mod damage;
mod failing_disk;
mod fault;
mod field;
mod log_file;
mod rig;
mod run;
mod senders;

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, Subcommand};
use serde_json::json;

use self::fault::Fault;
use self::run::Outcome;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "faults-ingest", about = "Kills, stops and damages the collector and the broker, and counts what is lost")]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// How many runs
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// What decides every fault; the runs have this seed and the following ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs at the same time: most of each is waiting
    #[arg(long, default_value_t = 4)]
    jobs: u64,
}

/// What this program is when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Broker { listen: SocketAddr },
    #[command(hide = true)]
    Collector { store: PathBuf, listen: SocketAddr, broker: SocketAddr, flush_rows: usize, copy: SocketAddr },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match args.role {
        Some(Role::Broker { listen }) => rig::be_broker(listen),
        Some(Role::Collector { store, listen, broker, flush_rows, copy }) => {
            return rig::be_collector(store, listen, broker, flush_rows, copy);
        }
        None => measure(&args),
    };
    match ended {
        Ok(code) => code,
        Err(err) => {
            say(&format!("error: {err}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<ExitCode> {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let outcomes: Mutex<Vec<(u64, Result<Outcome>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _job in 0..args.jobs.clamp(1, 32) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= args.runs {
                        return;
                    }
                    let seed = args.seed.wrapping_add(at);
                    let outcome = run::run(seed);
                    report(seed, &outcome);
                    outcomes.lock().expect("no run panics while it reports").push((seed, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no run panics while it reports");
    outcomes.sort_by_key(|(seed, _)| *seed);
    let seeds: Vec<u64> = outcomes.iter().map(|(seed, _)| *seed).collect();
    let failed: Vec<u64> =
        outcomes.iter().filter(|(_, outcome)| !outcome.as_ref().is_ok_and(Outcome::is_good)).map(|(seed, _)| *seed).collect();
    let good: Vec<&Outcome> = outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()).collect();
    let sum = |of: fn(&Outcome) -> u64| good.iter().map(|outcome| of(outcome)).sum::<u64>();
    let balanced = good.len() == outcomes.len() && good.iter().all(|outcome| outcome.balanced);
    let faults: serde_json::Map<String, serde_json::Value> = Fault::ALL
        .iter()
        .map(|fault| {
            (fault.name().to_owned(), good.iter().flat_map(|outcome| &outcome.faults).filter(|done| *done == fault).count().into())
        })
        .collect();
    let object = json!({
        "schema": "negawatt.bench.faults_ingest/1",
        "runs": outcomes.len(),
        "offered": sum(|outcome| outcome.offered),
        "stored": sum(|outcome| outcome.stored),
        "lost": sum(|outcome| outcome.lost),
        "false_duplicates": sum(|outcome| outcome.false_duplicates),
        "conservation": if balanced { "balanced" } else { "broken" },
        "seeds": seeds,
        "failed_seeds": failed,
        "duplicate": sum(|outcome| outcome.duplicate),
        "dead_letter": sum(|outcome| outcome.dead_letter),
        "starts_refused_for_damage": sum(|outcome| outcome.damage_seen),
        "copies_damaged": sum(|outcome| outcome.copies_damaged),
        "copies": {
            "readings": sum(|outcome| outcome.copied.readings),
            "refused": sum(|outcome| outcome.copied.refused),
            "writes_forgotten": sum(|outcome| outcome.copied.forgotten),
            "whole": good.iter().filter(|outcome| outcome.copied.whole).count(),
        },
        "faults": faults,
        "seconds": began.elapsed().as_secs(),
    });
    writeln!(io::stdout().lock(), "{object}")?;
    Ok(if failed.is_empty() && balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(seed: u64, outcome: &Result<Outcome>) {
    match outcome {
        Ok(outcome) if outcome.is_good() => {}
        Ok(outcome) => say(&format!("seed {seed}: {outcome:?}")),
        Err(err) => say(&format!("seed {seed}: {err}")),
    }
}

/// Says which file it was, of an error that does not know.
fn at(path: &Path) -> impl FnOnce(io::Error) -> String {
    move |err| format!("{}: {err}", path.display())
}

/// Talk, on standard error.
fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
