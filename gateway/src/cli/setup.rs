//! `setup`: from a box of meters to a configuration, by questions or by an answers file.

use std::{
    io::{self, BufRead, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use daemon::ExitCode;
use tokio::sync::mpsc;

use super::{complain, profile, say};
use crate::modbus::Endpoint;
use crate::setup::{Answers, DeviceAnswer, FoundDevice, Place, QUESTIONS, SERIAL_PATIENCE, Thoroughness, scan};

const EVENTS_MAX: usize = 16;
const OTHER_FILE: &str = "help: name another file with --out; an existing one is never overwritten";

/// What is known already, and where to look for the rest.
#[derive(Debug, clap::Args)]
pub(super) struct SetupArgs {
    /// The configuration to write; an existing file is never overwritten
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    out: PathBuf,
    /// Answers in TOML: tenant, facility, gateway, broker, data_dir, profiles and [[device]] with id, url, unit, profile
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Whose facility it is
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Which facility
    #[arg(long, value_name = "NAME")]
    facility: Option<String>,
    /// Name of this gateway
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// Where readings go
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Where readings are kept until they are delivered
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Where to look for devices, as `scan` takes it; may be repeated
    #[arg(long = "port", value_name = "PLACE")]
    ports: Vec<String>,
    /// Ask all units from 1 to 247, not only those that new devices have
    #[arg(long)]
    full: bool,
    /// Ask nothing: what usually does is taken, and what is missing is an error
    #[arg(long)]
    no_input: bool,
}

pub(super) async fn run(args: SetupArgs) -> ExitCode {
    // Nobody looks for devices for minutes to learn that there is no place for the answer.
    if args.out.exists() {
        return complain(&format!("error: {} is there already\n{OTHER_FILE}", args.out.display()), ExitCode::DependencyDown);
    }
    let mut answers = Answers::default();
    if let Some(path) = &args.answers {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(err) => return complain(&format!("error: {} could not be read: {err}", path.display()), ExitCode::Usage),
        };
        answers = match Answers::parse(path, &text) {
            Ok(answers) => answers,
            Err(faults) => return complain(&faults, ExitCode::Configuration),
        };
    }
    let told = [&args.tenant, &args.facility, &args.gateway, &args.broker, &args.data_dir];
    for ((key, _, _), told) in QUESTIONS.iter().zip(told) {
        if let (Some(place), Some(told)) = (answers.answer(key), told) {
            *place = Some(told.clone());
        }
    }
    let asks = !args.no_input && io::stdin().is_terminal();
    if let Err(code) = find_devices(&args.ports, args.full, &mut answers, asks).await {
        return code;
    }
    if let Err(err) = complete(&mut answers, asks, &mut io::stdin().lock(), &mut io::stderr().lock()) {
        return complain(&format!("error: the answers could not be read: {err}"), ExitCode::Usage);
    }
    if let Err(code) = ask_themselves(&mut answers).await {
        return code;
    }
    let kept = match answers.keep_profiles(&args.out) {
        Ok(kept) => kept,
        Err(err) => return complain(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    };
    let text = match answers.configuration(&args.out) {
        Ok(text) => text,
        Err(faults) => {
            kept.undo();
            return complain(&faults, ExitCode::Configuration);
        }
    };
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.out);
    if let Err(err) = written.and_then(|mut file| file.write_all(text.as_bytes())) {
        kept.undo();
        return complain(&format!("error: {} could not be written: {err}\n{OTHER_FILE}", args.out.display()), ExitCode::DependencyDown);
    }
    let profiles = match (&answers.profiles, kept.count()) {
        (Some(folder), count @ 1..) => format!(", {count} profiles of devices that describe themselves in {}", folder.display()),
        _ => String::new(),
    };
    match say(&format!("{}: {} devices{profiles}", args.out.display(), answers.device.len())) {
        Ok(()) => complain(&format!("next: negawatt-gateway check --config {} --connect", args.out.display()), ExitCode::Ok),
        Err(code) => code,
    }
}

/// Looks where the technician says, unless the answers name devices already.
async fn find_devices(ports: &[String], full: bool, answers: &mut Answers, asks: bool) -> Result<(), ExitCode> {
    let mut places = Vec::new();
    let everywhere = ["auto".to_owned()];
    let looked = if ports.is_empty() && answers.device.is_empty() { &everywhere } else { ports };
    for text in looked {
        match Place::parse(text, Path::new("/")) {
            Ok(found) => places.extend(found),
            Err(err) => return Err(complain(&format!("error: {err}"), ExitCode::Usage)),
        }
    }
    if places.is_empty() {
        return Ok(());
    }
    complain(&format!("looking at {} places ...", places.len()), ExitCode::Ok);
    let (events, mut seen) = mpsc::channel(EVENTS_MAX);
    let shown = tokio::spawn(async move { while seen.recv().await.is_some() {} });
    let how = Thoroughness { full, listen: std::time::Duration::from_secs(2), patience: SERIAL_PATIENCE, anyway: false, identify: true };
    let reports = scan(places, how, events).await;
    if let Err(err) = shown.await {
        tracing::error!(error = %err, "the watcher of the scan ended early");
    }
    for report in &reports {
        for finding in &report.findings {
            complain(&finding.text(), ExitCode::Ok);
        }
        for device in &report.devices {
            match proposed(device, answers.device.len() + 1) {
                Some(answer) => {
                    complain(&format!("found {} at {} unit {}", answer.profile, answer.url, answer.unit), ExitCode::Ok);
                    answers.device.push(answer);
                }
                None => {
                    let next = if asks { "add it to the file by hand" } else { "name it in an answers file" };
                    complain(
                        &format!("unit {} at {} answers, and no known profile stands out: {next}", device.unit, device.url),
                        ExitCode::Ok,
                    );
                }
            }
        }
    }
    Ok(())
}

/// Asks those devices what they are that are said to know it.
async fn ask_themselves(answers: &mut Answers) -> Result<(), ExitCode> {
    for device in answers.device.iter_mut().filter(|device| device.profile == profile::SUNSPEC) {
        let endpoint = Endpoint::parse(&device.url).map_err(|err| complain(&format!("error: {err}"), ExitCode::Configuration))?;
        let described = profile::described(&endpoint, device.unit, None).await?;
        device.profile = described.id().to_owned();
        device.text = Some(described.text().to_owned());
    }
    Ok(())
}

fn proposed(device: &FoundDevice, number: usize) -> Option<DeviceAnswer> {
    let best = device.identity.as_ref()?.best()?;
    Some(DeviceAnswer {
        id: format!("meter-{number}"),
        url: device.url.clone(),
        unit: device.unit,
        profile: best.profile.clone(),
        text: best.text.clone(),
    })
}

/// Fills in what is not answered yet: by asking, or by what usually does.
fn complete(answers: &mut Answers, asks: bool, input: &mut impl BufRead, talk: &mut impl io::Write) -> io::Result<()> {
    let mut ask = |question: &str, usual: Option<&str>| -> io::Result<Option<String>> {
        if !asks {
            return Ok(usual.map(str::to_owned));
        }
        match usual {
            Some(usual) => write!(talk, "{question} [{usual}]: ")?,
            None => write!(talk, "{question}: ")?,
        }
        talk.flush()?;
        let mut line = String::new();
        input.read_line(&mut line)?;
        let given = line.trim();
        Ok(if given.is_empty() { usual.map(str::to_owned) } else { Some(given.to_owned()) })
    };
    for (key, question, usual) in QUESTIONS {
        if let Some(place @ None) = answers.answer(key) {
            *place = ask(question, usual)?;
        }
    }
    for device in &mut answers.device {
        let question = format!("a name for the {} at {} unit {}", device.profile, device.url, device.unit);
        if device.id.starts_with("meter-")
            && let Some(name) = ask(&question, Some(&device.id))?
        {
            device.id = name;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceAnswer {
        let (url, profile) = ("tcp://10.0.0.7:502".to_owned(), "eastron-sdm630".to_owned());
        DeviceAnswer { id: "meter-1".to_owned(), url, unit: 1, profile, text: None }
    }

    #[test]
    fn questions_are_asked_once_and_usual_answers_offered() {
        let mut answers = Answers { tenant: Some("acme".to_owned()), device: vec![device()], ..Answers::default() };
        let mut talk = Vec::new();
        complete(&mut answers, true, &mut "hall\n\nmqtt://b:1883\n\nmain-meter\n".as_bytes(), &mut talk).unwrap();
        assert_eq!((answers.facility.as_deref(), answers.gateway.as_deref()), (Some("hall"), Some("gw-1")));
        assert_eq!(answers.device[0].id, "main-meter");
        assert!(answers.configuration(Path::new("gateway.toml")).is_ok());
        let talk = String::from_utf8(talk).unwrap();
        assert!(!talk.contains("whose facility") && talk.contains("a name for this gateway [gw-1]: "), "{talk}");
    }

    #[test]
    fn without_a_terminal_what_is_missing_is_a_fault_and_no_question() {
        let mut answers = Answers { device: vec![device()], ..Answers::default() };
        let mut talk = Vec::new();
        complete(&mut answers, false, &mut "".as_bytes(), &mut talk).unwrap();
        assert!(talk.is_empty());
        assert!(answers.configuration(Path::new("gateway.toml")).unwrap_err().to_string().contains("gateway.tenant"));
    }
}
