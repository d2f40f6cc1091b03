//! `device`: what is known about models of devices, and whether a profile of one's own is good.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use daemon::ExitCode;
use devices::{Expected, Origin, Profile, ProfileError};
use serde_json::{Value, json};

use super::{Output, complain, profile, say};
use crate::modbus::Endpoint;

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// List the devices that come with the program
    List {
        /// How the answer looks
        #[arg(long, value_enum, default_value_t = Output::Human)]
        output: Output,
    },
    /// Show what is known about one device
    Show {
        /// Profile, such as eastron-sdm630
        #[arg(value_name = "ID")]
        id: String,
        /// How the answer looks
        #[arg(long, value_enum, default_value_t = Output::Human)]
        output: Output,
    },
    /// Check a profile of your own and tell everything that is wrong with it at once
    Lint {
        /// Profile file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How the answer looks
        #[arg(long, value_enum, default_value_t = Output::Human)]
        output: Output,
    },
    /// Make a profile from another program's register list or from what a device says of itself; what is not said is told on standard error
    Import {
        /// Whose list it is
        #[arg(long, value_enum)]
        from: From,
        /// The list; or where the device is, as `probe` takes it
        #[arg(value_name = "FILE|URL")]
        place: String,
        /// Unit id of a device that describes itself
        #[arg(long, value_name = "1-247", default_value_t = 1)]
        unit: u8,
        /// Which of its models, where it has several: 203
        #[arg(long, value_name = "NUMBER")]
        model: Option<u16>,
        /// Id of the new profile; the file's name if not given
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// How the answer looks
        #[arg(long, value_enum, default_value_t = Output::Human)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum From {
    /// inputs.modbus of a Telegraf configuration
    Telegraf,
    /// A meter of mbmd, in Go
    Mbmd,
    /// A meter template of evcc, in YAML
    Evcc,
    /// A device that describes itself
    Sunspec,
}

impl From {
    /// The program it is a list of; none for a device that describes itself.
    const fn origin(self) -> Option<Origin> {
        match self {
            Self::Telegraf => Some(Origin::Telegraf),
            Self::Mbmd => Some(Origin::Mbmd),
            Self::Evcc => Some(Origin::Evcc),
            Self::Sunspec => None,
        }
    }
}

pub(super) async fn run(device: Device) -> ExitCode {
    match device {
        Device::List { output } => list(output),
        Device::Show { id, output } => show(&id, output),
        Device::Lint { file, output } => lint(&file, output),
        Device::Import { from, place, unit, model, id, output } => match from.origin() {
            Some(origin) => import(origin, Path::new(&place), id, output),
            None => describe(&place, (unit, model), id, output).await,
        },
    }
}

/// Prints an answer and ends well.
fn tell(answer: &str) -> ExitCode {
    say(answer).err().unwrap_or(ExitCode::Ok)
}

fn list(output: Output) -> ExitCode {
    let profiles = devices::builtin();
    if output == Output::Json {
        let devices: Vec<Value> = profiles.iter().map(summary).collect();
        return tell(&json!({ "schema": "negawatt.devices/1", "devices": devices }).to_string());
    }
    let width = profiles.iter().map(|profile| profile.id().len()).max().unwrap_or(0);
    let line = |profile: &Profile| {
        let products = profile.products().join(", ");
        format!(
            "{:width$}  {:11}  {:6}  {} {products}",
            profile.id(),
            profile.kind().name(),
            profile.confidence().name(),
            profile.manufacturer()
        )
    };
    tell(&profiles.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn summary(profile: &Profile) -> Value {
    let serial = profile.serial().map(
        |serial| json!({ "baud": serial.baud, "parity": format!("{:?}", serial.parity).to_lowercase(), "stop_bits": serial.stop_bits }),
    );
    json!({
        "id": profile.id(),
        "manufacturer": profile.manufacturer(),
        "products": profile.products(),
        "kind": profile.kind().name(),
        "phases": profile.phases(),
        "confidence": profile.confidence().name(),
        "warnings": profile.warnings(),
        "conflicts": profile.conflicts(),
        "sources": profile.sources(),
        "serial": serial,
        "unit_id": profile.unit_id(),
        "points": profile.points().len(),
        "vectors": profile.vectors().len(),
        "hash": profile.hash_hex(),
    })
}

fn show(id: &str, output: Output) -> ExitCode {
    let Some(profile) = devices::find(id) else {
        let help = "help: `negawatt-gateway device list` names those that there are";
        return complain(&format!("error: there is no profile `{id}`\n{help}"), ExitCode::Usage);
    };
    match output {
        Output::Human => tell(&described(profile)),
        Output::Json => {
            let mut answer = summary(profile);
            answer["schema"] = json!("negawatt.device/1");
            answer["notes"] = json!(profile.notes());
            answer["max_registers"] = json!(profile.max_registers());
            answer["registers"] = profile.points().iter().map(register).collect();
            tell(&answer.to_string())
        }
    }
}

fn register(point: &devices::Point) -> Value {
    json!({
        "id": point.id,
        "table": point.table.name(),
        "address": point.address,
        "type": point.encoding.name(),
        "word_order": point.word_order.name(),
        "byte_order": point.byte_order.name(),
        "unit": point.unit.symbol(),
        "group": point.group.name(),
        "billing": point.billing,
        "doubtful": point.doubtful,
    })
}

fn described(profile: &Profile) -> String {
    let mut lines = vec![
        format!("{}  {} {}", profile.id(), profile.manufacturer(), profile.products().join(", ")),
        format!("kind        {}, {} phases", profile.kind().name(), profile.phases()),
        format!("confidence  {}", profile.confidence().name()),
    ];
    if let Some(serial) = profile.serial() {
        let parity = format!("{:?}", serial.parity).to_lowercase();
        lines.push(format!(
            "new         {} baud, parity {parity}, {} stop bits, unit {}",
            serial.baud,
            serial.stop_bits,
            profile.unit_id()
        ));
    }
    lines.push(format!("read limit  {} registers", profile.max_registers()));
    lines.push(format!("hash        {}", profile.hash_hex()));
    let lists =
        [("source", profile.sources()), ("warning", profile.warnings()), ("conflict", profile.conflicts()), ("note", profile.notes())];
    for (name, texts) in lists {
        lines.extend(texts.iter().map(|text| format!("{name:<11} {text}")));
    }
    for point in profile.points() {
        let marks = [(point.billing, "billing"), (point.doubtful, "doubtful"), (point.group == devices::Group::Slow, "slow")];
        let marks: Vec<&str> = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
        let line = format!(
            "  {:<14} {:<7} {:>5}  {:<8} {:<10} {}",
            point.id,
            point.table.name(),
            point.address,
            point.encoding.name(),
            point.unit.symbol(),
            marks.join(", ")
        );
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// Everything that is wrong with a profile, and what it would be well to add.
fn faults(text: &str) -> (Option<Profile>, Vec<String>, Vec<String>) {
    let profile = match Profile::parse(text) {
        Ok(profile) => profile,
        Err(ProfileError::Faults { faults, .. }) => return (None, faults, Vec::new()),
        Err(err @ ProfileError::Syntax(_)) => return (None, vec![daemon::chain(&err)], Vec::new()),
    };
    let mut faults = profile.mismatches().iter().map(ToString::to_string).collect::<Vec<_>>();
    if let Err(err) = profile.plan(&[]) {
        faults.push(err.to_string());
    }
    let mut advice = Vec::new();
    if profile.vectors().is_empty() {
        advice.push("vector: add one, registers as read and what the display showed then".to_owned());
    }
    let absent = |vector: &devices::Vector| vector.expected == Expected::Absent;
    for point in profile.points().iter().filter(|point| !point.invalid.is_empty()) {
        if !profile.vectors().iter().any(|vector| vector.point == point.id && absent(vector)) {
            advice.push(format!("vector {}: no vector shows that its marker is no value", point.id));
        }
    }
    if profile.confidence() != devices::Confidence::High && profile.warnings().is_empty() {
        advice.push("warning: say what whoever installs one must look at, as the map is not certain".to_owned());
    }
    (Some(profile), faults, advice)
}

fn lint(file: &Path, output: Output) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(err) => return complain(&format!("error: {} cannot be read: {err}", file.display()), ExitCode::Usage),
    };
    let (profile, faults, advice) = faults(&text);
    let good = faults.is_empty();
    let answer = match output {
        Output::Json => json!({
            "schema": "negawatt.device-lint/1",
            "file": file.display().to_string(),
            "good": good,
            "faults": faults,
            "advice": advice,
            "id": profile.as_ref().map(Profile::id),
            "hash": profile.as_ref().map(Profile::hash_hex),
        })
        .to_string(),
        Output::Human => {
            let head = match &profile {
                Some(profile) if good => format!("{}: good; {} {}", file.display(), profile.id(), profile.hash_hex()),
                _ => format!("{}: {} faults", file.display(), faults.len()),
            };
            let told =
                faults.iter().map(|fault| format!("  fault: {fault}")).chain(advice.iter().map(|advice| format!("  advice: {advice}")));
            std::iter::once(head).chain(told).collect::<Vec<_>>().join("\n")
        }
    };
    match say(&answer) {
        Err(code) => code,
        Ok(()) if good => ExitCode::Ok,
        Ok(()) => ExitCode::Configuration,
    }
}

/// The profile of a device that says itself where its registers are.
async fn describe(place: &str, (unit, model): (u8, Option<u16>), id: Option<String>, output: Output) -> ExitCode {
    let endpoint = match Endpoint::parse(place) {
        Ok(endpoint) => endpoint,
        Err(err) => return complain(&format!("error: {err}"), ExitCode::Usage),
    };
    let profile = match profile::described(&endpoint, unit, model).await {
        Ok(profile) => profile,
        Err(code) => return code,
    };
    let profile = match id.map(|id| profile.named(&id)) {
        None => profile,
        Some(Ok(named)) => named,
        Some(Err(err)) => return complain(&format!("error: {}", daemon::chain(&err)), ExitCode::Usage),
    };
    let answer = match output {
        Output::Human => profile.text().trim_end().to_owned(),
        Output::Json => {
            let lost: [&str; 0] = [];
            let (id, hash) = (profile.id(), profile.hash_hex());
            json!({ "schema": "negawatt.device-import/1", "id": id, "hash": hash, "profile": profile.text(), "lost": lost, "faults": lost })
                .to_string()
        }
    };
    tell(&answer)
}

fn import(origin: Origin, file: &Path, id: Option<String>, output: Output) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(err) => return complain(&format!("error: {} cannot be read: {err}", file.display()), ExitCode::Usage),
    };
    let stem =
        || file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-"));
    // An id has 63 letters at most, and begins with one that is no dash.
    let fitting = |stem: String| stem.trim_matches('-').get(..63).unwrap_or(stem.trim_matches('-')).trim_end_matches('-').to_owned();
    let id = id.or_else(|| stem().map(fitting)).unwrap_or_else(|| "imported".to_owned());
    let source = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let imported = match devices::import(origin, &id, &source, &text) {
        Ok(imported) => imported,
        Err(err) => return complain(&format!("error: {}: {}", file.display(), daemon::chain(&err)), ExitCode::Configuration),
    };
    let (_, faults, _) = faults(&imported.text);
    if output == Output::Json {
        let answer =
            json!({ "schema": "negawatt.device-import/1", "id": id, "profile": imported.text, "lost": imported.lost, "faults": faults });
        return tell(&answer.to_string());
    }
    let code = tell(imported.text.trim_end());
    let lost = imported.lost.iter().map(|lost| format!("not carried over: {lost}"));
    let told: Vec<String> = lost.chain(faults.iter().map(|fault| format!("fault: {fault}"))).collect();
    if !told.is_empty() && code == ExitCode::Ok {
        return complain(&told.join("\n"), ExitCode::Ok);
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_ones_own_is_checked_whole() {
        let text = devices::find("siemens-pac2200").unwrap().text().to_owned();
        let (profile, found, advice) = faults(&text);
        assert!(profile.is_some() && found.is_empty() && advice.is_empty(), "{found:?} {advice:?}");
        let wrong = text.replace("value = \"230.1\"", "value = \"231.1\"").replace("value = \"229.8\"", "value = \"9\"");
        assert_eq!(faults(&wrong).1, ["vector of v1: expected 231.1, found 230.1", "vector of v2: expected 9, found 229.8"]);
        let broken = text.replace("max_registers = 125", "max_registers = 500").replace("unit_id = 1", "unit_id = 0");
        assert_eq!(faults(&broken).1.len(), 2);
        let (_, syntax, _) = faults("id = [");
        assert!(syntax[0].starts_with("profile is not valid TOML of the expected shape"), "{syntax:?}");
    }

    #[test]
    fn what_is_known_is_shown() {
        let shown = described(devices::find("orno-we504").unwrap());
        assert!(shown.starts_with("orno-we504  ORNO OR-WE-504\nkind        power-meter, 1 phases\nconfidence  medium\n"), "{shown}");
        assert!(shown.contains("\nwarning     Powers are unsigned"), "{shown}");
        assert!(shown.ends_with("\n  e_imp          holding     7  u32      kWh        billing"), "{shown}");
        assert_eq!(show("nonsense", Output::Json), ExitCode::Usage);
        assert_eq!(lint(Path::new("/nowhere"), Output::Human), ExitCode::Usage);
    }
}
