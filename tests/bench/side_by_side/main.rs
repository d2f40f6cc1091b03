//! Our collector beside what others use in its place, on the same bodies in the same run: `cargo xtask bench side-by-side` builds and
//! starts it.
//!
//! Every server is a process of its own, as its package or our release build starts it, with its data on the disk. What it computes is
//! read from `/proc`, so that a busy machine changes little of it; what is time on the wall is said by its unit alone. Each is killed
//! with SIGKILL while it is written to, started again, and asked for everything that it had acknowledged.
//!
//! One object is printed, and a table on standard error. A peer that is not installed is null there, and the reason is told.

mod field;
mod fresh;
mod http;
mod influxdb;
mod machine;
mod mosquitto;
mod mqtt;
mod ours;
mod postgresql;
mod report;
mod rival;
mod store_bench;
mod victoria_metrics;
mod watchers;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::field::{Field, Message, PROBE, Plan};
use self::fresh::{Load, queryable_p99_ms};
use self::mosquitto::Mosquitto;
use self::mqtt::Client;
use self::ours::Ours;
use self::report::{Figures, Report};
use self::rival::{Question, Rival, asked, feed, feed_evenly, kill_while_writing};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// From so many points on the figures are those that we answer for.
const WHOLE_RUN: u64 = 1_000_000;
/// How long the steady load lasts at most, and how much it is.
const STEADY: Duration = Duration::from_secs(10);
const STEADY_POINTS_PER_SECOND: f64 = 50_000.0;
/// A large fleet, while the memory of whoever takes it is looked at.
const FLEET_POINTS_PER_SECOND: f64 = 100_000.0;
/// This part of the lines is written as evenly as fleets send, the rest as fast as it is taken.
const EVEN_PART: usize = 5;
/// Messages of an even load that are sent together.
const MESSAGES_OF_A_PART: usize = 10;
const WATCHERS: usize = 1_000;
/// Who merges beside and has changed nothing for so long has come to its end.
const QUIET: Duration = Duration::from_secs(4);

#[derive(Debug, Parser)]
#[command(name = "side-by-side", about = "Measures the collector beside VictoriaMetrics, InfluxDB, Mosquitto and PostgreSQL")]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Points that are written as lines; half as many as messages
    #[arg(long, default_value_t = 5_000_000)]
    points: u64,
    /// What decides every reading and every moment of a kill
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the servers keep their data; removed afterwards
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The one binary; when it is not given, this one is the collector
    #[arg(long)]
    program: Option<PathBuf>,
    /// Only these peers
    #[arg(long, value_delimiter = ',')]
    peers: Option<Vec<String>>,
    /// Leaves out what `bench store` measures
    #[arg(long)]
    without_store: bool,
}

/// What this program is when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Collector(collector::cli::Args),
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if let Some(Role::Collector(args)) = args.role.take() {
        return collector::cli::run(args).into();
    }
    match measure(&args).and_then(|report| print(&args, &report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&format!("error: {}", daemon::chain(err.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn print(args: &Args, report: &Report) -> Result<()> {
    writeln!(io::stdout().lock(), "{}", report.json())?;
    say(&report.table());
    report.judge(args.points >= WHOLE_RUN)
}

fn measure(args: &Args) -> Result<Report> {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let under = |name: &str| folder.path().join(name);
    // A server that does not run as root looks for its own folder in it.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    allow_many_files()?;
    let plan = Plan::of(args.points);
    let began = Instant::now();
    let stage = |text: &str| say(&format!("{:>5} s  {text}", began.elapsed().as_secs()));
    stage("writing the bodies");
    let field = Field::new(&plan, args.seed)?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let run = Run { plan, field, seed: args.seed, stage: &stage };
    let mut report = Report { ours: run.ours(&program, folder.path())?, ..Report::default() };
    let is_wanted = |name: &str| args.peers.as_ref().is_none_or(|peers| peers.iter().any(|peer| peer == name));
    for name in report::PEERS {
        if !is_wanted(name) {
            say(&format!("{name}: not measured, as it was not asked for"));
            continue;
        }
        let dir = under(name);
        let figures = match name {
            "victoriametrics" => victoria_metrics::VictoriaMetrics::new(&dir).and_then(|mut rival| run.rival(name, &mut rival)),
            "influxdb" => influxdb::InfluxDb::new(&dir).and_then(|mut rival| run.rival(name, &mut rival)),
            "postgresql" => postgresql::PostgreSql::new(&dir).and_then(|mut rival| run.rival(name, &mut rival)),
            _ => run.mosquitto(&dir),
        };
        match figures {
            Ok(figures) => drop(report.peers.insert(name, figures)),
            Err(err) => say(&format!("{name}: not measured: {}", daemon::chain(err.as_ref()))),
        }
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
    }
    if !args.without_store {
        stage("the store alone");
        store_bench::measure(&mut report.ours, folder.path(), args.points, args.seed)?;
    }
    stage("done");
    Ok(report)
}

/// What is written to whom, and how it is told.
struct Run<'a> {
    plan: Plan,
    field: Field,
    seed: u64,
    stage: &'a dyn Fn(&str),
}

impl Run<'_> {
    /// Everything that is measured over the connections that a server takes lines on.
    fn rival(&self, name: &str, rival: &mut dyn Rival) -> Result<Figures> {
        let mut figures = Figures::default();
        let (even, fast) = self.field.measured.split_at(self.field.measured.len() / EVEN_PART);
        (self.stage)(&format!("{name}: lines, 100,000 points a second"));
        rival.start()?;
        let evenly = feed_evenly(rival, even, FLEET_POINTS_PER_SECOND)?;
        figures.set("rss_mib", rival.memory_mib()?);
        (self.stage)(&format!("{name}: lines"));
        let fed = feed(rival, fast)?;
        let per_cpu_second = number(fed.points) / fed.cpu.as_secs_f64().max(0.01);
        if name != "postgresql" {
            figures.set("line_protocol_points_per_cpu_second", per_cpu_second);
        }
        // Who has not synced has made nothing durable.
        if matches!(name, "influxdb" | "postgresql") {
            figures.set("durable_points_per_core_second", per_cpu_second);
        }
        figures.set("lines points/s on the wall", number(fed.points) / fed.wall.as_secs_f64());
        figures.set("lines rss_mib", rival.memory_mib()?);
        feed(rival, &self.field.year)?;
        let bytes = rival.settled_bytes(if self.is_whole() { QUIET } else { QUIET / 10 })?;
        figures.set("bytes_per_point", number(bytes) / number(evenly + fed.points + self.plan.year.unsigned_abs()));
        (self.stage)(&format!("{name}: questions"));
        for question in Question::ALL {
            if let Some(ms) = asked(rival, question, &self.plan)? {
                figures.set(question.name(), ms);
            }
        }
        if name != "ours" {
            (self.stage)(&format!("{name}: a steady load"));
            figures.set("queryable_p99_ms", self.steady_lines(rival)?);
        }
        (self.stage)(&format!("{name}: killed"));
        let killed = kill_while_writing(rival, &self.field.killed, self.seed)?;
        say(&format!("{name}: killed after {} ms, {} of {} acknowledged points lost", killed.after_ms, killed.lost, killed.acknowledged));
        figures.set("kill_lost", number(killed.lost));
        figures.set(if name == "ours" { "ready after the kill, s" } else { "replay_seconds" }, killed.ready.as_secs_f64());
        Ok(figures)
    }

    fn steady_lines(&self, rival: &mut dyn Rival) -> Result<f64> {
        let bodies = &self.field.steady;
        let (mut load, mut probes) = (rival.writer()?, rival.writer()?);
        let load = Load {
            parts: bodies.len(),
            send: Box::new(move |part| bodies.get(part).map_or(Ok(()), |body| load.write(body))),
            probe: Box::new(move |number| probes.write(&field::probe(number)?)),
        };
        queryable_p99_ms(rival, load, steady(bodies.iter().map(|body| body.points).sum()))
    }

    /// Ours: lines as everybody, then messages, a steady load and many who watch.
    fn ours(&self, program: &Path, folder: &Path) -> Result<Figures> {
        let mut broker = Mosquitto::new(&folder.join("broker"))?;
        broker.start()?;
        let mut ours = Ours::new(program, &folder.join("lines"), broker.address)?;
        let mut figures = self.rival("ours", &mut ours)?;
        // Whatever was written in the middle of the kill: nothing is there that was not offered.
        let found = ours.check(&self.field.ledger, ours::facilities(&self.plan), 0..self.plan.measured)?;
        let offered: u64 = self.field.measured.iter().map(|body| body.points).sum();
        if found != offered {
            return Err(format!("{found} of {offered} points are in our store").into());
        }
        ours.stop()?;

        let mut ours = Ours::new(program, &folder.join("messages"), broker.address)?;
        ours.start()?;
        let (start, minutes) = (self.plan.fleet, (self.plan.measured / 2).max(1));
        (self.stage)("ours: 100,000 points a second");
        let fleet = field::messages(self.plan.meters, 0..start, self.seed)?;
        figures.set("rss_mib at 100 k points/s by messages", self.fleet(&ours, broker.address, &fleet)?);
        (self.stage)("ours: messages");
        let messages = field::messages(self.plan.meters, start..start + minutes, self.seed)?;
        let offered = mosquitto::points(&messages);
        let (cpu, broker_cpu, began) = (ours.cpu(), broker.cpu(), Instant::now());
        Client::connect(broker.address, "load", false)?.publish(&messages)?;
        self.wait(&ours, mosquitto::points(&fleet) + offered)?;
        let wall = began.elapsed();
        figures.set("mqtt_points_per_second", number(offered) / wall.as_secs_f64());
        figures.set("messages points/CPU-s", number(offered) / (ours.cpu() - cpu).as_secs_f64().max(0.01));
        figures.set(
            "messages points/CPU-s with broker",
            number(offered) / (ours.cpu() + broker.cpu() - cpu - broker_cpu).as_secs_f64().max(0.01),
        );
        figures.set("messages rss_mib", ours.memory_mib()?);

        (self.stage)("ours: a steady load");
        let steady_messages = field::messages(self.plan.meters, start + minutes..start + minutes + self.plan.steady, self.seed)?;
        figures.set("queryable_p99_ms", self.steady_messages(&mut ours, broker.address, &steady_messages)?);
        (self.stage)("ours: a thousand who watch");
        let (clients, frames) = if self.is_whole() { (WATCHERS, 16) } else { (WATCHERS / 10, 4) };
        figures.set("sse_p99_ms", watchers::p99_ms(ours.address, broker.address, clients, frames, self.seed)?);
        if ours.difference()? != 0 {
            return Err("received is not accepted + duplicate + dead letter".into());
        }
        ours.stop()?;
        Ok(figures)
    }

    fn is_whole(&self) -> bool {
        self.field.measured.iter().map(|body| body.points).sum::<u64>() >= WHOLE_RUN
    }

    /// Waits until so many points are durable.
    fn wait(&self, ours: &Ours, points: u64) -> Result<()> {
        let began = Instant::now();
        while ours.accepted()? < points {
            if began.elapsed() > Duration::from_secs(120) {
                return Err(format!("{} of {points} points are durable", ours.accepted()?).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What the memory comes to at the most under an even load.
    fn fleet(&self, ours: &Ours, broker: std::net::SocketAddr, messages: &[Message]) -> Result<f64> {
        let mut client = Client::connect(broker, "fleet", false)?;
        let (mut sent, began) = (0, Instant::now());
        for part in messages.chunks(MESSAGES_OF_A_PART) {
            let due = Duration::from_secs_f64(number(sent) / FLEET_POINTS_PER_SECOND);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            client.publish(part)?;
            sent += mosquitto::points(part);
        }
        self.wait(ours, sent)?;
        ours.memory_mib()
    }

    fn steady_messages(&self, ours: &mut Ours, broker: std::net::SocketAddr, messages: &[Message]) -> Result<f64> {
        let (mut load, mut probes) = (Client::connect(broker, "load", false)?, Client::connect(broker, "probes", false)?);
        let parts: Vec<&[Message]> = messages.chunks(MESSAGES_OF_A_PART).collect();
        let mut fleet = negawatt_tests::fleet::Fleet::new(1, self.seed)?;
        let load = Load {
            parts: parts.len(),
            send: Box::new(move |part| parts.get(part).map_or(Ok(()), |messages| load.publish(messages))),
            probe: Box::new(move |number| {
                fleet.advance(number);
                let rows = fleet.batches.first().and_then(|batch| batch.rows.get(1..2)).unwrap_or_default().to_vec();
                let tick_ms = negawatt_tests::fleet::START_MS + number * negawatt_tests::fleet::MINUTE_MS;
                probes.publish(&[field::message(PROBE, "gw", number, tick_ms, &rows)?])
            }),
        };
        queryable_p99_ms(ours, load, steady(mosquitto::points(messages)))
    }

    /// A broker that keeps nothing but messages, and what of them it has after a kill.
    fn mosquitto(&self, dir: &Path) -> Result<Figures> {
        (self.stage)("mosquitto: messages");
        let mut figures = Figures::default();
        let mut broker = Mosquitto::new(dir)?;
        broker.start()?;
        let messages = field::messages(self.plan.meters, 0..(self.plan.measured / 2).max(1), self.seed)?;
        let fed = broker.take(&messages)?;
        figures.set("mqtt_points_per_second", number(fed.points) / fed.wall.as_secs_f64());
        figures.set("messages points/CPU-s", number(fed.points) / fed.cpu.as_secs_f64().max(0.01));
        figures.set("rss_mib", broker.memory_mib()?);
        let (lost, ready) = broker.lost_by_kill(messages.get(..messages.len().min(1_000)).unwrap_or_default())?;
        figures.set("kill_lost", number(lost));
        figures.set("replay_seconds", ready.as_secs_f64());
        Ok(figures)
    }
}

/// How long so many points last.
fn steady(points: u64) -> Duration {
    Duration::from_secs_f64(number(points) / STEADY_POINTS_PER_SECOND).clamp(Duration::from_secs(1), STEADY)
}

/// A thousand clients here, and as many connections there.
fn allow_many_files() -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = 8_192;
    if current.is_some_and(|current| current < wanted) {
        let current = Some(maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    }
    Ok(())
}

fn percentile_ms(mut times: Vec<Duration>, percent: usize) -> f64 {
    times.sort();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 points")]
fn number(count: u64) -> f64 {
    count as f64
}

/// Talk, on standard error.
fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
