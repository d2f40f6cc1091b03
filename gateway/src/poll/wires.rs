//! The poller on real descriptors: a paced line between two pseudo-terminals, an adapter that is pulled out, and TCP sockets.
//!
//! What the matrix in memory counts by the million is looked at here a few hundred times, with the kernel in between.

use std::{os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use daemon::{Clock, SystemClock};
use simulator::{Fault, Faults, Line, LineConfig, Meter, Rule, TcpServer};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use units::Quality;
use wire::{DeviceReading, PointReading};

use super::{Poller, Tick};
use crate::{config::Config, modbus::Doors};

/// How long a register keeps its number.
const STEP_MS: i64 = 10;
const DEVICES: [(u8, &str); 2] = [(1, "eastron-sdm120"), (2, "carlo-gavazzi-em24-rs485")];

/// How many good values were right and wrong.
#[derive(Debug, Default)]
struct Tally {
    right: u64,
    wrong: u64,
    flagged: u64,
}

fn meters(clock: &Arc<dyn Clock>) -> Vec<(u8, Arc<Meter>)> {
    let meter = |(unit, profile)| {
        let profile = devices::find(profile).unwrap();
        (unit, Arc::new(Meter::coded(profile, u64::from(unit), STEP_MS, Arc::clone(clock))))
    };
    DEVICES.map(meter).to_vec()
}

fn poller(bus: &str, clock: &Arc<dyn Clock>) -> Poller {
    let mut text = format!(
        "[gateway]\ntenant = \"t\"\nfacility = \"f\"\nid = \"g\"\ndata_dir = \"none\"\n[broker]\nurl = \"mqtt://localhost:1\"\n[poll]\ninterval = \"1s\"\n[[bus]]\nname = \"bus\"\ntimeout = \"150ms\"\n{bus}\n"
    );
    for (unit, profile) in DEVICES {
        text.push_str(&format!("[[bus.device]]\nid = \"meter-{unit}\"\nunit = {unit}\nprofile = \"{profile}\"\n"));
    }
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap_or_else(|faults| panic!("{faults}")).buses.remove(0);
    let opener = config.opener(&Doors::default());
    Poller::new(config, Arc::clone(clock), opener)
}

async fn poll(poller: &mut Poller, clock: &Arc<dyn Clock>) -> Vec<DeviceReading> {
    let at_ms = clock.now().as_millisecond();
    let tick = Tick { at_ms, clock_synced: true, until: Instant::now() + Duration::from_secs(10) };
    poller.poll(tick, &CancellationToken::new()).await
}

/// Holds good values against everything that the registers showed while the device was read.
fn judge(meters: &[(u8, Arc<Meter>)], readings: &[DeviceReading], tally: &mut Tally) {
    for ((_, meter), reading) in meters.iter().zip(readings) {
        let from = reading.requested_ms / STEP_MS - 1;
        let until = (reading.requested_ms + i64::from(reading.duration_us) / 1_000) / STEP_MS + 1;
        let shown = |point: &PointReading| {
            let measured = point.measured().ok().flatten();
            (from..=until).any(|step| meter.truth(&point.point, jiff::Timestamp::from_millisecond(step * STEP_MS).unwrap()) == measured)
        };
        for point in &reading.points {
            match point.raw.is_some() && point.quality == u32::from(Quality::GOOD.bits()) {
                false => tally.flagged += 1,
                true if shown(point) => tally.right += 1,
                true => tally.wrong += 1,
            }
        }
    }
}

fn rules(faults: &[Fault], per_million: u32) -> Vec<Rule> {
    faults.iter().map(|&fault| Rule { unit: None, fault, per_million }).collect()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn faults_on_a_paced_line_bring_no_wrong_value() {
    let seed = 20_261_121;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let faults = Faults::seeded(seed);
    let wrong = [Fault::Silent, Fault::WrongUnit, Fault::Garbage, Fault::Truncate, Fault::FlipBit, Fault::Duplicate, Fault::Noise];
    let other = [Fault::OtherCount(-1), Fault::OtherCount(2), Fault::AtMost(2), Fault::Chatter, Fault::EchoPart, Fault::Exception(6)];
    let timed = [Fault::Late(ms(140)), Fault::Late(ms(170)), Fault::Late(ms(320)), Fault::Repeat(ms(30)), Fault::Trickle(ms(3))];
    faults.set(&rules(&[&wrong[..], &other, &timed].concat(), 4_000));
    for echo in [false, true] {
        let mut line = Line::open(LineConfig { baud: 38_400, turnaround: ms(3), echo }).unwrap();
        let meters = meters(&clock);
        line.serve(meters.clone(), Arc::clone(&faults)).unwrap();
        let bus = format!("kind = \"rtu\"\npath = \"{}\"\nbaud = 38400", line.near().display());
        let (mut poller, mut tally) = (poller(&bus, &clock), Tally::default());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(6) {
            judge(&meters, &poll(&mut poller, &clock).await, &mut tally);
        }
        assert_eq!(tally.wrong, 0, "seed {seed}, echo {echo}: {tally:?} {:?}", poller.counters());
        assert!(tally.right > 100, "{tally:?} {:?}", poller.counters());
    }
    assert!(faults.injected() > 8, "{} faults", faults.injected());
}

#[tokio::test]
async fn an_adapter_that_is_pulled_out_and_comes_back_is_read_again() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("ttyUSB0");
    let plug = || {
        let mut line = Line::open(LineConfig { baud: 115_200, turnaround: ms(2), echo: false }).unwrap();
        line.serve(meters(&clock), Faults::seeded(1)).unwrap();
        symlink(line.near(), &port).unwrap();
        line
    };
    let all_good = |readings: &[DeviceReading]| readings.iter().all(|reading| reading.quality == u32::from(Quality::GOOD.bits()));
    let line = plug();
    let mut poller = poller(&format!("kind = \"rtu\"\npath = \"{}\"\nbaud = 115200", port.display()), &clock);
    assert!(all_good(&poll(&mut poller, &clock).await));
    std::fs::remove_file(&port).unwrap();
    drop(line);
    let gone = poll(&mut poller, &clock).await;
    assert!(gone.iter().flat_map(|reading| &reading.points).all(|point| point.raw.is_none()), "{gone:?}");
    // Another terminal of the kernel under the same name.
    let _line = plug();
    let began = Instant::now();
    while !all_good(&poll(&mut poller, &clock).await) {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not come back: {:?}", poller.counters());
        tokio::time::sleep(ms(100)).await;
    }
}

#[tokio::test]
async fn faults_on_sockets_bring_no_wrong_value() {
    let seed = 20_261_121;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let faults = Faults::seeded(seed);
    let meters = meters(&clock);
    let server = TcpServer::start(meters.clone(), Arc::clone(&faults)).await.unwrap();
    let connection = [Fault::Reset, Fault::HalfOpen, Fault::ZeroWindow, Fault::HangUp, Fault::Trickle(ms(1)), Fault::Truncate];
    let answer = [Fault::FlipBit, Fault::Duplicate, Fault::OtherCount(-2), Fault::WrongUnit, Fault::Late(ms(140)), Fault::Late(ms(200))];
    faults.set(&rules(&[connection, answer].concat(), 5_000));
    let bus = format!("kind = \"tcp\"\naddress = \"{}\"\nconverter = false", server.address());
    let (mut poller, mut tally) = (poller(&bus, &clock), Tally::default());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        judge(&meters, &poll(&mut poller, &clock).await, &mut tally);
    }
    assert_eq!(tally.wrong, 0, "seed {seed}: {tally:?} {:?}", poller.counters());
    assert!(tally.right > 100 && faults.injected() > 8, "{tally:?} {:?}", poller.counters());
}
