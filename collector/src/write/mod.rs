//! InfluxDB line protocol over HTTP becomes durable readings.
//!
//! A body is read in parts, and each part is one commit; 204 is said when all of it is durable. A line that is refused
//! stops no other: it is kept in a dead letter with those of the same reason, in a form that can be sent again.
//!
//! Nothing of a request is known by a number, as a gateway's frame is: what a client sends again is compared with what is
//! stored, series by series and time by time, and counted as the duplicate it is.

mod answer;
mod body;
mod line;
mod mapping;
mod number;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use daemon::Clock;
use ids::Slug;
use jiff::Timestamp;
use store::{Batch, CommitError, Committed, DeadLetter, Origin, Row, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::ingest::Bucket as TokenBucket;
use crate::live::Live;
use crate::quota::Quotas;
use mapping::{Heads, Said};

pub(crate) use answer::router;
pub(crate) use mapping::Bucket;
pub(crate) use number::{Decimal, scaled};
pub(crate) use reason::Reason;

/// Readings of one commit.
const ROWS_MAX: usize = 8_192;
/// Refused lines of one dead letter.
const LETTER_BYTES: usize = 1 << 20;
/// Refused lines that an answer names; all are counted and kept.
const TOLD_MAX: usize = 20;
/// Writers that are remembered; one that is forgotten begins a new spool.
const WRITERS_MAX: usize = 4_096;
/// 2000-01-01: who writes earlier times has left out the precision.
const PLAUSIBLE_FROM_MS: i64 = 946_684_800_000;

/// The endpoint: what it knows and whom it has heard.
#[derive(Debug)]
pub(crate) struct Writes {
    config: Arc<Config>,
    live: Arc<Live>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    quotas: Arc<Quotas>,
    /// Bodies in memory.
    permits: Semaphore,
    writers: Mutex<HashMap<(Bucket, Slug), Arc<Writer>>>,
    /// By token, in the order of the configuration.
    rates: Vec<Option<Mutex<TokenBucket>>>,
    /// Why the store has failed for good.
    failed: Mutex<Option<CommitError>>,
    stop: CancellationToken,
}

/// In whose name a request is stored.
#[derive(Debug)]
struct Writer {
    origin: Origin,
    spool_id: [u8; 16],
    seqs: Mutex<Seqs>,
    /// One for each request that is being read.
    heads: Mutex<Vec<Heads>>,
}

/// Numbers of batches: one that was not used is used next, so that there are no holes.
#[derive(Debug, Default)]
struct Seqs {
    last: u64,
    returned: Vec<u64>,
}

impl Seqs {
    fn take(&mut self) -> u64 {
        self.returned.pop().unwrap_or_else(|| {
            self.last += 1;
            self.last
        })
    }
}

/// What one unit of a line's time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
}

impl Precision {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ns" => Self::Nanoseconds,
            "us" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// Whole milliseconds, the earlier ones of two.
    fn millis(self, time: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(time.div_euclid(1_000_000)),
            Self::Microseconds => Some(time.div_euclid(1_000)),
            Self::Milliseconds => Some(time),
            Self::Seconds => time.checked_mul(1_000),
        }
    }
}

/// A body, and what it is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) gateway: &'a Slug,
    pub(crate) precision: Precision,
    pub(crate) now: Timestamp,
}

impl Request<'_> {
    /// Later times are in the future.
    fn latest_ms(&self, config: &Config) -> i64 {
        let ahead = i64::try_from(config.clock_ahead_max.as_millis()).unwrap_or(i64::MAX);
        self.now.as_millisecond().saturating_add(ahead)
    }

    /// What a dead letter of it says where it came from: enough to read it again.
    fn topic(&self) -> String {
        let Bucket { tenant, facility } = self.bucket;
        format!("/api/v2/write?org={tenant}&bucket={facility}&precision={}&gateway={}", self.precision.name(), self.gateway)
    }
}

/// What became of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Written {
    lines: u64,
    refused: u64,
    points: u64,
    /// The first that were refused, by the number of their line.
    told: Vec<(u64, Reason)>,
    malformed: bool,
}

/// Refused lines of one reason.
#[derive(Debug, Default)]
struct Refused {
    text: Vec<u8>,
    points: u64,
}

impl Writes {
    pub(crate) fn new(
        config: Arc<Config>,
        live: Arc<Live>,
        store: Arc<Store>,
        quotas: Arc<Quotas>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        let rate = |token: &crate::WriteToken| token.points_per_second.map(|rate| Mutex::new(TokenBucket::new(rate)));
        Self {
            permits: Semaphore::new(config.write.requests_max),
            rates: config.write.tokens.iter().map(rate).collect(),
            config,
            live,
            store,
            clock,
            quotas,
            writers: Mutex::new(HashMap::new()),
            failed: Mutex::new(None),
            stop,
        }
    }

    /// Why nothing can be written any more.
    pub(crate) fn failure(&self) -> Option<CommitError> {
        self.failed.lock().expect("no thread panics while it holds the failure").take()
    }

    /// Takes the lines of a body. Blocks.
    ///
    /// * Errors: what came before is stored, and known when it comes again.
    fn take(&self, request: &Request<'_>, body: &[u8]) -> Result<Written, CommitError> {
        let writer = self.writer(request);
        let mut heads = lock(&writer.heads).pop().unwrap_or_default();
        let taken = self.take_lines(request, &writer, &mut heads, body);
        lock(&writer.heads).push(heads);
        taken
    }

    fn take_lines(&self, request: &Request<'_>, writer: &Writer, heads: &mut Heads, body: &[u8]) -> Result<Written, CommitError> {
        let mut written = Written::default();
        let mut refused: BTreeMap<Reason, Refused> = BTreeMap::new();
        let (mut rows, mut fields, mut said) = (Vec::new(), Vec::new(), Vec::new());
        let latest = request.latest_ms(&self.config);
        let mut lines = line::Lines::new(body);
        while let Some(line) = lines.next(&mut fields) {
            written.lines += 1;
            let meant = meaning(&line, &fields, &self.config, request, latest, heads, &mut said);
            match meant.and_then(|ts_ms| self.admitted(request, &said).map(|()| ts_ms)) {
                Ok(ts_ms) => rows.extend(said.drain(..).map(|said| row(said, ts_ms))),
                Err(reason) => {
                    said.clear();
                    let (number, text) = line.map_or_else(|broken| (broken.number, broken.text), |line| (line.number, line.text));
                    written.refuse(number, reason);
                    let points = fields.len().max(1) as u64;
                    if refused.get(&reason).is_some_and(|kept| kept.text.len() + text.len() > LETTER_BYTES) {
                        self.commit(request, writer, Vec::new(), std::mem::take(&mut refused))?;
                    }
                    let kept = refused.entry(reason).or_default();
                    kept.text.extend_from_slice(text);
                    kept.text.push(b'\n');
                    kept.points += points;
                }
            }
            if rows.len() >= ROWS_MAX {
                written.points += self.commit(request, writer, std::mem::take(&mut rows), BTreeMap::new())?;
            }
        }
        written.points += self.commit(request, writer, rows, refused)?;
        Ok(written)
    }

    /// Whether the tenant may have the series of a line.
    fn admitted(&self, request: &Request<'_>, said: &[Said]) -> Result<(), Reason> {
        let Bucket { tenant, facility } = request.bucket;
        let names = said.iter().map(|one| (&one.device, &*one.point, one.unit, one.exponent));
        let admitted = self.quotas.admits(tenant, facility, names, request.now.as_millisecond());
        admitted.then_some(()).ok_or(Reason::TenantSeries)
    }

    /// Makes readings and refused lines durable, and counts them. Gives the number of readings.
    fn commit(
        &self,
        request: &Request<'_>,
        writer: &Writer,
        rows: Vec<Row>,
        refused: BTreeMap<Reason, Refused>,
    ) -> Result<u64, CommitError> {
        let count = rows.len() as u64;
        let letter = |(reason, kept): (Reason, Refused)| DeadLetter {
            topic: request.topic(),
            reason: reason.code().to_owned(),
            payload: kept.text,
            points: kept.points,
            received_ms: request.now.as_millisecond(),
        };
        let letters: Vec<DeadLetter> = refused.into_iter().map(letter).collect();
        let offered = count + letters.iter().map(|letter| letter.points).sum::<u64>();
        if offered == 0 {
            return Ok(0);
        }
        self.live.count(&self.live.received, offered);
        let seq = lock(&writer.seqs).take();
        let (origin, spool_id) = (writer.origin.clone(), writer.spool_id);
        let batch = Batch { origin, spool_id, seq, rows, profiles: Vec::new(), letter: None };
        let started = tokio::time::Instant::now();
        let committed = self.store.commit_with(std::slice::from_ref(&batch), &letters);
        if let Err(err) = committed {
            lock(&writer.seqs).returned.push(seq);
            // It was not taken: the client has it still.
            self.live.uncount(&self.live.received, offered);
            return Err(err);
        }
        self.live.committed(started.elapsed());
        for letter in &letters {
            tracing::warn!(topic = letter.topic, reason = letter.reason, bytes = letter.payload.len(), "lines became a dead letter");
            self.live.letter(&letter.reason);
        }
        let committed = committed?;
        if committed.iter().any(|outcome| outcome.accepted > 0) {
            self.live.hub.publish(&batch.origin, &batch.rows);
        }
        for outcome in &committed {
            self.live.count_late(&batch, outcome, request.now.as_millisecond());
        }
        let stored: u64 = committed.iter().map(|Committed { accepted, duplicate, .. }| accepted + duplicate).sum();
        self.live.count(&self.live.accounted, stored + (offered - count));
        Ok(count)
    }

    fn writer(&self, request: &Request<'_>) -> Arc<Writer> {
        let mut writers = lock(&self.writers);
        let key = (request.bucket.clone(), request.gateway.clone());
        if writers.len() >= WRITERS_MAX && !writers.contains_key(&key) {
            writers.clear();
        }
        let new = || {
            let Bucket { tenant, facility } = request.bucket.clone();
            let origin = Origin { tenant, facility, gateway: request.gateway.clone() };
            let (seqs, heads) = (Mutex::default(), Mutex::default());
            Arc::new(Writer { origin, spool_id: crate::ingest::random_spool(), seqs, heads })
        };
        writers.entry(key).or_insert_with(new).clone()
    }

    /// After this the process ends, as it does when a gateway's readings cannot be stored any more.
    fn fail(&self, err: CommitError) {
        self.live.set_problem(Some(daemon::chain(&err)));
        *lock(&self.failed) = Some(err);
        self.stop.cancel();
    }
}

impl Written {
    fn refuse(&mut self, number: u64, reason: Reason) {
        self.refused += 1;
        self.malformed |= reason.is_malformed();
        if self.told.len() < TOLD_MAX {
            self.told.push((number, reason));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it holds what writers share")
}

/// What a line says, in `said`, and of when.
fn meaning(
    line: &Result<line::Line<'_>, line::Broken<'_>>,
    fields: &[line::Field<'_>],
    config: &Config,
    request: &Request<'_>,
    latest_ms: i64,
    heads: &mut Heads,
    said: &mut Vec<Said>,
) -> Result<i64, Reason> {
    let line = line.map_err(|broken| broken.reason)?;
    let ts_ms = when(line.time, request.precision, latest_ms)?;
    heads.read(&config.write.names, request.bucket, line.head, fields, said)?;
    Ok(ts_ms)
}

/// The readings of lines that were refused once, and how many points are refused still.
pub(crate) fn read_again(config: &Config, request: &Request<'_>, text: &[u8]) -> (Vec<Row>, BTreeMap<Reason, u64>) {
    let (mut rows, mut refused) = (Vec::new(), BTreeMap::new());
    let (mut heads, mut fields, mut said) = (Heads::default(), Vec::new(), Vec::new());
    let mut lines = line::Lines::new(text);
    while let Some(line) = lines.next(&mut fields) {
        match meaning(&line, &fields, config, request, request.latest_ms(config), &mut heads, &mut said) {
            Ok(ts_ms) => rows.extend(said.drain(..).map(|said| row(said, ts_ms))),
            Err(reason) => {
                said.clear();
                *refused.entry(reason).or_default() += fields.len().max(1) as u64;
            }
        }
    }
    (rows, refused)
}

/// When a reading was taken.
fn when(time: Option<&[u8]>, precision: Precision, latest_ms: i64) -> Result<i64, Reason> {
    let time = number::integer(time.ok_or(Reason::NoTime)?, Reason::Time)?;
    let ts_ms = precision.millis(time).ok_or(Reason::ClockWindow)?;
    match ts_ms {
        ts_ms if ts_ms > latest_ms => Err(Reason::ClockWindow),
        ts_ms if ts_ms < PLAUSIBLE_FROM_MS => Err(Reason::Precision),
        ts_ms => Ok(ts_ms),
    }
}

fn row(said: Said, ts_ms: i64) -> Row {
    let Said { device, point, unit, exponent, raw, quality } = said;
    Row { device, point, unit, exponent, ts_ms, raw, quality, words: None }
}
