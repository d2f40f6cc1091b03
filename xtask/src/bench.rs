//! Measuring with the release build.

mod spool;

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    prepare::{self, target_dir},
    program::{Failure, cargo, output, print, root, run, say},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure.
    name: Name,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// Of `faults`: how many requests are made.
    #[arg(long, default_value_t = 1_000_000)]
    exchanges: u64,
    /// Of `side-by-side`: how many points are written to each, usually 5,000,000.
    #[arg(long)]
    points: Option<u64>,
    /// Of `coverage`, `faults`, `faults-ingest`, `power-cuts`, `side-by-side`, `store`: what decides every draw and every fault; the usual one when not
    /// given.
    #[arg(long)]
    seed: Option<u64>,
    /// Of `coverage`: how many years of each kind are simulated, usually 500. Of `faults-ingest`: how many runs, usually 100.
    #[arg(long)]
    runs: Option<u32>,
    #[command(flatten)]
    spool: spool::Asked,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// How often the stated interval of avoided energy holds the truth; writes calculator/COVERAGE.md.
    Coverage,
    /// The whole path, from registers to an audited invoice.
    Demo,
    /// Wrong values among faulted exchanges with simulated meters.
    Faults,
    /// Kills, stops and damages of the collector and the broker, and what is lost of what was offered.
    FaultsIngest,
    /// Cuts of the power at every step of the gateway's spool.
    PowerCuts,
    /// A month without an uplink, and the way back.
    Outage,
    /// What the gateway costs, and what it can do.
    Gateway,
    /// The collector beside VictoriaMetrics, InfluxDB, Mosquitto and PostgreSQL, on the same readings.
    SideBySide,
    /// What the store costs, how soon it is ready after a kill, and how fast it answers.
    Store,
    /// What a fit of a baseline costs, beside the published program.
    Fit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

/// Builds the release binary and measures.
pub(crate) fn run_named(args: &Args) -> Result<(), Failure> {
    match args.name {
        Name::Coverage => coverage(args),
        Name::Demo => demo(args.output),
        Name::Faults => faults(args),
        Name::FaultsIngest => faults_ingest(args),
        Name::PowerCuts => spool::power_cuts(&args.spool, args.seed, args.output),
        Name::Outage => spool::outage(&args.spool, args.output),
        Name::Gateway => gateway(args.output),
        Name::SideBySide => side_by_side(args),
        Name::Store => store(args),
        Name::Fit => fit(args.output),
    }
}

fn demo(shown: Output) -> Result<(), Failure> {
    run(cargo().args(["build", "--release", "--package", "negawatt"]))?;
    let target = target_dir()?;
    let folder = target.join("bench-demo");
    say("running the demo");
    let text = output(Command::new(target.join("release/negawatt")).args(["demo", "--output", "json", "--dir"]).arg(&folder))?;
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the demo did not print one object: {err}")))?;
    let stages = stages(&folder.join("stages.json"))?;
    if shown == Output::Json {
        let figures = json!({
            "schema": "negawatt.bench.demo/1",
            "points_per_second": result["readings"]["points_per_second"],
            "wall_seconds": result["wall_seconds"],
            "readings": result["readings"],
            "stages": stages,
        });
        return print(&figures.to_string());
    }
    let readings = &result["readings"];
    print(&format!("{:<24}{:>12}", "points polled", readings["polled"]))?;
    print(&format!("{:<24}{:>12}", "points stored", readings["stored"]))?;
    print(&format!("{:<24}{:>12}", "points per second", readings["points_per_second"]))?;
    for stage in stages.as_array().into_iter().flatten() {
        let seconds = stage["seconds"].as_f64().unwrap_or_default();
        print(&format!("{:<24}{seconds:>10.2} s", stage["name"].as_str().unwrap_or("?")))?;
    }
    print(&format!("{:<24}{:>10.2} s", "whole", result["wall_seconds"].as_f64().unwrap_or_default()))
}

/// Simulates facilities whose truth is known.
fn coverage(args: &Args) -> Result<(), Failure> {
    run(cargo().args(["build", "--release", "--package", "negawatt-calculator", "--example", "coverage"]))?;
    let mut bench = Command::new(target_dir()?.join("release/examples/coverage"));
    bench.args(["--runs", &args.runs.unwrap_or(500).to_string(), "--seed", &args.seed.unwrap_or(1).to_string()]);
    let text = output(bench.arg("--page").arg(root().join("calculator/COVERAGE.md")))?;
    if args.output == Output::Json {
        return print(text.trim_end());
    }
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the bench did not print one object: {err}")))?;
    for scenario in ["daily", "hourly"].iter().flat_map(|kind| result[kind].as_array().into_iter().flatten()) {
        let covered = 100.0 * scenario["covered"].as_f64().unwrap_or_default();
        print(&format!("{:<48}{covered:>8.1} %", scenario["scenario"].as_str().unwrap_or("?")))?;
    }
    Ok(())
}

/// Reads misbehaving devices with the gateway's own poller. Fails when one wrong value was accepted.
fn faults(args: &Args) -> Result<(), Failure> {
    run(cargo().args(["build", "--release", "--package", "negawatt-tests", "--bin", "faults"]))?;
    say("reading devices that misbehave");
    let (exchanges, seed) = (args.exchanges.to_string(), args.seed.unwrap_or(1).to_string());
    let mut bench = Command::new(target_dir()?.join("release/faults"));
    let text = output(bench.args(["--exchanges", &exchanges, "--seed", &seed]))?;
    if args.output == Output::Json {
        return print(text.trim_end());
    }
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the bench did not print one object: {err}")))?;
    for name in ["exchanges", "right", "flagged", "wrong", "seed", "seconds"] {
        print(&format!("{name:<24}{:>12}", result[name]))?;
    }
    let peer = &result["peer"];
    print(&format!("{} of {} wrong: {}", peer["wrong"], peer["exchanges"], peer["name"].as_str().unwrap_or("the peer")))
}

/// Kills and damages a collector and a broker, and reads the store back. Fails when one point was lost or invented.
fn faults_ingest(args: &Args) -> Result<(), Failure> {
    run(cargo().args(["build", "--release", "--package", "negawatt-tests", "--bin", "faults-ingest"]))?;
    say("killing, stopping and damaging");
    let (runs, seed) = (args.runs.unwrap_or(100).to_string(), args.seed.unwrap_or(1).to_string());
    let text = output(Command::new(target_dir()?.join("release/faults-ingest")).args(["--runs", &runs, "--seed", &seed]))?;
    if args.output == Output::Json {
        return print(text.trim_end());
    }
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the bench did not print one object: {err}")))?;
    for name in ["runs", "offered", "stored", "lost", "false_duplicates", "conservation", "seconds"] {
        print(&format!("{name:<24}{:>12}", result[name]))?;
    }
    Ok(())
}

/// Measures the gateway's program and its poller, and pymodbus on the same devices. Takes some five minutes.
fn gateway(shown: Output) -> Result<(), Failure> {
    prepare::peers()?;
    run(cargo().args(["build", "--release", "--package", "negawatt-tests", "--bin", "gateway-bench"]))?;
    // The program as it is installed.
    run(cargo().args(["build", "--profile", "edge", "--package", "negawatt-gateway", "--bin", "negawatt-gateway"]))?;
    let target = target_dir()?;
    let mut bench = Command::new(target.join("release/gateway-bench"));
    bench.arg("--program").arg(target.join("edge/negawatt-gateway"));
    let text = output(bench.arg("--python").arg(target.join("peers-venv/bin/python")))?;
    if shown == Output::Json {
        return print(text.trim_end());
    }
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the bench did not print one object: {err}")))?;
    let figures = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (name, figure) in figures(&result).into_iter().filter(|(_, figure)| figure.is_number()).chain(figures(&result["peers"])) {
        print(&format!("{name:<48}{figure:>14}"))?;
    }
    Ok(())
}

/// Measures fits of baselines with the calculator and with eemeter 2.10.11, which takes a minute for its part.
fn fit(shown: Output) -> Result<(), Failure> {
    let python = prepare::eemeter()?;
    run(cargo().args(["build", "--release", "--package", "negawatt-tests", "--bin", "fit-bench"]))?;
    run(cargo().args(["build", "--release", "--package", "negawatt"]))?;
    let target = target_dir()?;
    let mut bench = Command::new(target.join("release/fit-bench"));
    bench.arg("--fixtures").arg(root().join("tests/fixtures/mv")).arg("--python").arg(python);
    let text = output(bench.arg("--program").arg(target.join("release/negawatt")))?;
    if shown == Output::Json {
        return print(text.trim_end());
    }
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the bench did not print one object: {err}")))?;
    for (name, figure) in result.as_object().into_iter().flatten() {
        match figure.as_object() {
            Some(parts) => {
                for (part, figure) in parts {
                    print(&format!("{:<32}{figure:>16}", format!("{name} {part}").replace('_', " ")))?;
                }
            }
            None => print(&format!("{:<32}{figure:>16}", name.replace('_', " ")))?,
        }
    }
    Ok(())
}

/// Measures the collector and what others use in its place, on the same bodies. Takes some five minutes and 3 GB of disk.
fn side_by_side(args: &Args) -> Result<(), Failure> {
    if let Err(failure) = prepare::programs() {
        say(&format!("{failure}; what is not there is not measured"));
    }
    run(cargo().args(["build", "--release", "--package", "negawatt-tests", "--bin", "side-by-side", "--bin", "store-bench"]))?;
    run(cargo().args(["build", "--release", "--package", "negawatt"]))?;
    let target = target_dir()?;
    let mut bench = Command::new(target.join("release/side-by-side"));
    // On the disk that is built on, and not in the memory that `/tmp` may be.
    bench.arg("--folder").arg(&target).arg("--program").arg(target.join("release/negawatt"));
    bench.args(["--seed", &args.seed.unwrap_or(1).to_string()]);
    if let Some(points) = args.points {
        bench.args(["--points", &points.to_string()]);
    }
    // It prints a table for people beside the object: both are shown, and a must that is missed by far ends it.
    if args.output == Output::Json { run(&mut bench) } else { output(&mut bench).map(drop) }
}

/// Measures the store: commits, a restart after a kill, a year of one facility. Takes some two minutes and 2 GB of disk.
fn store(args: &Args) -> Result<(), Failure> {
    run(cargo().args(["build", "--release", "--package", "negawatt-tests", "--bin", "store-bench"]))?;
    let target = target_dir()?;
    let seed = args.seed.unwrap_or(1).to_string();
    // On the disk that is built on, and not in the memory that `/tmp` may be.
    let text = output(Command::new(target.join("release/store-bench")).arg("--folder").arg(&target).args(["--seed", &seed]))?;
    if args.output == Output::Json {
        return print(text.trim_end());
    }
    let result: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("the bench did not print one object: {err}")))?;
    for (name, figure) in result.as_object().into_iter().flatten().filter(|(_, figure)| figure.is_number()) {
        print(&format!("{name:<48}{figure:>14}"))?;
    }
    Ok(())
}

/// The seconds of each stage, which the demo leaves in its folder.
fn stages(path: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|err| Failure::new(format!("could not read {}: {err}", path.display())))?;
    serde_json::from_str(&text).map_err(|err| Failure::new(format!("{} is not JSON: {err}", path.display())))
}
