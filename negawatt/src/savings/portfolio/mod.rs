//! `negawatt savings portfolio`: thousands of meters in one run.
//!
//! What is asked of each meter is what `savings report` asks, and each has the same digest there. The meters are those of a
//! folder of files or of a store's series ([`plan`]); threads take one after the other ([`work`]); each finished one is a line of
//! `meters.jsonl` at once ([`journal`]), so that a run which is killed goes on where it stood. What is written at the end
//! ([`finish`]) is the same to the byte, however many threads there were and however often the run was interrupted.

mod bar;
mod charts;
mod finish;
mod human;
mod journal;
mod list;
mod plan;
mod row;
mod stations;
mod summary;
mod tables;
mod tally;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use calculator::assessment::{Method, Mode};
use calculator::uncertainty::Common;
use clap::ValueEnum;
use daemon::ExitCode;
use jiff::civil::Date;

use self::bar::Bar;
use self::journal::Journal;
use self::plan::Plan;
use super::input::Refused;
use super::question::{What, methods, modes};
use crate::cli::{Output, complain, say};

/// Meters, their weather, and where the results go.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// A folder with one file for each meter, Parquet or CSV with `start,value`, where a meter is called as its file; or one
    /// file of all, with a column `meter` besides.
    #[arg(long, value_name = "FOLDER|FILE", required_unless_present = "store", conflicts_with = "store")]
    meters: Option<PathBuf>,
    /// The folder of a store, whose series are the meters.
    #[arg(long, value_name = "FOLDER", requires = "point")]
    store: Option<PathBuf>,
    /// Of a store: the point that counts the energy, such as `energy_import`.
    #[arg(long, requires = "store")]
    point: Option<String>,
    /// Of a store: one facility, and again for each other; all of them when not given.
    #[arg(long, value_name = "TENANT/FACILITY", requires = "store")]
    facility: Vec<String>,
    /// Of a store: where each facility has its outdoor temperature.
    #[arg(long, value_name = "DEVICE/POINT", default_value = "weather-station/temp")]
    weather: String,
    /// CSV with the column `meter` and what is particular to it: file, station, role (treated or comparison), stratum,
    /// commodity, unit, zone, blackout_start, blackout_end, multiplier, register_digits, rated_kw, station_km; of a controlled
    /// environment drivers, harvests, measures (one or more, with blanks between) and productivity (yes or no). Only these run.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The weather of all, Parquet or CSV with `t,temp_f` or `t,temp_c`; or a folder with a file for each station of the list.
    #[arg(long, value_name = "FILE|FOLDER", required_unless_present = "store")]
    temperature: Option<PathBuf>,
    /// The folder of the results. A run that was stopped goes on there.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// What the meters measure.
    #[arg(long, value_enum)]
    commodity: Option<What>,
    /// The unit of the meters' rows: Wh, kWh, MWh, therm, MJ, GJ, kBtu, MMBtu, kWh_th or m3; a store's series say it themselves.
    #[arg(long)]
    unit: Option<String>,
    /// The facilities' time zone, such as America/Chicago.
    #[arg(long)]
    zone: Option<String>,
    /// The day on which the intervention begins; the baseline is the 365 days before it.
    #[arg(long, value_name = "DATE")]
    blackout_start: Option<Date>,
    /// The first day after the intervention; the 365 days from it are compared with the baseline.
    #[arg(long, value_name = "DATE")]
    blackout_end: Option<Date>,
    /// How baselines are modelled.
    #[arg(long, value_parser = methods(), default_value = Method::CaltrackDaily.name())]
    method: Method,
    /// By whose rules: those of the published program, or those that we bill by.
    #[arg(long, value_parser = modes(), default_value = Mode::Compatible.name())]
    mode: Mode,
    /// What the transformers divide by.
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    multiplier: f64,
    /// The rows are readings of a register of so many digits, and not what was used.
    #[arg(long, value_name = "DIGITS", value_parser = clap::value_parser!(u8).range(1..=15))]
    register_digits: Option<u8>,
    /// What each connection carries; a fifth more cannot be energy and is missing.
    #[arg(long, value_name = "KW")]
    rated_kw: Option<f64>,
    /// How many meters at once; as many as there are processors when not given. Results do not depend on it.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// How many of the best and of the worst are listed.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// By what they are ranked.
    #[arg(long, value_enum, default_value_t = Rank::Savings)]
    rank: Rank,
    /// Whose daily series are written for charts.
    #[arg(long, value_enum, default_value_t = Charted::Listed)]
    charts: Charted,
    /// The share of the error variance that meters of one station have in common; measured on their baselines when not given.
    #[arg(long, value_name = "SHARE", requires = "method_share")]
    station_share: Option<f64>,
    /// The share that all meters have in common.
    #[arg(long, value_name = "SHARE", requires = "station_share")]
    method_share: Option<f64>,
    /// How far the method errs in the mean, as a share of the counterfactual; known from placebo years.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    bias: f64,
    /// So many meters may be refused before the exit code says so.
    #[arg(long, value_name = "METERS", default_value_t = 0)]
    refused_max: usize,
    /// Compute every meter again, finished or not.
    #[arg(long)]
    fresh: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(super) output: Output,
}

/// By what meters are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rank {
    /// By the energy that was avoided.
    Savings,
    /// By its share of what would have been used.
    Share,
}

/// Whose daily series are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Charted {
    /// Those of the meters in the two lists.
    Listed,
    /// Everybody's.
    All,
    /// Nobody's.
    None,
}

/// Computes what is not computed yet, writes the results, and prints what they come to.
pub(super) fn run(args: &Args, quiet: bool) -> Result<ExitCode, Refused> {
    args.checked()?;
    let began = Instant::now();
    let plan = Plan::of(args)?;
    let mut journal = Journal::open(&args.out, args.fresh)?;
    let bar = Bar::new(plan.meters.len(), quiet || args.output == Output::Json);
    let tally = work::run(&plan, &mut journal, &bar)?;
    let summary = finish::finish(&plan, journal, &tally)?;
    bar.end();
    match args.output {
        Output::Json => say(&format!("{}\n", summary.object().map_err(|err| Refused::bug(&err))?)),
        Output::Human => say(&human::text(&summary)),
    }
    if !quiet {
        complain(&spoken(&plan, &tally, began.elapsed().as_secs_f64()));
    }
    let refused = summary.meters.refused;
    Ok(if refused > args.refused_max { ExitCode::DataRefused } else { ExitCode::Ok })
}

/// The line that stays when the bar is gone.
fn spoken(plan: &Plan, tally: &tally::Tally, seconds: f64) -> String {
    let meters = |count: usize| format!("{count} meter{}", if count == 1 { "" } else { "s" });
    let (all, kept) = (plan.meters.len(), tally.kept);
    let threads = plan.threads();
    let thread = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let rate = (all - kept) as f64 / seconds.max(1e-3);
    let rate = if all > kept { format!(", {rate:.0} a second") } else { String::new() };
    let found = if kept > 0 { format!(", {kept} were finished before") } else { String::new() };
    format!("{} in {seconds:.2} s with {thread}{rate}{found}; results in {}", meters(all), plan.args.out.display())
}

impl Args {
    /// What can be wrong with the question as a whole.
    fn checked(&self) -> Result<(), Refused> {
        let usage = |rule, message: &str| Err(Refused::usage(None, rule, message.to_owned()));
        if self.method == Method::ControlledEnvironment && self.list.is_none() {
            let rule = "IPMVP: independent variables are those that the plan declares";
            let message =
                "each controlled environment has a plan of its own: write --list with the columns measures, and drivers or harvests";
            return usage(rule, message);
        }
        if self.list.is_none() && self.blackout_start.is_none() {
            return usage("CalTRACK 2.2.1.1: the baseline is the 365 days before the intervention", "write --blackout-start");
        }
        if self.list.is_none() && self.blackout_end.is_none() {
            return usage("CalTRACK 3.5: savings are those of the days after the intervention", "write --blackout-end");
        }
        if self.list.is_none() && self.commodity.is_none() {
            return usage("cleaning 1: the unit is stated", "nothing says what the meters measure; write --commodity");
        }
        self.given()?;
        Ok(())
    }

    /// The shares that were given, where they were.
    fn given(&self) -> Result<Option<Common>, Refused> {
        let Some((station, method)) = self.station_share.zip(self.method_share) else {
            return if self.bias.is_finite() {
                Ok(None)
            } else {
                Err(Refused::usage(None, "portfolio: errors that meters share", "--bias is a finite number".to_owned()))
            };
        };
        let common = Common { station, method, bias: self.bias }.checked();
        common.map(Some).map_err(|err| Refused::usage(None, "portfolio: errors that meters share", err.to_string()))
    }
}
