//! Laws of the whole: what was received stays, what is undone is as before, what is told is told once.

mod asked;
mod laws;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::Clock;
use ids::Slug;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use store::{Batch, Options, Origin, ProfileSeen, Reader, Row, Sample, SeriesId, Store, Words};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use units::{Quality, Reason, Unit};
use wire::GatewayPath;

use super::change::ChangeError;
use super::desk::{Ask, Desk, DeskError, Request};
use super::gaps::Cause;
use super::job::Job;
use super::journal::{Event, Journal};
use super::report;
use super::scene::{Facts, Scene};
use crate::config::VeeConfig;
use crate::live::Live;

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
/// 2026-03-02T00:00:00Z, a Monday.
const START: i64 = 1_772_409_600_000;

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millisecond(START + minute * MINUTE).unwrap()
}

/// A reading as whoever reads the store sees it.
type Seen = (SeriesId, i64, Option<i64>, Quality, Option<Words>);

/// A clock that stands where it was put.
#[derive(Debug)]
struct Stands(Mutex<Timestamp>);

impl Clock for Stands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, _at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// A store, and a collector's desk over it that can be dropped and taken up again.
struct House {
    folder: TempDir,
    runtime: Runtime,
    config: VeeConfig,
    desk: Option<Desk>,
    seq: u64,
}

impl House {
    fn new(config: VeeConfig) -> Self {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let mut house = Self { folder, runtime, config, desk: None, seq: 0 };
        house.restart();
        house
    }

    fn restart(&mut self) {
        self.desk = None;
        let (path, config) = (self.folder.path().to_owned(), Arc::new(self.config.clone()));
        let store = Arc::new(loop {
            // A look that was cut off may hold the store until its thread has ended.
            if let Ok(store) = Store::open(&path, Options::default()) {
                break store;
            }
            std::thread::sleep(Duration::from_millis(2));
        });
        let opened = self.runtime.block_on(async { Desk::new(store, Journal::open(&path).await.unwrap(), config).await });
        self.desk = Some(opened.unwrap());
    }

    fn desk(&self) -> &Desk {
        self.desk.as_ref().unwrap()
    }

    /// Readings of the counter and the power of one device: minute and counter.
    fn meter(&mut self, device: &str, readings: &[(i64, i64)]) {
        let rows = readings.iter().flat_map(|(minute, counter)| {
            let row = |point: &str, unit, exponent, raw: i64| Row {
                device: slug(device),
                point: point.into(),
                unit,
                exponent,
                ts_ms: START + minute * MINUTE,
                raw: Some(raw),
                quality: Quality::GOOD,
                words: Words::new(&raw.to_be_bytes()),
            };
            [row("e_imp", Unit::KilowattHour, -2, *counter), row("v1", Unit::Volt, -1, 2_300 + counter % 7)]
        });
        self.commit(rows.collect());
    }

    fn commit(&mut self, rows: Vec<Row>) {
        self.seq += 1;
        let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") };
        let profiles = Vec::<ProfileSeen>::new();
        self.desk().store.commit(&[Batch { origin, spool_id: [1; 16], seq: self.seq, rows, profiles, letter: None }]).unwrap();
    }

    fn ask(&self, change: Ask) -> Result<super::Made, DeskError> {
        let request = Request {
            tenant: slug("acme"),
            facility: slug("hall"),
            change,
            actor: "anna".to_owned(),
            reason: "the meter was read by hand".to_owned(),
            document: "photo 7".to_owned(),
            approval: String::new(),
        };
        self.runtime.block_on(self.desk().ask(request, at(100_000)))
    }

    fn reader(&self) -> Reader {
        Reader::open(self.folder.path()).unwrap()
    }

    /// Everything that was received, and nothing else. By which flush it came into a segment does not count.
    fn received(&self) -> Vec<(SeriesId, Vec<Sample>)> {
        let reader = self.reader();
        let of = |id| {
            let history = reader.history(id, i64::MIN..i64::MAX).unwrap().into_iter().filter(|sample| sample.seq != 0);
            history.map(|sample| Sample { lsn: 0, ..sample }).collect()
        };
        reader.all_series().iter().map(|info| (info.id, of(info.id))).collect()
    }

    /// What whoever reads the store sees, as far as it says anything.
    fn view(&self) -> Vec<Seen> {
        let reader = self.reader();
        let all = reader.all_series();
        let samples =
            all.iter().flat_map(|info| reader.scan(info.id, i64::MIN..i64::MAX).unwrap().into_iter().map(|sample| (info.id, sample)));
        let said = samples.filter(|(_, sample)| sample.raw.is_some() || !sample.quality.has(Reason::Edited));
        said.map(|(id, sample)| (id, sample.ts_ms, sample.raw, sample.quality, sample.words)).collect()
    }

    fn events(&self) -> Vec<Event> {
        self.runtime.block_on(self.desk().journal.events(0, None, 1_000)).unwrap()
    }

    fn job(&self, now: Timestamp) -> Job {
        let live = Arc::new(Live::default());
        Job { desk: self.desk().clone(), live, clock: Arc::new(Stands(Mutex::new(now))) }
    }

    /// Looks until there is nothing more to do.
    fn look(&self, now: Timestamp) {
        let job = self.job(now);
        self.runtime.block_on(async { while job.look(true).await.unwrap() {} });
    }
}
