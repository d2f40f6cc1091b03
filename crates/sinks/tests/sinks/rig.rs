//! A store, and a sink that runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Secret;
use daemon::{Clock, SystemClock};
use ids::Slug;
use jiff::Timestamp;
use sinks::{InfluxConfig, ReadApi, Shown, SinkConfig, Status, TargetConfig};
use store::{Batch, Options, Origin, Reader, Row, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use units::{Quality, Unit};

use crate::stub::{BUCKET, ORG, Stub, TOKEN};

/// A clock that began somewhere else.
#[derive(Debug)]
pub(crate) struct Elsewhen {
    begin_ms: i64,
    since: Instant,
}

impl Elsewhen {
    pub(crate) fn new(begin_ms: i64) -> Self {
        Self { begin_ms, since: Instant::now() }
    }
}

impl Clock for Elsewhen {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.begin_ms + i64::try_from(self.since.elapsed().as_millis()).unwrap()).unwrap()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(Duration::try_from(at.duration_since(self.now())).unwrap_or_default()))
    }
}

/// Midnight of a day long past.
pub(crate) const DAY: i64 = 1_767_225_600_000;
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) config: SinkConfig,
    pub(crate) clock: Arc<dyn Clock>,
    running: Option<(JoinHandle<()>, CancellationToken, Arc<Shown>)>,
    seq: u64,
}

pub(crate) fn influx(stub: &Stub) -> TargetConfig {
    TargetConfig::Influx(InfluxConfig {
        url: format!("http://{}", stub.addr),
        org: ORG.to_owned(),
        bucket: BUCKET.to_owned(),
        token: Some(Secret::new(TOKEN)),
        timeout: Duration::from_secs(1),
        read_api: ReadApi::Flux,
        create_bucket: false,
    })
}

impl Rig {
    pub(crate) fn new(target: TargetConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), Options::default()).unwrap());
        let config = SinkConfig {
            name: "copy".to_owned(),
            tenant: None,
            facilities: Vec::new(),
            batch_rows: 50,
            interval: Duration::from_millis(10),
            reconcile_days: 0,
            reconcile_at: Duration::ZERO,
            target,
        };
        Self { folder, store, config, clock: Arc::new(SystemClock), running: None, seq: 0 }
    }

    /// With a store that somebody else has filled.
    pub(crate) fn reopen(folder: TempDir, target: TargetConfig) -> Self {
        let new = Self::new(target);
        let store = Arc::new(Store::open(folder.path(), Options::default()).unwrap());
        Self { store, folder, ..new }
    }

    /// Stores a reading a minute from `first` on: each says its own minute, and `add`.
    pub(crate) fn commit(&mut self, device: &str, minutes: std::ops::Range<i64>, add: i64) {
        self.seq += 1;
        let slug = |text| Slug::parse(text).unwrap();
        let row = |minute: i64| Row {
            device: slug(device),
            point: "v1".into(),
            unit: Unit::Volt,
            exponent: -1,
            ts_ms: DAY + minute * 60_000,
            raw: (minute % 10 != 9).then_some(minute + add),
            quality: if minute % 10 == 9 { Quality::SILENT } else { Quality::GOOD },
            words: None,
        };
        let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") };
        let rows = minutes.map(row).collect();
        self.store.commit(&[Batch { origin, spool_id: [3; 16], seq: self.seq, rows, profiles: Vec::new(), letter: None }]).unwrap();
    }

    pub(crate) fn start(&mut self) {
        let (shown, stop) = (Arc::new(Shown::new(&self.config)), CancellationToken::new());
        let task = tokio::spawn(sinks::run(self.config.clone(), self.store.clone(), self.clock.clone(), shown.clone(), stop.clone()));
        self.running = Some((task, stop, shown));
    }

    /// Ends it as a crash does: whatever it was about to write is not written.
    pub(crate) async fn crash(&mut self) {
        let (task, _stop, _shown) = self.running.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn stop(&mut self) {
        let (task, stop, _shown) = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    pub(crate) fn status(&self) -> Status {
        self.running.as_ref().unwrap().2.status(self.store.last_lsn(), self.clock.as_ref())
    }

    pub(crate) async fn caught_up(&self) -> Status {
        self.until("it has everything", |rig| {
            let status = rig.status();
            status.lag_lsn == 0 && status.problem.is_none()
        })
        .await;
        self.status()
    }

    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is(self) {
            assert!(begin.elapsed() < PATIENCE, "never came: {what}: {:?}", self.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the store shows, by device and time.
    pub(crate) fn truth(&self) -> BTreeMap<(String, i64), Option<i64>> {
        truth(self.folder.path())
    }
}

pub(crate) fn truth(store: &Path) -> BTreeMap<(String, i64), Option<i64>> {
    let reader = Reader::open(store).unwrap();
    let mut truth = BTreeMap::new();
    for info in reader.all_series() {
        for sample in reader.scan(info.id, i64::MIN..i64::MAX).unwrap() {
            truth.insert((info.key.device.to_string(), sample.ts_ms), sample.raw);
        }
    }
    truth
}
