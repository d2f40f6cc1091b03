//! What the store costs and how fast it answers: `cargo xtask bench store` builds and starts it.
//!
//! Figures of the processor do not change much on a busy machine; how long a restart or a question takes is time on the
//! wall, and what it computed stands beside it.

mod restart;
mod year;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use negawatt_tests::fleet::Fleet;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use store::{Options, Store};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Meters of the fleet whose minutes are committed: 10,000 points in one commit.
const METERS: usize = 1_000;
const LOG_FILE_BYTES: u64 = 64 << 20;

#[derive(Debug, Parser)]
#[command(name = "store-bench", about = "Measures the store")]
struct Args {
    /// Where the stores are made; removed afterwards
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What decides every reading
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes that are committed, of 10,000 points each
    #[arg(long, default_value_t = 300)]
    minutes: i64,
    /// How long the year is, in days
    #[arg(long, default_value_t = 365)]
    days: i64,
    /// Points in the log when the process is killed
    #[arg(long, default_value_t = 10_000_000)]
    log_points: u64,
    /// Measures only this
    #[arg(long, value_enum)]
    only: Option<Only>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    Commits,
    Restart,
    Year,
}

/// Parts that need a process of their own; the bench starts them itself.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Fills the log of a store, says so, and waits to be killed
    Fill { dir: PathBuf },
    /// Opens a store and says how long that took
    Reopen { dir: PathBuf },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.part {
        Some(Part::Fill { dir }) => restart::fill(dir, args.seed, args.log_points),
        Some(Part::Reopen { dir }) => restart::reopen(dir).and_then(|figures| print(&figures)),
        None => measure(&args).and_then(|figures| print(&figures)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&format!("error: {}", daemon::chain(err.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<Value> {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let under = |name: &str| folder.path().join(name);
    let wanted = |part: Only| args.only.is_none_or(|only| only == part);
    let mut figures = serde_json::Map::new();
    let mut add = |part: Value| figures.extend(part.as_object().cloned().unwrap_or_default());
    add(json!({ "schema": "negawatt.bench.store/1", "seed": args.seed }));
    if wanted(Only::Commits) {
        say("commits of 10,000 points, up to memory");
        let durable = commits(&under("durable"), args, usize::MAX / 8)?;
        say("the same, with what segments cost");
        let sustained = commits(&under("sustained"), args, Options::default().flush_rows)?;
        add(json!({
            "durable_points_per_core_second": durable.points_per_cpu_second(),
            "durable_points_per_second": durable.points_per_second(),
            "commit_p99_ms": durable.p99_ms(),
            "sustained_points_per_core_second": rate(sustained.points, sustained.cpu_of_all).round(),
            "sustained_points_per_second": sustained.points_per_second(),
            "sustained_commit_p99_ms": sustained.p99_ms(),
            "sustained_commit_max_ms": sustained.max_ms(),
        }));
    }
    if wanted(Only::Restart) {
        say("killed with a long log");
        add(restart::measure(&under("restart"), args.seed, args.log_points)?);
    }
    if wanted(Only::Year) {
        say("a year of one facility");
        add(year::measure(&under("year"), args.seed, args.days)?);
    }
    Ok(figures.into())
}

/// What a run of commits took.
#[derive(Debug, Default)]
struct Commits {
    points: u64,
    /// Of the commits alone.
    cpu: Duration,
    /// With everything that goes on beside them.
    cpu_of_all: Duration,
    walls: Vec<Duration>,
}

impl Commits {
    fn points_per_cpu_second(&self) -> f64 {
        (rate(self.points, self.cpu)).round()
    }

    fn points_per_second(&self) -> f64 {
        rate(self.points, self.walls.iter().sum()).round()
    }

    fn p99_ms(&self) -> f64 {
        let mut sorted = self.walls.clone();
        sorted.sort();
        sorted.get(sorted.len() * 99 / 100).copied().map_or(0.0, milliseconds)
    }

    fn max_ms(&self) -> f64 {
        self.walls.iter().max().copied().map_or(0.0, milliseconds)
    }
}

fn commits(dir: &Path, args: &Args, flush_rows: usize) -> Result<Commits> {
    let store = Store::open(dir, Options { flush_rows, wal_file_bytes: LOG_FILE_BYTES, ..Options::default() })?;
    let mut fleet = Fleet::new(METERS, args.seed)?;
    let mut commits = Commits::default();
    let (cpu, mut generating) = (process_cpu(), Duration::ZERO);
    for minute in 0..args.minutes {
        let began = thread_cpu();
        fleet.advance(minute);
        generating += thread_cpu() - began;
        let (wall, cpu) = (std::time::Instant::now(), thread_cpu());
        store.commit(&fleet.batches)?;
        commits.walls.push(wall.elapsed());
        commits.cpu += thread_cpu() - cpu;
        commits.points += fleet.points();
    }
    // With the flushes and merges beside the commits, to their end.
    store.flush()?;
    commits.cpu_of_all = process_cpu() - cpu - generating;
    let counters = store.counters();
    if counters.accepted != commits.points {
        return Err(format!("{} of {} points were accepted", counters.accepted, commits.points).into());
    }
    Ok(commits)
}

/// What this thread has computed so far.
fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

/// What every thread of this process has computed so far.
fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn rate(points: u64, time: Duration) -> f64 {
    let points = u32::try_from(points).map_or(f64::MAX, f64::from);
    points / time.as_secs_f64().max(1e-9)
}

fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1_000.0)
}

/// To three digits behind the point.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

fn print(figures: &Value) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{figures}")?)
}

/// Talk, on standard error.
fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
