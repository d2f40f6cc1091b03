//! Weather, read once for each station and kept while a meter may still ask for it.
//!
//! Meters are taken station by station, so that no more stations are in memory than there are threads, and one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use calculator::assessment::Weather;
use calculator::baseline::TemperatureUnit;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use store::{Reader, SeriesInfo};

use super::super::input::{self, Refused};
use super::plan::Plan;
use super::work;

/// A station that some meter has.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) name: String,
    pub(super) lies: Where,
}

/// Where its rows lie.
#[derive(Debug)]
pub(super) enum Where {
    File(PathBuf),
    Series(Box<SeriesInfo>),
    /// Nowhere, and why.
    Absent(String),
}

/// A station's weather, with what it is known by.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) weather: Weather,
    /// Over its rows, as answers have it.
    pub(super) digest: String,
    pub(super) content: [u8; 32],
}

type Shared = Result<Arc<Read>, Arc<Refused>>;

/// What is kept of a station.
#[derive(Debug, Default)]
struct Kept {
    read: Option<Shared>,
    /// Meters that have not asked yet.
    left: usize,
}

/// The stations of a run.
#[derive(Debug)]
pub(super) struct Stations<'a> {
    plan: &'a Plan<'a>,
    kept: Vec<Mutex<Kept>>,
}

impl<'a> Stations<'a> {
    /// For these meters, each of which asks once.
    pub(super) fn new(plan: &'a Plan<'a>, meters: &[usize]) -> Self {
        let mut kept: Vec<Kept> = Vec::new();
        kept.resize_with(plan.stations.len(), Kept::default);
        for meter in meters.iter().filter_map(|meter| plan.meters.get(*meter)) {
            if let Some(kept) = kept.get_mut(meter.station()) {
                kept.left += 1;
            }
        }
        Self { plan, kept: kept.into_iter().map(Mutex::new).collect() }
    }

    /// The weather of a station; whoever asks first reads it, and the last one takes it away.
    pub(super) fn of(&self, station: usize) -> Shared {
        let absent = || Arc::new(refused(Path::new(""), "the meter has no station"));
        let (Some(kept), Some(station)) = (self.kept.get(station), self.plan.stations.get(station)) else { return Err(absent()) };
        // A thread that panicked here left nothing half done.
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let read = kept.read.get_or_insert_with(|| station.read(self.plan).map(Arc::new).map_err(Arc::new)).clone();
        kept.left = kept.left.saturating_sub(1);
        if kept.left == 0 {
            kept.read = None;
        }
        read
    }
}

impl Station {
    /// What messages call its place.
    pub(super) fn path(&self) -> PathBuf {
        match &self.lies {
            Where::File(file) => file.clone(),
            Where::Series(_) | Where::Absent(_) => PathBuf::from(&self.name),
        }
    }

    fn read(&self, plan: &Plan<'_>) -> Result<Read, Refused> {
        match (&self.lies, &plan.store) {
            (Where::File(file), _) => of_file(file, input::body(file)?, plan.zone.as_ref()),
            (Where::Series(info), Some(reader)) => of_series(reader, info, &self.path()),
            (Where::Absent(why), _) => Err(refused(&self.path(), why)),
            (Where::Series(_), None) => Err(refused(&self.path(), "there is no store")),
        }
    }
}

fn refused(path: &Path, why: &str) -> Refused {
    Refused::data(Some(path.to_path_buf()), None, "cleaning 2: every meter has weather", why.to_owned())
}

fn of_file(file: &Path, body: Bytes, zone: Option<&TimeZone>) -> Result<Read, Refused> {
    let content = Sha256::digest(&body).into();
    let weather = input::weather_of(file, body, zone)?;
    Ok(Read { digest: weather.series.digest(), weather, content })
}

fn of_series(reader: &Reader, info: &SeriesInfo, path: &Path) -> Result<Read, Refused> {
    let unit =
        TemperatureUnit::of_series(info.key.unit).ok_or_else(|| refused(path, "its series is not of degrees Celsius or Fahrenheit"))?;
    let series = work::rows_of_series(reader, info, path, false)?;
    let digest = series.digest();
    Ok(Read { content: Sha256::digest(&digest).into(), digest, weather: Weather { series, unit } })
}
