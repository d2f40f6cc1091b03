//! What the store costs and how fast it answers: `cargo xtask bench store` builds and starts it.
//!
//! Figures of the processor are those of this thread alone, so that a busy machine does not change them much; how long a
//! restart or a question takes is time on the wall.

mod fleet;
mod restart;
mod year;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use store::{Options, Store};

use self::fleet::Fleet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Meters of the fleet whose minutes are committed: 10,000 points in one commit.
const METERS: usize = 1_000;
/// Minutes that are committed: 3 million points.
const MINUTES: i64 = 300;
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
    /// How long the year is, in days
    #[arg(long, default_value_t = 365)]
    days: i64,
    /// Points in the log when the process is killed
    #[arg(long, default_value_t = 10_000_000)]
    log_points: u64,
    #[command(subcommand)]
    part: Option<Part>,
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
    say("commits of 10,000 points, up to memory");
    let durable = commits(&under("durable"), args.seed, usize::MAX / 8)?;
    say("the same, with what segments cost");
    let sustained = commits(&under("sustained"), args.seed, Options::default().flush_rows)?;
    say("killed with a long log");
    let restart = restart::measure(&under("restart"), args.seed, args.log_points)?;
    say(&format!("{} points in a core-second; {restart}", durable.points_per_cpu_second()));
    say("a year of one facility");
    let year = year::measure(&under("year"), args.seed, args.days)?;
    let mut figures = json!({
        "schema": "negawatt.bench.store/1",
        "seed": args.seed,
        "durable_points_per_core_second": durable.points_per_cpu_second(),
        "durable_points_per_second": durable.points_per_second(),
        "commit_p99_ms": durable.p99_ms(),
        "sustained_points_per_core_second": sustained.points_per_cpu_second(),
        "sustained_commit_max_ms": sustained.max_ms(),
    });
    if let Value::Object(object) = &mut figures {
        for part in [restart, year] {
            object.extend(part.as_object().cloned().unwrap_or_default());
        }
    }
    Ok(figures)
}

/// What a run of commits took.
#[derive(Debug, Default)]
struct Commits {
    points: u64,
    cpu: Duration,
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

fn commits(dir: &Path, seed: u64, flush_rows: usize) -> Result<Commits> {
    let store = Store::open(dir, Options { flush_rows, wal_file_bytes: LOG_FILE_BYTES })?;
    let mut fleet = Fleet::new(METERS, seed)?;
    let mut commits = Commits::default();
    for minute in 0..MINUTES {
        fleet.advance(minute);
        let (cpu, wall) = (thread_cpu(), std::time::Instant::now());
        store.commit(&fleet.batches)?;
        commits.cpu += thread_cpu() - cpu;
        commits.walls.push(wall.elapsed());
        commits.points += fleet.points();
    }
    let counters = store.counters();
    if counters.accepted != commits.points {
        return Err(format!("{} of {} points were accepted", counters.accepted, commits.points).into());
    }
    Ok(commits)
}

/// What this thread has computed so far.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
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
