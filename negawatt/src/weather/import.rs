//! `negawatt weather import`: files of observations, as hours in the store.

use std::fs;
use std::path::{Path, PathBuf};

use collector::weather::{HourRules, KeepError, Keeping, Kept, Observation, Observations, WeatherFileError, keep, observations, unpack};
use daemon::{Clock as _, ExitCode, SystemClock};
use ids::Slug;
use jiff::tz::TimeZone;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::OpenError;
use units::Unit;

use super::table::table;
use super::{Done, Place, refused, typical};
use crate::cli::Output;

/// Files of one import.
const FILES_MAX: usize = 200;
/// Lines that are shown.
const SHOWN_MAX: usize = 10;
const SHORT: usize = 12;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[arg(long)]
    tenant: Slug,
    #[arg(long)]
    facility: Slug,
    /// As the readings are known afterwards.
    #[arg(long, default_value = "weather-station")]
    device: Slug,
    /// The unit of temperatures.
    #[arg(long, value_enum, default_value_t = Temperatures::DegC)]
    unit: Temperatures,
    /// Missing hours in a row that are filled in by a straight line.
    #[arg(long, value_name = "HOURS", default_value_t = 6)]
    gap_hours: u32,
    /// The year that a typical year (EPW, TMY3) stands for.
    #[arg(long)]
    year: Option<i16>,
    /// The zone of times in plain CSV that do not say theirs.
    #[arg(long, value_parser = TimeZone::get)]
    zone: Option<TimeZone>,
    /// Keep hours that contradict stored ones beside them: sources revise their files.
    #[arg(long)]
    revise: bool,
    /// Bring back what was undone.
    #[arg(long)]
    again: bool,
    /// Say what would be stored, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Who answers for it.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    actor: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Temperatures {
    #[value(name = "degC")]
    DegC,
    #[value(name = "degF")]
    DegF,
}

/// A file, and what it says.
struct Read {
    path: PathBuf,
    sha256: String,
    said: Observations,
}

pub(super) fn run(args: &Args, output: Output) -> Done {
    if args.files.len() > FILES_MAX {
        return Err((format!("error: {} files are more than one import has: {FILES_MAX}", args.files.len()), ExitCode::Usage));
    }
    let (mut files, mut typical) = (Vec::new(), 0_usize);
    for path in &args.files {
        let (read, is_typical) = one(path, args)?;
        typical += usize::from(is_typical);
        files.push(read);
    }
    if typical > 0 && typical < files.len() {
        let text = "error: a typical year is no observation: import it alone, into a device of its own".to_owned();
        return Err((text, ExitCode::Usage));
    }
    let all: Vec<Observation> = files.iter().flat_map(|file| file.said.values.iter().copied()).collect();
    let names: Vec<String> = files.iter().map(|file| file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let keeping = Keeping {
        tenant: args.tenant.clone(),
        facility: args.facility.clone(),
        device: args.device.clone(),
        temperature: match args.unit {
            Temperatures::DegC => Unit::Celsius,
            Temperatures::DegF => Unit::Fahrenheit,
        },
        rules: HourRules { gap_hours_max: args.gap_hours },
        revise: args.revise,
        again: args.again,
        typical: typical > 0,
        actor: args.actor.clone(),
        reason: format!("weather of {} in {}", stations(&files).join(", "), names.join(", ")),
        files: files.iter().map(|file| file.sha256.clone()).collect(),
        dry_run: args.dry_run,
        now: SystemClock.now(),
    };
    let kept = keep(&args.place.store, &all, &keeping).map_err(|err| {
        let code = match &err {
            KeepError::Open(OpenError::InUse { .. }) => ExitCode::TryAgain,
            KeepError::Open(_) | KeepError::Segment(_) | KeepError::Store(_) => ExitCode::DependencyDown,
            KeepError::Nothing | KeepError::Contradicting { .. } | KeepError::Undone { .. } => ExitCode::DataRefused,
        };
        refused(&err, code)
    })?;
    let text = match output {
        Output::Human => human(&files, &kept, args.dry_run),
        Output::Json => {
            let files: Vec<_> = files
                .iter()
                .map(|file| {
                    let Observations { provider, station, counts, values, told } = &file.said;
                    let told: Vec<_> = told.iter().map(|(row, reason)| json!({ "row": row, "reason": reason })).collect();
                    json!({
                        "path": file.path, "sha256": file.sha256, "provider": provider, "station": station,
                        "values": values.len(), "counts": counts, "unreadable": told,
                    })
                })
                .collect();
            let object = json!({ "schema": "negawatt.weather.imported/1", "dry_run": args.dry_run, "files": files, "import": kept });
            format!("{object}\n")
        }
    };
    Ok((text, ExitCode::Ok))
}

fn one(path: &Path, args: &Args) -> Result<(Read, bool), (String, ExitCode)> {
    let unread = |err: &dyn std::fmt::Display| (format!("error: could not read {}: {err}", path.display()), ExitCode::Usage);
    let wrong = |err: &dyn std::error::Error| (format!("error: {}: {}", path.display(), daemon::chain(err)), ExitCode::DataRefused);
    let packed = fs::read(path).map_err(|err| unread(&err))?;
    let sha256 = hex(&Sha256::digest(&packed));
    let body = unpack(packed).map_err(|err| unread(&err))?.ok_or_else(|| unread(&"it is too large: divide it"))?;
    let typical = std::str::from_utf8(&body).ok().and_then(typical::read);
    let (said, is_typical) = match typical {
        Some(year) => {
            let year = year.map_err(|err| wrong(&err))?;
            let stands_for = args.year.ok_or_else(|| {
                (format!("error: {} is a typical year: say with --year which year it stands for", path.display()), ExitCode::Usage)
            })?;
            let said = typical::in_year(&year, stands_for)
                .ok_or_else(|| (format!("error: {stands_for} is no year of the calendar"), ExitCode::Usage))?;
            (said, true)
        }
        None => (observations(&body, args.zone.as_ref()).map_err(|err: WeatherFileError| wrong(&err))?, false),
    };
    Ok((Read { path: path.to_owned(), sha256, said }, is_typical))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stations(files: &[Read]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for file in files {
        let station = &file.said.station;
        let name = if station.id.is_empty() { "an unnamed station" } else { station.id.as_str() };
        let name = format!("{} {name}", file.said.provider);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn human(files: &[Read], kept: &Kept, dry_run: bool) -> String {
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|file| {
            let Observations { provider, station, counts, values, .. } = &file.said;
            vec![
                file.path.display().to_string(),
                (*provider).to_owned(),
                if station.id.is_empty() { "?".to_owned() } else { station.id.clone() },
                counts.rows.to_string(),
                values.len().to_string(),
                counts.suspect.to_string(),
                counts.failed.to_string(),
                counts.implausible.to_string(),
                counts.unreadable.to_string(),
            ]
        })
        .collect();
    let mut text = table(&["file", "provider", "station", "rows", "values", "suspect", "erroneous", "impossible", "unreadable"], &rows);
    let told = files.iter().flat_map(|file| file.said.told.iter().map(move |(row, reason)| (file, row, reason)));
    for (file, row, reason) in told.take(SHOWN_MAX) {
        text.push_str(&format!("  {}:{row} {reason}\n", file.path.display()));
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = kept
        .series
        .iter()
        .map(|one| {
            vec![
                one.point.clone(),
                one.unit.clone(),
                one.first.to_string(),
                one.last.to_string(),
                one.hours.to_string(),
                one.observed.to_string(),
                one.interpolated.to_string(),
                one.missing.to_string(),
            ]
        })
        .collect();
    text.push_str(&table(&["point", "unit", "first hour", "last hour", "hours", "observed", "interpolated", "missing"], &rows));
    let Kept { id, new, same, contradicting, changed, accepted, audit_entry, .. } = kept;
    let id = id.get(..SHORT).unwrap_or(id);
    text.push_str(&format!("\n{new} hours new, {same} stored already, {contradicting} contradict the store\n"));
    match (dry_run, changed, audit_entry) {
        (true, _, _) => text.push_str("nothing was stored: this was a dry run\n"),
        (false, false, _) => text.push_str(&format!("import {id}: nothing to do\n")),
        (false, true, entry) => {
            let entry = entry.map_or_else(String::new, |entry| format!(", entry {entry} of the audit log"));
            text.push_str(&format!("import {id}: {accepted} hours stored{entry}; to take it back: negawatt import undo {id}\n"));
        }
    }
    text
}
