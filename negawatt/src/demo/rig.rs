//! The simulated facility: meters that serve the building's consumption as registers, and the real gateways that read them.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use gateway::Status;
use ids::IdSource;
use jiff::{SignedDuration, Timestamp};
use simulator::{DrivenClock, Faults, Grid, Line, LineConfig, Link, Load, Meter, Series, TcpServer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::building::Building;

/// The facility's short name, and that of the organisation it belongs to.
pub(crate) const TENANT: &str = "demo";
pub(crate) const FACILITY: &str = "north-hall";
/// The meters whose energy is billed, each with its profile and its parts per million of the building's consumption.
pub(crate) const BILLED: [(&str, &str, u32); 3] =
    [("main-meter", "abb-b23", 520_000), ("chiller-meter", "schneider-iem3000", 310_000), ("lighting-meter", "siemens-pac3200", 170_000)];
/// What is read of each meter, where its profile has it.
const POINTS: [&str; 10] = ["v1", "v2", "v3", "i1", "i2", "i3", "p", "pf", "f", "e_imp"];
/// A sub-meter behind the main meter, on the serial line: a tenth of the building, not billed a second time.
const SUBMETER: (&str, &str, u32) = ("pump-meter", "carlo-gavazzi-em340", 100_000);
const CLIMATE: (&str, &str) = ("hall-climate", "xy-md02");
/// Counters do not begin at zero: meters have a life before.
const COUNTER_START_WH: i64 = 4_213_000;
/// Polls begin a little before the month, as a gateway that was there already.
const RUN_UP: SignedDuration = SignedDuration::from_mins(5);
/// The serial devices are read for a day: their line cannot be hurried.
const SERIAL_DAY: SignedDuration = SignedDuration::from_hours(24);
const BAUD: u32 = 115_200;

/// A gateway on simulated meters, with the clock that drives it.
#[derive(Debug)]
pub(crate) struct Polling {
    pub(crate) status: Arc<Status>,
    clock: DrivenClock,
    stop: CancellationToken,
    task: JoinHandle<Result<(), gateway::ServeError>>,
    /// Points that it will have polled when its time is over.
    pub(crate) expected: u64,
    _servers: Vec<TcpServer>,
    _line: Option<Line>,
}

impl Polling {
    /// Returns when the last minute has been polled.
    pub(crate) async fn polled(&self) {
        self.clock.reached_limit().await;
    }

    /// Stops the gateway; what is in its spool stays there.
    pub(crate) async fn stop(self) -> Result<(), DemoError> {
        self.stop.cancel();
        match self.task.await {
            Ok(ended) => ended.map_err(DemoError::Gateway),
            Err(err) => Err(DemoError::Task(err)),
        }
    }
}

/// Three three-phase meters of three makes over Modbus TCP, polled every minute of the reporting period.
pub(crate) async fn tcp(building: &Building, folder: &Path, link: &Link, seed: u64) -> Result<Polling, DemoError> {
    let month = building.instants(&building.reporting)?;
    let clock = DrivenClock::new(month.start - RUN_UP, month.end);
    let load = load(building, &month)?;
    let shares = load.split(&BILLED.map(|(_, _, share)| share)).map_err(DemoError::Load)?;
    let (mut servers, mut buses, mut points) = (Vec::new(), String::new(), 0_u64);
    for (index, ((device, profile, _), share)) in BILLED.iter().zip(&shares).enumerate() {
        let profile = profile_of(profile)?;
        let followed: Arc<dyn Clock> = Arc::new(clock.follower());
        let salt = seed.wrapping_add(u64::try_from(index).unwrap_or(0));
        let meter = Meter::electrical(profile, share, Grid::NORTH_AMERICA, salt, COUNTER_START_WH, followed);
        let server = TcpServer::start(vec![(1, Arc::new(meter))], Faults::seeded(seed)).await.map_err(DemoError::Simulator)?;
        let selected: Vec<&str> = POINTS.into_iter().filter(|point| profile.point(point).is_some()).collect();
        points += u64::try_from(selected.len()).unwrap_or(0);
        buses.push_str(&format!(
            "[[bus]]\nname = \"bus-{device}\"\nkind = \"tcp\"\naddress = \"{}\"\n[[bus.device]]\nid = \"{device}\"\nunit = 1\nprofile = \"{}\"\npoints = {selected:?}\n",
            server.address(),
            profile.id(),
        ));
        servers.push(server);
    }
    // Both ends are polled: the last midnight closes the last day.
    let minutes = month.end.duration_since(month.start - RUN_UP).as_secs() / 60 + 1;
    let expected = points * u64::try_from(minutes).unwrap_or(0);
    start(folder, "gw-main", link.address(), &buses, clock, seed, expected, servers, None)
}

/// A sub-meter and a climate sensor on one serial bus at the pace of a real line, polled for a day.
pub(crate) async fn serial(building: &Building, folder: &Path, link: &Link, seed: u64) -> Result<Polling, DemoError> {
    let month = building.instants(&building.reporting)?;
    let clock = DrivenClock::new(month.start - RUN_UP, month.start + SERIAL_DAY);
    let followed = || -> Arc<dyn Clock> { Arc::new(clock.follower()) };
    let shares = load(building, &month)?.split(&[SUBMETER.2, Load::WHOLE - SUBMETER.2]).map_err(DemoError::Load)?;
    let meter = Meter::electrical(profile_of(SUBMETER.1)?, &shares[0], Grid::NORTH_AMERICA, seed, COUNTER_START_WH, followed());
    let indoor: Vec<(Timestamp, i64)> =
        (0_i32..=30).map(|hour| (clock.now() + SignedDuration::from_hours(hour.into()), 20_500 + i64::from(hour % 12) * 120)).collect();
    let climate = Meter::climate(profile_of(CLIMATE.1)?, Series::new(&indoor).map_err(DemoError::Series)?, seed, followed());
    let mut line =
        Line::open(LineConfig { baud: BAUD, turnaround: Duration::from_millis(1), echo: false }).map_err(DemoError::Simulator)?;
    line.serve(vec![(1, Arc::new(meter)), (2, Arc::new(climate))], Faults::seeded(seed)).map_err(DemoError::Simulator)?;
    // The two devices are known to be the only ones, so the line need not be listened to for others behind each answer.
    let buses = format!(
        "[[bus]]\nname = \"plant-room\"\nkind = \"rtu\"\npath = \"{}\"\nbaud = {BAUD}\nparity = \"none\"\ngap = \"2ms\"\nforeign_gap = \"2ms\"\nsettle = \"2ms\"\n\
         [[bus.device]]\nid = \"{}\"\nunit = 1\nprofile = \"{}\"\npoints = [\"p\", \"e_imp\"]\n\
         [[bus.device]]\nid = \"{}\"\nunit = 2\nprofile = \"{}\"\n",
        line.near().display(),
        SUBMETER.0,
        SUBMETER.1,
        CLIMATE.0,
        CLIMATE.1
    );
    let points = 2 + u64::try_from(profile_of(CLIMATE.1)?.points().len()).unwrap_or(0);
    let minutes = (SERIAL_DAY + RUN_UP).as_secs() / 60 + 1;
    let expected = points * u64::try_from(minutes).unwrap_or(0);
    start(folder, "gw-plant-room", link.address(), &buses, clock, seed ^ 0x5e71a1, expected, Vec::new(), Some(line))
}

#[expect(clippy::too_many_arguments, reason = "the parts of one gateway, put together in one place")]
fn start(
    folder: &Path,
    name: &str,
    broker: SocketAddr,
    buses: &str,
    clock: DrivenClock,
    seed: u64,
    expected: u64,
    servers: Vec<TcpServer>,
    line: Option<Line>,
) -> Result<Polling, DemoError> {
    let data_dir = folder.join(name);
    let text = format!(
        "[gateway]\ntenant = \"{TENANT}\"\nfacility = \"{FACILITY}\"\nid = \"{name}\"\ndata_dir = \"{}\"\n\
         [broker]\nurl = \"mqtt://{broker}\"\nack_timeout = \"2s\"\nwindow = \"64MiB\"\n\
         [poll]\ninterval = \"60s\"\n\
         [spool]\nmax = \"256MiB\"\ncommit_interval = \"20ms\"\n{buses}",
        data_dir.display()
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, &text).map_err(|err| DemoError::File { path: path.clone(), err })?;
    let config = gateway::Config::parse(&path, &text).map_err(|faults| DemoError::Configuration(faults.to_string()))?;
    let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
    let serving = gateway::serve(config, Arc::new(clock.clone()), IdSource::seeded(seed), Arc::clone(&status), stop.clone());
    Ok(Polling { status, clock, stop, task: tokio::spawn(serving), expected, _servers: servers, _line: line })
}

fn profile_of(id: &str) -> Result<&'static devices::Profile, DemoError> {
    devices::find(id).ok_or_else(|| DemoError::Profile(id.to_owned()))
}

/// The building's consumption around a period, in whole watt-hours that add up to the data.
fn load(building: &Building, period: &Range<Timestamp>) -> Result<Load, DemoError> {
    let around = period.start - SignedDuration::from_hours(2)..period.end + SignedDuration::from_hours(2);
    let (mut exact_mwh, mut given_wh) = (0_i64, 0_i64);
    let mut intervals = Vec::new();
    for interval in building.intervals.iter().filter(|interval| around.contains(&interval.start)) {
        exact_mwh += interval.energy_mwh;
        let energy_wh = (exact_mwh + 500) / 1_000 - given_wh;
        given_wh += energy_wh;
        let length_ms = interval.end.as_millisecond() - interval.start.as_millisecond();
        intervals.push(simulator::Interval { start: interval.start, length_ms, energy_wh });
    }
    Load::new(&intervals).map_err(DemoError::Load)
}
