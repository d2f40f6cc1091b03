//! The one binary: every role of the platform as a subcommand. It composes and decides nothing.

mod audit;
mod care;
mod cli;
mod demo;
mod readings;
mod savings;
mod up;
mod weather;

use clap::Parser;

fn main() -> std::process::ExitCode {
    cli::run(cli::Cli::parse()).into()
}
