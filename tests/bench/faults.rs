//! The fault matrix as a program: `cargo xtask bench faults` builds and starts it.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use negawatt_tests::faults::{Reader, run};
use serde_json::{Value, json};

/// Exchanges of the peer, which is here to show what the defence is worth.
const PEER_EXCHANGES_MAX: u64 = 100_000;

#[derive(Debug, Parser)]
#[command(name = "faults", about = "Reads devices that misbehave and counts wrong values")]
struct Args {
    /// How many requests are made
    #[arg(long, default_value_t = 1_000_000)]
    exchanges: u64,
    /// What decides every fault
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let Args { exchanges, seed } = Args::parse();
    let began = Instant::now();
    let report = run(Reader::Gateway, exchanges, seed);
    let seconds = began.elapsed().as_secs_f64();
    let peer = run(Reader::Naive, exchanges.min(PEER_EXCHANGES_MAX), seed);
    let mut object = json!({
        "schema": "negawatt.bench/1",
        "exchanges": report.whole.exchanges(),
        "right": report.whole.right,
        "flagged": report.whole.flagged,
        "wrong": report.whole.wrong,
        "seed": seed,
        "seconds": (seconds * 100.0).round() / 100.0,
        "peer": {
            "name": "tokio-modbus 0.17.0, one read for each value, a timeout around each call",
            "exchanges": peer.whole.exchanges(),
            "right": peer.whole.right,
            "flagged": peer.whole.flagged,
            "wrong": peer.whole.wrong,
        },
    });
    if let (Value::Object(object), Value::Object(details)) = (&mut object, report.details()) {
        object.extend(details);
    }
    let written = writeln!(io::stdout().lock(), "{object}");
    if written.is_ok() && report.whole.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
