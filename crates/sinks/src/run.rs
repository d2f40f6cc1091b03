//! One sink at work: read, write, keep the bad ones, move the cursor. In this order, so that whatever ends us in between
//! only makes us send again what changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use store::{CommitError, DeadLetter, FollowError, Follower, Portion, Position, Reader, SeriesId, Store};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::SinkConfig;
use crate::cursor::{self, Cursor, CursorError};
use crate::deliver::{BackOff, Rejected, WriteError, chance};
use crate::digest::DAY_MS;
use crate::reading::{Reading, Series};
use crate::reconcile::{ReconcileError, reconcile};
use crate::status::Shown;
use crate::target::{Rows, SetupError, Target, readings};

/// Why a sink does not go on.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the store cannot be followed")]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Cursor(#[from] CursorError),
    #[error("what was refused could not be kept")]
    Letters(#[from] CommitError),
    #[cfg(feature = "objects")]
    #[error(transparent)]
    Objects(#[from] crate::objects::ObjectsError),
    #[cfg(feature = "objects")]
    #[error("what is in memory could not be moved to segments")]
    Flush(#[from] store::FlushError),
    #[error("the store cannot be read")]
    Open(#[from] store::OpenError),
    #[error("a thread of the sink has panicked")]
    Panicked,
}

/// A sink that is run.
#[derive(Debug)]
struct Sink {
    config: Arc<SinkConfig>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    shown: Arc<Shown>,
    cursor: Cursor,
    /// What the disk has of it.
    saved: Cursor,
    follower: Option<Follower>,
    series: HashMap<SeriesId, Arc<Series>>,
    /// Read, and not yet there.
    pending: Option<Portion>,
    reconcile_next_ms: i64,
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    More,
    CaughtUp,
}

/// The reason of a dead letter that a sink has refused.
pub const REJECTED: &str = "sink_rejected";
/// Of the words of a refusal, so much is kept with each reading.
const SAID_CHARACTERS: usize = 500;

/// Runs a sink until `stop`. It fails nobody but itself: it says why, waits, and tries again.
pub async fn run(config: SinkConfig, store: Arc<Store>, clock: Arc<dyn Clock>, shown: Arc<Shown>, stop: CancellationToken) {
    let mut back_off = BackOff::default();
    loop {
        let started = Sink::start(config.clone(), store.clone(), clock.clone(), shown.clone());
        let err: Box<dyn std::error::Error + Send + Sync> = match started {
            Ok((mut sink, target)) => {
                sink.until(&target, &stop).await;
                return;
            }
            Err(err) => err.into(),
        };
        let said = daemon::chain(err.as_ref());
        error!(sink = config.name, error = said, "the sink cannot start; it is tried again");
        shown.problem(Some(said));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(back_off.next(None, chance())) => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Cursor(#[from] CursorError),
}

impl Sink {
    fn start(config: SinkConfig, store: Arc<Store>, clock: Arc<dyn Clock>, shown: Arc<Shown>) -> Result<(Self, Target), StartError> {
        let (target, destination) = (Target::new(&config)?, config.target.destination());
        let now_ms = clock.now().as_millisecond();
        let fresh = Cursor { destination: destination.clone(), caught_up_ms: now_ms, ..Cursor::default() };
        let cursor = match Cursor::load(store.dir(), &config.name)? {
            Some(cursor) if cursor.destination == destination => cursor,
            Some(cursor) => {
                warn!(
                    sink = config.name,
                    before = cursor.destination,
                    now = destination,
                    "the sink is elsewhere now: everything is sent there"
                );
                fresh
            }
            None => fresh,
        };
        shown.moved(&cursor);
        let mut sink = Self {
            config: Arc::new(config),
            store,
            clock,
            shown,
            saved: Cursor::default(),
            cursor,
            follower: None,
            series: HashMap::new(),
            pending: None,
            reconcile_next_ms: 0,
        };
        sink.reconcile_next_ms = sink.next_night();
        Ok((sink, target))
    }

    async fn until(&mut self, target: &Target, stop: &CancellationToken) {
        let (mut back_off, mut prepared) = (BackOff::default(), false);
        loop {
            let step = async {
                if let (Target::Rows(rows), false) = (target, prepared) {
                    rows.prepare().await?;
                    prepared = true;
                }
                self.step(target, stop).await
            };
            let stepped = tokio::select! {
                () = stop.cancelled() => break,
                stepped = step => stepped,
            };
            let wait = match stepped {
                Ok(step) => {
                    self.shown.problem(None);
                    back_off.reset();
                    if step == Step::More { Duration::ZERO } else { self.config.interval }
                }
                Err(err) => self.failed(&err, &mut back_off),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Err(err) = self.save().await {
            warn!(sink = self.config.name, error = daemon::chain(&err), "the cursor stays where it was: what came since is sent again");
        }
    }

    fn failed(&mut self, err: &SinkError, back_off: &mut BackOff) -> Duration {
        self.cursor.counts.retried += 1;
        self.shown.moved(&self.cursor);
        let said = daemon::chain(err);
        let after = match err {
            SinkError::Write(err) => err.after(),
            _ => None,
        };
        let wait = back_off.next(after, chance());
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        warn!(sink = self.config.name, error = said, wait_ms, "the sink waits; nothing is lost, it lags");
        self.shown.problem(Some(said));
        wait
    }

    async fn step(&mut self, target: &Target, stop: &CancellationToken) -> Result<Step, SinkError> {
        self.rewind_when_asked().await?;
        let step = match target {
            Target::Rows(rows) => self.portion(rows).await?,
            #[cfg(feature = "objects")]
            Target::Objects(objects) => self.copy(objects).await?,
        };
        let now_ms = self.clock.now().as_millisecond();
        if step == Step::CaughtUp {
            self.cursor.caught_up_ms = now_ms;
        }
        self.shown.moved(&self.cursor);
        if step == Step::CaughtUp && now_ms >= self.reconcile_next_ms {
            self.reconcile_next_ms = self.next_night();
            if let Target::Rows(rows) = target
                && self.config.reconcile_days > 0
            {
                self.night(rows, now_ms, stop).await;
            }
        }
        Ok(step)
    }

    async fn rewind_when_asked(&mut self) -> Result<(), SinkError> {
        let (dir, name) = (self.store.dir().to_owned(), self.config.name.clone());
        let Some(lsn) = blocking(move || cursor::asked_to_rewind(&dir, &name)).await?? else { return Ok(()) };
        self.cursor.position = Position { lsn, sweep: None };
        self.pending = None;
        self.save().await?;
        let (dir, name) = (self.store.dir().to_owned(), self.config.name.clone());
        blocking(move || cursor::rewound(&dir, &name)).await??;
        info!(sink = self.config.name, lsn, "the sink starts again after this entry");
        Ok(())
    }

    /// Reads what comes next, and brings it over.
    async fn portion(&mut self, rows: &Rows) -> Result<Step, SinkError> {
        let portion = match self.pending.take() {
            Some(portion) => portion,
            None => self.read().await?,
        };
        let readings: Vec<Reading> = readings(&portion.rows, &self.series, &self.config).collect();
        // An entry of the log is read whole, and may have more than one request takes.
        for batch in readings.chunks(self.config.batch_rows) {
            let done = match rows.write(batch).await {
                Ok(delivered) => self.keep(&delivered.rejected).await.map(|()| delivered),
                Err(err) => Err(err.into()),
            };
            let delivered = match done {
                Ok(delivered) => delivered,
                Err(err) => {
                    self.pending = Some(portion);
                    return Err(err);
                }
            };
            let counts = &mut self.cursor.counts;
            counts.written += delivered.written as u64;
            counts.rejected += delivered.rejected.len() as u64;
        }
        self.cursor.position = portion.next;
        if !portion.rows.is_empty() || portion.next.sweep.is_some() {
            self.save().await?;
        }
        Ok(if portion.caught_up { Step::CaughtUp } else { Step::More })
    }

    async fn read(&mut self) -> Result<Portion, SinkError> {
        let (dir, position, rows_max) = (self.store.dir().to_owned(), self.cursor.position, self.config.batch_rows);
        let (follower, store) = (self.follower.take(), self.store.clone());
        let (follower, read) = blocking(move || {
            let mut follower = match follower {
                Some(follower) => follower,
                None => Follower::open(&dir)?,
            };
            let read = follower.next(&position, rows_max, store.last_lsn());
            Ok::<_, FollowError>((follower, read))
        })
        .await??;
        // One that failed begins anew.
        let portion = read?;
        for (id, _) in &portion.rows {
            if !self.series.contains_key(id)
                && let Some(key) = follower.key(*id)
            {
                self.series.insert(*id, Arc::new(Series::new(*id, key.clone())));
            }
        }
        self.follower = Some(follower);
        Ok(portion)
    }

    /// Keeps what was refused: it counts for no reading that came in, as it came in long ago.
    async fn keep(&self, rejected: &[Rejected]) -> Result<(), SinkError> {
        if rejected.is_empty() {
            return Ok(());
        }
        let received_ms = self.clock.now().as_millisecond();
        let letter = |rejected: &Rejected| {
            let Rejected { reading, reason } = rejected;
            let line = reading.line().unwrap_or_else(|_unwritable| format!("# {:?} {:?}", reading.series.key, reading.sample));
            let said: String =
                reason.chars().map(|character| if character.is_control() { ' ' } else { character }).take(SAID_CHARACTERS).collect();
            let (topic, payload) = (format!("sink/{}", self.config.name), format!("{line}\n# {said}\n").into_bytes());
            DeadLetter { topic, reason: REJECTED.to_owned(), payload, points: 0, received_ms }
        };
        let letters: Vec<DeadLetter> = rejected.iter().map(letter).collect();
        warn!(sink = self.config.name, rejected = letters.len(), "the sink refuses readings for what they are: they are dead letters");
        let store = self.store.clone();
        blocking(move || store.commit_with(&[], &letters)).await??;
        Ok(())
    }

    #[cfg(feature = "objects")]
    async fn copy(&mut self, objects: &crate::objects::Objects) -> Result<Step, SinkError> {
        let verify = self.clock.now().as_millisecond() >= self.reconcile_next_ms && self.config.reconcile_days > 0;
        let last_lsn = self.store.last_lsn();
        if last_lsn == self.cursor.position.lsn && !verify {
            return Ok(Step::CaughtUp);
        }
        let store = self.store.clone();
        let reader = blocking(move || {
            store.flush()?;
            Ok::<_, SinkError>(Reader::open(store.dir())?)
        })
        .await??;
        let copied = objects.copy(&reader, verify).await?;
        if verify {
            self.reconcile_next_ms = self.next_night();
        }
        self.cursor.counts.written += copied.rows;
        self.cursor.position = Position { lsn: last_lsn, sweep: None };
        self.save().await?;
        Ok(Step::CaughtUp)
    }

    async fn save(&mut self) -> Result<(), SinkError> {
        if self.saved == self.cursor {
            return Ok(());
        }
        let (dir, name, cursor) = (self.store.dir().to_owned(), self.config.name.clone(), self.cursor.clone());
        blocking(move || cursor.save(&dir, &name)).await??;
        self.saved = self.cursor.clone();
        Ok(())
    }

    /// The next time of the nightly comparison.
    fn next_night(&self) -> i64 {
        let now_ms = self.clock.now().as_millisecond();
        let at_ms = i64::try_from(self.config.reconcile_at.as_millis()).unwrap_or(0);
        let today = now_ms.div_euclid(DAY_MS) * DAY_MS + at_ms;
        if today > now_ms { today } else { today + DAY_MS }
    }

    /// Compares the last days with the store, and mends them. A comparison that fails is one that was not made: it is said.
    async fn night(&self, rows: &Arc<Rows>, now_ms: i64, stop: &CancellationToken) {
        let end_ms = now_ms.div_euclid(DAY_MS) * DAY_MS;
        let first_ms = end_ms - i64::from(self.config.reconcile_days) * DAY_MS;
        let (dir, config, rows, stop) = (self.store.dir().to_owned(), self.config.clone(), rows.clone(), stop.clone());
        let handle = Handle::current();
        // It reads days of the store: on a thread where nobody else waits.
        let compared = blocking(move || {
            let reader = Reader::open(&dir).map_err(|err| daemon::chain(&err))?;
            handle.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => Ok(None),
                    compared = reconcile(&config, &rows, &reader, first_ms, end_ms, true) => {
                        compared.map(Some).map_err(|err| daemon::chain(&err as &ReconcileError))
                    }
                }
            })
        })
        .await;
        match compared {
            Ok(Ok(Some(done))) => {
                let left = done.left();
                info!(sink = self.config.name, done.compared, done.different, done.repaired, left, "compared the sink with the store");
                if left > 0 {
                    warn!(sink = self.config.name, left, first = ?done.unresolved.first(), "the sink differs from the store, and could not be mended");
                }
                self.shown.reconciled(done);
            }
            Ok(Ok(None)) => {}
            Ok(Err(said)) => self.not_compared(&said),
            Err(err) => self.not_compared(&daemon::chain(&err)),
        }
    }

    fn not_compared(&self, said: &str) {
        warn!(sink = self.config.name, error = said, "the sink was not compared with the store; it is tried again tomorrow");
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SinkError> {
    Handle::current().spawn_blocking(work).await.map_err(|_panicked| SinkError::Panicked)
}
