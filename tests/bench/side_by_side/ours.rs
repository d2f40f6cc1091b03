//! The collector: our program as it is installed, with a broker in front of it and a store on the disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ids::Slug;
use jiff::tz::TimeZone;
use negawatt_tests::fleet::{METERS, MINUTE_MS, POINTS, START_MS};
use store::{Options, Reader, Readers, Resolution, SeriesInfo, Store};
use units::FacilityCalendar;

use super::Result;
use super::field::{Body, Ledger, PROBE, Plan, TENANT, YEAR};
use super::http::{self, Connection};
use super::machine::{Server, allocated, free};
use super::rival::{Question, Rival, Writer, body_ms, year_ms};

/// A store that was closed is soon at rest.
const AT_REST: Duration = Duration::from_secs(5);
/// Of the client that writes lines.
const TOKEN: &str = "side-by-side";

#[derive(Debug)]
pub(crate) struct Ours {
    program: PathBuf,
    folder: PathBuf,
    broker: SocketAddr,
    pub(crate) address: SocketAddr,
    server: Option<Server>,
    /// As the API keeps them.
    readers: Readers,
}

impl Ours {
    pub(crate) fn new(program: &Path, folder: &Path, broker: SocketAddr) -> Result<Self> {
        if !program.is_file() {
            return Err(format!("{} is not there: `cargo xtask bench side-by-side` builds it", program.display()).into());
        }
        let readers = Readers::new(&folder.join("store"));
        Ok(Self { program: program.to_owned(), folder: folder.to_owned(), broker, address: free()?, server: None, readers })
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// What somebody would write who has these meters.
    fn config(&self) -> Result<PathBuf> {
        let mut text = format!(
            "store = \"{}\"\nlisten = \"{}\"\n[broker]\nurl = \"mqtt://{}\"\n[[write.token]]\ntoken = {{ env = \"SIDE_BY_SIDE_TOKEN\" }}\n\
             tenant = \"{TENANT}\"\ngateway = \"lines\"\n",
            self.store().display(),
            self.address,
            self.broker
        );
        for (point, unit, exponent, ..) in POINTS {
            let unit = unit.symbol();
            write!(text, "[[write.point]]\nmeasurement = \"{point}\"\nfield = \"value\"\nunit = \"{unit}\"\nexponent = {exponent}\n")?;
        }
        let path = self.folder.join("collector.toml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.stop())
    }

    /// Readings that are durable.
    pub(crate) fn accepted(&self) -> Result<u64> {
        let text = http::get(self.address, "/metrics")?.good()?;
        let line = text.lines().find_map(|line| line.strip_prefix("negawatt_points_accepted_total "));
        Ok(line.ok_or("the metrics do not say how many readings were accepted")?.trim().parse()?)
    }

    /// The conservation law, as the collector itself sees it.
    pub(crate) fn difference(&self) -> Result<i64> {
        let text = http::get(self.address, "/metrics")?.good()?;
        let line = text.lines().find_map(|line| line.strip_prefix("negawatt_conservation_difference "));
        Ok(line.ok_or("the metrics do not say whether all is accounted for")?.trim().parse()?)
    }

    /// Compares every reading of the fleet with the ledger: an error when one was never offered, or is another. Gives how many are of
    /// these minutes.
    pub(crate) fn check(&self, ledger: &Ledger, facilities: usize, minutes: Range<i64>) -> Result<u64> {
        let reader = Reader::open(&self.store())?;
        let mut found = 0;
        for (facility, (_, series)) in fleet_series(&reader, facilities)? {
            for info in series {
                let (meter, point) = place(&info)?;
                for sample in reader.scan(info.id, i64::MIN..i64::MAX)? {
                    let minute = (sample.ts_ms - START_MS) / MINUTE_MS;
                    if sample.raw != ledger.raw(facility, meter, point, minute) || sample.version != 0 {
                        return Err(format!("{} of {} at minute {minute} was never written so", info.key.point, info.key.device).into());
                    }
                    found += u64::from(minutes.contains(&minute));
                }
            }
        }
        Ok(found)
    }
}

type Fleet = BTreeMap<usize, (String, Vec<SeriesInfo>)>;

/// The series of the fleet's facilities.
fn fleet_series(reader: &Reader, facilities: usize) -> Result<Fleet> {
    let mut fleet: Fleet = (0..facilities).map(|number| (number, (format!("facility-{number:04}"), Vec::new()))).collect();
    let numbers: BTreeMap<String, usize> = fleet.iter().map(|(number, (name, _))| (name.clone(), *number)).collect();
    for info in reader.all_series() {
        if let Some((_, series)) = numbers.get(info.key.facility.as_str()).and_then(|number| fleet.get_mut(number)) {
            series.push(info);
        }
    }
    Ok(fleet)
}

/// Which meter and point of its facility a series is.
fn place(info: &SeriesInfo) -> Result<(usize, usize)> {
    let meter = info.key.device.as_str().strip_prefix("meter-").ok_or("a device that is no meter")?.parse()?;
    let point = POINTS.iter().position(|(name, ..)| *name == info.key.point).ok_or("a point that was never written")?;
    Ok((meter, point))
}

fn slugs(facility: &str) -> Result<(Slug, Slug)> {
    Ok((Slug::parse(TENANT)?, Slug::parse(facility)?))
}

fn of_facility(reader: &Reader, facility: &str) -> Result<Vec<SeriesInfo>> {
    let (tenant, facility) = slugs(facility)?;
    Ok(reader.series(&tenant, &facility))
}

impl Rival for Ours {
    fn start(&mut self) -> Result<Duration> {
        std::fs::create_dir_all(&self.folder)?;
        let mut command = Command::new(&self.program);
        command.args(["collector", "run", "--config"]).arg(self.config()?).env("SIDE_BY_SIDE_TOKEN", TOKEN).env("NEGAWATT_LOG", "warn");
        let mut server = Server::start(&mut command, &self.folder.join("log"))?;
        let ready = server.ready(|| http::get(self.address, "/readyz").is_ok_and(|answer| answer.status == 200))?;
        self.server = Some(server);
        Ok(ready)
    }

    fn process(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    fn kill(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.kill())
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Lines(Connection::open(self.address)?)))
    }

    fn settled_bytes(&mut self, _quiet: Duration) -> Result<u64> {
        self.stop()?;
        let dir = self.store();
        let store = Store::open(&dir, Options::default())?;
        store.compact()?;
        // What the first call has replaced stays for readers until the next.
        store.compact()?;
        let log = store.wal_bytes();
        drop(store);
        // SQLite's threads end a moment later, and take what a store has only while it is open with them.
        let began = Instant::now();
        while dir.join("manifest.sqlite-shm").exists() && began.elapsed() < AT_REST {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Of the log what is in it, and not what is set aside for it.
        let bytes = allocated(&dir)? - allocated(&dir.join("wal"))? + log;
        self.start()?;
        Ok(bytes)
    }

    fn missing(&self, bodies: &[&Body]) -> Result<u64> {
        let (reader, mut missing) = (Reader::open(&self.store())?, 0);
        // Facility by facility: the reader remembers the footers of the segments that it read last.
        let mut bodies = bodies.to_vec();
        bodies.sort_by(|one, other| one.facility.cmp(&other.facility));
        for body in bodies {
            let mut found = 0;
            for info in of_facility(&reader, &body.facility)? {
                found += reader.scan(info.id, body_ms(body))?.len() as u64;
            }
            missing += body.points.saturating_sub(found);
        }
        Ok(missing)
    }

    fn newest_probe(&mut self) -> Result<Option<i64>> {
        self.readers.ask(|reader| {
            let Some(info) = of_facility(reader, PROBE)?.pop() else { return Ok(None) };
            Ok(reader.scan(info.id, START_MS..i64::MAX)?.last().map(|sample| (sample.ts_ms - START_MS) / MINUTE_MS))
        })?
    }

    fn ask(&mut self, question: Question, plan: &Plan) -> Result<bool> {
        self.readers.ask(|reader| answer(reader, question, plan))?
    }
}

/// What the question asks for is read; an error when it is not all there.
fn answer(reader: &Reader, question: Question, plan: &Plan) -> Result<bool> {
    let (range, end) = (year_ms(plan), START_MS + plan.measured * MINUTE_MS);
    let year = of_facility(reader, YEAR)?.pop().ok_or("the long series is not there")?;
    match question {
        Question::SeriesYear => {
            let rows = reader.scan(year.id, range)?.len() as u64;
            if rows != plan.year.unsigned_abs() {
                return Err(format!("the long series has {rows} of {} readings", plan.year).into());
            }
        }
        Question::HourlyMeans => {
            let hours = reader.buckets(year.id, range, Resolution::Hour, &FacilityCalendar::new(TimeZone::UTC))?;
            let means = hours.iter().filter_map(|hour| hour.mean(year.key.unit, year.key.exponent)).count();
            let readings: u64 = hours.iter().map(|hour| hour.readings).sum();
            if (means, readings) != (hours.len(), plan.year.unsigned_abs()) {
                return Err(format!("{means} means of {} hours are of {readings} of {} readings", hours.len(), plan.year).into());
            }
        }
        Question::LastPoints => {
            for info in of_facility(reader, "facility-0000")? {
                std::hint::black_box(reader.scan(info.id, end - 10 * MINUTE_MS..end)?.pop());
            }
        }
        Question::Gaps => {
            std::hint::black_box(reader.completeness(year.id, range, MINUTE_MS)?);
        }
    }
    Ok(true)
}

/// Writes as a client of InfluxDB 2 does.
struct Lines(Connection);

impl Writer for Lines {
    fn write(&mut self, body: &Body) -> Result<()> {
        let path = format!("/api/v2/write?org={TENANT}&bucket={}&precision=ms", body.facility);
        self.0.post(&path, &format!("Authorization: Token {TOKEN}\r\n"), body.text.as_bytes())?.good().map(drop)
    }
}

/// What the fleet of a plan has.
pub(crate) fn facilities(plan: &Plan) -> usize {
    plan.meters / METERS
}
