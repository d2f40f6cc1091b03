//! The whole gateway against simulated meters on real sockets and a paced line, with the time driven.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use simulator::{DrivenClock, Fault, Faults, Grid, Line, LineConfig, Load, Meter, Rule, Series, TcpServer};
use tempfile::tempdir;
use units::{Quality, Severity};
use wire::{Frame, Message};

use super::*;

fn start() -> Timestamp {
    "2025-06-01T00:00:00Z".parse().unwrap()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

fn meter(profile: &str, seed: u64, clock: &DrivenClock) -> Arc<Meter> {
    let day: Vec<(Timestamp, i64)> = (0..24 * 35).map(|hour| (start() + hours(hour), 40_000 + 900 * (hour % 24))).collect();
    let load = Load::hourly(&day).unwrap();
    Arc::new(Meter::electrical(devices::find(profile).unwrap(), &load, Grid::EUROPE, seed, 1_234_567, Arc::new(clock.clone())))
}

const PROFILES: [&str; 3] = ["eastron-sdm630", "carlo-gavazzi-em340", "schneider-pm5xxx"];

struct Tcp {
    meters: Vec<Arc<Meter>>,
    servers: Vec<TcpServer>,
    faults: Arc<Faults>,
    toml: String,
}

async fn tcp_meters(clock: &DrivenClock) -> Tcp {
    let faults = Faults::seeded(5);
    let (mut meters, mut servers, mut toml) = (Vec::new(), Vec::new(), String::new());
    for (number, profile) in (1_u64..).zip(PROFILES) {
        let meter = meter(profile, number, clock);
        let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Arc::clone(&faults)).await.unwrap();
        let address = server.address();
        toml.push_str(&format!("[[bus]]\nname = \"bus-{number}\"\nkind = \"tcp\"\naddress = \"{address}\"\n"));
        toml.push_str(&format!("[[bus.device]]\nid = \"meter-{number}\"\nunit = 1\nprofile = \"{profile}\"\n"));
        meters.push(meter);
        servers.push(server);
    }
    Tcp { meters, servers, faults, toml }
}

fn config(folder: &Path, buses: &str) -> Config {
    let head = format!(
        "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n[spool]\ncommit_interval = \"50ms\"\n",
        folder.display()
    );
    Config::parse(Path::new("gateway.toml"), &format!("{head}{buses}")).unwrap()
}

/// Runs a gateway until the clock stands at its limit and gives the frames in its spool.
async fn frames_until_limit(folder: &Path, buses: &str, clock: &DrivenClock) -> (Vec<Frame>, Arc<Status>) {
    let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
    let served = serve(config(folder, buses), Arc::new(clock.clone()), IdSource::seeded(1), Arc::clone(&status), stop.clone());
    let served = tokio::spawn(served);
    clock.reached_limit().await;
    stop.cancel();
    served.await.unwrap().unwrap();
    let mut spool = Spool::open(&folder.join("spool"), SpoolOptions::within(1 << 30), || panic!("the spool is there")).unwrap();
    let mut frames = Vec::new();
    while let Some(last) = spool.read(u64::try_from(frames.len()).unwrap() + 1, 1 << 20).unwrap().into_iter().reduce(|before, stored| {
        frames.push(Frame::decode(&before.payload.unwrap()[..]).unwrap());
        stored
    }) {
        frames.push(Frame::decode(&last.payload.unwrap()[..]).unwrap());
    }
    (frames, status)
}

/// Checks every value against what the meter shows at that minute. Gives the number of good and of bad points.
fn check(frames: &[Frame], device: usize, meter: &Meter) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for frame in frames {
        frame.validate().unwrap();
        let at = Timestamp::from_millisecond(frame.tick_ms).unwrap();
        for point in &frame.devices[device].points {
            let quality = Quality::from_bits(u16::try_from(point.quality).unwrap());
            match point.measured().unwrap() {
                Some(measured) => {
                    assert_eq!(quality, Quality::GOOD);
                    assert_eq!(Some(measured), meter.truth(&point.point, at), "{} at {at}", point.point);
                    good += 1;
                }
                None => {
                    assert_eq!(quality.severity(), Severity::Bad);
                    bad += 1;
                }
            }
        }
    }
    (good, bad)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_minute_of_every_meter_is_kept_exactly_as_shown() {
    let folder = tempdir().unwrap();
    let clock = DrivenClock::new(start(), start() + hours(6));
    let tcp = tcp_meters(&clock).await;
    let began = tokio::time::Instant::now();
    let (frames, status) = frames_until_limit(folder.path(), &tcp.toml, &clock).await;
    let exchanges: u64 = tcp.servers.iter().map(TcpServer::exchanges).sum();
    tracing::info!(exchanges, seconds = began.elapsed().as_secs_f64(), "read over TCP");
    let ticks: Vec<i64> = frames.iter().map(|frame| frame.tick_ms).collect();
    let minutes: Vec<i64> = (0..=360).map(|minute| start().as_millisecond() + minute * 60_000).collect();
    assert_eq!(ticks, minutes);
    let mut points = 0;
    for (device, meter) in tcp.meters.iter().enumerate() {
        let (good, bad) = check(&frames, device, meter);
        assert_eq!(bad, 0);
        points += good;
    }
    let told = status.snapshot();
    assert_eq!((told.sweeps, told.points_polled, told.points_failed), (361, u64::try_from(points).unwrap(), 0));
    assert_eq!((told.last_seq, told.frames_committed, told.backlog, told.connected), (361, 361, 361, false));
    let billing = frames[0].devices[0].points.iter().find(|point| point.point == "e_imp").unwrap();
    let words: Vec<u16> = billing.words.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let profile = tcp.meters[0].profile();
    assert_eq!(devices::decode(profile.point("e_imp").unwrap(), &words).unwrap(), billing.measured().unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_time_and_ids_give_the_same_frames() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let folder = tempdir().unwrap();
        let clock = DrivenClock::new(start(), start() + hours(1));
        let tcp = tcp_meters(&clock).await;
        let (mut frames, _) = frames_until_limit(folder.path(), &tcp.toml, &clock).await;
        for device in frames.iter_mut().flat_map(|frame| &mut frame.devices) {
            device.duration_us = 0;
        }
        runs.push(frames);
    }
    assert_eq!(runs[0].len(), 61);
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meters_that_misbehave_over_tcp_cost_points_and_never_truth() {
    let folder = tempdir().unwrap();
    let clock = DrivenClock::new(start(), start() + hours(10));
    let tcp = tcp_meters(&clock).await;
    let rule = |fault| Rule { unit: None, fault, per_million: 4_000 };
    let late = Fault::Late(Duration::from_millis(60));
    tcp.faults.set(&[Fault::WrongUnit, Fault::Garbage, late, Fault::Truncate, Fault::FlipBit, Fault::Duplicate, Fault::HangUp].map(rule));
    // Ten hours pass in two seconds here. Debts live by the true time: ten seconds, as they do unless told, would be days.
    let toml = tcp.toml.replace("kind = \"tcp\"", "kind = \"tcp\"\ntimeout = \"40ms\"\nlate = \"100ms\"");
    let (frames, status) = frames_until_limit(folder.path(), &toml, &clock).await;
    assert_eq!(frames.len(), 601);
    let (mut good, mut bad) = (0, 0);
    for (device, meter) in tcp.meters.iter().enumerate() {
        let (device_good, device_bad) = check(&frames, device, meter);
        good += device_good;
        bad += device_bad;
    }
    assert!(tcp.faults.injected() > 20, "{} faults", tcp.faults.injected());
    assert!(good > bad * 10, "{good} good, {bad} bad");
    assert_eq!(status.snapshot().points_failed, u64::try_from(bad).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meters_that_misbehave_on_a_line_cost_points_and_never_truth() {
    let folder = tempdir().unwrap();
    let clock = DrivenClock::new(start(), start() + SignedDuration::from_mins(40));
    let mut line = Line::open(LineConfig { baud: 115_200, turnaround: Duration::from_millis(1), echo: true }).unwrap();
    let faults = Faults::seeded(9);
    let meter = meter("eastron-sdm120", 4, &clock);
    let air = Series::new(&[(start(), 18_000), (start() + hours(24), 24_000)]).unwrap();
    let climate = Arc::new(Meter::climate(devices::find("xy-md02").unwrap(), air, 6, Arc::new(clock.clone())));
    line.serve(vec![(1, Arc::clone(&meter)), (2, Arc::clone(&climate))], Arc::clone(&faults)).unwrap();
    let rule = |fault| Rule { unit: None, fault, per_million: 20_000 };
    let late = Fault::Late(Duration::from_millis(150));
    let kinds = [Fault::Silent, Fault::WrongUnit, Fault::Garbage, late, Fault::Truncate, Fault::FlipBit, Fault::Duplicate, Fault::Noise];
    faults.set(&kinds.map(rule));
    let port = line.near().display();
    let toml = format!(
        "[[bus]]\nname = \"plant\"\nkind = \"rtu\"\npath = \"{port}\"\nbaud = 115200\ntimeout = \"100ms\"\nlate = \"200ms\"\ngap = \"2ms\"\n\
         [[bus.device]]\nid = \"pump\"\nunit = 1\nprofile = \"eastron-sdm120\"\n\
         [[bus.device]]\nid = \"air\"\nunit = 2\nprofile = \"xy-md02\"\n"
    );
    let (frames, _) = frames_until_limit(folder.path(), &toml, &clock).await;
    assert_eq!(frames.len(), 41);
    let (good, bad) = check(&frames, 0, &meter);
    let (good_air, bad_air) = check(&frames, 1, &climate);
    assert!(faults.injected() > 5, "{} faults", faults.injected());
    assert!(good > bad && good_air > bad_air, "{good} good, {bad} bad; {good_air} good, {bad_air} bad");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_is_not_there_gives_rows_that_say_so() {
    let folder = tempdir().unwrap();
    let clock = DrivenClock::new(start(), start() + SignedDuration::from_mins(5));
    let toml = "[[bus]]\nname = \"gone\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n[[bus.device]]\nid = \"gone\"\nunit = 1\nprofile = \"eastron-sdm120\"\npoints = [\"p\", \"e_imp\"]\n";
    let (frames, status) = frames_until_limit(folder.path(), toml, &clock).await;
    assert_eq!(frames.len(), 6);
    for point in frames.iter().flat_map(|frame| &frame.devices[0].points) {
        assert_eq!((point.raw, point.quality), (None, u32::from(Quality::SILENT.bits())));
    }
    assert_eq!((status.snapshot().points_polled, status.snapshot().points_failed), (12, 12));
}

#[tokio::test]
async fn a_second_gateway_on_one_spool_is_refused() {
    let folder = tempdir().unwrap();
    let clock = DrivenClock::new(start(), start());
    let toml = "[[bus]]\nname = \"gone\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n[[bus.device]]\nid = \"gone\"\nunit = 1\nprofile = \"eastron-sdm120\"\n";
    let run = |stop: CancellationToken| {
        serve(config(folder.path(), toml), Arc::new(clock.clone()), IdSource::seeded(1), Arc::new(Status::default()), stop)
    };
    let stop = CancellationToken::new();
    let first = tokio::spawn(run(stop.clone()));
    clock.reached_limit().await;
    let second = run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(second, ServeError::Spool(SpoolError::Locked { .. })));
    assert_eq!(second.exit_code(), daemon::ExitCode::DependencyDown);
    stop.cancel();
    first.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_of_minutes_passes_in_seconds() {
    let folder = tempdir().unwrap();
    let clock = DrivenClock::new(start(), start() + hours(24 * 7));
    let tcp = tcp_meters(&clock).await;
    let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
    let began = tokio::time::Instant::now();
    let served = serve(config(folder.path(), &tcp.toml), Arc::new(clock.clone()), IdSource::seeded(1), Arc::clone(&status), stop.clone());
    let served = tokio::spawn(served);
    clock.reached_limit().await;
    let seconds = began.elapsed().as_secs_f64();
    stop.cancel();
    served.await.unwrap().unwrap();
    let exchanges: u64 = tcp.servers.iter().map(TcpServer::exchanges).sum();
    let told = status.snapshot();
    println!("{exchanges} exchanges and {} points in {seconds:.1} s", told.points_polled);
    assert_eq!((told.sweeps, told.sweeps_missed, told.points_failed, told.last_seq), (10_081, 0, 0, 10_081));
    assert!(seconds < 30.0, "{exchanges} exchanges took {seconds} s");
}
