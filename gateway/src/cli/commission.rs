//! `commission` and `key`: prove that a device reads right, and sign what was found.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use config::DurationText;
use daemon::{ExitCode, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::{Output, complain, say};
use crate::{
    config::Config,
    setup::{CommissionError, Known, Order, SigningKey, State, commission},
};

const STEPS_MAX: usize = 16;

/// What to prove, for whom, and with which key.
#[derive(Debug, clap::Args)]
pub(super) struct CommissionArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The device's name in the configuration
    #[arg(long, value_name = "NAME")]
    device: String,
    /// The order that this work belongs to
    #[arg(long, value_name = "TEXT")]
    work_order: String,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    technician: String,
    /// The technician's private key; `negawatt-gateway key FILE` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signed record is written; DEVICE-WORKORDER.json beside the configuration when not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What the label of the current transformers says, such as 200/5
    #[arg(long, value_name = "PRIMARY/SECONDARY", value_parser = ratio)]
    ct: Option<(f64, f64)>,
    /// A current measured with a clamp, such as i1=42.5; may be repeated
    #[arg(long, value_name = "POINT=AMPERE", value_parser = clamp)]
    clamp: Vec<(String, f64)>,
    /// The serial number on the work order
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
    /// For how long the counters are watched
    #[arg(long, value_name = "TIME", default_value = "3m")]
    watch: DurationText,
    /// Reads of the latency profile
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    reads: u32,
    /// What is printed; the file is written in any case
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// Where the key goes.
#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    /// New file for the private key; only its owner can read it
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

fn ratio(text: &str) -> Result<(f64, f64), String> {
    let parts = text.split_once('/').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
    let allowed = |value: &f64| value.is_finite() && *value > 0.0;
    parts.filter(|(one, other)| allowed(one) && allowed(other)).ok_or_else(|| format!("`{text}` is not a ratio: write 200/5"))
}

fn clamp(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=').and_then(|(id, ampere)| Some((id, ampere.parse::<f64>().ok()?)));
    let known = |(id, ampere): &(&str, f64)| matches!(*id, "i" | "i1" | "i2" | "i3") && ampere.is_finite() && *ampere >= 0.0;
    let parts = parts.filter(known).ok_or_else(|| format!("`{text}` is not a current: write i1=42.5 (i1, i2, i3 or i)"))?;
    Ok((parts.0.to_owned(), parts.1))
}

pub(super) fn key(args: &KeyArgs) -> ExitCode {
    match SigningKey::create(&args.path) {
        Ok(key) => match say(&hex::encode(key.public())) {
            Ok(()) => complain(
                &format!("made {}; the line above is its public half: give it to those who check records", args.path.display()),
                ExitCode::Ok,
            ),
            Err(code) => code,
        },
        Err(err) => complain(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    }
}

pub(super) async fn run(args: CommissionArgs, quiet: bool) -> ExitCode {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => return complain(&faults, ExitCode::Configuration),
    };
    // The key first: nobody waits three minutes to learn that it cannot sign.
    let key = match SigningKey::load(&args.key) {
        Ok(key) => key,
        Err(err) => {
            let help = format!("help: negawatt-gateway key {}", args.key.display());
            return complain(&format!("error: {}\n{help}", daemon::chain(&err)), ExitCode::Usage);
        }
    };
    let order = Order {
        device: args.device.clone(),
        work_order: args.work_order.clone(),
        technician: args.technician,
        known: Known { transformer: args.ct, clamp: args.clamp.into_iter().collect::<BTreeMap<_, _>>(), serial: args.serial },
        watch: args.watch.duration(),
        every: Duration::from_secs(15).min(args.watch.duration() / 3).max(Duration::from_secs(1)),
        reads: args.reads,
    };
    let (steps, heard) = mpsc::channel(STEPS_MAX);
    let shown = tokio::spawn(show(heard, args.output == Output::Human && !quiet));
    let record = commission(&config, &order, &SystemClock, steps).await;
    if let Err(err) = shown.await {
        tracing::error!(error = %err, "the progress line ended early");
    }
    let record = match record {
        Ok(record) => record,
        Err(err @ CommissionError::UnknownDevice { .. }) => return complain(&format!("error: {err}"), ExitCode::Usage),
    };
    let bytes = record.sign(&key);
    let path = args.out.unwrap_or_else(|| {
        let safe: String = args.work_order.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        args.config.with_file_name(format!("{}-{safe}.json", args.device))
    });
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    if let Err(err) = written.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all())) {
        let help = "help: a record is never overwritten; name another file with --out";
        return complain(&format!("error: the record {} could not be written: {err}\n{help}", path.display()), ExitCode::DependencyDown);
    }
    let printed = match args.output {
        Output::Human => record.text(),
        Output::Json => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
    };
    if let Err(code) = say(&printed) {
        return code;
    }
    let verdict = if record.verdict() == State::Red { ExitCode::DataRefused } else { ExitCode::Ok };
    if quiet { verdict } else { complain(&format!("signed record: {}\nnext: negawatt-gateway report {0}", path.display()), verdict) }
}

async fn show(mut steps: mpsc::Receiver<String>, wanted: bool) {
    let bar = if wanted && std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap_or_else(|_err| ProgressStyle::default_spinner());
        ProgressBar::new_spinner().with_style(style)
    } else {
        ProgressBar::hidden()
    };
    while let Some(step) = steps.recv().await {
        bar.set_message(step);
        bar.tick();
    }
    bar.finish_and_clear();
}
