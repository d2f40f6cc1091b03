//! A sink against the store, day by day: by count, least, greatest and sum of every series. What differs is sent again;
//! what the sink has too much of is removed first, where it lets us; then it is compared once more.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use store::{Reader, SegmentError, SeriesInfo};

use crate::config::SinkConfig;
use crate::deliver::WriteError;
use crate::digest::{DAY_MS, Digest, Digests};
use crate::reading::{Reading, Series, SeriesName, name};
use crate::target::{Rows, Target};

/// Why a comparison was not finished. It changes nothing that a later one would not do again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Sink(#[from] WriteError),
    #[error("the store cannot be read")]
    Store(#[from] SegmentError),
    #[cfg(feature = "objects")]
    #[error(transparent)]
    Objects(#[from] crate::objects::ObjectsError),
}

/// What a comparison has found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Days of a series that were compared.
    pub compared: u64,
    /// Of these: not the same.
    pub different: u64,
    /// Of these: the same now.
    pub repaired: u64,
    /// Readings that were sent again.
    pub sent: u64,
    /// What is still not the same, the first of them.
    pub unresolved: Vec<Difference>,
}

/// A series that is not the same on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub tenant: String,
    pub facility: String,
    pub device: String,
    pub point: String,
    pub day: String,
    pub ours: Option<Shape>,
    pub theirs: Option<Shape>,
}

/// A digest, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    pub count: u64,
    pub min: i64,
    pub max: i64,
    /// Text, as it may be longer than what JSON programs count with.
    pub sum: String,
}

impl From<Digest> for Shape {
    fn from(Digest { count, min, max, sum }: Digest) -> Self {
        Self { count, min, max, sum: sum.to_string() }
    }
}

impl Reconciled {
    /// Differences that are named.
    const NAMED_MAX: usize = 100;

    /// Differences that are left, those included that are not named.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.different - self.repaired
    }

    fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.different += other.different;
        self.repaired += other.repaired;
        self.sent += other.sent;
        let room = Self::NAMED_MAX.saturating_sub(self.unresolved.len());
        self.unresolved.extend(other.unresolved.into_iter().take(room));
    }
}

/// One facility on one day.
#[derive(Debug)]
struct Day<'a> {
    rows: &'a Rows,
    reader: &'a Reader,
    series: Vec<SeriesInfo>,
    tenant: &'a str,
    facility: &'a str,
    day_ms: i64,
}

/// Compares a sink of whatever kind: files as a whole, whatever days they are of.
pub async fn compare(
    sink: &SinkConfig,
    target: &Target,
    reader: &Reader,
    first_ms: i64,
    end_ms: i64,
    repair: bool,
) -> Result<Reconciled, ReconcileError> {
    match target {
        Target::Rows(rows) => reconcile(sink, rows, reader, first_ms, end_ms, repair).await,
        #[cfg(feature = "objects")]
        Target::Objects(objects) => {
            let compared = reader.segments().len() as u64;
            if repair {
                let copied = objects.copy(reader, true).await?;
                return Ok(Reconciled {
                    compared,
                    different: copied.files,
                    repaired: copied.files,
                    sent: copied.rows,
                    ..Reconciled::default()
                });
            }
            let different = objects.differing(reader).await?;
            Ok(Reconciled { compared, different, ..Reconciled::default() })
        }
    }
}

/// Compares days, `first_ms` and what follows up to `end_ms`, both midnights of UTC.
///
/// * `repair`: or only tell.
pub async fn reconcile(
    sink: &SinkConfig,
    rows: &Rows,
    reader: &Reader,
    first_ms: i64,
    end_ms: i64,
    repair: bool,
) -> Result<Reconciled, ReconcileError> {
    let mut reconciled = Reconciled::default();
    for (tenant, facility) in reader.facilities() {
        if !sink.wants_facility(&tenant, &facility) {
            continue;
        }
        let series = reader.series(&tenant, &facility);
        let mut day_ms = first_ms;
        while day_ms < end_ms {
            let (tenant, facility) = (tenant.as_str(), facility.as_str());
            let day = Day { rows, reader, series: series.clone(), tenant, facility, day_ms };
            reconciled.add(day.reconcile(repair, sink.batch_rows).await?);
            day_ms += DAY_MS;
        }
    }
    Ok(reconciled)
}

impl Day<'_> {
    async fn reconcile(&self, repair: bool, batch_rows: usize) -> Result<Reconciled, ReconcileError> {
        let ours = self.ours()?;
        let theirs = self.theirs().await?;
        let different = self.different(&ours, &theirs);
        let names: std::collections::BTreeSet<&SeriesName> = ours.keys().chain(theirs.keys()).collect();
        let mut done = Reconciled { compared: names.len() as u64, different: different.len() as u64, ..Reconciled::default() };
        if different.is_empty() {
            return Ok(done);
        }
        let mut left = theirs;
        if repair {
            for info in &different {
                done.sent += self.send(info, batch_rows).await?;
            }
            left = self.theirs().await?;
            let too_much = self.different(&ours, &left);
            let mut removed = false;
            for info in &too_much {
                let series = Series::new(info.id, info.key.clone());
                if self.rows.delete_day(&series, self.day_ms).await? {
                    removed = true;
                    done.sent += self.send(info, batch_rows).await?;
                }
            }
            if removed {
                left = self.theirs().await?;
            }
        }
        let still = self.different(&ours, &left);
        done.repaired = done.different.saturating_sub(still.len() as u64);
        let difference = |info: &&SeriesInfo| {
            let known = name(&info.key);
            Difference {
                tenant: self.tenant.to_owned(),
                facility: self.facility.to_owned(),
                device: info.key.device.to_string(),
                point: info.key.point.clone(),
                day: crate::influx::rfc3339(self.day_ms).chars().take(10).collect(),
                ours: ours.get(&known).copied().map(Shape::from),
                theirs: left.get(&known).copied().map(Shape::from),
            }
        };
        done.unresolved = still.iter().map(difference).collect();
        Ok(done)
    }

    fn ours(&self) -> Result<Digests, SegmentError> {
        let mut digests = Digests::new();
        for info in &self.series {
            if let Some(digest) = Digest::of(&self.samples(info)?) {
                digests.insert(name(&info.key), digest);
            }
        }
        Ok(digests)
    }

    fn samples(&self, info: &SeriesInfo) -> Result<Vec<store::Sample>, SegmentError> {
        self.reader.scan(info.id, self.day_ms..self.day_ms + DAY_MS)
    }

    /// What it has of what we know: what others write there is not ours to judge.
    async fn theirs(&self) -> Result<Digests, WriteError> {
        let known: HashMap<SeriesName, ()> = self.series.iter().map(|info| (name(&info.key), ())).collect();
        let mut theirs = self.rows.day(self.tenant, self.facility, self.day_ms).await?;
        theirs.retain(|name, _| known.contains_key(name));
        Ok(theirs)
    }

    fn different(&self, ours: &Digests, theirs: &Digests) -> Vec<&SeriesInfo> {
        let differs = |info: &&SeriesInfo| {
            let name = name(&info.key);
            ours.get(&name) != theirs.get(&name)
        };
        self.series.iter().filter(differs).collect()
    }

    async fn send(&self, info: &SeriesInfo, batch_rows: usize) -> Result<u64, ReconcileError> {
        let series = Arc::new(Series::new(info.id, info.key.clone()));
        let reading = |sample| Reading { series: series.clone(), sample };
        let readings: Vec<Reading> = self.samples(info)?.into_iter().map(reading).collect();
        let mut sent = 0;
        for batch in readings.chunks(batch_rows.max(1)) {
            sent += self.rows.write(batch).await?.written as u64;
        }
        Ok(sent)
    }
}
