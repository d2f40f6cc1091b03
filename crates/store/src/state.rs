//! What is known after the manifest and the log have been read: the same for the writer and for a reader beside it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use ids::Slug;

use crate::amend::SealedRange;
use crate::audit::{Action, AuditEntry};
use crate::derived::month_range;
use crate::head::{FrozenRows, Head};
use crate::manifest::{ProfileRow, Received, Snapshot};
use crate::row::{Counters, DeadLetter, Origin, ProfilePeriod, ProfileSeen, Sample};
use crate::seq::SeqSet;
use crate::series::{Catalogue, SeriesId, SeriesKey};
use crate::wal::{Record, RowsHead};

/// A range of a facility whose readings were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DroppedRange {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// Its entry in the audit log.
    pub(crate) entry: u64,
    /// What came up to this entry of the log was dropped.
    pub(crate) lsn: u64,
}

type DeviceKey = (Slug, Slug, Slug);

/// Everything but the readings in segments.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) catalogue: Catalogue,
    pub(crate) head: Head,
    pub(crate) counters: Counters,
    /// Neither in the manifest nor on the way there.
    /// With the entry of the log that each came with.
    letters: Vec<(u64, DeadLetter)>,
    origins: Vec<Origin>,
    origin_ids: HashMap<Origin, u32>,
    received: HashMap<(u32, [u8; 16]), SeqSet>,
    profiles: HashMap<DeviceKey, BTreeMap<i64, ProfilePeriod>>,
    audit: Vec<AuditEntry>,
    seals: HashMap<(Slug, Slug), Vec<SealedRange>>,
    dropped: HashMap<(Slug, Slug), Vec<DroppedRange>>,
    /// What a flush moves, or tries to.
    frozen: Option<Arc<Frozen>>,
    // What neither the manifest nor the flush knows yet.
    series_saved: usize,
    origins_saved: usize,
    received_changed: HashSet<(u32, [u8; 16])>,
    profiles_changed: Vec<ProfileRow>,
    audit_saved: usize,
}

/// All that the manifest lacked as of an entry of the log.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) lsn: u64,
    pub(crate) counters: Counters,
    pub(crate) rows: Arc<FrozenRows>,
    /// Of the series that have readings in it, ascending.
    pub(crate) keys: Vec<(SeriesId, Arc<SeriesKey>)>,
    pub(crate) series: Vec<(SeriesId, Arc<SeriesKey>)>,
    pub(crate) origins: Vec<(u32, Origin)>,
    pub(crate) received: Vec<Received>,
    pub(crate) profiles: Vec<ProfileRow>,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) audit: Vec<AuditEntry>,
}

impl State {
    /// The state as of the manifest, or `None` when it contradicts itself.
    pub(crate) fn from_manifest(snapshot: &mut Snapshot) -> Option<Self> {
        let mut state = Self { counters: snapshot.counters, ..Self::default() };
        for (id, key) in snapshot.series.drain(..) {
            state.catalogue.add(id, key).then_some(())?;
        }
        for (id, origin) in snapshot.origins.drain(..) {
            state.add_origin(id, origin).then_some(())?;
        }
        for (origin, spool_id, ranges) in snapshot.received.drain(..) {
            let set = state.received.entry((origin, spool_id)).or_default();
            ranges.into_iter().for_each(|(first, last)| set.insert(first, last));
        }
        for ProfileRow { tenant, facility, device, period } in snapshot.profiles.drain(..) {
            state.profiles.entry((tenant, facility, device)).or_default().insert(period.from_ms, period);
        }
        snapshot.audit.drain(..).for_each(|entry| state.add_entry(entry));
        state.mark_saved();
        Some(state)
    }

    /// Applies what the log says, or says false when that cannot follow on what is known. [`Self::applied`] ends it.
    pub(crate) fn apply(&mut self, lsn: u64, record: Record) -> bool {
        match record {
            Record::Probe => {}
            Record::Series { id, key } => return self.catalogue.add(id, key),
            Record::Origin { id, origin } => return self.add_origin(id, origin),
            Record::Rows(rows) => {
                self.count(&rows.head, rows.rows.len() as u64);
                for (id, sample) in rows.rows {
                    if self.catalogue.get(id).is_none() {
                        return false;
                    }
                    self.head.gather(id, &Sample { lsn, ..sample });
                }
            }
            Record::Repeat { rows } => self.count_repeat(rows),
            Record::Letter(letter) => self.add_letter(lsn, letter),
            Record::Audit(entry) => {
                let follows = entry.number == self.audit.len() as u64 + 1 && entry.before == self.last_hash();
                self.add_entry(entry);
                return follows;
            }
            Record::Amended { rows } => {
                for (id, sample) in rows {
                    if self.catalogue.get(id).is_none() {
                        return false;
                    }
                    self.head.gather(id, &Sample { lsn, ..sample });
                }
            }
            Record::Profile { tenant, facility, device, period } => self.add_profile(ProfileRow { tenant, facility, device, period }),
        }
        true
    }

    /// The log is at its end.
    pub(crate) fn applied(&mut self) {
        self.head.gathered_all();
    }

    pub(crate) fn count(&mut self, rows: &RowsHead, accepted: u64) {
        self.counters.accepted += accepted;
        self.counters.duplicate += rows.duplicate;
        self.counters.conflict += rows.conflict;
        self.counters.batches += 1;
        let spool = (rows.origin, rows.spool_id);
        self.received.entry(spool).or_default().insert(rows.seq, rows.seq);
        self.received_changed.insert(spool);
    }

    pub(crate) fn count_repeat(&mut self, rows: u64) {
        self.counters.duplicate += rows;
        self.counters.batches += 1;
        self.counters.repeated_batches += 1;
    }

    pub(crate) fn add_letter(&mut self, lsn: u64, letter: DeadLetter) {
        self.counters.dead_letter += letter.points;
        self.letters.push((lsn, letter));
    }

    /// Of a reader: what came up to an entry of the log is in segments and in the manifest now.
    pub(crate) fn forget_through(&mut self, lsn: u64) {
        self.head.forget_through(lsn);
        self.letters.retain(|(of, _)| *of > lsn);
    }

    pub(crate) fn last_hash(&self) -> [u8; 32] {
        self.audit.last().map_or([0; 32], AuditEntry::hash)
    }

    /// The entry with its place in the chain.
    pub(crate) fn next_entry(&self, entry: AuditEntry) -> AuditEntry {
        AuditEntry { number: self.audit.len() as u64 + 1, before: self.last_hash(), ..entry }
    }

    pub(crate) fn add_entry(&mut self, entry: AuditEntry) {
        let AuditEntry { from_ms, to_ms, number, sealed_lsn: lsn, .. } = entry;
        let place = (entry.tenant.clone(), entry.facility.clone());
        match entry.action {
            Action::Seal => self.seals.entry(place).or_default().push(SealedRange { from_ms, to_ms, entry: number, lsn }),
            Action::Drop => self.dropped.entry(place).or_default().push(DroppedRange { from_ms, to_ms, entry: number, lsn }),
            Action::Amend | Action::Import => {}
        }
        self.audit.push(entry);
    }

    pub(crate) fn audit(&self) -> &[AuditEntry] {
        &self.audit
    }

    /// What was sealed of a facility, oldest first.
    pub(crate) fn seals(&self, tenant: &Slug, facility: &Slug) -> &[SealedRange] {
        self.seals.get(&(tenant.clone(), facility.clone())).map(Vec::as_slice).unwrap_or_default()
    }

    /// Up to which entry of the log readings of a series may have been dropped, somewhere in a range; 0 for none.
    pub(crate) fn dropped_lsn(&self, key: &SeriesKey, range: &Range<i64>) -> u64 {
        self.dropped(&key.tenant, &key.facility, range).map(|dropped| dropped.lsn).max().unwrap_or(0)
    }

    /// The first entry of the audit log by which readings of a facility were dropped in a range.
    pub(crate) fn dropped_by(&self, tenant: &Slug, facility: &Slug, range: &Range<i64>) -> Option<u64> {
        self.dropped(tenant, facility, range).map(|dropped| dropped.entry).next()
    }

    pub(crate) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Whether everything of a month up to an entry of the log was dropped.
    pub(crate) fn has_dropped_month(&self, tenant: &str, facility: &str, month: &str, max_lsn: u64) -> bool {
        let Some(range) = month_range(month) else { return false };
        let of_facility = |(key, _): &(&(Slug, Slug), &Vec<DroppedRange>)| key.0.as_str() == tenant && key.1.as_str() == facility;
        let covers = |dropped: &DroppedRange| dropped.from_ms <= range.start && dropped.to_ms >= range.end && max_lsn <= dropped.lsn;
        self.dropped.iter().filter(of_facility).any(|(_, dropped)| dropped.iter().any(covers))
    }

    fn dropped<'a>(&'a self, tenant: &Slug, facility: &Slug, range: &'a Range<i64>) -> impl Iterator<Item = &'a DroppedRange> {
        let dropped = self.dropped.get(&(tenant.clone(), facility.clone())).map(Vec::as_slice).unwrap_or_default();
        dropped.iter().filter(|dropped| dropped.from_ms < range.end && dropped.to_ms > range.start)
    }

    pub(crate) fn origin_id(&self, origin: &Origin) -> Option<u32> {
        self.origin_ids.get(origin).copied()
    }

    pub(crate) fn next_origin_id(&self) -> u32 {
        u32::try_from(self.origins.len() + 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn add_origin(&mut self, id: u32, origin: Origin) -> bool {
        if id != self.next_origin_id() {
            return false;
        }
        self.origin_ids.insert(origin.clone(), id);
        self.origins.push(origin);
        true
    }

    pub(crate) fn received(&self, origin: u32, spool_id: [u8; 16]) -> Option<&SeqSet> {
        self.received.get(&(origin, spool_id))
    }

    /// Every spool that anything was received of.
    pub(crate) fn spools(&self) -> impl Iterator<Item = (&Origin, [u8; 16], &SeqSet)> {
        self.received.iter().filter_map(|((origin, spool_id), set)| {
            let index = usize::try_from(*origin).ok()?.checked_sub(1)?;
            Some((self.origins.get(index)?, *spool_id, set))
        })
    }

    /// The period that begins with this profile, unless it is in effect already.
    pub(crate) fn new_period(&self, origin: &Origin, seen: &ProfileSeen, from_ms: i64) -> Option<ProfilePeriod> {
        let key = (origin.tenant.clone(), origin.facility.clone(), seen.device.clone());
        let in_effect = self.profiles.get(&key).and_then(|periods| periods.range(..=from_ms).next_back());
        let same = in_effect.is_some_and(|(_, period)| {
            period.profile_hash == seen.profile_hash && period.config_hash == seen.config_hash && period.profile == seen.profile
        });
        let ProfileSeen { profile, profile_hash, config_hash, .. } = seen.clone();
        (!same).then_some(ProfilePeriod { from_ms, profile, profile_hash, config_hash })
    }

    pub(crate) fn add_profile(&mut self, row: ProfileRow) {
        let key = (row.tenant.clone(), row.facility.clone(), row.device.clone());
        self.profiles.entry(key).or_default().insert(row.period.from_ms, row.period.clone());
        self.profiles_changed.push(row);
    }

    pub(crate) fn profiles(&self, tenant: &Slug, facility: &Slug, device: &Slug) -> Vec<ProfilePeriod> {
        let key = (tenant.clone(), facility.clone(), device.clone());
        self.profiles.get(&key).map(|periods| periods.values().cloned().collect()).unwrap_or_default()
    }

    /// Dead letters that the manifest may not have, oldest first.
    pub(crate) fn letters(&self) -> impl DoubleEndedIterator<Item = &DeadLetter> {
        self.frozen.iter().flat_map(|frozen| &frozen.letters).chain(self.letters.iter().map(|(_, letter)| letter))
    }

    /// What a flush has to move: what is left of the last one that failed, or else everything as of now.
    pub(crate) fn freeze(&mut self, lsn: u64) -> Arc<Frozen> {
        if let Some(frozen) = &self.frozen {
            return frozen.clone();
        }
        let rows = self.head.freeze();
        let keys = rows.ids().into_iter().filter_map(|id| Some((id, self.catalogue.shared(id)?.clone()))).collect();
        let ranges = |spool: &(u32, [u8; 16])| self.received.get(spool).map(|set| set.ranges().collect()).unwrap_or_default();
        let frozen = Arc::new(Frozen {
            lsn,
            counters: self.counters,
            rows,
            keys,
            series: self.catalogue.later(self.series_saved),
            origins: (1..).zip(&self.origins).skip(self.origins_saved).map(|(id, origin)| (id, origin.clone())).collect(),
            received: self.received_changed.iter().map(|spool| (spool.0, spool.1, ranges(spool))).collect(),
            profiles: std::mem::take(&mut self.profiles_changed),
            letters: std::mem::take(&mut self.letters).into_iter().map(|(_, letter)| letter).collect(),
            audit: self.audit.iter().skip(self.audit_saved).cloned().collect(),
        });
        self.received_changed.clear();
        self.mark_saved();
        self.frozen = Some(frozen.clone());
        frozen
    }

    fn mark_saved(&mut self) {
        self.series_saved = self.catalogue.len();
        self.origins_saved = self.origins.len();
        self.audit_saved = self.audit.len();
    }

    /// Whether the manifest has everything.
    pub(crate) fn is_saved(&self) -> bool {
        self.frozen.is_none()
            && self.head.rows() == 0
            && self.letters.is_empty()
            && self.received_changed.is_empty()
            && self.profiles_changed.is_empty()
            && self.audit.len() == self.audit_saved
            && self.catalogue.len() == self.series_saved
            && self.origins.len() == self.origins_saved
    }

    /// The manifest now has what was frozen.
    pub(crate) fn flushed(&mut self) {
        self.frozen = None;
        self.head.flushed();
    }
}
