//! What is measured alike of everybody who takes bodies: how they are written, killed, and asked.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use negawatt_tests::fleet::{Dice, MINUTE_MS, START_MS};

use super::field::{Body, Plan};
use super::machine::{Server, kill_all};
use super::{Result, number};

/// Connections that write at the same time.
const WRITERS: usize = 2;
/// A question is asked so often, and the middle answer counts.
const ROUNDS: usize = 3;

/// Somebody who takes bodies and answers questions.
pub(crate) trait Rival: Sync {
    /// Starts what does not run, and gives how long it took to be ready.
    fn start(&mut self) -> Result<Duration>;
    /// Its process, while it runs.
    fn process(&self) -> Option<&Server>;
    /// Ends it without a word.
    fn kill(&mut self) -> Result<()>;

    fn pids(&self) -> Vec<u32> {
        self.process().map(Server::pids).unwrap_or_default()
    }

    fn cpu(&self) -> Duration {
        self.process().map(Server::cpu).unwrap_or_default()
    }

    fn memory_mib(&self) -> Result<f64> {
        self.process().ok_or("it does not run")?.memory_mib()
    }

    /// A connection to write over.
    fn writer(&self) -> Result<Box<dyn Writer>>;
    /// Brings to the disk what is in memory, merges what can be merged, and gives the bytes it takes. Who merges beside has come to its
    /// end when nothing has changed for so long.
    fn settled_bytes(&mut self, quiet: Duration) -> Result<u64>;
    /// Points of these bodies that are not there.
    fn missing(&self, bodies: &[&Body]) -> Result<u64>;
    /// The number of the last probe that a question finds.
    fn newest_probe(&mut self) -> Result<Option<i64>>;
    /// Asks, and waits for the whole answer. False when it has no way to say that.
    fn ask(&mut self, question: Question, plan: &Plan) -> Result<bool>;
}

/// A connection of somebody who writes.
pub(crate) trait Writer: Send {
    /// Returns when the body is acknowledged.
    fn write(&mut self, body: &Body) -> Result<()>;
}

/// What everybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Every reading of the long series.
    SeriesYear,
    /// Its means of each hour.
    HourlyMeans,
    /// The last reading of each point of a facility.
    LastPoints,
    /// Where the long series has no readings.
    Gaps,
}

impl Question {
    pub(crate) const ALL: [Self; 4] = [Self::SeriesYear, Self::HourlyMeans, Self::LastPoints, Self::Gaps];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SeriesYear => "series_year_ms",
            Self::HourlyMeans => "hourly_means_ms",
            Self::LastPoints => "last_points_ms",
            Self::Gaps => "gap_list_ms",
        }
    }
}

/// The time of the minutes of a plan's long series, half-open.
pub(crate) fn year_ms(plan: &Plan) -> std::ops::Range<i64> {
    START_MS..START_MS + plan.year * MINUTE_MS
}

/// The time of the minutes of a body, half-open.
pub(crate) fn body_ms(body: &Body) -> std::ops::Range<i64> {
    START_MS + body.minutes.start * MINUTE_MS..START_MS + body.minutes.end * MINUTE_MS
}

/// What writing took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fed {
    pub(crate) points: u64,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// Writes bodies as fast as they are taken.
pub(crate) fn feed(rival: &dyn Rival, bodies: &[Body]) -> Result<Fed> {
    let (cpu, began) = (rival.cpu(), Instant::now());
    let acknowledged = write_until(rival, bodies, &AtomicBool::new(false), || Ok(()))?;
    if acknowledged.len() < bodies.len() {
        return Err(format!("{} of {} bodies were taken", acknowledged.len(), bodies.len()).into());
    }
    Ok(Fed { points: bodies.iter().map(|body| body.points).sum(), cpu: rival.cpu() - cpu, wall: began.elapsed() })
}

/// Writes bodies over one connection, so many points a second; gives how many points they were.
pub(crate) fn feed_evenly(rival: &dyn Rival, bodies: &[Body], points_per_second: f64) -> Result<u64> {
    let (mut writer, mut points, began) = (rival.writer()?, 0, Instant::now());
    for body in bodies {
        let due = Duration::from_secs_f64(number(points) / points_per_second);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        writer.write(body)?;
        points += body.points;
    }
    Ok(points)
}

/// Writes with several connections until all is written, something fails or it is over; gives which bodies were acknowledged.
fn write_until(rival: &dyn Rival, bodies: &[Body], over: &AtomicBool, meanwhile: impl FnOnce() -> Result<()>) -> Result<Vec<usize>> {
    let (next, acknowledged, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(None));
    let writers = (0..WRITERS).map(|_| rival.writer()).collect::<Result<Vec<_>>>()?;
    let done = std::thread::scope(|scope| {
        for mut writer in writers {
            scope.spawn({
                let (next, acknowledged, failed) = (&next, &acknowledged, &failed);
                move || {
                    while let Some((at, body)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, bodies.get(at)?))) {
                        match writer.write(body) {
                            Ok(()) => acknowledged.lock().expect("no writer panics").push(at),
                            Err(err) => {
                                *failed.lock().expect("no writer panics") = Some(err);
                                return;
                            }
                        }
                    }
                }
            });
        }
        meanwhile()
    });
    done?;
    match failed.into_inner().expect("no writer panics") {
        // What a kill does to a connection is no failure.
        Some(err) if !over.load(Ordering::SeqCst) => Err(err),
        _ => Ok(acknowledged.into_inner().expect("no writer panics")),
    }
}

/// What a kill has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Killed {
    pub(crate) after_ms: u64,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) ready: Duration,
}

/// Kills at a random moment while bodies are written, starts again, and looks for everything that was acknowledged.
pub(crate) fn kill_while_writing(rival: &mut dyn Rival, bodies: &[Body], seed: u64) -> Result<Killed> {
    let after_ms = 50 + Dice::new(seed).roll(750).unsigned_abs();
    let over = AtomicBool::new(false);
    let pids = rival.pids();
    let acknowledged = write_until(rival, bodies, &over, || {
        std::thread::sleep(Duration::from_millis(after_ms));
        over.store(true, Ordering::SeqCst);
        kill_all(&pids);
        Ok(())
    })?;
    rival.kill()?;
    let ready = rival.start()?;
    let bodies: Vec<&Body> = acknowledged.into_iter().filter_map(|at| bodies.get(at)).collect();
    let killed = Killed { after_ms, acknowledged: bodies.iter().map(|body| body.points).sum(), lost: rival.missing(&bodies)?, ready };
    Ok(killed)
}

/// How long a question takes, in milliseconds; the middle of some rounds. Nothing when it cannot be asked.
pub(crate) fn asked(rival: &mut dyn Rival, question: Question, plan: &Plan) -> Result<Option<f64>> {
    let mut walls = Vec::new();
    for _round in 0..ROUNDS {
        let began = Instant::now();
        if !rival.ask(question, plan)? {
            return Ok(None);
        }
        walls.push(began.elapsed());
    }
    walls.sort();
    Ok(walls.get(ROUNDS / 2).map(|wall| wall.as_secs_f64() * 1_000.0))
}
