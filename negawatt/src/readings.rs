//! `negawatt readings`: what a store holds of a facility, series by series.
//!
//! It reads beside the collector that writes: a snapshot, without a lock.

mod buckets;

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use daemon::ExitCode;
use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use store::{FrameError, OpenError, Reader, Resolution, SegmentError, Summary};
use units::FacilityCalendar;

use crate::cli::{Output, complain, fail, say};
pub(crate) use buckets::Close;

/// Shows which readings a store holds: how many, from when to when, how good, and between which values.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's folder; `negawatt up` keeps it in its data folder.
    #[arg(long, value_name = "FOLDER", default_value = "negawatt-data/store")]
    store: PathBuf,
    /// The facility, as TENANT/FACILITY; may be left out where the store holds one alone.
    #[arg(long, value_name = "TENANT/FACILITY")]
    facility: Option<String>,
    /// One device of it.
    #[arg(long)]
    device: Option<Slug>,
    /// First moment, such as 2017-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// First moment that is left out.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// One point.
    #[arg(long)]
    point: Option<String>,
    /// What the readings come to in each quarter of an hour, hour or day that begins in the range.
    #[arg(long, value_enum, default_value_t = Close::Raw)]
    resolution: Close,
    /// Whose days they are, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: FacilityCalendar,
    /// Also write the readings themselves into this Parquet file.
    #[arg(long, value_name = "FILE", conflicts_with = "resolution")]
    parquet: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingsError {
    #[error("could not read the store")]
    Open(#[source] OpenError),
    #[error("{found}; write --facility TENANT/FACILITY with one of: {known}")]
    Facility { found: String, known: String },
    #[error("could not read the readings")]
    Frame(#[from] FrameError),
    #[error("could not read the readings")]
    Segment(#[from] SegmentError),
}

impl ReadingsError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Open(_) | Self::Frame(_) | Self::Segment(_) => ExitCode::DependencyDown,
            Self::Facility { .. } => ExitCode::Usage,
        }
    }
}

/// One series, as it is printed.
#[derive(Debug, Serialize)]
struct Series {
    device: String,
    point: String,
    unit: &'static str,
    readings: u64,
    usable: u64,
    first: Timestamp,
    last: Timestamp,
    smallest: Option<String>,
    largest: Option<String>,
    latest: Option<String>,
}

impl From<Summary> for Series {
    fn from(summary: Summary) -> Self {
        let Summary { series, readings, usable, first_ms, last_ms, values } = summary;
        let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            device: series.key.device.to_string(),
            point: series.key.point,
            unit: series.key.unit.symbol(),
            readings,
            usable,
            first: at(first_ms),
            last: at(last_ms),
            smallest: values.map(|values| values.smallest.decimal_text()),
            largest: values.map(|values| values.largest.decimal_text()),
            latest: values.map(|values| values.latest.decimal_text()),
        }
    }
}

pub(crate) fn zone(name: &str) -> Result<FacilityCalendar, String> {
    FacilityCalendar::named(name).map_err(|_unknown| format!("`{name}` is not the IANA name of a zone, like America/Chicago"))
}

/// Prints the table, or `negawatt.readings/1`; of buckets, `negawatt.readings.buckets/1`.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(resolution) = args.resolution.resolution() {
        return run_buckets(args, resolution).unwrap_or_else(|err| fail(&err, err.exit_code()));
    }
    match read(args) {
        Ok((facility, series)) => {
            match args.output {
                Output::Human => say(&table(&facility, &series)),
                Output::Json => {
                    let object = serde_json::json!({ "schema": "negawatt.readings/1", "facility": facility, "series": series });
                    say(&format!("{object}\n"));
                }
            }
            ExitCode::Ok
        }
        Err(err) => fail(&err, err.exit_code()),
    }
}

fn run_buckets(args: &Args, resolution: Resolution) -> Result<ExitCode, ReadingsError> {
    let (reader, (tenant, facility), range) = open(args)?;
    let which = (args.device.as_ref(), args.point.as_deref());
    let series = buckets::read(&reader, (&tenant, &facility), which, &range, (resolution, &args.zone))?;
    let (facility, zone) = (format!("{tenant}/{facility}"), args.zone.zone().iana_name().unwrap_or("UTC"));
    match args.output {
        Output::Human => say(&buckets::table(&facility, resolution, zone, &series)),
        Output::Json => {
            let object = serde_json::json!({
                "schema": "negawatt.readings.buckets/1", "facility": facility, "resolution": resolution.name(), "zone": zone,
                "lsn": reader.last_lsn(), "series": series,
            });
            say(&format!("{object}\n"));
        }
    }
    Ok(ExitCode::Ok)
}

type Opened = (Reader, (Slug, Slug), Range<i64>);

fn open(args: &Args) -> Result<Opened, ReadingsError> {
    let reader = Reader::open(&args.store).map_err(ReadingsError::Open)?;
    let place = facility(&reader, args.facility.as_deref())?;
    let moment = |at: Option<Timestamp>, open| at.map_or(open, Timestamp::as_millisecond);
    Ok((reader, place, moment(args.from, i64::MIN)..moment(args.to, i64::MAX)))
}

fn read(args: &Args) -> Result<(String, Vec<Series>), ReadingsError> {
    let (reader, (tenant, facility), range) = open(args)?;
    let mut series: Vec<Series> =
        reader.summaries(&tenant, &facility, args.device.as_ref(), range.clone())?.into_iter().map(Series::from).collect();
    series.retain(|one| args.point.as_ref().is_none_or(|point| *point == one.point));
    series.sort_by(|one, other| (&one.device, &one.point).cmp(&(&other.device, &other.point)));
    if let Some(file) = &args.parquet {
        let rows = reader.write_parquet(&tenant, &facility, args.device.as_ref(), range, file)?;
        complain(&format!("{rows} readings written to {}", file.display()));
    }
    Ok((format!("{tenant}/{facility}"), series))
}

/// The facility that is meant: the one that was named, or the only one there is.
pub(crate) fn facility(reader: &Reader, named: Option<&str>) -> Result<(Slug, Slug), ReadingsError> {
    let known = reader.facilities();
    let found = match named {
        Some(name) => known.iter().find(|(tenant, facility)| format!("{tenant}/{facility}") == name),
        None => known.first().filter(|_| known.len() == 1),
    };
    found.cloned().ok_or_else(|| ReadingsError::Facility {
        found: match named {
            Some(name) => format!("the store has no readings of `{name}`"),
            None if known.is_empty() => "the store has no readings yet".to_owned(),
            None => "the store has readings of several facilities".to_owned(),
        },
        known: known.iter().map(|(tenant, facility)| format!("{tenant}/{facility}")).collect::<Vec<_>>().join(", "),
    })
}

fn table(facility: &str, series: &[Series]) -> String {
    const HEAD: [&str; 8] = ["device", "point", "readings", "usable", "first", "last", "smallest .. largest", "latest"];
    let rows: Vec<[String; 8]> = series
        .iter()
        .map(|one| {
            let unit = |value: &Option<String>| value.as_ref().map_or_else(|| "none".to_owned(), |value| format!("{value} {}", one.unit));
            [
                one.device.clone(),
                one.point.clone(),
                one.readings.to_string(),
                // Cut, not rounded: one unusable reading is never 100 %.
                format!("{} %", (one.usable * 100).checked_div(one.readings).unwrap_or_default()),
                one.first.to_string(),
                one.last.to_string(),
                format!("{} .. {}", one.smallest.as_deref().unwrap_or("none"), unit(&one.largest)),
                unit(&one.latest),
            ]
        })
        .collect();
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|c| rows.iter().map(|row| row[c].len()).chain([HEAD[c].len()]).max().unwrap_or_default()).collect();
    let mut text = format!("readings of {facility}, times in UTC\n\n");
    for row in std::iter::once(HEAD.map(str::to_owned)).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // A text that cannot be written to cannot happen: it is in memory.
            write!(line, "{cell:<width$}  ").unwrap_or_default();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if series.is_empty() {
        text.push_str("\nno reading in this range; leave --device, --point, --from and --to out to see all there are\n");
    }
    text
}
