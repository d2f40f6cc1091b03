//! Reading beside the process that writes.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ids::Slug;

use crate::amend::{Digest, SealedRange};
use crate::archive::apply;
use crate::audit::AuditEntry;
use crate::complete::newest;
use crate::derived::{DerivedRow, Quarter, quarters};
use crate::flushed::{Flushed, SegmentError};
use crate::manifest::{Changes, Manifest};
use crate::row::{Counters, DeadLetter, ProfilePeriod, Sample};
use crate::series::{SeriesId, SeriesInfo, SeriesKey};
use crate::state::State;
use crate::store::{OpenError, SpoolState};
use crate::wal::{Reading, Tail, WalError, replay};

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Readings, every version counted.
    pub rows: u64,
    pub series: u64,
    pub segments: u64,
    pub segment_bytes: u64,
    pub counters: Counters,
}

/// A file of readings of one facility and month of UTC: Parquet, with the names of its series in the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    pub path: PathBuf,
    pub tenant: String,
    pub facility: String,
    /// `2026-01`.
    pub month: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// The store as it was at one moment: later commits do not show. It holds no lock and never disturbs the writer.
#[derive(Debug)]
pub struct Reader {
    state: State,
    flushed: Flushed,
    derived: Vec<DerivedRow>,
    letters: Vec<DeadLetter>,
    dir: PathBuf,
    flushed_lsn: u64,
    last_lsn: u64,
}

impl Reader {
    /// A flush may take the log away while it is being read: then the manifest has what was in it, and is read again.
    const ATTEMPTS: u32 = 40;
    const PAUSE: Duration = Duration::from_millis(25);
    pub(crate) const LETTERS_MAX: u32 = 1_000;

    /// Takes a snapshot.
    ///
    /// * Errors: there is no store; it is damaged.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_following(dir).map(|(reader, ..)| reader)
    }

    /// As [`Self::open`], with what [`Readers`](crate::Readers) need to bring it up to date: the manifest, its version before it was
    /// read, and where the log ended.
    pub(crate) fn open_following(dir: &Path) -> Result<(Self, Manifest, i64, Option<Tail>), OpenError> {
        let manifest_path = dir.join("manifest.sqlite");
        if !manifest_path.exists() {
            return Err(OpenError::Absent { dir: dir.to_owned() });
        }
        let mut attempt = 1;
        loop {
            match Self::snapshot(dir, &manifest_path) {
                Err(OpenError::Wal(err)) if raced(&err) && attempt < Self::ATTEMPTS => {
                    attempt += 1;
                    std::thread::sleep(Self::PAUSE);
                }
                done => return done,
            }
        }
    }

    fn snapshot(dir: &Path, manifest_path: &Path) -> Result<(Self, Manifest, i64, Option<Tail>), OpenError> {
        let mut manifest = Manifest::open_beside(manifest_path)?;
        let version = manifest.version()?;
        let mut snapshot = manifest.load()?;
        let letters = manifest.letters(Self::LETTERS_MAX)?;
        let mut state = State::from_manifest(&mut snapshot).ok_or_else(|| OpenError::Contradiction { dir: dir.to_owned() })?;
        let wal_dir = dir.join("wal");
        let replayed =
            replay(&wal_dir, snapshot.flushed_lsn, Reading::Beside, |lsn, payload| Ok::<_, OpenError>(apply(&mut state, lsn, payload)))?;
        state.applied();
        let tail = Tail::at_end(&wal_dir, &replayed)?;
        let reader = Self {
            state,
            flushed: Flushed::new(dir, snapshot.segments),
            derived: snapshot.derived,
            letters,
            dir: dir.to_owned(),
            flushed_lsn: snapshot.flushed_lsn,
            last_lsn: replayed.next_lsn - 1,
        };
        Ok((reader, manifest, version, tail))
    }

    /// Takes in an entry of the log that follows on the last. [`Self::followed`] ends it.
    pub(crate) fn follow(&mut self, lsn: u64, payload: &[u8]) -> bool {
        self.last_lsn = lsn;
        apply(&mut self.state, lsn, payload)
    }

    pub(crate) fn followed(&mut self) {
        self.state.applied();
    }

    /// Takes in what the manifest says, of a log that it has read that far.
    pub(crate) fn change(&mut self, changes: Changes, letters: Vec<DeadLetter>) {
        self.flushed.change(changes.added, &changes.removed);
        self.derived = changes.derived;
        self.letters = letters;
        if changes.flushed_lsn > self.flushed_lsn {
            self.flushed_lsn = changes.flushed_lsn;
            self.state.forget_through(changes.flushed_lsn);
        }
    }

    /// The series of a facility, by number.
    #[must_use]
    pub fn series(&self, tenant: &Slug, facility: &Slug) -> Vec<SeriesInfo> {
        let of_facility = |key: &SeriesKey| key.tenant == *tenant && key.facility == *facility;
        let found = self.state.catalogue.iter().filter(|(_, key)| of_facility(key));
        found.map(|(id, key)| SeriesInfo { id, key: key.clone() }).collect()
    }

    /// Every series, by number.
    #[must_use]
    pub fn all_series(&self) -> Vec<SeriesInfo> {
        self.state.catalogue.iter().map(|(id, key)| SeriesInfo { id, key: key.clone() }).collect()
    }

    /// What a series is.
    #[must_use]
    pub fn key(&self, series: SeriesId) -> Option<&SeriesKey> {
        self.state.catalogue.get(series)
    }

    pub(crate) fn series_count(&self) -> usize {
        self.state.catalogue.len()
    }

    /// The readings of a series with `range.start <= ts_ms < range.end`, in order of time, the newest version of each.
    ///
    /// In a sealed range: what was sealed, and what was amended with an approval since. [`Self::held_back`] has the rest.
    pub fn scan(&self, series: SeriesId, range: Range<i64>) -> Result<Vec<Sample>, SegmentError> {
        let (mut samples, ascending) = self.versions(series, &range)?;
        let seals = self.seals_of(series);
        if !seals.is_empty() {
            samples.retain(|sample| !seals.iter().any(|seal| seal.holds_back(sample)));
        }
        if !ascending {
            newest(&mut samples);
        }
        Ok(samples)
    }

    /// As [`Self::scan`], with every version.
    pub fn history(&self, series: SeriesId, range: Range<i64>) -> Result<Vec<Sample>, SegmentError> {
        Ok(self.versions(series, &range)?.0)
    }

    /// Every version in order, and whether each time is there once.
    fn versions(&self, series: SeriesId, range: &Range<i64>) -> Result<(Vec<Sample>, bool), SegmentError> {
        let (mut samples, mut ascending) = self.flushed.scan_ascending(series, range)?;
        let mut last = samples.last().map(|sample| sample.ts_ms);
        for sample in self.state.head.sorted(series).into_iter().filter(|sample| range.contains(&sample.ts_ms)) {
            ascending = ascending && last < Some(sample.ts_ms);
            last = Some(sample.ts_ms);
            samples.push(sample);
        }
        if !ascending {
            samples.sort_by_key(|sample| (sample.ts_ms, sample.version));
        }
        Ok((samples, ascending))
    }

    /// Readings that came for a sealed range after the seal, and that nobody has approved.
    pub fn held_back(&self, series: SeriesId, range: Range<i64>) -> Result<Vec<Sample>, SegmentError> {
        let mut samples = self.history(series, range)?;
        let seals = self.seals_of(series);
        samples.retain(|sample| seals.iter().any(|seal| seal.holds_back(sample)));
        Ok(samples)
    }

    /// What was sealed of a facility, oldest first.
    #[must_use]
    pub fn seals(&self, tenant: &Slug, facility: &Slug) -> &[SealedRange] {
        self.state.seals(tenant, facility)
    }

    /// How many readings a range of a facility had as of an entry of the log, and SHA-256 over them: what a seal says.
    pub(crate) fn digest(&self, tenant: &Slug, facility: &Slug, range: Range<i64>, lsn: u64) -> Result<(u64, [u8; 32]), SegmentError> {
        let mut digest = Digest::default();
        for info in self.series(tenant, facility) {
            digest.add(info.id, &self.as_of(info.id, range.clone(), lsn)?);
        }
        Ok(digest.finish())
    }

    pub(crate) fn seals_of(&self, series: SeriesId) -> &[SealedRange] {
        self.state.catalogue.get(series).map(|key| self.state.seals(&key.tenant, &key.facility)).unwrap_or_default()
    }

    /// Every change that somebody answers for, oldest first.
    #[must_use]
    pub fn audit(&self) -> &[AuditEntry] {
        self.state.audit()
    }

    /// The profiles by which a device was decoded, in order of time.
    #[must_use]
    pub fn profiles(&self, tenant: &Slug, facility: &Slug, device: &Slug) -> Vec<ProfilePeriod> {
        self.state.profiles(tenant, facility, device)
    }

    /// What there is in all.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let segments = self.flushed.segments();
        Totals {
            rows: segments.iter().map(|segment| segment.rows).sum::<u64>() + self.state.head.rows() as u64,
            series: self.state.catalogue.len() as u64,
            segments: segments.len() as u64,
            segment_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            counters: self.state.counters,
        }
    }

    /// The files that readings are in: immutable, whole, and known by what they hold.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentFile> {
        let file = |row: &crate::manifest::SegmentRow| SegmentFile {
            path: self.dir.join(&row.path),
            tenant: row.tenant.clone(),
            facility: row.facility.clone(),
            month: row.month.clone(),
            rows: row.rows,
            bytes: row.bytes,
            sha256: row.sha256.clone(),
        };
        self.flushed.segments().iter().map(file).collect()
    }

    /// Every spool that anything was received of.
    #[must_use]
    pub fn spools(&self) -> Vec<SpoolState> {
        let spools = self.state.spools();
        spools.map(|(origin, spool_id, set)| SpoolState { origin: origin.clone(), spool_id, ack: set.ack_state() }).collect()
    }

    /// The latest thousand dead letters, newest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.state.letters().rev().chain(&self.letters).take(1_000).cloned().collect()
    }

    /// Tenants and facilities that have any series.
    #[must_use]
    pub fn facilities(&self) -> Vec<(Slug, Slug)> {
        let mut facilities: Vec<_> = self.state.catalogue.iter().map(|(_, key)| (key.tenant.clone(), key.facility.clone())).collect();
        let mut seen = HashSet::new();
        facilities.retain(|facility| seen.insert(facility.clone()));
        facilities
    }

    /// The last entry of the log that this snapshot has: what [`Self::as_of`] takes.
    #[must_use]
    pub fn last_lsn(&self) -> u64 {
        self.last_lsn
    }

    /// Where the store lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last entry of the log that is in segments.
    #[must_use]
    pub fn flushed_lsn(&self) -> u64 {
        self.flushed_lsn
    }

    pub(crate) fn flushed(&self) -> &Flushed {
        &self.flushed
    }

    /// Whether readings of a facility were dropped in a range.
    pub(crate) fn was_dropped(&self, tenant: &Slug, facility: &Slug, range: &Range<i64>) -> bool {
        self.state.dropped_by(tenant, facility, range).is_some()
    }

    /// Readings that the audit log says are dropped, and that the next flush takes away.
    pub(crate) fn about_to_go(&self) -> u64 {
        let goes = |row: &&crate::manifest::SegmentRow| self.state.has_dropped_month(&row.tenant, &row.facility, &row.month, row.max_lsn);
        self.flushed.segments().iter().filter(goes).map(|row| row.rows).sum()
    }

    /// The quarters of what is in segments up to an entry of the log: what a file as of it says.
    pub(crate) fn quarters_through(&self, series: SeriesId, range: Range<i64>, lsn: u64) -> Result<Vec<Quarter>, SegmentError> {
        let mut samples = self.flushed.scan(series, &range)?;
        let seals = self.seals_of(series);
        samples.retain(|sample| sample.lsn <= lsn && !seals.iter().any(|seal| seal.holds_back(sample)));
        samples.sort_by_key(|sample| (sample.ts_ms, sample.version));
        newest(&mut samples);
        Ok(quarters(&samples))
    }

    /// The files of quarters.
    pub(crate) fn derived(&self) -> &[DerivedRow] {
        &self.derived
    }

    /// Up to which entry of the log readings of a series may have been dropped, somewhere in a range.
    pub(crate) fn dropped_lsn(&self, key: &SeriesKey, range: &Range<i64>) -> u64 {
        self.state.dropped_lsn(key, range)
    }

    pub(crate) fn head(&self) -> &crate::head::Head {
        &self.state.head
    }
}

fn raced(err: &WalError) -> bool {
    match err {
        WalError::Hole { .. } | WalError::Damaged { offset: 0, .. } => true,
        WalError::Io { err, .. } => err.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
