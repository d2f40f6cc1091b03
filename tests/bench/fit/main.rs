//! What a fit costs, and what the same fit costs in eemeter 2.10: `cargo xtask bench fit` builds and starts it.
//!
//! Both programs get the same files, one after the other, one thread each. A figure of ours is the median of many runs;
//! the published program is run once for each method, because one of its fits takes half a minute.

mod fleet;
mod ours;
mod reference;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

#[derive(Debug, Parser)]
#[command(name = "fit-bench", about = "What a fit costs, beside the published program")]
struct Args {
    /// The folder of the fixtures.
    #[arg(long)]
    fixtures: PathBuf,
    /// A Python that has eemeter; without one only ours is measured.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The release binary, for its cold start and its portfolio.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Meters of the portfolio.
    #[arg(long, default_value_t = 100_000)]
    meters: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match measured(&args) {
        Ok(figures) => {
            let written = writeln!(std::io::stdout().lock(), "{figures}");
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(err) => {
            drop(writeln!(std::io::stderr().lock(), "error: {err}"));
            ExitCode::FAILURE
        }
    }
}

fn measured(args: &Args) -> Result<Value, Box<dyn std::error::Error>> {
    let files = ours::Files::of(&args.fixtures);
    let sample = files.read()?;
    let daily_us = sample.daily_us()?;
    let (billing_us, hourly_us) = (ours::billing_us(&args.fixtures)?, ours::hourly_us(&args.fixtures)?);
    let (file_to_result_us, meter_file_to_result_us) = (files.file_to_result_us()?, files.meter_file_to_result_us()?);
    let bootstrap_ms = sample.bootstrap_ms()?;
    let (cold_start_ms, portfolio) = match &args.program {
        Some(program) => (Some(files.cold_start_ms(program)?), fleet::measured(program, files.temperature(), sample.meter(), args.meters)?),
        None => (None, Value::Null),
    };
    // A worker's memory is that of the larger: this process, which has fitted hours and days, or one that took a portfolio.
    let rss_mib = ours::resident_mib().into_iter().chain(portfolio["rss_mib"].as_f64()).reduce(f64::max);
    let reference = match &args.python {
        Some(python) => reference::run(python, &args.fixtures)?,
        None => Value::Null,
    };
    let beside = |name: &str, ours_us: f64| {
        let reference_us = reference[name]["seconds"].as_f64().map(|seconds| seconds * 1e6);
        json!({ "ours_us": ours_us, "reference_us": reference_us, "ratio": reference_us.map(|reference_us| (reference_us / ours_us).round()) })
    };
    Ok(json!({
        "schema": "negawatt.bench.fit/1",
        "daily": beside("daily", daily_us),
        "billing": beside("billing", billing_us),
        "hourly": beside("hourly", hourly_us),
        "file_to_result_us": file_to_result_us,
        "meter_file_to_result_us": meter_file_to_result_us,
        "bootstrap_ms": bootstrap_ms,
        "portfolio": portfolio,
        "rss_mib": rss_mib,
        "cold_start_ms": cold_start_ms,
        "reference": reference["versions"],
    }))
}
