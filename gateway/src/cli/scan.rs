//! `scan`: who is on the buses of this machine.

use std::{io::IsTerminal as _, path::Path, time::Duration};

use daemon::ExitCode;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Output, complain, profile, say};
use crate::setup::{Event, Place, PlaceReport, Thoroughness, scan};

/// Events between the engine and the progress line.
const EVENTS_MAX: usize = 64;

/// Where to look and how thoroughly.
#[derive(Debug, clap::Args)]
pub(super) struct ScanArgs {
    /// Where to look: auto (every serial port), /dev/ttyUSB0, tcp://HOST:PORT or tcp://192.168.1.0/24:502; may be repeated
    #[arg(long = "port", value_name = "PLACE", default_value = "auto")]
    ports: Vec<String>,
    /// Ask all units from 1 to 247, not only those that new devices have
    #[arg(long)]
    full: bool,
    /// Listen this many seconds for another master before the first question on a serial port
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    listen: f64,
    /// Wait this many seconds for a unit on a serial line; slow devices need more
    #[arg(long, value_name = "SECONDS", default_value_t = 0.1, value_parser = seconds)]
    patience: f64,
    /// Go on where another master was heard: both will be disturbed
    #[arg(long)]
    anyway: bool,
    /// Do not find out what the found devices are
    #[arg(long)]
    no_identify: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_err| format!("`{text}` is not a number of seconds"))?;
    if (0.0..=60.0).contains(&seconds) { Ok(seconds) } else { Err("allowed: 0 to 60".to_owned()) }
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    places: &'a [PlaceReport],
}

pub(super) async fn run(args: ScanArgs, quiet: bool) -> ExitCode {
    let mut places: Vec<Place> = Vec::new();
    for text in &args.ports {
        match Place::parse(text, Path::new("/")) {
            Ok(found) => places.extend(found),
            Err(err) => return complain(&format!("error: {err}"), ExitCode::Usage),
        }
    }
    if places.is_empty() {
        let help = "help: plug a serial adapter in, or name a host: --port tcp://192.168.1.20:502";
        return complain(&format!("error: this machine has no serial port\n{help}"), ExitCode::DependencyDown);
    }
    let how = Thoroughness {
        full: args.full,
        listen: Duration::from_secs_f64(args.listen),
        patience: Duration::from_secs_f64(args.patience),
        anyway: args.anyway,
        identify: !args.no_identify,
    };
    let (events, seen) = mpsc::channel(EVENTS_MAX);
    let bar = progress(args.output == Output::Human && !quiet);
    let shown = tokio::spawn(show(bar, seen));
    let reports = scan(places, how, events).await;
    if let Err(err) = shown.await {
        tracing::error!(error = %err, "the progress line ended early");
    }
    let found = reports.iter().any(|report| !report.devices.is_empty());
    let printed = match args.output {
        Output::Human => human(&reports),
        Output::Json => {
            serde_json::to_string(&Report { schema: "negawatt.scan/1", places: &reports }).expect("lists and texts become JSON")
        }
    };
    match say(&printed) {
        Ok(()) if found => ExitCode::Ok,
        Ok(()) => ExitCode::DependencyDown,
        Err(code) => code,
    }
}

/// A line of what is happening; nothing where nobody looks.
fn progress(wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap_or_else(|_err| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

async fn show(bar: ProgressBar, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Asked { place, trying, asked } => {
                bar.set_message(format!("{place}  {trying}  {asked} asked"));
                bar.tick();
            }
            Event::Found { unit, url, .. } => bar.println(format!("found unit {unit} at {url}")),
        }
    }
    bar.finish_and_clear();
}

fn human(reports: &[PlaceReport]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        let chip = report.chip.as_ref().map(|chip| format!("  {chip}")).unwrap_or_default();
        lines.push(format!("{}{chip}", report.place));
        if let Some(first) = report.heard_first {
            let what = if first.bytes == 0 { "nobody talks".to_owned() } else { format!("{} bytes heard", first.bytes) };
            lines.push(format!("  listened {:.1} s: {what}", Duration::from_millis(first.listened_ms).as_secs_f64()));
        }
        for device in &report.devices {
            let setting = device.settings.map_or_else(|| device.framing.to_owned(), |setting| setting.to_string());
            let what = device.identity.as_ref().map_or_else(String::new, |identity| match (identity.best(), identity.candidates.len()) {
                (Some(best), _) => {
                    let plate = identity
                        .sunspec
                        .as_ref()
                        .map(|plate| format!(" ({} {}, serial {})", plate.manufacturer, plate.model, plate.serial));
                    format!("  {}{}", best.profile, plate.unwrap_or_default())
                }
                (None, 0) => "  no known profile fits".to_owned(),
                (None, _) => {
                    let names: Vec<&str> = identity.candidates.iter().map(|candidate| candidate.profile.as_str()).collect();
                    format!("  one of {}", names.join(", "))
                }
            });
            lines.push(format!(
                "  unit {:>3}  {setting}{what}  ({} ms, found after {} ms)",
                device.unit, device.answer_ms, device.found_after_ms
            ));
            lines.push(format!("            {}", device.url));
        }
        let tally = report.tally;
        lines.push(format!(
            "  {} asked, {} answered in {:.1} s",
            tally.asked,
            tally.answered,
            Duration::from_millis(report.elapsed_ms).as_secs_f64()
        ));
        lines.extend(report.findings.iter().map(|finding| format!("  {}", finding.text().replace('\n', "\n  "))));
    }
    if let Some(device) = reports.iter().flat_map(|report| &report.devices).next() {
        let best = device.identity.as_ref().and_then(|identity| identity.best());
        let profile = best.map_or("PROFILE", |best| if best.text.is_some() { profile::SUNSPEC } else { &best.profile });
        lines.push(format!("next: negawatt-gateway probe '{}' --unit {} --device {profile}", device.url, device.unit));
    }
    lines.join("\n")
}
