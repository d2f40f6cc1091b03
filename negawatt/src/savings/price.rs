//! `negawatt savings price`: what a saving is worth, as the difference of two bills.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use calculator::assessment::residuals;
use calculator::baseline::EnergyUnit;
use calculator::tariff::{
    Account, BILL_DRAWS, BillPeriod, DailyCounterfactual, Difference, ExpectedValue, Imported, Profile, Rate, Shape, Tariff, Valued,
    calendar_months, expected_value, urdb, value,
};
use daemon::ExitCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;

use super::input::{self, Refused};
use super::question;
use super::verify;
use crate::cli::{Output, say};

/// What the answer is called.
const SCHEMA: &str = "negawatt.price/1";

/// A rate, what was used, and what would have been.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The rate, as JSON: one with versions of its charges, a tariff of a contract, or one of the OpenEI database.
    #[arg(long, value_name = "FILE")]
    tariff: PathBuf,
    /// What was used: Parquet or CSV with `start,value`, equal intervals of an hour or less; the last row closes the period.
    #[arg(long, value_name = "FILE")]
    measured: PathBuf,
    /// What would have been used: the same intervals, or days, which need --shape.
    #[arg(long, value_name = "FILE")]
    counterfactual: PathBuf,
    /// Intervals of the baseline, from which days learn their hours.
    #[arg(long, value_name = "FILE")]
    shape: Option<PathBuf>,
    /// The baseline's answer, as `savings fit --output json` printed it: the errors of its days are drawn into the days.
    #[arg(long, value_name = "ANSWER", requires = "shape")]
    baseline: Option<PathBuf>,
    /// The unit of the rows: Wh, kWh or MWh.
    #[arg(long)]
    unit: String,
    /// The facility's time zone, such as America/Chicago.
    #[arg(long)]
    zone: String,
    /// The days on which the meter is read, in order; calendar months where none is given.
    #[arg(long, value_name = "DATE", value_delimiter = ',')]
    read_dates: Vec<Date>,
    /// The currency of a rate of the OpenEI database.
    #[arg(long, default_value = "USD")]
    currency: String,
    /// Earlier demands and the grid's peaks, as JSON with `history` and `grid_peaks`.
    #[arg(long, value_name = "FILE")]
    account: Option<PathBuf>,
    /// How often a counterfactual of days is drawn.
    #[arg(long, default_value_t = BILL_DRAWS)]
    draws: u32,
    /// From what the draws follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(super) output: Output,
}

#[derive(Debug, Serialize)]
struct Answer {
    schema: &'static str,
    rate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<ImportNotes>,
    #[serde(flatten)]
    worth: Worth,
}

/// What of a public rate is not in the rate.
#[derive(Debug, Serialize)]
struct ImportNotes {
    not_understood: Vec<calculator::tariff::NotUnderstood>,
    for_people: Vec<String>,
    ends_on: Option<Date>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "counterfactual_of", rename_all = "snake_case")]
enum Worth {
    Intervals(Valued),
    Days(ExpectedValue),
}

/// Prints `negawatt.price/1`, or the same for people.
pub(super) fn run(args: &Args) -> Result<ExitCode, Refused> {
    let zone = question::zone(&args.zone, &args.measured)?;
    let (rate, import) = rate(args)?;
    let account = account(args.account.as_deref())?;
    let measured = profile(&args.measured, args, &zone)?;
    let periods = periods(args, &measured, &zone)?;
    let worth = match &args.shape {
        None => {
            let counterfactual = profile(&args.counterfactual, args, &zone)?;
            let priced = value(&rate, &zone, &periods, (&counterfactual, &account), (&measured, &account));
            Worth::Intervals(priced.map_err(|err| unpriced(&args.measured, &err))?)
        }
        Some(shape) => {
            let intervals = profile(shape, args, &zone)?;
            let fitted = Shape::fit(&intervals, &zone, &[]).map_err(|err| unpriced(shape, &err))?;
            let days = days(args, &zone)?;
            let errors = args.baseline.as_deref().map_or_else(|| Ok(Vec::new()), errors)?;
            let given = DailyCounterfactual { days: &days, shape: &fitted, residuals_wh: &errors };
            let sides = ((given, &account), (&measured, &account));
            let expected = expected_value(&rate, &zone, &periods, sides.0, sides.1, args.draws, args.seed);
            Worth::Days(expected.map_err(|err| unpriced(&args.measured, &err))?)
        }
    };
    let answer = Answer { schema: SCHEMA, rate: rate.name().to_owned(), import, worth };
    match args.output {
        Output::Json => {
            let mut text = serde_json::to_string(&answer).map_err(|err| Refused::bug(&err))?;
            text.push('\n');
            say(&text);
        }
        Output::Human => say(&human(&answer)),
    }
    Ok(ExitCode::Ok)
}

fn unpriced(file: &Path, err: &dyn std::error::Error) -> Refused {
    Refused::data(Some(file.to_path_buf()), None, "pricing: both profiles are billed under one rate", daemon::chain(err))
}

fn json(file: &Path) -> Result<Value, Refused> {
    let refused = |message: String| Refused::data(Some(file.to_path_buf()), None, "pricing: the rate is JSON", message);
    let text = std::fs::read(file).map_err(|err| refused(format!("could not be read: {err}")))?;
    serde_json::from_slice(&text).map_err(|err| refused(format!("is no JSON: {err}")))
}

/// A rate of any of the three forms.
fn rate(args: &Args) -> Result<(Rate, Option<ImportNotes>), Refused> {
    let document = json(&args.tariff)?;
    let refused = |err: &dyn std::error::Error| {
        Refused::data(Some(args.tariff.clone()), None, "pricing: the rate holds together", daemon::chain(err))
    };
    if document.get("kind").is_some() {
        let tariff: Tariff = serde_json::from_value(document).map_err(|err| refused(&err))?;
        return Ok((Rate::try_from(&tariff).map_err(|err| refused(&err))?, None));
    }
    if document.get("versions").is_some() {
        return Ok((serde_json::from_value(document).map_err(|err| refused(&err))?, None));
    }
    let Imported { rate, ends_on, for_people, not_understood } = urdb(&document, &args.currency).map_err(|err| refused(&err))?;
    Ok((rate, Some(ImportNotes { not_understood, for_people, ends_on })))
}

fn account(file: Option<&Path>) -> Result<Account, Refused> {
    let Some(file) = file else { return Ok(Account::default()) };
    serde_json::from_value(json(file)?).map_err(|err| unpriced(file, &err))
}

fn unit(args: &Args) -> Result<EnergyUnit, Refused> {
    EnergyUnit::from_symbol(&args.unit).ok_or_else(|| {
        let message = format!("the unit `{}` is not known; write Wh, kWh or MWh", args.unit);
        Refused::usage(None, "cleaning 1: the unit is stated", message)
    })
}

/// The rows of a file: where each begins and its energy. The last row closes the period and has none.
fn rows(file: &Path, args: &Args, zone: &TimeZone) -> Result<Vec<(jiff::Timestamp, Option<i64>)>, Refused> {
    let unit = unit(args)?;
    let series = input::meter(file, Some(zone))?;
    let mut rows = Vec::with_capacity(series.rows().len());
    for row in series.rows() {
        #[expect(clippy::cast_possible_truncation, reason = "a value beyond a terawatt-hour is refused as such by the profile")]
        let wh = row.value.map(|value| unit.to_wh(value).round() as i64);
        let at = jiff::Timestamp::from_second(row.at).map_err(|err| unpriced(file, &err))?;
        rows.push((at, wh));
    }
    Ok(rows)
}

fn profile(file: &Path, args: &Args, zone: &TimeZone) -> Result<Profile, Refused> {
    let rows = rows(file, args, zone)?;
    let refused = |row: usize, message: &str| {
        Refused::data(Some(file.to_path_buf()), Some(row + 1), "pricing: intervals are equal and none is missing", message.to_owned())
    };
    let length = rows.windows(2).next().map_or(0, |pair| pair[1].0.as_second() - pair[0].0.as_second());
    let minutes = u8::try_from(length / 60).ok().filter(|minutes| *minutes > 0 && length % 60 == 0);
    let Some(minutes) = minutes else { return Err(refused(0, "intervals have to be whole minutes, and an hour at most")) };
    for (row, pair) in rows.windows(2).enumerate() {
        if pair[1].0.as_second() - pair[0].0.as_second() != length {
            return Err(refused(row + 1, "does not begin where the interval before it ends"));
        }
        if pair[0].1.is_none() {
            return Err(refused(row, "has no value; a bill needs every interval"));
        }
    }
    let start = rows.first().map_or(jiff::Timestamp::UNIX_EPOCH, |row| row.0);
    Profile::new(start, minutes, rows.iter().filter_map(|row| row.1).collect()).map_err(|err| unpriced(file, &err))
}

/// A counterfactual of days.
fn days(args: &Args, zone: &TimeZone) -> Result<Vec<(Date, i64)>, Refused> {
    let rows = rows(&args.counterfactual, args, zone)?;
    let mut days: Vec<(Date, i64)> = Vec::with_capacity(rows.len());
    for (row, (at, wh)) in rows.iter().enumerate() {
        let local = zone.to_datetime(*at);
        let day = local.date();
        if local.time() != jiff::civil::Time::midnight() || days.last().is_some_and(|last| last.0 >= day) {
            let message = "is no day: with --shape the counterfactual has one row for each day, from local midnight".to_owned();
            let rule = "pricing: a counterfactual of days has whole days";
            return Err(Refused::data(Some(args.counterfactual.clone()), Some(row + 1), rule, message));
        }
        days.extend(wh.map(|wh| (day, wh)));
    }
    Ok(days)
}

/// What the model of a baseline leaves of each of its days, Wh.
fn errors(answer: &Path) -> Result<Vec<i64>, Refused> {
    let verify::Recomputed { asked, difference, code_version, .. } = verify::recompute(&verify::Args::of(answer.to_path_buf()))?;
    let rule = "pricing: a counterfactual errs as the model of its baseline does";
    let refused = |message: String| Refused::data(Some(answer.to_path_buf()), None, rule, message);
    if let Some(difference) = difference {
        verify::differs(answer, &difference, &code_version);
        return Err(refused("does not follow from its files any more".to_owned()));
    }
    let days = residuals(&asked.question, &asked.meter, &asked.weather).map_err(|err| refused(daemon::chain(&err)))?;
    if days.is_empty() {
        return Err(refused("has no days whose errors could be drawn".to_owned()));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the error of a day is far below 2^63 Wh")]
    let whole = |left: f64| asked.question.unit.to_wh(left).round() as i64;
    Ok(days.iter().map(|(_, left)| whole(*left)).collect())
}

/// The bills: between the read dates, or the whole days of the profile by calendar months.
fn periods(args: &Args, measured: &Profile, zone: &TimeZone) -> Result<Vec<BillPeriod>, Refused> {
    if args.read_dates.len() >= 2 {
        return Ok(args.read_dates.windows(2).map(|pair| BillPeriod { first: pair[0], end: pair[1] }).collect());
    }
    if !args.read_dates.is_empty() {
        let message = "one read date makes no bill: give two at least, or none for calendar months".to_owned();
        return Err(Refused::usage(None, "pricing: a bill runs from one read to the next", message));
    }
    let length = i64::try_from(measured.wh().len()).unwrap_or(i64::MAX).saturating_mul(i64::from(measured.interval_minutes()) * 60);
    let end = jiff::Timestamp::from_second(measured.start().as_second().saturating_add(length)).unwrap_or(jiff::Timestamp::MAX);
    let (first, end) = (zone.to_datetime(measured.start()), zone.to_datetime(end).date());
    let first = if first.time() == jiff::civil::Time::midnight() { first.date() } else { first.date().tomorrow().unwrap_or(end) };
    let months = calendar_months(first, end);
    if months.is_empty() {
        let message = "has no whole day to bill".to_owned();
        return Err(Refused::data(Some(args.measured.clone()), None, "pricing: a bill has days", message));
    }
    Ok(months)
}

fn bills(count: usize) -> String {
    if count == 1 { "1 bill".to_owned() } else { format!("{count} bills") }
}

/// The answer in a few lines.
fn human(answer: &Answer) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<18}{value}").unwrap_or_default();
    line("rate", &answer.rate);
    for named in answer.import.iter().flat_map(|import| &import.not_understood) {
        line("not understood", &format!("{}: {}", named.field, named.why));
    }
    let (currency, differences) = match &answer.worth {
        Worth::Intervals(valued) => {
            let worth = format!(
                "{} {} for {} Wh, in {}",
                valued.value.round_dp(2),
                valued.currency,
                valued.avoided_wh,
                bills(valued.measured.len())
            );
            line("value", &worth);
            (&valued.currency, &valued.differences)
        }
        Worth::Days(expected) => {
            let ExpectedValue { value, p10, p90, draws, avoided_wh, currency, .. } = expected;
            line("value", &format!("{} {currency} for {avoided_wh} Wh, in {}", value.round_dp(2), bills(expected.measured.len())));
            line("of the draws", &format!("80 % between {} and {} {currency}, of {draws}", p10.round_dp(2), p90.round_dp(2)));
            line("by mean shape", &format!("{} {currency}, which sees no peaks", expected.by_mean_shape.round_dp(2)));
            line("shape", &format!("CV(RMSE) {:.1} % of {} days", expected.shape.cv_rmse * 100.0, expected.shape.days));
            if expected.days_masked > 0 {
                line("left out", &format!("{} days without a counterfactual claim nothing", expected.days_masked));
            }
            (currency, &expected.differences)
        }
    };
    for Difference { kind, name, period, counterfactual, measured, value } in differences {
        let what = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
        let period = period.as_deref().map_or_else(String::new, |period| format!(", {period}"));
        let (would, was) = (counterfactual.round_dp(2), measured.round_dp(2));
        line(&what, &format!("{name}{period}: {would} would have been, {was} was: {} {currency}", value.round_dp(2)));
    }
    text
}
