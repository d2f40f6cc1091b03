//! What the threads of the writing process share, and who waits for whom.
//!
//! A commit needs `inner` alone, and nobody keeps that while he writes a segment or the manifest. Whoever needs more
//! than one of the locks takes them in this order: `merging`, `flushing`, `published`, `inner`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::amend::{AmendError, Seal};
use crate::archive::{Archive, FlushError, Published};
use crate::audit::AuditEntry;
use crate::care::sha256;
use crate::compact::{Eagerness, Merge};
use crate::derived::{Derivation, DerivedRow};
use crate::fault::{self, Step};
use crate::flush::{Place, write_all};
use crate::intake::CommitError;
use crate::state::Frozen;
use crate::store::Options;
use crate::upkeep::Upkeep;
use crate::wal::{Wal, WalError};

#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    published: Mutex<Published>,
    /// Held by who moves readings to segments.
    flushing: Mutex<()>,
    /// Held by who merges segments.
    merging: Mutex<()>,
    stopping: AtomicBool,
    dir: PathBuf,
}

/// What a commit needs.
#[derive(Debug)]
pub(crate) struct Inner {
    options: Options,
    pub(crate) archive: Archive,
    pub(crate) wal: Wal,
    /// After a flush that failed: what must wait in memory or in the log before the next one is tried.
    flush_again: Waiting,
    pub(crate) buffers: (Vec<u8>, Vec<u8>),
    pub(crate) upkeep: Upkeep,
}

/// What a flush would take away.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    rows: usize,
    log_files: usize,
}

impl Shared {
    /// Files of quarters that are made before the next merges: the first time there may be years of them.
    const DERIVED_MAX: u32 = 64;

    pub(crate) fn new(inner: Inner, published: Published) -> Self {
        let dir = inner.archive.dir.clone();
        let (inner, published) = (Mutex::new(inner), Mutex::new(published));
        Self { inner, published, flushing: Mutex::new(()), merging: Mutex::new(()), stopping: AtomicBool::new(false), dir }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics while it holds the store")
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().expect("no thread panics while it holds the manifest")
    }

    /// Empties SQLite's own log, if it can be: the next start does without.
    pub(crate) fn settle(&self) {
        let Ok(mut published) = self.published.lock() else { return };
        if let Err(err) = published.manifest.settle() {
            let error: &(dyn std::error::Error + 'static) = &err;
            tracing::warn!(error, "the manifest keeps SQLite's log beside it");
        }
    }

    /// No flush and no merge begins from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The store for a commit. When too much waits for segments already, it waits for them.
    ///
    /// * Errors: too much waits, and cannot be written to segments.
    pub(crate) fn ready(&self) -> Result<MutexGuard<'_, Inner>, CommitError> {
        loop {
            let inner = self.lock();
            let rows = inner.archive.state.head.rows();
            if !inner.is_behind() {
                return Ok(inner);
            }
            drop(inner);
            // The flush that is under way may be enough: then this commit does not wait for one more.
            let _one = self.flushing.lock().expect("no thread panics while it flushes");
            let behind = self.lock().is_behind();
            if behind {
                self.flush_all().map_err(|err| CommitError::Behind { rows, err })?;
            }
        }
    }

    /// Moves to segments what is in memory now. Commits go on meanwhile.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let _one = self.flushing.lock().expect("no thread panics while it flushes");
        self.flush_all()
    }

    pub(crate) fn flush_all(&self) -> Result<(), FlushError> {
        let target = self.lock().wal.last_lsn();
        // Twice when one that failed is made up for first.
        loop {
            let Some(frozen) = self.lock().freeze()? else { return Ok(()) };
            self.write_out(&frozen)?;
            if frozen.lsn >= target {
                return Ok(());
            }
        }
    }

    fn write_out(&self, frozen: &Frozen) -> Result<(), FlushError> {
        let began = Instant::now();
        let written = self.write_out_now(frozen);
        self.lock().upkeep.flushes.add(began);
        written
    }

    fn write_out_now(&self, frozen: &Frozen) -> Result<(), FlushError> {
        let encoders = frozen.encode(&self.dir)?;
        let (first, lsns) = self.lock().archive.reserve(encoders.len(), frozen);
        let added = write_all(&self.dir, first, lsns, encoders)?;
        let mut published = self.published();
        let inner = self.lock();
        let (next_segment, removed) = (inner.archive.next_segment, inner.archive.dropped_segments());
        drop(inner);
        published.flush(&self.dir, frozen, next_segment, &added, &removed)?;
        let mut inner = self.lock();
        inner.archive.flushed(frozen, added, &removed);
        inner.let_go(frozen.lsn)
    }

    /// Seals a range of everything that was committed before this returns.
    pub(crate) fn seal(&self, seal: &Seal) -> Result<AuditEntry, AmendError> {
        let _one = self.flushing.lock().expect("no thread panics while it flushes");
        self.lock().sealable(seal)?;
        self.flush_all()?;
        // What came meanwhile is little: it is moved while nothing else comes.
        let mut published = self.published();
        let mut inner = self.lock();
        inner.sealable(seal)?;
        if let Some(frozen) = inner.freeze()? {
            inner.archive.write_out(&mut published, frozen.lsn)?;
            inner.let_go(frozen.lsn)?;
        }
        inner.seal(seal)
    }

    /// Merges until nothing is due, and makes the files of quarters that are due. Commits go on meanwhile.
    pub(crate) fn merge(&self, eagerness: Eagerness) -> Result<(), FlushError> {
        let _one = self.merging.lock().expect("no thread panics while it merges");
        let mut replaced_before = None;
        if eagerness == Eagerness::Whole {
            self.forget_damaged();
            // Whether or not there is anything to merge, what an earlier round replaced goes.
            replaced_before = Some(self.published().manifest.retired()?);
        }
        while !self.is_stopping() {
            let Some(merge) = self.lock().archive.next_merge(eagerness) else { break };
            if replaced_before.is_none() {
                replaced_before = Some(self.published().manifest.retired()?);
            }
            self.merge_one(&merge)?;
        }
        let derived = self.derive(eagerness, &mut replaced_before);
        // A reader that opened before this round still has the files that it replaced, and not those of an earlier one.
        self.published().remove_retired(&self.dir, &replaced_before.unwrap_or_default())?;
        derived
    }

    fn merge_one(&self, merge: &Merge) -> Result<(), FlushError> {
        let began = Instant::now();
        let merged = merge.run(&self.dir);
        self.lock().upkeep.merges.add(began);
        let merged = merged?;
        let mut published = self.published();
        let next_segment = self.lock().archive.next_segment;
        published.merge(&self.dir, merge, &merged, next_segment)?;
        self.lock().archive.flushed.change(vec![merged], &merge.removed().collect());
        Ok(())
    }

    /// Forgets files of quarters that are not what was written and can be made anew.
    pub(crate) fn forget_damaged(&self) {
        let inner = self.lock();
        let (rows, audit) = (inner.archive.derived.clone(), inner.archive.state.audit().to_vec());
        drop(inner);
        let is_whole = |row: &DerivedRow| sha256(&self.dir.join(&row.path)).is_ok_and(|found| found == row.sha256);
        let damaged: HashSet<String> =
            rows.into_iter().filter(|row| !is_whole(row) && !row.is_all_there_is(&audit)).map(|row| row.path).collect();
        self.lock().archive.derived.retain(|row| !damaged.contains(&row.path));
    }

    /// Makes the files of quarters that are due. Where one cannot be made, the others are.
    ///
    /// * Errors: the first of them, when everything was to be done. Otherwise answers only take longer.
    fn derive(&self, eagerness: Eagerness, replaced_before: &mut Option<Vec<String>>) -> Result<(), FlushError> {
        let (mut given_up, mut first, mut made) = (HashSet::new(), Ok(()), 0);
        while !self.is_stopping() && (eagerness == Eagerness::Whole || made < Self::DERIVED_MAX) {
            let Some(derivation) = self.lock().next_derivation(eagerness, &given_up) else { break };
            made += 1;
            if replaced_before.is_none() {
                *replaced_before = Some(self.published().manifest.retired()?);
            }
            if let Err(err) = self.derive_one(&derivation) {
                let error: &(dyn std::error::Error + 'static) = &err;
                tracing::warn!(error, month = derivation.place.month, "quarters of an hour are put together when they are asked for");
                given_up.insert(derivation.place);
                if first.is_ok() && eagerness == Eagerness::Whole {
                    first = Err(err);
                }
            }
        }
        first
    }

    /// Brings the file of a month up to date, and gives the entry of the log as of which it is.
    pub(crate) fn derive_month(&self, place: Place) -> Result<u64, FlushError> {
        let Some(derivation) = self.lock().archive.derivation_of(place.clone()) else {
            let inner = self.lock();
            let file = inner.archive.derived.iter().find(|row| row.is_of(&place.tenant, &place.facility, &place.month));
            return Ok(file.map_or(0, |row| row.through_lsn));
        };
        self.derive_one(&derivation)?;
        Ok(derivation.through_lsn())
    }

    /// As long as these are held, no segment comes or goes.
    pub(crate) fn hold_segments(&self) -> (MutexGuard<'_, ()>, MutexGuard<'_, ()>) {
        let merging = self.merging.lock().expect("no thread panics while it merges");
        (merging, self.flushing.lock().expect("no thread panics while it flushes"))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn derive_one(&self, derivation: &Derivation) -> Result<(), FlushError> {
        let began = Instant::now();
        let made = derivation.run(&self.dir);
        self.lock().upkeep.derivations.add(began);
        let row = made?;
        let mut published = self.published();
        let next_segment = self.lock().archive.next_segment;
        published.derive(&self.dir, &row, next_segment)?;
        self.lock().archive.derived(row);
        Ok(())
    }
}

impl Inner {
    /// Commits wait when this many times the flush limit waits in memory or in the log.
    pub(crate) const BEHIND: usize = 4;
    /// A flush is due when so many files of log wait, even without readings: dead letters and repeats fill it too.
    const LOG_FILES_MAX: usize = 16;

    pub(crate) fn new(options: Options, archive: Archive, wal: Wal) -> Self {
        Self { options, archive, wal, flush_again: Waiting::default(), buffers: (Vec::new(), Vec::new()), upkeep: Upkeep::default() }
    }

    fn next_derivation(&mut self, eagerness: Eagerness, given_up: &HashSet<Place>) -> Option<Derivation> {
        self.archive.next_derivation(eagerness, self.options.quarters_from, given_up)
    }

    fn waiting(&self) -> Waiting {
        Waiting { rows: self.archive.state.head.rows(), log_files: self.wal.sealed_files() }
    }

    fn is_behind(&self) -> bool {
        let Waiting { rows, log_files } = self.waiting();
        rows >= self.options.flush_rows.saturating_mul(Self::BEHIND) || log_files >= Self::LOG_FILES_MAX * Self::BEHIND
    }

    /// Whether enough waits. After a flush that failed: whether another eighth has come, because each attempt encodes
    /// everything anew.
    pub(crate) fn is_flush_due(&self) -> bool {
        let (waits, Waiting { rows, log_files }) = (self.waiting(), self.flush_again);
        waits.rows >= self.options.flush_rows.max(rows) || waits.log_files >= Self::LOG_FILES_MAX.max(log_files)
    }

    /// Remembers how a flush went that nobody waits for.
    pub(crate) fn flush_ended(&mut self, result: &Result<(), FlushError>) {
        let Err(err) = result else {
            self.flush_again = Waiting::default();
            return;
        };
        let (error, waits): (&(dyn std::error::Error + 'static), _) = (err, self.waiting());
        tracing::warn!(error, rows = waits.rows, "readings stay in the log: segments cannot be written");
        let rows = waits.rows + (self.options.flush_rows / 8).max(1);
        self.flush_again = Waiting { rows, log_files: waits.log_files + Self::LOG_FILES_MAX / 8 };
    }

    /// What a flush has to move, if there is anything.
    pub(crate) fn freeze(&mut self) -> Result<Option<Arc<Frozen>>, FlushError> {
        if self.wal.stopped() {
            return Err(WalError::Stopped { path: self.wal.dir().to_owned() }.into());
        }
        let nothing = self.archive.state.is_saved() && self.wal.sealed_files() == 0;
        Ok((!nothing).then(|| self.archive.state.freeze(self.wal.last_lsn())))
    }

    /// Lets go of the log up to an entry.
    pub(crate) fn let_go(&mut self, lsn: u64) -> Result<(), FlushError> {
        // What is sealed goes first: on a full disk a new file needs its space.
        self.wal.trim(lsn)?;
        // A file that commits go on in stays until the next flush.
        if self.wal.last_lsn() == lsn && !self.wal.is_fresh() {
            self.wal.roll(0)?;
            self.wal.trim(lsn)?;
        }
        fault::hit(Step::LogTrimmed).map_err(WalError::io("trim", self.wal.dir()))?;
        Ok(())
    }
}
