//! How many points the poller reads in a second of one core: request, answer, checks, decoding, and the frame as it goes to the spool.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::SystemClock;
use gateway::{Config, Poller, Tick};
use tokio_util::sync::CancellationToken;
use units::Quality;
use wire::{Frame, Message as _};

use super::{
    Result,
    plant::{self, Plant},
    process,
    registers::Servers,
};

/// Connections that are polled at once, and devices behind each.
const PLANT: Plant = Plant::buses(16, 8);

/// What polling gave.
pub(super) struct Throughput {
    pub(super) points_per_second: f64,
    pub(super) points_per_cpu_second: f64,
}

/// Polls for so long on a core of its own.
pub(super) fn measure(time: Duration) -> Result<Throughput> {
    let servers = Servers::start(PLANT.buses)?;
    let folder = tempfile::tempdir()?;
    plant::write_profile(folder.path())?;
    let head = format!(
        "[gateway]\ntenant = \"bench\"\nfacility = \"hall\"\nid = \"gw\"\ndata_dir = \"none\"\nprofiles = \"{}\"\n\
         [broker]\nurl = \"mqtt://localhost:1\"\n",
        folder.path().display()
    );
    let text = head + &PLANT.tables(&servers.addresses, "analyser");
    let config = Config::parse(Path::new("bench.toml"), &text).map_err(|faults| faults.to_string())?;
    process::stay_on_core(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let polled = runtime.block_on(poll(config, time));
    Ok(polled)
}

async fn poll(config: Config, time: Duration) -> Throughput {
    let until = Instant::now() + time;
    let (began, cpu) = (Instant::now(), process::thread_cpu());
    let pollers = config.buses.into_iter().map(|bus| {
        let opener = bus.endpoint.opener();
        tokio::spawn(poll_bus(Poller::new(bus, Arc::new(SystemClock), opener), until))
    });
    let mut points = 0_u32;
    for poller in pollers.collect::<Vec<_>>() {
        points += poller.await.expect("a poller does not panic");
    }
    let points = f64::from(points);
    let cpu = process::thread_cpu().saturating_sub(cpu);
    Throughput { points_per_second: points / began.elapsed().as_secs_f64(), points_per_cpu_second: points / cpu.as_secs_f64() }
}

/// Polls one bus again and again. Gives the number of good points.
async fn poll_bus(mut poller: Poller, until: Instant) -> u32 {
    let (stop, mut points, mut at_ms) = (CancellationToken::new(), 0, 0);
    while Instant::now() < until {
        at_ms += 1_000;
        let tick = Tick { at_ms, clock_synced: true, until: tokio::time::Instant::now() + Duration::from_secs(10) };
        let frame = Frame { schema: wire::SCHEMA, tick_ms: at_ms, devices: poller.poll(tick, &stop).await, ..Frame::default() };
        let good = frame.devices.iter().flat_map(|device| &device.points);
        let good = good.filter(|point| point.raw == Some(2_301) && point.quality == u32::from(Quality::GOOD.bits()));
        points += u32::try_from(good.count()).unwrap_or(0);
        std::hint::black_box(frame.encode_to_vec());
    }
    points
}
