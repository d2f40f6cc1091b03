//! The small binary for hardware in a facility. Everything is in the library.

use std::process::ExitCode;

use clap::Parser;

/// Reads meters every minute and keeps what was read until the collector has it.
#[derive(Debug, Parser)]
#[command(name = "negawatt-gateway", version)]
struct Program {
    #[command(flatten)]
    args: negawatt_gateway::cli::Args,
}

fn main() -> ExitCode {
    negawatt_gateway::cli::run(Program::parse().args).into()
}
