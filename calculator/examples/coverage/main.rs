//! Simulates how often the stated interval holds, and writes the page about it.
//!
//! `cargo xtask bench coverage --runs 20000 --seed 1 --output json` builds and runs this.

mod hourly;
mod methods;
mod noise;
mod page;
mod simulation;
mod weather;

use std::io::Write;
use std::process::ExitCode;

use page::Results;

const USAGE: &str = "usage: coverage [--runs N] [--seed S] [--page FILE]";

struct Asked {
    runs: u32,
    seed: u64,
    page: Option<String>,
}

fn main() -> ExitCode {
    let done = asked().and_then(|asked| run(&asked));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            drop(writeln!(std::io::stderr().lock(), "{why}"));
            ExitCode::FAILURE
        }
    }
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { runs: 500, seed: 1, page: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse::<u64>().map_err(|err| format!("{word} {value}: {err}"));
        match word.as_str() {
            "--runs" => asked.runs = u32::try_from(number()?).map_err(|err| err.to_string())?,
            "--seed" => asked.seed = number()?,
            "--page" => asked.page = Some(value),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(asked)
}

fn run(asked: &Asked) -> Result<(), String> {
    let (days, hours) = weather::read()?;
    let say = |text: &str| drop(writeln!(std::io::stderr().lock(), "{text}"));
    let mut results = Results {
        seed: asked.seed,
        daily: Vec::new(),
        hourly: Vec::new(),
        of_days: Vec::new(),
        of_hours: Vec::new(),
        recovery: Vec::new(),
    };
    for scenario in &simulation::SCENARIOS {
        say(scenario.name);
        results.daily.push(simulation::simulate(scenario, &days, asked.runs, asked.seed));
    }
    for scenario in hourly::HOURLY {
        say(scenario.0);
        // A year of hours takes as long as a hundred of days.
        results.hourly.push(hourly::simulate(scenario, &hours, asked.runs.div_ceil(10), 2_000, asked.seed));
    }
    for trial in &methods::OF_DAYS {
        say(trial.name);
        results.of_days.push(methods::of_days(trial, &days, asked.runs.div_ceil(10), asked.seed));
    }
    for trial in &methods::OF_HOURS {
        say(trial.name);
        results.of_hours.push(methods::of_hours(trial, &hours, asked.runs.div_ceil(20), asked.seed));
    }
    for cv in [0.05, 0.15, 0.25] {
        results.recovery.push(simulation::recovery(cv, asked.runs.max(1_000), &days, asked.seed));
    }
    if let Some(path) = &asked.page {
        let text = results.page().map_err(|err| err.to_string())?;
        std::fs::write(path, text).map_err(|err| format!("could not write {path}: {err}"))?;
    }
    let mut figures = results.json();
    figures["bootstrap_ms"] = hourly::interval_ms(&hours, 2_000, asked.seed).into();
    writeln!(std::io::stdout().lock(), "{figures}").map_err(|err| format!("standard output is gone: {err}"))
}
