//! The gateway's spool: its own tests, asked for more than an ordinary run does, leave their figures in a file.

use std::process::Command;

use serde_json::{Map, Value};

use super::Output;
use crate::{
    prepare::target_dir,
    program::{Failure, cargo, print, root, run},
};

/// How much is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// Of `power-cuts`: how many.
    #[arg(long, default_value_t = 10_000)]
    cuts: u64,
    /// Of `power-cuts`: how many processes are killed while they write.
    #[arg(long, default_value_t = 10_000)]
    kills: u64,
    /// Of `outage`: how long, in minutes; 43200 is a month.
    #[arg(long, default_value_t = 43_200)]
    minutes: u64,
}

/// Cuts of the power on a disk in memory, and then kills of processes on the real one.
pub(super) fn power_cuts(asked: &Asked, seed: Option<u64>, shown: Output) -> Result<(), Failure> {
    let seeded = |name: &'static str, count: u64| {
        let mut variables = vec![(name, count.to_string())];
        variables.extend(seed.map(|seed| ("NEGAWATT_SEED", seed.to_string())));
        variables
    };
    let mut figures = measure(
        "spool::tests::power_cut::power_cuts_lose_nothing_that_was_committed_and_invent_nothing",
        &seeded("NEGAWATT_POWER_CUTS", asked.cuts),
    )?;
    figures.extend(measure("spool::tests::kill::what_a_killed_process_had_committed_is_there", &seeded("NEGAWATT_KILLS", asked.kills))?);
    show(figures, shown)
}

pub(super) fn outage(asked: &Asked, shown: Output) -> Result<(), Failure> {
    let variables = [("NEGAWATT_OUTAGE_MINUTES", asked.minutes.to_string())];
    show(measure("uplink::pump::tests::outage::after_an_outage_the_backlog_drains_and_live_frames_do_not_wait", &variables)?, shown)
}

/// Runs one test of the gateway and gives the figures that it leaves.
fn measure(test: &str, variables: &[(&str, String)]) -> Result<Map<String, Value>, Failure> {
    let figures = target_dir()?.join("bench-spool.json");
    // Figures of another run must not be taken for those of this one.
    if figures.exists() {
        std::fs::remove_file(&figures).map_err(|err| Failure::new(format!("could not remove {}: {err}", figures.display())))?;
    }
    let mut command: Command = cargo();
    command.current_dir(root()).args(["test", "--package", "negawatt-gateway", "--lib", "--", "--exact", test]);
    command.env("NEGAWATT_BENCH_OUT", &figures).envs(variables.iter().map(|(name, value)| (name, value)));
    // Standard output is for the figures alone.
    command.stdout(std::io::stderr());
    run(&mut command)?;
    let text = std::fs::read_to_string(&figures).map_err(|err| Failure::new(format!("the test left no figures: {err}")))?;
    serde_json::from_str(&text).map_err(|err| Failure::new(format!("the figures are no JSON object: {err}")))
}

fn show(figures: Map<String, Value>, shown: Output) -> Result<(), Failure> {
    if shown == Output::Json {
        return print(&Value::Object(figures).to_string());
    }
    for (name, figure) in &figures {
        print(&format!("{:<48}{figure}", name.replace('_', " ")))?;
    }
    Ok(())
}
