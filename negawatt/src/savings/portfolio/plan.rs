//! Which meters there are, where the rows of each lie, and what is asked of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use calculator::assessment::{MeterSettings, Method, Question, Site};
use calculator::baseline::{Commodity, EnergyUnit};
use calculator::model::cea::Drivers;
use collector::{FilePart, ImportError, file_parts};
use ids::Slug;
use jiff::tz::TimeZone;
use store::{Reader, SeriesInfo};

use super::super::drivers;
use super::super::input::{self, Refused};
use super::super::question::{positive, unit, zone};
use super::list::{self, Listed};
use super::stations::{Station, Where};
use super::{Args, Rank};

const RULE: &str = "portfolio: each meter has one name and one place";

/// A meter, before it is read. There are many thousands of them as long as the run.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) name: Box<str>,
    pub(super) place: Place,
    /// Its row of the list, or what is wrong with that.
    pub(super) listed: Result<Option<Box<Listed>>, Box<Refused>>,
    pub(super) station: u32,
    pub(super) stratum: u32,
}

/// Where rows lie.
#[derive(Debug)]
pub(super) enum Place {
    File(PathBuf),
    /// A file of the folder of meters, called as its meter is: of many thousand paths only the endings differ.
    Inside(Arc<Path>, Ending),
    /// The rows of a file that has those of others too.
    Part(Arc<Path>, Box<FilePart>),
    Series(Box<SeriesInfo>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Csv,
    Parquet,
}

impl Ending {
    const ALL: [Self; 2] = [Self::Csv, Self::Parquet];

    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Everything that is decided before the first meter is read.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) args: &'a Args,
    /// In the order of their names.
    pub(super) meters: Vec<Meter>,
    pub(super) stations: Vec<Station>,
    /// Names in order; the first is empty where a meter has none.
    pub(super) strata: Vec<String>,
    /// The unit of sums.
    pub(super) unit: EnergyUnit,
    pub(super) zone: Option<TimeZone>,
    pub(super) store: Option<Reader>,
}

impl<'a> Plan<'a> {
    /// * Errors: a folder, a store or a list that cannot be read; meters that cannot be told apart.
    pub(super) fn of(args: &'a Args) -> Result<Self, Refused> {
        let source = args.meters.as_deref().or(args.store.as_deref()).unwrap_or(Path::new(""));
        let zone = args.zone.as_deref().map(|name| zone(name, source)).transpose()?;
        let store = args.store.as_deref().map(opened).transpose()?;
        let mut meters = match (&store, &args.meters) {
            (Some(reader), _) => of_store(reader, args)?,
            (None, Some(file)) if file.is_file() => of_file(file)?,
            (None, Some(folder)) => of_folder(folder)?,
            (None, None) => Vec::new(),
        };
        if args.list.is_none() && store.is_none() {
            unit(args.unit.as_deref(), source)?;
        }
        if let Some(list) = &args.list {
            meters = listed(list, meters, source)?;
        }
        if meters.is_empty() {
            return Err(Refused::data(Some(source.to_path_buf()), None, RULE, "has no meter".to_owned()));
        }
        let stations = Stations::of(args, store.as_ref(), &meters)?;
        let strata: BTreeSet<&str> = meters.iter().map(Meter::stratum_name).collect();
        let strata: Vec<String> = strata.into_iter().map(str::to_owned).collect();
        for meter in &mut meters {
            meter.station = number(stations.place(meter));
            meter.stratum = number(strata.binary_search_by(|name| name.as_str().cmp(meter.stratum_name())).unwrap_or(0));
        }
        let mut plan = Self { args, meters, stations: stations.into_all(), strata, unit: EnergyUnit::KilowattHour, zone, store };
        plan.unit = plan.unit_of_sums()?;
        Ok(plan)
    }

    /// How many threads there will be.
    pub(super) fn threads(&self) -> usize {
        let threads = self.args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from);
        threads.min(self.meters.len().max(1))
    }

    /// The unit that all meters have, or kilowatt-hours; volumes and energies are not added up.
    fn unit_of_sums(&self) -> Result<EnergyUnit, Refused> {
        let mut units: Vec<EnergyUnit> = Vec::new();
        for unit in self.meters.iter().filter_map(|meter| self.unit_of(meter).ok()) {
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
        match units.as_slice() {
            [] => Ok(EnergyUnit::KilowattHour),
            [unit] => Ok(*unit),
            units if units.contains(&EnergyUnit::CubicMetre) => {
                let message = "some meters count cubic metres and others energy, which have no sum; run them apart".to_owned();
                Err(Refused::usage(self.args.list.clone(), "cleaning 1: the unit is stated", message))
            }
            _ => Ok(EnergyUnit::KilowattHour),
        }
    }

    /// The unit of a meter's rows: what the list says, what the series says, what the command line says.
    pub(super) fn unit_of(&self, meter: &Meter) -> Result<EnergyUnit, Refused> {
        let of_list = meter.listed.as_ref().ok().and_then(Option::as_ref).and_then(|listed| listed.unit);
        let of_series = match &meter.place {
            Place::Series(info) => EnergyUnit::from_symbol(info.key.unit.symbol()),
            Place::File(_) | Place::Inside(..) | Place::Part(..) => None,
        };
        of_series.or(of_list).map_or_else(|| unit(self.args.unit.as_deref(), &meter.path()), Ok)
    }

    /// What is asked of a meter.
    ///
    /// * Errors: its row of the list is at fault, or says too little.
    pub(super) fn question(&self, meter: &Meter) -> Result<Question, Refused> {
        let args = self.args;
        let plain = Listed::default();
        let listed = match &meter.listed {
            Ok(listed) => listed.as_deref().unwrap_or(&plain),
            Err(refused) => return Err(refused.as_ref().clone()),
        };
        let lacks = |rule, what: &str| {
            let message = format!("nothing says its {what}; write --{what} or a column {}", what.replace('-', "_"));
            Refused::usage(Some(meter.path()), rule, message)
        };
        let commodity = listed.commodity.or(args.commodity.map(Commodity::from));
        let (start, end) = (listed.blackout_start.or(args.blackout_start), listed.blackout_end.or(args.blackout_end));
        let settings = MeterSettings {
            multiplier: listed.multiplier.unwrap_or(args.multiplier),
            register_digits: listed.register_digits.or(args.register_digits),
            rated_kw: listed.rated_kw.or(args.rated_kw),
            ..MeterSettings::default()
        };
        let before = "CalTRACK 2.2.1.1: the baseline is the 365 days before the intervention";
        let after = "CalTRACK 3.5: savings are those of the days after the intervention";
        Ok(Question {
            method: args.method,
            mode: args.mode,
            commodity: commodity.ok_or_else(|| lacks("cleaning 1: the unit is stated", "commodity"))?,
            unit: self.unit_of(meter)?,
            zone: listed.zone.clone().or_else(|| self.zone.clone()),
            blackout_start: start.ok_or_else(|| lacks(before, "blackout-start"))?,
            blackout_end: Some(end.ok_or_else(|| lacks(after, "blackout-end"))?),
            drivers: explained(args.method, listed, meter)?,
            site: Site { station_km: listed.station_km, ..Site::default() },
            meter: positive(settings, &meter.path())?,
        })
    }

    /// The value by which a meter is ranked.
    pub(super) fn rank(&self, savings: f64, counterfactual: f64) -> f64 {
        match self.args.rank {
            Rank::Savings => savings,
            Rank::Share => savings / counterfactual,
        }
    }
}

/// What is known of each day of a controlled environment beside its meter, and the plan that allows it.
fn explained(method: Method, listed: &Listed, meter: &Meter) -> Result<Option<Drivers>, Refused> {
    if method != Method::ControlledEnvironment {
        return Ok(None);
    }
    let Listed { drivers, harvests, measures, election, .. } = listed;
    let days = drivers.as_deref().map(|file| drivers::read(file, measures, *election)).transpose()?;
    match harvests {
        Some(file) => drivers::with_harvests(days, file, measures, *election).map(Some),
        None if days.is_none() => {
            let message = "nothing says its variables; write a column drivers or harvests in the list".to_owned();
            Err(Refused::usage(Some(meter.path()), "IPMVP: independent variables are those that the plan declares", message))
        }
        None => Ok(days),
    }
}

impl Meter {
    fn new(name: String, place: Place) -> Self {
        Self { name: name.into_boxed_str(), place, listed: Ok(None), station: 0, stratum: 0 }
    }

    fn row(&self) -> Option<&Listed> {
        self.listed.as_ref().ok().and_then(Option::as_deref)
    }

    fn stratum_name(&self) -> &str {
        self.row().and_then(|listed| listed.stratum.as_deref()).unwrap_or_default()
    }

    /// Its place among the stations.
    pub(super) fn station(&self) -> usize {
        usize::try_from(self.station).unwrap_or(usize::MAX)
    }

    /// Its place among the strata.
    pub(super) fn stratum(&self) -> usize {
        usize::try_from(self.stratum).unwrap_or(usize::MAX)
    }

    /// Which row of its file a row is.
    pub(super) fn row_of_file(&self, row: usize) -> usize {
        match &self.place {
            Place::Part(_, part) => row.checked_sub(1).and_then(|row| part.rows.get(row)).map_or(row, |row| *row as usize),
            Place::File(_) | Place::Inside(..) | Place::Series(_) => row,
        }
    }

    /// Where the days of its variables lie.
    pub(super) fn variables(&self) -> Option<PathBuf> {
        let listed = self.listed.as_ref().ok()?.as_ref()?;
        listed.drivers.clone().or_else(|| listed.harvests.clone())
    }

    /// What messages call its place.
    pub(super) fn path(&self) -> PathBuf {
        self.place.path(&self.name)
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Place {
    /// What messages call it, for a meter of this name.
    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::File(file) => file.clone(),
            Self::Part(file, _) => file.to_path_buf(),
            Self::Inside(folder, end) => folder.join(format!("{name}.{}", end.name())),
            Self::Series(_) => PathBuf::from(name),
        }
    }
}

fn opened(folder: &Path) -> Result<Reader, Refused> {
    Reader::open(folder).map_err(|err| Refused::down(folder, daemon::chain(&err)))
}

/// The files of a folder that may be meters, by their names without endings.
fn of_folder(folder: &Path) -> Result<Vec<Meter>, Refused> {
    let unread = |err: std::io::Error| Refused::down(folder, format!("could not be read: {err}"));
    let inside: Arc<Path> = Arc::from(folder);
    let mut meters = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let end = path.extension().and_then(|end| Ending::ALL.into_iter().find(|known| end == known.name()));
        let (Some(end), Some(name)) = (end, path.file_stem().and_then(|name| name.to_str())) else { continue };
        meters.push(Meter::new(name.to_owned(), Place::Inside(Arc::clone(&inside), end)));
    }
    // It was made room for as many again.
    meters.shrink_to_fit();
    meters.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    if let Some([one, other]) = meters.array_windows().find(|[one, other]| one.name == other.name) {
        let message = format!("the meter `{}` is there twice, in {} too", one.name, other.path().display());
        return Err(Refused::data(Some(one.path()), None, RULE, message));
    }
    Ok(meters)
}

/// The meters of one file, by what its column `meter` calls them.
fn of_file(file: &Path) -> Result<Vec<Meter>, Refused> {
    let parts = file_parts(input::body(file)?, "meter").map_err(|err| {
        let row = if let ImportError::Row { row, .. } = &err { usize::try_from(*row).ok() } else { None };
        let rule = "portfolio: a file of many meters has the columns meter,start,value";
        Refused::data(Some(file.to_path_buf()), row, rule, daemon::chain(&err))
    })?;
    let file: Arc<Path> = Arc::from(file);
    let mut meters: Vec<Meter> =
        parts.into_iter().map(|part| Meter::new(part.name.clone(), Place::Part(Arc::clone(&file), Box::new(part)))).collect();
    meters.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(meters)
}

/// The series of a store that count this point, as TENANT/FACILITY/DEVICE.
fn of_store(reader: &Reader, args: &Args) -> Result<Vec<Meter>, Refused> {
    let folder = args.store.as_deref().unwrap_or(Path::new(""));
    let known: BTreeSet<String> = reader.facilities().iter().map(|(tenant, facility)| format!("{tenant}/{facility}")).collect();
    if let Some(absent) = args.facility.iter().find(|name| !known.contains(*name)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("the store has no readings of `{absent}`; it has those of: {known}");
        return Err(Refused::usage(Some(folder.to_path_buf()), RULE, message));
    }
    let wanted = args.point.as_deref().unwrap_or_default();
    let (mut places, mut points) = (BTreeMap::new(), BTreeSet::new());
    for info in reader.all_series() {
        let facility = format!("{}/{}", info.key.tenant, info.key.facility);
        let counts = EnergyUnit::from_symbol(info.key.unit.symbol()).is_some();
        if !counts || !(args.facility.is_empty() || args.facility.contains(&facility)) {
            continue;
        }
        points.insert(info.key.point.clone());
        if info.key.point == wanted {
            let name = format!("{facility}/{}", info.key.device);
            if places.insert(name.clone(), Place::Series(Box::new(info))).is_some() {
                let message = format!("`{name}` counts `{wanted}` in two units or with two exponents; which one is meant cannot be told");
                return Err(Refused::data(Some(folder.to_path_buf()), None, RULE, message));
            }
        }
    }
    if places.is_empty() {
        let points = points.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("no series counts energy at the point `{wanted}`; points that do are: {points}");
        return Err(Refused::usage(Some(folder.to_path_buf()), RULE, message));
    }
    Ok(places.into_iter().map(|(name, place)| Meter::new(name, place)).collect())
}

/// The meters of a list. One that the folder does not have is a meter all the same, and refused when it is read.
fn listed(list: &Path, meters: Vec<Meter>, source: &Path) -> Result<Vec<Meter>, Refused> {
    let mut places: BTreeMap<Box<str>, Place> = meters.into_iter().map(|meter| (meter.name, meter.place)).collect();
    let mut found = BTreeMap::new();
    for (index, entry) in list::read(list)?.into_iter().enumerate() {
        let name = entry.meter;
        let file = entry.listed.as_ref().ok().and_then(|listed| listed.file.clone());
        let place = file.map(Place::File).or_else(|| places.remove(name.as_str()));
        let absent = || Refused::data(Some(source.to_path_buf()), None, RULE, format!("has no meter `{name}`"));
        let listed = if place.is_none() && source.is_file() { Err(Box::new(absent())) } else { entry.listed.map(Some) };
        let place = place.unwrap_or_else(|| Place::File(source.join(&name)));
        if found.insert(name.clone(), Meter { listed, ..Meter::new(name.clone(), place) }).is_some() {
            let message = format!("the meter `{name}` is there twice");
            return Err(Refused::data(Some(list.to_path_buf()), Some(index + 1), RULE, message));
        }
    }
    Ok(found.into_values().collect())
}

/// The stations that meters have.
struct Stations<'a> {
    args: &'a Args,
    /// The one station of all.
    single: Option<String>,
    names: Vec<(String, Where)>,
}

impl<'a> Stations<'a> {
    fn of(args: &'a Args, store: Option<&Reader>, meters: &[Meter]) -> Result<Self, Refused> {
        let single = args.temperature.as_ref().filter(|path| !path.is_dir());
        let single = single.map(|path| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
        let mut stations = Self { args, single, names: Vec::new() };
        let mut names: BTreeMap<String, Where> = BTreeMap::new();
        let device_and_point = args.weather.split_once('/').and_then(|(device, point)| Some((Slug::parse(device).ok()?, point)));
        let Some((device, point)) = device_and_point else {
            let message = format!("--weather `{}` is not DEVICE/POINT", args.weather);
            return Err(Refused::usage(None, "cleaning 2: every meter has weather", message));
        };
        let series = store.map(Reader::all_series).unwrap_or_default();
        let mut of_store: BTreeMap<String, SeriesInfo> = series
            .into_iter()
            .filter(|info| info.key.device == device && info.key.point == point)
            .map(|info| (format!("{}/{}", info.key.tenant, info.key.facility), info))
            .collect();
        let mut in_store = |name: &str| {
            let message = || format!("the store has no `{}` of {name}; bring its weather in, or give --temperature", args.weather);
            of_store.remove(name).map_or_else(|| Where::Absent(message()), |info| Where::Series(Box::new(info)))
        };
        for meter in meters {
            let station = stations.name(meter);
            if names.contains_key(station.as_ref()) {
                continue;
            }
            let lies = match &args.temperature {
                None => in_store(&station),
                Some(file) if stations.single.is_some() => Where::File(file.clone()),
                Some(folder) => {
                    let file =
                        ["parquet", "csv"].map(|end| folder.join(format!("{station}.{end}"))).into_iter().find(|file| file.is_file());
                    let message = || format!("no file {station}.parquet or {station}.csv in {}", folder.display());
                    file.map_or_else(|| Where::Absent(message()), Where::File)
                }
            };
            names.insert(station.into_owned(), lies);
        }
        stations.names = names.into_iter().collect();
        Ok(stations)
    }

    /// What a meter's station is called.
    fn name<'b>(&'b self, meter: &'b Meter) -> Cow<'b, str> {
        if let Some(single) = &self.single {
            return Cow::Borrowed(single);
        }
        let of_list = meter.row().and_then(|listed| listed.station.as_deref());
        match (of_list, &meter.place, &self.args.temperature) {
            (_, Place::Series(info), None) => Cow::Owned(format!("{}/{}", info.key.tenant, info.key.facility)),
            (Some(station), _, _) => Cow::Borrowed(station),
            _ => Cow::Borrowed(&meter.name),
        }
    }

    fn place(&self, meter: &Meter) -> usize {
        let name = self.name(meter);
        self.names.binary_search_by(|(known, _)| known.as_str().cmp(&name)).unwrap_or(0)
    }

    fn into_all(self) -> Vec<Station> {
        self.names.into_iter().map(|(name, lies)| Station { name, lies }).collect()
    }
}
