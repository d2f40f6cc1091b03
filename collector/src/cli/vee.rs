//! `negawatt vee`: whether everything is there and can be; fills gaps, changes readings, and undoes it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use daemon::{Clock, ExitCode, SystemClock};
use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use store::{OpenError, Options, Reader, Store};
use tokio::runtime::Runtime;

use super::{Output, fail, say};
use crate::config::{Config, VeeConfig};
use crate::serve;
use crate::vee::{self as rules, Ask, ChangeError, ChangeSaid, Desk, DeskError, EVENTS_MAX, Facts, Journal, Request, Scene};

/// Whether everything is there and can be; fills gaps, changes readings, and undoes it.
///
/// Nothing that was received is ever altered: each change is a newer version, with who answers for it, and can be undone.
#[derive(Clone, Debug, clap::Args)]
pub struct Vee {
    #[command(subcommand)]
    verb: Verb,
    /// The folder of the store; `negawatt up` keeps it in its data folder.
    #[arg(long, global = true, value_name = "FOLDER", default_value = "negawatt-data/store")]
    store: PathBuf,
    /// The configuration file of the collector, for zones and limits; it names the store, too.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How it is printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// What is missing in a range, and why. Beside a collector that runs, too.
    Gaps(Asked),
    /// What cannot be so, or should be looked at: spikes, frozen values, counters that do not go on.
    Check(Asked),
    /// How far everything is there, as the running collector has seen it last, and the alerts that hold.
    Watermarks,
    /// What was told: complete days, stale devices, clocks that are off.
    Events {
        /// The id of the last event that is known.
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// Only those of this topic, like `facility_day_complete`.
        #[arg(long)]
        topic: Option<String>,
    },
    /// Changes of a facility, newest first.
    Changes {
        #[command(flatten)]
        facility: Facility,
    },
    /// Fills what is missing in a range, as far as there is a method for it. No collector may have the store open.
    Estimate {
        #[command(flatten)]
        asked: Asked,
        /// One point of the device.
        #[arg(long)]
        point: Option<String>,
        /// Only show what would be filled.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        answers: Answers,
    },
    /// Puts a value in the place of another, or where there is none.
    Set {
        #[command(flatten)]
        point: Point,
        #[arg(long, value_name = "TIME")]
        at: Timestamp,
        /// A decimal number in the unit of the point.
        #[arg(long, allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        answers: Answers,
    },
    /// Takes values away that are known to be wrong.
    Withdraw {
        #[command(flatten)]
        point: Point,
        #[arg(long, value_name = "TIME")]
        from: Timestamp,
        #[arg(long, value_name = "TIME")]
        to: Timestamp,
        #[command(flatten)]
        answers: Answers,
    },
    /// Writes down that another meter was put in the place of one, with what both displays showed.
    Exchange {
        #[command(flatten)]
        point: Point,
        /// The first moment of the new meter.
        #[arg(long, value_name = "TIME")]
        at: Timestamp,
        /// The last display of the old meter.
        #[arg(long, requires = "opening")]
        closing: Option<String>,
        /// The first display of the new meter.
        #[arg(long, requires = "closing")]
        opening: Option<String>,
        #[command(flatten)]
        answers: Answers,
    },
    /// Undoes a change: what stood there before stands there again.
    Undo {
        /// Its number, as `changes` shows it.
        id: i64,
        #[command(flatten)]
        facility: Facility,
        #[command(flatten)]
        answers: Answers,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Facility {
    /// The facility, as TENANT/FACILITY; may be left out where the store holds one alone.
    #[arg(long, value_name = "TENANT/FACILITY")]
    facility: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct Asked {
    #[command(flatten)]
    facility: Facility,
    /// One device of it.
    #[arg(long)]
    device: Option<Slug>,
    /// First moment, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// First moment that is left out.
    #[arg(long, value_name = "TIME")]
    to: Timestamp,
}

#[derive(Clone, Debug, clap::Args)]
struct Point {
    #[command(flatten)]
    facility: Facility,
    #[arg(long)]
    device: Slug,
    #[arg(long)]
    point: String,
}

#[derive(Clone, Debug, clap::Args)]
struct Answers {
    /// Who answers for it.
    #[arg(long, default_value = "")]
    actor: String,
    #[arg(long, default_value = "")]
    reason: String,
    /// What it rests on: a work order, a letter.
    #[arg(long, default_value = "")]
    document: String,
    /// Who allowed it, where what was billed is changed.
    #[arg(long, default_value = "")]
    approval: String,
}

/// What came of it: for programs, for people.
type Said = (serde_json::Value, String);

#[derive(Debug, thiserror::Error)]
enum VeeError {
    #[error("could not read the store")]
    Open(#[source] OpenError),
    #[error(transparent)]
    Desk(#[from] DeskError),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Journal(#[from] rules::JournalError),
    #[error("{found}; write --facility TENANT/FACILITY with one of: {known}")]
    Facility { found: String, known: String },
    #[error("could not start")]
    Runtime(#[from] std::io::Error),
    #[error("--from has to be before --to")]
    Range,
}

impl VeeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Open(err) => serve::exit_code_of(err),
            Self::Facility { .. } | Self::Range => ExitCode::Usage,
            Self::Desk(DeskError::Change(err)) | Self::Change(err) => match err {
                ChangeError::Amend(_) | ChangeError::Undone { .. } | ChangeError::Void(_) | ChangeError::Overtaken(_) => {
                    ExitCode::DataRefused
                }
                ChangeError::Absent(_) | ChangeError::TooMany { .. } => ExitCode::Usage,
                _ => ExitCode::DependencyDown,
            },
            Self::Desk(_) => ExitCode::DataRefused,
            Self::Journal(_) | Self::Runtime(_) => ExitCode::DependencyDown,
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Open(OpenError::InUse { .. }) => "\nhelp: while a collector runs, ask it: POST /v1/vee/changes",
            _ => "",
        }
    }
}

/// Does what the command line asks.
pub fn run(args: &Vee) -> ExitCode {
    let (folder, config) = match args.config.as_ref().map(|file| Config::load(file)) {
        None => (args.store.clone(), VeeConfig::default()),
        Some(Ok(config)) => (config.store, config.vee),
        Some(Err(faults)) => return fail(&faults.to_string(), ExitCode::Configuration),
    };
    let said = Runtime::new().map_err(VeeError::from).and_then(|runtime| runtime.block_on(answer(&args.verb, folder, Arc::new(config))));
    match (said, args.output) {
        (Ok((_, text)), Output::Human) => say(text.trim_end()),
        (Ok((value, _)), Output::Json) => say(&value.to_string()),
        (Err(err), _) => fail(&format!("error: {}{}", daemon::chain(&err), err.help()), err.exit_code()),
    }
}

async fn answer(verb: &Verb, folder: PathBuf, config: Arc<VeeConfig>) -> Result<Said, VeeError> {
    let reader = Reader::open(&folder).map_err(VeeError::Open)?;
    let journal = Journal::open(&folder).await?;
    let said = match verb {
        Verb::Gaps(asked) => {
            let (tenant, facility) = place(&reader, &asked.facility)?;
            let range = range(asked)?;
            let facts = Facts::of(&journal, &tenant, &facility, &range).await?;
            let report = rules::gaps(&Scene::new(&reader, &config, &tenant, &facility, facts), asked.device.as_ref(), &range)?;
            (value(&report), rules::gaps_text(&report))
        }
        Verb::Check(asked) => {
            let (tenant, facility) = place(&reader, &asked.facility)?;
            let range = range(asked)?;
            let facts = Facts::of(&journal, &tenant, &facility, &range).await?;
            let report = rules::findings(&Scene::new(&reader, &config, &tenant, &facility, facts), asked.device.as_ref(), &range)?;
            (value(&report), rules::findings_text(&report))
        }
        Verb::Watermarks => {
            let said = rules::watermarks(&journal, &reader.all_series(), &config, SystemClock.now()).await?;
            let text = watermarks_text(&said);
            (said, text)
        }
        Verb::Events { after, topic } => {
            let events = journal.events(*after, topic.as_deref(), EVENTS_MAX).await?;
            (json!({ "schema": "negawatt.vee.events/1", "events": events }), rules::events_text(&events))
        }
        Verb::Changes { facility } => {
            let (tenant, facility) = place(&reader, facility)?;
            let changes: Vec<ChangeSaid> = journal.changes(Some((&tenant, &facility)), 1_000).await?.iter().map(ChangeSaid::of).collect();
            (json!({ "schema": "negawatt.vee.changes/1", "changes": changes }), rules::changes_text(&changes))
        }
        _ => {
            let request = request(verb, &reader)?;
            drop(reader);
            let dry = matches!(request.change, Ask::Estimate { dry_run: true, .. });
            return change(request, dry, folder, journal, config).await;
        }
    };
    journal.close().await;
    Ok(said)
}

/// Makes a change, with the store open for writing.
async fn change(request: Request, dry: bool, folder: PathBuf, journal: Journal, config: Arc<VeeConfig>) -> Result<Said, VeeError> {
    let store = Arc::new(Store::open(&folder, Options::default()).map_err(VeeError::Open)?);
    let desk = Desk::new(store.clone(), journal.clone(), config).await?;
    let made = desk.ask(request, SystemClock.now()).await?;
    journal.close().await;
    if !dry && let Err(err) = store.flush() {
        // It is durable in the log, from where the next start takes it.
        tracing::warn!(error = daemon::chain(&err), "readings stay in the log");
    }
    Ok((value(&made), rules::made_text(&made)))
}

fn request(verb: &Verb, reader: &Reader) -> Result<Request, VeeError> {
    let (of, change, answers) = match verb.clone() {
        Verb::Estimate { asked, point, dry_run, answers } => {
            range(&asked)?;
            (asked.facility, Ask::Estimate { device: asked.device, point, from: asked.from, to: asked.to, dry_run }, answers)
        }
        Verb::Set { point: Point { facility, device, point }, at, value, answers } => {
            (facility, Ask::Set { device, point, at, value }, answers)
        }
        Verb::Withdraw { point: Point { facility, device, point }, from, to, answers } => {
            (facility, Ask::Withdraw { device, point, from, to }, answers)
        }
        Verb::Exchange { point: Point { facility, device, point }, at, closing, opening, answers } => {
            (facility, Ask::Exchange { device, point, at, closing, opening }, answers)
        }
        Verb::Undo { id, facility, answers } => (facility, Ask::Undo { id }, answers),
        Verb::Gaps(_) | Verb::Check(_) | Verb::Watermarks | Verb::Events { .. } | Verb::Changes { .. } => return Err(VeeError::Range),
    };
    let (tenant, facility) = place(reader, &of)?;
    let Answers { actor, reason, document, approval } = answers;
    Ok(Request { tenant, facility, change, actor, reason, document, approval })
}

fn range(asked: &Asked) -> Result<std::ops::Range<i64>, VeeError> {
    let range = asked.from.as_millisecond()..asked.to.as_millisecond();
    if range.is_empty() { Err(VeeError::Range) } else { Ok(range) }
}

/// The facility that is meant: the one that is named, or the only one there is.
fn place(reader: &Reader, asked: &Facility) -> Result<(Slug, Slug), VeeError> {
    let known = reader.facilities();
    let names = || known.iter().map(|(tenant, facility)| format!("{tenant}/{facility}")).collect::<Vec<_>>().join(", ");
    let refused = |found: String| VeeError::Facility { found, known: names() };
    match (&asked.facility, known.as_slice()) {
        (Some(name), _) => {
            let meant = known.iter().find(|(tenant, facility)| *name == format!("{tenant}/{facility}"));
            meant.cloned().ok_or_else(|| refused(format!("the store has no facility `{name}`")))
        }
        (None, [one]) => Ok(one.clone()),
        (None, several) => Err(refused(format!("the store holds {} facilities", several.len()))),
    }
}

fn value(report: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_default()
}

fn watermarks_text(said: &serde_json::Value) -> String {
    let list = |value: &serde_json::Value, key: &str| value.get(key).and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let word = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_else(|| "-".to_owned())
    };
    let mut lines = Vec::new();
    for facility in list(said, "facilities") {
        let (tenant, name) = (word(&facility, "tenant"), word(&facility, "facility"));
        lines.push(format!("{tenant}/{name}  through {}  next day {}", word(&facility, "through"), word(&facility, "next_day")));
        for device in list(&facility, "devices") {
            let retired = if device.get("retired").is_some_and(|retired| retired == true) { "  not heard for long" } else { "" };
            lines.push(format!(
                "  {}  through {}  last {}{retired}",
                word(&device, "device"),
                word(&device, "through"),
                word(&device, "last")
            ));
        }
    }
    for alert in list(said, "alerts") {
        let (tenant, facility) = (word(&alert, "tenant"), word(&alert, "facility"));
        lines.push(format!(
            "alert {}  {tenant}/{facility}  {}  since {}",
            word(&alert, "alert"),
            word(&alert, "subject"),
            word(&alert, "since")
        ));
    }
    if lines.is_empty() { "no collector has looked at this store yet".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::Parser;
    use store::{Batch, Origin, Row};
    use units::{Quality, Unit};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        vee: Vee,
    }

    /// Four hours of a counter, with a quarter of an hour missing, in its own folder.
    fn store() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let slug = |text: &str| Slug::parse(text).unwrap();
        let row = |minute: i64| Row {
            device: slug("main"),
            point: "e_imp".into(),
            unit: Unit::KilowattHour,
            exponent: -2,
            ts_ms: 1_772_409_600_000 + minute * 60_000,
            raw: Some(48_213 + minute * 3),
            quality: Quality::GOOD,
            words: None,
        };
        let rows = (0..240).filter(|minute| !(60..75).contains(minute)).map(row).collect();
        let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") };
        let batch = Batch { origin, spool_id: [1; 16], seq: 1, rows, profiles: Vec::new(), letter: None };
        Store::open(folder.path(), Options::default()).unwrap().commit(&[batch]).unwrap();
        folder
    }

    fn answered(folder: &std::path::Path, line: &str) -> Result<Said, VeeError> {
        let args = Line::try_parse_from(std::iter::once("vee").chain(line.split(' '))).unwrap();
        Runtime::new().unwrap().block_on(answer(&args.vee.verb, folder.to_owned(), Arc::new(VeeConfig::default())))
    }

    #[test]
    fn what_people_read() {
        let folder = store();
        let day = "--from 2026-03-02T00:00:00Z --to 2026-03-02T04:00:00Z";
        let mut read = String::new();
        for line in [
            format!("gaps {day}"),
            format!("check {day}"),
            format!("estimate {day} --dry-run"),
            format!("estimate {day} --actor anna --reason tried"),
            format!("gaps {day}"),
            "set --device main --point e_imp --at 2026-03-02T01:05:00Z --value 484.1 --actor anna --reason read".to_owned(),
            "withdraw --device main --point e_imp --from 2026-03-02T02:00:00Z --to 2026-03-02T02:03:00Z --actor anna --reason wire"
                .to_owned(),
            "undo 1 --actor anna --reason wrong".to_owned(),
            format!("gaps {day} --device main"),
            "exchange --device main --point e_imp --at 2026-03-02T03:00:00Z --closing 500 --opening 0.5 --actor anna --reason new"
                .to_owned(),
            "events".to_owned(),
            "watermarks".to_owned(),
        ] {
            let (_, text) = answered(folder.path(), &line).unwrap_or_else(|err| panic!("{line}: {}", daemon::chain(&err)));
            read.push_str(&format!("$ negawatt vee {line}\n{}\n\n", text.trim_end()));
        }
        insta::assert_snapshot!(read);
        let (changes, text) = answered(folder.path(), "changes").unwrap();
        let ways: Vec<_> = changes["changes"].as_array().unwrap().iter().map(|change| change["way"].as_str().unwrap()).collect();
        assert_eq!((ways, text.lines().count()), (vec!["undo", "withdraw", "set", "linear/1"], 4));
    }

    #[test]
    fn what_is_refused_says_the_next_step() {
        let folder = store();
        let refused = |line: &str| {
            let err = answered(folder.path(), line).unwrap_err();
            (daemon::chain(&err), err.exit_code(), err.help())
        };
        let (said, code, _) = refused("changes --facility acme/else");
        assert_eq!(
            (said.as_str(), code),
            ("the store has no facility `acme/else`; write --facility TENANT/FACILITY with one of: acme/hall", ExitCode::Usage)
        );
        assert_eq!(refused("gaps --from 2026-03-02T00:00:00Z --to 2026-03-02T00:00:00Z").1, ExitCode::Usage);
        assert_eq!(refused("undo 3").1, ExitCode::Usage);
        let nobody = "set --device main --point e_imp --at 2026-03-02T01:05:00Z --value 1";
        assert_eq!(refused(nobody).1, ExitCode::DataRefused, "nobody answers for it");
        let collector = Store::open(folder.path(), Options::default()).unwrap();
        let (said, code, help) = refused(nobody);
        assert!(said.contains("in use") && help.contains("/v1/vee/changes") && code == ExitCode::DependencyDown, "{said} {help}");
        drop(collector);
    }
}
