//! The gateway as reader.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use gateway::{Config, Open, Opening, Poller, Stream, Tick};
use simulator::{Channel, Exchange, Meter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use units::Quality;
use wire::{DeviceReading, PointReading};

use super::matrix::{Bench, DEVICES};
use super::{Report, Tally, covers};

/// Time between two polls.
const INTERVAL_MS: i64 = 1_000;
/// Longest that one poll may go on; the wait for a port that is gone is longer than a poll.
const POLL_MAX: Duration = Duration::from_secs(20);
/// Exchanges that are shown with a wrong value.
const HISTORY: usize = 24;

/// Makes connections to a bus in memory.
#[derive(Debug)]
struct Plug(Channel);

impl Open for Plug {
    fn open(&mut self) -> Opening<'_> {
        Box::pin(async { Ok(Box::new(self.0.connect()?) as Box<dyn Stream>) })
    }
}

fn config(bench: &Bench) -> Config {
    let mut text = String::from(
        "[gateway]\ntenant = \"bench\"\nfacility = \"faults\"\nid = \"gw\"\ndata_dir = \"none\"\n[broker]\nurl = \"mqtt://localhost:1\"\n[poll]\ninterval = \"1s\"\n",
    );
    text.push_str(&format!("[[bus]]\nname = \"bus\"\n{}", bench.toml));
    for (unit, profile) in DEVICES {
        text.push_str(&format!("[[bus.device]]\nid = \"device-{unit}\"\nunit = {unit}\nprofile = \"{profile}\"\n"));
    }
    Config::parse(Path::new("bench.toml"), &text).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(super) async fn run(bench: &Bench, exchanges: u64) -> Report {
    let config = config(bench).buses.remove(0);
    let mut poller = Poller::new(config, Arc::new(bench.clock.clone()), Box::new(Plug(bench.channel.clone())));
    let (stop, mut report) = (CancellationToken::new(), Report::default());
    let mut history = VecDeque::new();
    let mut at_ms = bench.clock.now().as_millisecond();
    while report.whole.exchanges() < exchanges {
        at_ms = (at_ms + INTERVAL_MS).max(bench.clock.now().as_millisecond() / INTERVAL_MS * INTERVAL_MS);
        bench.clock.sleep_until(jiff::Timestamp::from_millisecond(at_ms).expect("a time of this century")).await;
        let tick = Tick { at_ms, clock_synced: true, until: Instant::now() + POLL_MAX };
        let readings = poller.poll(tick, &stop).await;
        let book = bench.channel.take_book();
        history.extend(book.iter().copied());
        history.drain(..history.len().saturating_sub(HISTORY));
        for ((unit, meter), reading) in bench.meters.iter().zip(&readings) {
            let book: Vec<&Exchange> = book.iter().filter(|exchange| exchange.unit == *unit).collect();
            judge(bench, meter, reading, (&book, &history), exchanges, &mut report);
        }
    }
    report
}

/// Holds what the gateway says of a device against what the device held.
fn judge(
    bench: &Bench,
    meter: &Meter,
    reading: &DeviceReading,
    (book, history): (&[&Exchange], &VecDeque<Exchange>),
    limit: u64,
    report: &mut Report,
) {
    let bus = bench.name;
    let good = |point: &&PointReading| point.raw.is_some() && point.quality == u32::from(Quality::GOOD.bits());
    let good: Vec<&PointReading> = reading.points.iter().filter(good).collect();
    let mut outcomes: Vec<Tally> = vec![Tally::default(); book.len()];
    for point in good {
        let known = meter.profile().point(&point.point).expect("a point of the profile");
        let asked = || book.iter().enumerate().filter(|(_, exchange)| covers(exchange, known));
        let measured = point.measured().ok().flatten();
        let held = asked().any(|(_, exchange)| exchange.sampled.is_some_and(|at| meter.truth(&point.point, at) == measured));
        let last = asked().next_back().map(|(index, _)| index);
        match last.and_then(|index| outcomes.get_mut(index)) {
            Some(outcome) if held => outcome.right = 1,
            Some(outcome) => outcome.wrong = 1,
            None => report.note(bus, None, Tally { wrong: 1, ..Tally::default() }),
        }
        if !held {
            report.show(|| {
                let of: Vec<String> = history.iter().map(|exchange| format!("{exchange:?}")).collect();
                let (asked, said) = (of.join("\n  "), bench.channel.trace().join("\n  "));
                format!("{bus}: {} of {} reads {measured:?}; asked {asked}; said\n  {said}", point.point, reading.device)
            });
        }
    }
    for (exchange, outcome) in book.iter().zip(outcomes) {
        if report.whole.exchanges() == limit {
            break;
        }
        let outcome = match outcome {
            Tally { wrong: 1, .. } => Tally { wrong: 1, ..Tally::default() },
            Tally { right: 1, .. } => Tally { right: 1, ..Tally::default() },
            _ => Tally { flagged: 1, ..Tally::default() },
        };
        report.note(bus, exchange.fault, outcome);
    }
}
