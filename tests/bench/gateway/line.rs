//! How much of a serial line's time carries bytes when it is asked for all it has.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::{Clock as _, SystemClock};
use gateway::{Config, Poller, Tick};
use simulator::{Faults, Grid, Line, LineConfig, Load, Meter};
use tokio_util::sync::CancellationToken;

use super::Result;

const BAUD: u32 = 9_600;
/// Start, eight data bits, stop, and the bit of parity that a line has room for.
const BITS_PER_BYTE: u32 = 11;
/// How long a meter thinks before it answers.
const TURNAROUND: Duration = Duration::from_millis(40);
/// Silence that ends a frame, in characters.
const SILENCE: f64 = 3.5;

/// What a saturated line did.
pub(super) struct Occupancy {
    /// Share of time in which bytes were on the line.
    pub(super) busy: f64,
    /// What that share could be at most, given the turnaround of the meters and the silence after each frame.
    pub(super) limit: f64,
    /// The first by the second.
    pub(super) of_limit: f64,
}

/// Polls four meters on one line without a pause.
pub(super) fn saturated(time: Duration) -> Result<Occupancy> {
    let start = SystemClock.now() - jiff::SignedDuration::from_mins(30);
    let load = Load::hourly(&[(start, 60_000)])?;
    let profile = devices::find("eastron-sdm630").ok_or("the profile comes with the program")?;
    let meter = |seed| Arc::new(Meter::electrical(profile, &load, Grid::EUROPE, seed, 5_000, Arc::new(SystemClock)));
    let mut line = Line::open(LineConfig { baud: BAUD, turnaround: TURNAROUND, echo: false })?;
    line.serve((1..=4).map(|unit| (unit, meter(u64::from(unit)))).collect(), Faults::seeded(1))?;
    let mut text = format!(
        "[gateway]\ntenant = \"bench\"\nfacility = \"hall\"\nid = \"gw\"\ndata_dir = \"none\"\n[broker]\nurl = \"mqtt://localhost:1\"\n\
         [[bus]]\nname = \"line\"\nkind = \"rtu\"\npath = \"{}\"\nbaud = {BAUD}\nparity = \"none\"\n",
        line.near().display()
    );
    for unit in 1..=4 {
        text.push_str(&format!("[[bus.device]]\nid = \"meter-{unit}\"\nunit = {unit}\nprofile = \"eastron-sdm630\"\n"));
    }
    let config = Config::parse(Path::new("bench.toml"), &text).map_err(|faults| faults.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(poll(config, &line, time)))
}

async fn poll(mut config: Config, line: &Line, time: Duration) -> Occupancy {
    let bus = config.buses.remove(0);
    let opener = bus.endpoint.opener();
    let mut poller = Poller::new(bus, Arc::new(SystemClock), opener);
    let (stop, mut at_ms) = (CancellationToken::new(), 0);
    let mut poll = async |poller: &mut Poller| {
        at_ms += 1_000;
        let tick = Tick { at_ms, clock_synced: true, until: tokio::time::Instant::now() + Duration::from_secs(10) };
        poller.poll(tick, &stop).await
    };
    // The first poll learns how long the meters take.
    poll(&mut poller).await;
    let (began, carried, asked) = (Instant::now(), line.carried(), poller.counters().exchanges);
    while began.elapsed() < time {
        poll(&mut poller).await;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let whole = |count: u64| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    let byte = f64::from(BITS_PER_BYTE) / f64::from(BAUD);
    let bytes = whole(line.carried() - carried) * byte;
    let pauses = whole(poller.counters().exchanges - asked) * (TURNAROUND.as_secs_f64() + SILENCE * byte);
    let (busy, limit) = (bytes / elapsed, bytes / (bytes + pauses));
    Occupancy { busy, limit, of_limit: busy / limit }
}
