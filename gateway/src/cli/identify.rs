//! `identify`: what a device is.

use daemon::ExitCode;
use serde::Serialize;

use super::{Output, complain, say};
use crate::{
    modbus::Endpoint,
    setup::{Identity, identify},
};

/// Which device.
#[derive(Debug, clap::Args)]
pub(super) struct IdentifyArgs {
    /// Where the device is: tcp://HOST:PORT, rtu+tcp://HOST:PORT or rtu:///dev/ttyUSB0?baud=9600&parity=none
    #[arg(value_name = "URL")]
    endpoint: String,
    /// Unit id
    #[arg(long, value_name = "1-247", default_value_t = 1)]
    unit: u8,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    url: &'a str,
    unit: u8,
    best: Option<&'a str>,
    identity: &'a Identity,
}

pub(super) async fn run(args: IdentifyArgs) -> ExitCode {
    let endpoint = match Endpoint::parse(&args.endpoint) {
        Ok(endpoint) => endpoint,
        Err(err) => return complain(&format!("error: {err}"), ExitCode::Usage),
    };
    let identity = identify(&endpoint, args.unit).await;
    let best = identity.best().map(|best| best.profile.as_str());
    let printed = match args.output {
        Output::Human => {
            let place = format!("'{}' --unit {}", args.endpoint, args.unit);
            let next = identity.best().map(|best| match best.text {
                Some(_) => format!("\nnext: negawatt-gateway device import --from sunspec {place} > {}.toml", best.profile),
                None => format!("\nnext: negawatt-gateway probe {place} --device {}", best.profile),
            });
            human(&identity) + &next.unwrap_or_default()
        }
        Output::Json => {
            let report = Report { schema: "negawatt.identify/1", url: &args.endpoint, unit: args.unit, best, identity: &identity };
            serde_json::to_string(&report).expect("lists and texts become JSON")
        }
    };
    match say(&printed) {
        Ok(()) if identity == Identity::default() => {
            let help = "help: `scan` says whether it answers at all; a device without a profile needs a file in gateway.profiles";
            complain(&format!("no known profile fits unit {} at {endpoint}\n{help}", args.unit), ExitCode::DependencyDown)
        }
        Ok(()) => ExitCode::Ok,
        Err(code) => code,
    }
}

pub(super) fn human(identity: &Identity) -> String {
    let mut lines = Vec::new();
    if !identity.objects.is_empty() {
        lines.push(format!("says of itself   {}", identity.objects.join(", ")));
    }
    if let Some(text) = &identity.server_id {
        lines.push(format!("server id        {text}"));
    }
    if let Some(plate) = &identity.sunspec {
        let version = if plate.version.is_empty() { String::new() } else { format!(", version {}", plate.version) };
        lines.push(format!("SunSpec at {:<5} {} {}, serial {}{version}", plate.base, plate.manufacturer, plate.model, plate.serial));
    }
    lines.extend(identity.texts.iter().map(|(id, text)| format!("{id:<16} {text}")));
    for candidate in &identity.candidates {
        let sure = if candidate.certain { "certain".to_owned() } else { format!("score {}", candidate.score) };
        lines.push(format!("{:<28} {sure}", candidate.profile));
        lines.extend(candidate.because.iter().map(|reason| format!("    {reason}")));
    }
    match identity.best() {
        Some(best) => lines.push(format!("best: {}", best.profile)),
        None if identity.candidates.len() > 1 => {
            lines.push("several maps fit equally well: compare with the display of the device".to_owned());
        }
        None => {}
    }
    lines.join("\n")
}
