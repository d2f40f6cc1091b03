//! `negawatt weather coverage`: what the store has of the weather of a facility.

use daemon::ExitCode;
use ids::Slug;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;
use serde_json::json;
use store::{Reader, Sample, SegmentError};
use units::Reason;

use super::table::table;
use super::{Done, Place, refused};
use crate::cli::Output;
use crate::readings;

const HOUR_MS: i64 = 3_600_000;
/// Gaps that are shown.
const GAPS_SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The facility, as TENANT/FACILITY; may be left out where the store holds one alone.
    #[arg(long, value_name = "TENANT/FACILITY")]
    facility: Option<String>,
    #[arg(long, default_value = "weather-station")]
    device: Slug,
    #[arg(long, default_value = "temp")]
    point: String,
    /// First day, in UTC; that of the first reading when left out.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// First day that is left out, in UTC; the one after the last reading when left out.
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
}

/// What there is of the hours of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Covered {
    expected: u64,
    /// With a value that may be used.
    usable: u64,
    /// Of the usable: filled in.
    estimated: u64,
    /// Of the usable: typical weather, or taken from elsewhere.
    substituted: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Gap {
    from: Timestamp,
    hours: u64,
}

pub(super) fn run(args: &Args, output: Output) -> Done {
    let reader = Reader::open(&args.place.store).map_err(|err| refused(&err, ExitCode::DependencyDown))?;
    let (tenant, facility) = readings::facility(&reader, args.facility.as_deref()).map_err(|err| refused(&err, ExitCode::Usage))?;
    let all = reader.series(&tenant, &facility);
    let of_point: Vec<_> = all.iter().filter(|info| info.key.device == args.device && info.key.point == args.point).collect();
    if of_point.is_empty() {
        let mut known: Vec<String> = all.iter().map(|info| format!("{}/{}", info.key.device, info.key.point)).collect();
        known.dedup();
        let text = format!("error: {tenant}/{facility} has no readings of {}/{}; it has: {}", args.device, args.point, known.join(", "));
        return Err((text, ExitCode::Usage));
    }
    let segment = |err: SegmentError| refused(&err, ExitCode::DependencyDown);
    let mut samples: Vec<Sample> = Vec::new();
    for info in &of_point {
        // The same point in another unit fills the gaps of the first.
        samples.extend(reader.scan(info.id, i64::MIN..i64::MAX).map_err(segment)?);
    }
    samples.sort_by_key(|sample| sample.ts_ms);
    let Some((from, to)) = range(args, &samples) else {
        return Err((format!("error: there is no reading of {}/{} yet", args.device, args.point), ExitCode::DataRefused));
    };
    if from >= to {
        return Err((format!("error: {from} is not before {to}"), ExitCode::Usage));
    }
    let months = months(from, to);
    let covered: Vec<(Date, Covered)> = months.iter().map(|(month, end)| (*month, covered(&samples, *month, *end))).collect();
    let gaps = gaps(&samples, from, to);
    let mut sum = Covered::default();
    for (_, month) in &covered {
        sum.expected += month.expected;
        sum.usable += month.usable;
        sum.estimated += month.estimated;
        sum.substituted += month.substituted;
    }
    let name = format!("{tenant}/{facility} {}/{}", args.device, args.point);
    let text = match output {
        Output::Human => human(&name, &covered, &sum, &gaps),
        Output::Json => {
            let months: Vec<_> = covered.iter().map(|(month, covered)| json!({ "from": month, "hours": covered })).collect();
            let object = json!({
                "schema": "negawatt.weather.coverage/1", "series": name, "from": from, "to": to, "hours": sum, "months": months, "gaps": gaps,
            });
            format!("{object}\n")
        }
    };
    Ok((text, ExitCode::Ok))
}

fn range(args: &Args, samples: &[Sample]) -> Option<(Date, Date)> {
    let day = |sample: &Sample| Timestamp::from_millisecond(sample.ts_ms).ok().map(|at| at.to_zoned(TimeZone::UTC).date());
    let from = args.from.or_else(|| samples.first().and_then(day))?;
    let to = args.to.or_else(|| samples.last().and_then(day).map(|day| day.saturating_add(1.day())))?;
    Some((from, to))
}

/// The months of a range, each from its first day of it to behind its last one.
fn months(from: Date, to: Date) -> Vec<(Date, Date)> {
    let mut months = Vec::new();
    let mut start = from;
    while start < to {
        let end = start.first_of_month().saturating_add(1.month()).min(to);
        months.push((start, end));
        start = end;
    }
    months
}

fn ms(date: Date) -> i64 {
    date.to_zoned(TimeZone::UTC).map_or(0, |at| at.timestamp().as_millisecond())
}

/// The samples of each hour of a range that has any.
fn hours_of(samples: &[Sample], from: Date, to: Date) -> impl Iterator<Item = (i64, &[Sample])> {
    let (first, end) = (ms(from), ms(to));
    let left = samples.partition_point(|sample| sample.ts_ms < first);
    let right = samples.partition_point(|sample| sample.ts_ms < end);
    let within = samples.get(left..right).unwrap_or_default();
    let hours = within.chunk_by(|one, other| one.ts_ms.div_euclid(HOUR_MS) == other.ts_ms.div_euclid(HOUR_MS));
    hours.filter_map(|of_hour| Some((of_hour.first()?.ts_ms.div_euclid(HOUR_MS), of_hour)))
}

fn is_usable(sample: &Sample) -> bool {
    sample.raw.is_some() && sample.quality.is_usable()
}

fn covered(samples: &[Sample], from: Date, to: Date) -> Covered {
    let mut covered = Covered { expected: ((ms(to) - ms(from)) / HOUR_MS).cast_unsigned(), ..Covered::default() };
    for (_, of_hour) in hours_of(samples, from, to) {
        let usable: Vec<&Sample> = of_hour.iter().filter(|sample| is_usable(sample)).collect();
        let all = |reason| !usable.is_empty() && usable.iter().all(|sample| sample.quality.has(reason));
        covered.usable += u64::from(!usable.is_empty());
        covered.estimated += u64::from(all(Reason::Estimated));
        covered.substituted += u64::from(all(Reason::Substituted));
    }
    covered
}

/// Hours in a row without a value that may be used.
fn gaps(samples: &[Sample], from: Date, to: Date) -> Vec<Gap> {
    let (first, end) = (ms(from).div_euclid(HOUR_MS), ms(to).div_euclid(HOUR_MS));
    let usable = hours_of(samples, from, to).filter(|(_, of_hour)| of_hour.iter().any(is_usable)).map(|(hour, _)| hour);
    let (mut gaps, mut next) = (Vec::new(), first);
    for hour in usable.chain(std::iter::once(end)) {
        if hour > next {
            let from = Timestamp::from_millisecond(next * HOUR_MS).unwrap_or(Timestamp::UNIX_EPOCH);
            gaps.push(Gap { from, hours: (hour - next).cast_unsigned() });
        }
        next = hour + 1;
    }
    gaps
}

/// Cut, not rounded: one missing hour is never 100 %.
fn percent(part: u64, whole: u64) -> String {
    let thousandths = (part * 1_000).checked_div(whole).unwrap_or_default();
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn human(name: &str, months: &[(Date, Covered)], sum: &Covered, gaps: &[Gap]) -> String {
    let row = |first: String, covered: &Covered| {
        let Covered { expected, usable, estimated, substituted } = covered;
        let missing = expected - usable.min(expected);
        vec![first, expected.to_string(), percent(*usable, *expected), estimated.to_string(), substituted.to_string(), missing.to_string()]
    };
    let mut rows: Vec<Vec<String>> = months.iter().map(|(month, covered)| row(month.strftime("%Y-%m").to_string(), covered)).collect();
    rows.push(row("all".to_owned(), sum));
    let mut text = format!("weather of {name}, months in UTC\n\n");
    text.push_str(&table(&["month", "hours", "usable", "filled in", "substituted", "missing"], &rows));
    if !gaps.is_empty() {
        text.push_str(&format!("\ngaps: {}\n", gaps.len()));
        for gap in gaps.iter().take(GAPS_SHOWN) {
            text.push_str(&format!("  {} for {} h\n", gap.from, gap.hours));
        }
        if gaps.len() > GAPS_SHOWN {
            text.push_str(&format!("  and {} more; --output json has them\n", gaps.len() - GAPS_SHOWN));
        }
    }
    text
}
