//! Finding devices: on a paced serial line whose rate matters, behind converters, on a network.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use negawatt_gateway::setup::{Event, Place, PlaceReport, SERIAL_PATIENCE, State, Thoroughness, scan};
use simulator::{DrivenClock, Fault, Faults, Grid, Line, LineConfig, Load, Meter, Rule, TcpServer};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_serial::SerialPortBuilderExt as _;

const QUICK: Thoroughness =
    Thoroughness { full: false, listen: Duration::from_millis(100), patience: SERIAL_PATIENCE, anyway: false, identify: true };

fn meter(profile: &str, seed: u64) -> Arc<Meter> {
    let start: Timestamp = "2025-06-01T00:00:00Z".parse().unwrap();
    let at = start + jiff::SignedDuration::from_mins(30);
    let load = Load::hourly(&[(start, 60_000)]).unwrap();
    let clock = Arc::new(DrivenClock::new(at, at));
    Arc::new(Meter::electrical(devices::find(profile).unwrap(), &load, Grid::EUROPE, seed, 5_000, clock))
}

fn line(baud: u32, units: Vec<(u8, Arc<Meter>)>, echo: bool, faults: Arc<Faults>) -> Line {
    let mut line = Line::open_strict(LineConfig { baud, turnaround: Duration::from_millis(5), echo }).unwrap();
    line.serve(units, faults).unwrap();
    line
}

async fn look(places: &[&str], how: Thoroughness) -> Vec<PlaceReport> {
    let places = places.iter().flat_map(|text| Place::parse(text, Path::new("/")).unwrap()).collect();
    let (events, mut seen) = mpsc::channel::<Event>(8);
    tokio::spawn(async move { while seen.recv().await.is_some() {} });
    scan(places, how, events).await
}

fn said(report: &PlaceReport) -> Vec<(&str, State)> {
    report.findings.iter().map(|finding| (finding.check.as_str(), finding.state)).collect()
}

/// A converter that puts a serial line behind a TCP port and leaves the frames as they are.
async fn converter(line: &Line, baud: u32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut port = tokio_serial::new(line.near().to_str().unwrap(), baud).open_native_async().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut from_net, mut to_net) = stream.into_split();
            let (mut from_line, mut to_line) = tokio::io::split(&mut port);
            // A client that hangs up ends the connection; the port stays open.
            tokio::select! {
                _ = tokio::io::copy(&mut from_net, &mut to_line) => {}
                _ = tokio::io::copy(&mut from_line, &mut to_net) => {}
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_meter_is_found_in_less_than_two_seconds_whatever_its_rate() {
    for (profile, baud) in [("eastron-sdm630", 9_600), ("eastron-sdm120", 2_400)] {
        let line = line(baud, vec![(1, meter(profile, 1))], false, Faults::seeded(1));
        let report = look(&[line.near().to_str().unwrap()], QUICK).await.remove(0);
        let [device] = &report.devices[..] else { panic!("{report:?}") };
        println!("{profile} at {baud}: found after {} ms, {} ms in all", device.found_after_ms, report.elapsed_ms);
        assert!(device.found_after_ms < 2_000, "{device:?}");
        assert_eq!((device.unit, device.settings.unwrap().baud, device.framing), (1, baud, "rtu"));
        let identity = device.identity.as_ref().unwrap();
        assert_eq!(identity.best().map(|best| best.profile.as_str()), Some(profile), "{identity:#?}");
        assert_eq!(report.heard_first.unwrap().bytes, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_unit_of_a_bus_is_found_by_the_sweep() {
    let units = vec![(1, meter("eastron-sdm630", 1)), (9, meter("schneider-iem3000", 2)), (247, meter("abb-b23", 3))];
    let line = line(9_600, units, true, Faults::seeded(1));
    let place = format!("rtu://{}?baud=9600&parity=none", line.near().display());
    let begun = Instant::now();
    let report =
        look(&[&place], Thoroughness { full: true, identify: false, patience: Duration::from_millis(40), ..QUICK }).await.remove(0);
    println!(
        "247 units at 9600: {} asked in {} ms ({} ms of wall clock)",
        report.tally.asked,
        report.elapsed_ms,
        begun.elapsed().as_millis()
    );
    assert_eq!(report.devices.iter().map(|device| device.unit).collect::<Vec<_>>(), [1, 9, 247]);
    assert_eq!((report.tally.asked, report.tally.answered, report.tally.echoed), (247, 3, 247));
    assert_eq!(said(&report), [("echo", State::Green)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_thinks_longer_than_it_is_given_is_found_all_the_same() {
    let slow = LineConfig { baud: 9_600, turnaround: Duration::from_millis(110), echo: false };
    let mut line = Line::open_strict(slow).unwrap();
    line.serve(vec![(1, meter("eastron-sdm630", 1)), (10, meter("abb-b23", 2))], Faults::seeded(1)).unwrap();
    let place = format!("rtu://{}?baud=9600&parity=none", line.near().display());
    let report = look(&[&place], Thoroughness { identify: false, patience: Duration::from_millis(80), ..QUICK }).await.remove(0);
    assert_eq!(report.devices.iter().map(|device| device.unit).collect::<Vec<_>>(), [1, 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_with_one_address_are_noticed() {
    let units = vec![(1, meter("eastron-sdm630", 1)), (2, meter("eastron-sdm630", 2)), (2, meter("eastron-sdm630", 77))];
    let line = line(9_600, units, false, Faults::seeded(1));
    let report = look(&[line.near().to_str().unwrap()], QUICK).await.remove(0);
    assert_eq!(said(&report), [("same-unit-id", State::Red)], "{report:#?}");
    assert!(report.findings[0].says.contains("unit id 2"));
    assert_eq!(report.devices.iter().map(|device| device.unit).collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_answers_with_rubbish_is_told_from_a_silent_one() {
    let faults = Faults::seeded(1);
    faults.set(&[Rule { unit: None, fault: Fault::Garbage, per_million: 1_000_000 }]);
    let garbled = line(9_600, vec![(1, meter("eastron-sdm630", 1))], false, faults);
    let silent = line(9_600, Vec::new(), false, Faults::seeded(1));
    let at = |line: &Line| format!("rtu://{}?baud=9600&parity=none", line.near().display());
    let reports = look(&[&at(&garbled), &at(&silent)], QUICK).await;
    let checks: Vec<Vec<(&str, State)>> = reports.iter().map(said).collect();
    assert_eq!(checks[0], [("unclear-unit", State::Amber), ("garbled", State::Red)]);
    assert_eq!(checks[1], [("silence", State::Red)]);
    assert!(reports[1].findings[0].next.as_ref().unwrap().contains("swap A and B"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_master_is_heard_before_anything_is_asked() {
    let line = line(115_200, Vec::new(), false, Faults::seeded(1));
    let far = line.far().to_owned();
    let talk = std::thread::spawn(move || {
        let mut port = std::fs::OpenOptions::new().write(true).open(far).unwrap();
        for _ in 0..10 {
            port.write_all(&[1, 4, 0, 0, 0, 2, 0x71, 0xCB]).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let place = format!("rtu://{}?baud=115200&parity=none", line.near().display());
    let report = look(&[&place], Thoroughness { listen: Duration::from_millis(300), ..QUICK }).await.remove(0);
    talk.join().unwrap();
    assert_eq!(said(&report), [("another-master", State::Red)]);
    assert!(report.findings[0].says.contains("unit 1, function 4"));
    assert_eq!(report.tally.asked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_is_asked_in_both_framings_at_once() {
    let units: Vec<_> = (1..=247).step_by(41).map(|unit| (unit, meter("eastron-sdm630", u64::from(unit)))).collect();
    let server = TcpServer::start(units, Faults::seeded(1)).await.unwrap();
    let serial = line(115_200, vec![(3, meter("eastron-sdm120", 1))], false, Faults::seeded(1));
    let network = format!("tcp://{}", server.address());
    let tunnelled = format!("tcp://{}", converter(&serial, 115_200).await);
    let reports = look(&[&network, &tunnelled, "tcp://127.0.0.1:1"], Thoroughness { full: false, ..QUICK }).await;
    let found: Vec<Vec<(u8, &str)>> =
        reports.iter().map(|report| report.devices.iter().map(|device| (device.unit, device.framing)).collect()).collect();
    assert_eq!(found, [vec![(1, "tcp")], vec![(3, "rtu-over-tcp")], vec![]], "{reports:#?}");
    assert_eq!(said(&reports[0]), [("framing", State::Green)]);
    assert!(reports[0].findings[0].says.contains("Modbus TCP") && reports[1].findings[0].says.contains("serial frames over TCP"));
    assert_eq!(said(&reports[2]), [("open", State::Red)]);

    let begun = Instant::now();
    let full = look(&[&network], Thoroughness { full: true, identify: false, ..QUICK }).await.remove(0);
    println!("247 units over TCP: {} asked in {} ms", full.tally.asked, begun.elapsed().as_millis());
    assert_eq!(full.devices.iter().map(|device| device.unit).collect::<Vec<_>>(), [1, 42, 83, 124, 165, 206, 247]);
}
