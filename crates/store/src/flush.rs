//! From memory to segments.
//!
//! What is moved is taken aside first and does not change any more: commits go on while it is encoded and written. Write to a temporary name, sync, rename, sync the folder, then one transaction: until the transaction the new files
//! are strangers that the next start removes, and from it on they are the truth. The log is trimmed last.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ids::Slug;
use sha2::{Digest, Sha256};

use crate::archive::{Archive, FlushError, Published};
use crate::derived::month_of;
use crate::fault::{self, Step};
use crate::manifest::{ManifestError, Publication, SegmentRow};
use crate::segment::{Encoder, Packing};
use crate::state::Frozen;
use crate::wal::WalError;

/// Which readings a segment holds: those of one facility in one month of UTC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: String,
    pub(crate) facility: String,
    /// `2026-01`.
    pub(crate) month: String,
}

impl Archive {
    /// Moves what is in memory to segments, for one who has the store for himself; everything up to `lsn` is there then.
    pub(crate) fn write_out(&mut self, published: &mut Published, lsn: u64) -> Result<(), FlushError> {
        let frozen = self.state.freeze(lsn);
        let encoders = frozen.encode(&self.dir)?;
        let (first, lsns) = self.reserve(encoders.len(), &frozen);
        let added = write_all(&self.dir, first, lsns, encoders)?;
        let removed = self.dropped_segments();
        published.flush(&self.dir, &frozen, self.next_segment, &added, &removed)?;
        self.flushed(&frozen, added, &removed);
        Ok(())
    }
}

impl Frozen {
    /// Its readings, place by place.
    pub(crate) fn encode(&self, dir: &Path) -> Result<BTreeMap<Place, Encoder>, FlushError> {
        let failed = |err| FlushError::Encode { path: dir.join("segments"), err };
        let mut places: BTreeMap<(&Slug, &Slug, String), Encoder> = BTreeMap::new();
        let (mut month, mut keys) = (MonthOf::default(), self.keys.iter().peekable());
        let encoded = self.rows.by_day(|id, day, samples| {
            while keys.next_if(|(other, _)| *other < id).is_some() {}
            let Some((_, key)) = keys.peek().filter(|(other, _)| *other == id) else { return Ok(()) };
            let place = (&key.tenant, &key.facility, month.of(day));
            let encoder = match places.entry(place) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Encoder::new(Some(self.lsn), Packing::Fast)?),
            };
            encoder.push(id, key, samples)
        });
        encoded.map_err(failed)?;
        let owned =
            |(tenant, facility, month): (&Slug, &Slug, String)| Place { tenant: tenant.to_string(), facility: facility.to_string(), month };
        Ok(places.into_iter().map(|(place, encoder)| (owned(place), encoder)).collect())
    }
}

/// Writes segments, numbered from `first` on. They are strangers until the manifest has them.
pub(crate) fn write_all(
    dir: &Path,
    first: i64,
    lsns: (u64, u64),
    encoders: BTreeMap<Place, Encoder>,
) -> Result<Vec<SegmentRow>, FlushError> {
    let ids = first..first.saturating_add(i64::try_from(encoders.len()).unwrap_or(i64::MAX));
    let mut added = Vec::new();
    let written = ids
        .clone()
        .zip(encoders)
        .try_for_each(|(id, (place, encoder))| write(dir, id, &place, 0, lsns, encoder).map(|row| added.push(row)))
        .and_then(|()| sync_segments(dir, !added.is_empty()));
    if let Err(err) = written {
        // None is left behind: a full disk would only be filled further by trying again.
        discard(dir, ids);
        return Err(err);
    }
    Ok(added)
}

impl Published {
    /// Says in the manifest where everything that was frozen is.
    pub(crate) fn flush(
        &mut self,
        dir: &Path,
        frozen: &Frozen,
        next_segment: i64,
        added: &[SegmentRow],
        removed: &HashSet<i64>,
    ) -> Result<(), FlushError> {
        let publication = Publication {
            flushed_lsn: frozen.lsn,
            next_segment,
            counters: frozen.counters,
            series: frozen.series.iter().map(|(id, key)| (*id, key.as_ref())).collect(),
            origins: frozen.origins.iter().map(|(id, origin)| (*id, origin)).collect(),
            received: frozen.received.clone(),
            profiles: frozen.profiles.clone(),
            letters: frozen.letters.iter().collect(),
            audit: frozen.audit.iter().collect(),
            added: added.iter().collect(),
            removed: removed.iter().copied().collect(),
            ..Publication::default()
        };
        if let Err(err) = self.manifest.publish(&publication) {
            return Err(self.not_published(dir, added, err));
        }
        (self.flushed_lsn, self.counters) = (frozen.lsn, frozen.counters);
        fault::hit(Step::ManifestPublished).map_err(WalError::io("trim", dir))?;
        if let Some(entry) = frozen.audit.last()
            && let Err(error) = crate::audit::anchor(dir, entry)
        {
            tracing::warn!(%error, audit.entry = entry.number, "the anchor of the audit log could not be written");
        }
        Ok(())
    }

    /// A manifest that failed may have changed all the same. Segments are removed only when it says that it has not.
    pub(crate) fn not_published(&mut self, dir: &Path, added: &[SegmentRow], err: ManifestError) -> FlushError {
        for row in added {
            if matches!(self.manifest.has_segment(row.id), Ok(false)) {
                discard(dir, row.id..row.id + 1);
            }
        }
        err.into()
    }
}

/// Writes and syncs one segment; the folder is not synced yet.
pub(crate) fn write(
    dir: &Path,
    id: i64,
    place: &Place,
    level: u8,
    (min_lsn, max_lsn): (u64, u64),
    encoder: Encoder,
) -> Result<SegmentRow, FlushError> {
    let relative = relative(id);
    let path = dir.join(&relative);
    let rows = encoder.rows();
    let encoded = encoder.finish().map_err(|err| FlushError::Encode { path: path.clone(), err })?;
    let temporary = temporary(&path);
    let failed = |what| {
        let path = path.clone();
        move |err| FlushError::Segment { what, path, err }
    };
    let mut file = File::create(&temporary).map_err(failed("create"))?;
    file.write_all(&encoded.bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fault::hit(Step::SegmentWritten).map_err(failed("rename"))?;
    std::fs::rename(&temporary, &path).map_err(failed("rename"))?;
    fault::hit(Step::SegmentRenamed).map_err(failed("rename"))?;
    Ok(SegmentRow {
        id,
        path: relative,
        tenant: place.tenant.clone(),
        facility: place.facility.clone(),
        month: place.month.clone(),
        rows,
        bytes: encoded.bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(&encoded.bytes)),
        level,
        min_lsn,
        max_lsn,
        spans: encoded.spans,
    })
}

pub(crate) fn sync_segments(dir: &Path, any: bool) -> Result<(), FlushError> {
    let dir = dir.join("segments");
    if !any {
        return Ok(());
    }
    File::open(&dir).and_then(|dir| dir.sync_all()).map_err(|err| FlushError::Segment { what: "sync", path: dir, err })
}

/// Removes segments that the manifest does not have. What cannot be removed is a stranger to the next start.
pub(crate) fn discard(dir: &Path, ids: Range<i64>) {
    for id in ids {
        let path = dir.join(relative(id));
        for path in [temporary(&path), path] {
            match std::fs::remove_file(&path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), error = %err, "a segment that was not finished could not be removed");
                }
                _ => {}
            }
        }
    }
}

/// Where a segment lies in the folder of the store.
fn relative(id: i64) -> String {
    format!("segments/{id:010}.parquet")
}

/// The name of a segment that is being written.
fn temporary(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// The month of a day, remembered: the days of a series come one after another.
#[derive(Debug, Default)]
struct MonthOf(Option<(i32, String)>);

impl MonthOf {
    /// `2026-01`, of a day counted from 1970. The commit has made sure that the calendar has it.
    fn of(&mut self, day: i32) -> String {
        if let Some((_, month)) = self.0.as_ref().filter(|(of, _)| *of == day) {
            return month.clone();
        }
        let month = month_of(i64::from(day) * crate::head::DAY_MS);
        self.0 = Some((day, month.clone()));
        month
    }
}
