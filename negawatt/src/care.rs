//! `negawatt store`: looks a store over, copies it, brings a copy back, writes readings out for others.
//!
//! All of it goes on beside the collector that writes and takes no lock of it, but for `compact`, `retention apply` and
//! `salvage`, which want the store for themselves.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use daemon::{Clock as _, ExitCode, SystemClock};
use ids::Slug;
use jiff::Timestamp;
use serde_json::json;
use store::{BackupError, DumpError, Findings, FlushError, Format, LastBackup, OpenError, Options, Reader, SalvageError, Salvaged, Store};
use units::FacilityCalendar;

use crate::cli::{Output, complain, fail, say};
use crate::readings::{self, Close, ReadingsError};

/// Looks after a store of readings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human, global = true)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Reads everything and compares it with what the store says of itself; changes nothing.
    Fsck {
        #[command(flatten)]
        place: Place,
    },
    /// Merges what can be merged and makes the tables of quarters of an hour anew; no collector may run.
    Compact {
        #[command(flatten)]
        place: Place,
    },
    /// Writes the readings of a facility, every version of each, for another program.
    Dump(Dump),
    /// Copies a store and its journal while they are written; only what is new since the last copy is copied.
    Backup {
        #[command(flatten)]
        place: Place,
        /// The folder of the copy.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Makes a new store of what is whole in a damaged one, and names what is lost; the damaged one stays as it is.
    Salvage(Salvage),
    /// Brings a copy back into a new folder, and reads all of it.
    Restore {
        /// The folder of the copy.
        #[arg(long, value_name = "FOLDER")]
        from: PathBuf,
        /// The new folder of the store.
        #[arg(long, value_name = "FOLDER", required_unless_present = "verify")]
        to: Option<PathBuf>,
        /// Only prove that the copy can be brought back: into a folder beside it, which is removed again.
        #[arg(long, conflicts_with = "to")]
        verify: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Salvage {
    #[command(flatten)]
    place: Place,
    /// A copy of the store, for what is damaged in the store itself.
    #[arg(long, value_name = "FOLDER")]
    copy: Option<PathBuf>,
    /// The new folder of what is rescued.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The store's folder; `negawatt up` keeps it in its data folder.
    #[arg(long, value_name = "FOLDER", default_value = "negawatt-data/store")]
    store: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Dump {
    #[command(flatten)]
    place: Place,
    /// The facility, as TENANT/FACILITY; may be left out where the store holds one alone.
    #[arg(long, value_name = "TENANT/FACILITY")]
    facility: Option<String>,
    /// First moment, such as 2017-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// First moment that is left out.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// How the readings are written.
    #[arg(long, value_enum, default_value_t = As::Csv)]
    format: As,
    /// As CSV, what the readings come to in each quarter of an hour, hour or day instead.
    #[arg(long, value_enum, default_value_t = Close::Raw, conflicts_with = "format")]
    resolution: Close,
    /// Whose days they are, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = readings::zone)]
    zone: FacilityCalendar,
    /// The file; standard output when left out.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum As {
    Csv,
    /// InfluxDB's line protocol, times in milliseconds.
    Lp,
    Parquet,
}

impl From<As> for Format {
    fn from(format: As) -> Self {
        match format {
            As::Csv => Self::Csv,
            As::Lp => Self::LineProtocol,
            As::Parquet => Self::Parquet,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CareError {
    #[error("could not read the store")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Facility(#[from] ReadingsError),
    #[error("could not write {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("could not write the readings out")]
    Dump(#[from] DumpError),
    #[error("could not merge")]
    Compact(#[from] FlushError),
    #[error("could not copy the store")]
    Backup(#[source] BackupError),
    #[error("could not bring the copy back")]
    Restore(#[source] BackupError),
    #[error("could not rescue anything")]
    Salvage(#[source] SalvageError),
    #[error("could not remove {}", path.display())]
    Remove {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
}

impl CareError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Facility(err) => err.exit_code(),
            Self::Restore(BackupError::NotWhole { .. }) | Self::Backup(BackupError::Damaged { .. }) => ExitCode::DataRefused,
            Self::Restore(BackupError::NotEmpty { .. } | BackupError::Absent { .. }) => ExitCode::Usage,
            Self::Salvage(SalvageError::NotEmpty { .. } | SalvageError::Copy(BackupError::Absent { .. })) => ExitCode::Usage,
            Self::Salvage(SalvageError::Manifest(_)) => ExitCode::DataRefused,
            Self::Open(OpenError::InUse { .. })
            | Self::Salvage(SalvageError::Open(OpenError::InUse { .. }))
            | Self::Backup(BackupError::Busy { .. }) => ExitCode::TryAgain,
            _ => ExitCode::DependencyDown,
        }
    }
}

/// Does it, and prints what came of it.
pub(crate) fn run(args: &Args) -> ExitCode {
    let done = match &args.what {
        What::Fsck { place } => store::fsck(&place.store).map_err(CareError::from).map(|findings| found(&findings, args.output)),
        What::Compact { place } => compact(&place.store, args.output),
        What::Dump(dump) => write_out(dump),
        What::Backup { place, to } => copy(&place.store, to, args.output),
        What::Salvage(Salvage { place, copy, to }) => rescue(&place.store, copy.as_deref(), to, args.output),
        What::Restore { from, to, verify: _ } => bring_back(from, to.as_deref(), args.output),
    };
    done.unwrap_or_else(|err| fail(&err, err.exit_code()))
}

/// Says what was looked at; a problem is a line of its own.
fn found(findings: &Findings, output: Output) -> ExitCode {
    let Findings { segments, derived, rows, log_entries, audit_entries, seals, companions, problems } = findings;
    match output {
        Output::Json => {
            let problems: Vec<_> = problems.iter().map(|problem| json!({ "path": problem.path, "what": problem.what })).collect();
            let object = json!({
                "schema": "negawatt.store.fsck/1", "segments": segments, "derived": derived, "readings": rows, "log_entries": log_entries,
                "audit_entries": audit_entries, "seals": seals, "journals": companions, "problems": problems,
            });
            say(&format!("{object}\n"));
        }
        Output::Human => {
            for problem in problems {
                say(&format!("{}: {}\n", problem.path.display(), problem.what));
            }
            let result = if problems.is_empty() { "the store is whole".to_owned() } else { format!("problems: {}", problems.len()) };
            say(&format!(
                "{rows} readings in {segments} segments and {log_entries} entries of the log, {audit_entries} changes, {seals} seals\n{result}\n"
            ));
        }
    }
    if problems.is_empty() { ExitCode::Ok } else { ExitCode::DataRefused }
}

fn write_out(dump: &Dump) -> Result<ExitCode, CareError> {
    let reader = Reader::open(&dump.place.store)?;
    let (tenant, facility): (Slug, Slug) = readings::facility(&reader, dump.facility.as_deref())?;
    let moment = |at: Option<Timestamp>, open| at.map_or(open, Timestamp::as_millisecond);
    let range = moment(dump.from, i64::MIN)..moment(dump.to, i64::MAX);
    let write = |out: &mut dyn Write| {
        let (place, mut out) = ((&tenant, &facility), BufWriter::new(out));
        match dump.resolution.resolution() {
            None => store::dump(&reader, place, &range, dump.format.into(), &mut out),
            Some(resolution) => store::dump_buckets(&reader, place, &range, (resolution, &dump.zone), &mut out),
        }
    };
    let rows = match &dump.file {
        None => write(&mut io::stdout().lock())?,
        Some(path) => {
            let created = |err| CareError::Create { path: path.clone(), err };
            let mut file = File::create(path).map_err(created)?;
            let rows = write(&mut file)?;
            file.sync_all().map_err(created)?;
            rows
        }
    };
    let what = dump.resolution.resolution().map_or("readings", |_| "lines");
    complain(&format!("{rows} {what} of {tenant}/{facility} written"));
    Ok(ExitCode::Ok)
}

/// As a collector does by itself, and all of it at once.
fn compact(dir: &Path, output: Output) -> Result<ExitCode, CareError> {
    // Only what is there is merged: no store is made.
    drop(Reader::open(dir)?);
    let store = Store::open(dir, Options::default())?;
    store.compact()?;
    let segments: usize = store.segments().into_iter().sum();
    match output {
        Output::Json => say(&format!("{}\n", json!({ "schema": "negawatt.store.compact/1", "segments": segments }))),
        Output::Human => say(&format!("the store has {segments} segments\n")),
    }
    Ok(ExitCode::Ok)
}

fn copy(dir: &Path, to: &Path, output: Output) -> Result<ExitCode, CareError> {
    let at_ms = SystemClock.now().as_millisecond();
    let report = store::backup(dir, to).map_err(CareError::Backup)?;
    let last = LastBackup { at_ms, snapshot: report.snapshot.clone(), to: std::path::absolute(to).unwrap_or_else(|_| to.to_owned()) };
    // The copy is whole all the same.
    if let Err(err) = store::note_backup(dir, &last) {
        complain(&format!(
            "warning: {} cannot be told that it was copied, and its collector will say that it was not: {err}",
            dir.display()
        ));
    }
    match output {
        Output::Json => {
            let object = json!({
                "schema": "negawatt.store.backup/1", "snapshot": report.snapshot, "segments": report.segments, "derived": report.derived,
                "segments_copied": report.copied, "derived_copied": report.derived_copied, "bytes_copied": report.copied_bytes, "readings_in_segments": report.rows,
                "journal_bytes": report.journal_bytes,
            });
            say(&format!("{object}\n"));
        }
        Output::Human => {
            let (copied, files) = (report.copied + report.derived_copied, report.segments + report.derived);
            let (name, bytes) = (report.snapshot, report.copied_bytes);
            let journal = if report.journal_bytes > 0 { ", and the journal" } else { "" };
            say(&format!("{name}: {copied} of {files} files were new ({bytes} bytes), and the log behind them{journal}\n"));
        }
    }
    Ok(ExitCode::Ok)
}

fn bring_back(from: &Path, to: Option<&Path>, output: Output) -> Result<ExitCode, CareError> {
    if let Some(to) = to {
        let findings = store::restore(from, to).map_err(CareError::Restore)?;
        return Ok(found(&findings, output));
    }
    let beside = from.join(format!("verify-{}", std::process::id()));
    let restored = store::restore(from, &beside);
    if let Err(err) = std::fs::remove_dir_all(&beside)
        && err.kind() != io::ErrorKind::NotFound
    {
        return Err(CareError::Remove { path: beside, err });
    }
    Ok(found(&restored.map_err(CareError::Restore)?, output))
}

fn rescue(dir: &Path, copy: Option<&Path>, to: &Path, output: Output) -> Result<ExitCode, CareError> {
    let salvaged = store::salvage(dir, copy, to).map_err(CareError::Salvage)?;
    let Salvaged { segments, from_copy, log_entries, losses, findings } = &salvaged;
    match output {
        Output::Json => {
            let series = |one: &store::LostSeries| {
                let key = &one.key;
                json!({
                    "tenant": key.tenant, "facility": key.facility, "device": key.device, "point": key.point,
                    "first": moment(one.first_ms), "last": moment(one.last_ms), "readings": one.readings,
                })
            };
            let losses: Vec<_> = losses
                .iter()
                .map(|loss| json!({ "path": loss.path, "what": loss.what, "series": loss.series.iter().map(series).collect::<Vec<_>>() }))
                .collect();
            let problems: Vec<_> = findings.problems.iter().map(|problem| json!({ "path": problem.path, "what": problem.what })).collect();
            let object = json!({
                "schema": "negawatt.store.salvage/1", "segments": segments, "segments_from_copy": from_copy, "log_entries": log_entries,
                "readings": findings.rows, "losses": losses, "problems": problems,
            });
            say(&format!("{object}\n"));
        }
        Output::Human => {
            for loss in losses {
                say(&format!("{}: {}\n", loss.path.display(), loss.what));
                for one in &loss.series {
                    let (key, first, last) = (&one.key, moment(one.first_ms), moment(one.last_ms));
                    let place = format!("{}/{} {} {}", key.tenant, key.facility, key.device, key.point);
                    say(&format!("  {} readings of {place}, {first} to {last}\n", one.readings));
                }
            }
            for problem in &findings.problems {
                say(&format!("{}: {}\n", problem.path.display(), problem.what));
            }
            let result = if losses.is_empty() { "nothing is lost".to_owned() } else { format!("losses: {}", losses.len()) };
            let rows = findings.rows;
            say(&format!(
                "{rows} readings rescued: {segments} segments, {from_copy} of them from the copy, {log_entries} entries of the log\n{result}\n"
            ));
        }
    }
    Ok(if losses.is_empty() && findings.problems.is_empty() { ExitCode::Ok } else { ExitCode::DataRefused })
}

fn moment(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}
