//! What a developer does with the project: `cargo xtask test | lint | bench | peers`.
//!
//! It only starts other programs, in the order and with the settings that the project means. What it does is said on
//! standard error; standard output is for results.

mod bench;
mod lint;
mod prepare;
mod program;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "What a developer does with the project")]
struct Cli {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Install what the tests need and is absent, build, and run every test.
    Test,
    /// The tests against programs of other people, alone.
    Peers,
    /// Format, lints, documentation, and licences where cargo-deny is installed.
    Lint,
    /// Measure with the release build.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().act {
        Act::Test => test::everything(),
        Act::Peers => test::peers(),
        Act::Lint => lint::everything(),
        Act::Bench(args) => bench::run_named(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            program::say(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}
