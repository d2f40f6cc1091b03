//! From memory to segments, and from many segments to one.
//!
//! Write to a temporary name, sync, rename, sync the folder, then one transaction: until the transaction the new files
//! are strangers that the next start removes, and from it on they are the truth. The log is trimmed last.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::fault::{self, Step};
use crate::manifest::{ManifestError, Publication, SegmentRow};
use crate::row::Sample;
use crate::segment;
use crate::series::SeriesId;
use crate::store::{FlushError, Inner, OpenError};
use crate::wal::WalError;

/// A facility and month with more segments than this has them merged by the next flush.
const SEGMENTS_MAX: usize = 16;

/// Tenant, facility, month.
type Place = (String, String, String);
type Readings = Vec<(SeriesId, Vec<Sample>)>;

impl Inner {
    pub(crate) fn flush(&mut self) -> Result<(), FlushError> {
        if self.wal.stopped() {
            return Err(WalError::Stopped { path: self.wal.dir().to_owned() }.into());
        }
        if self.state.is_saved() && self.wal.sealed_files() == 0 {
            return Ok(());
        }
        let mut places: BTreeMap<Place, Readings> = BTreeMap::new();
        for id in self.state.head.ids() {
            let Some(key) = self.state.catalogue.get(id) else { continue };
            for (month, samples) in by_month(self.state.head.sorted(id)) {
                let place = (key.tenant.to_string(), key.facility.to_string(), month);
                places.entry(place).or_default().push((id, samples));
            }
        }
        let added = self.write_all(places)?;
        let flushed_lsn = self.wal.last_lsn();
        let publication = Publication {
            flushed_lsn,
            next_segment: self.next_segment,
            counters: self.state.counters,
            series: self.state.unsaved_series(),
            origins: self.state.unsaved_origins(),
            received: self.state.unsaved_received(),
            profiles: self.state.unsaved_profiles(),
            letters: self.state.letters.iter().collect(),
            added: added.iter().collect(),
            removed: Vec::new(),
        };
        if let Err(err) = self.manifest.publish(&publication) {
            return Err(self.not_published(&added, err));
        }
        fault::hit(Step::ManifestPublished).map_err(WalError::io("trim", &self.dir))?;
        self.state.saved();
        self.flushed.change(added, &HashSet::new());
        // What is sealed goes first: on a full disk the new file needs its space.
        self.wal.trim(flushed_lsn)?;
        if !self.wal.is_fresh() {
            self.wal.roll(0)?;
            self.wal.trim(flushed_lsn)?;
        }
        fault::hit(Step::LogTrimmed).map_err(WalError::io("trim", &self.dir))?;
        self.merge(SEGMENTS_MAX)
    }

    pub(crate) fn compact(&mut self) -> Result<(), FlushError> {
        self.flush()?;
        self.merge(1)
    }

    /// Merges the segments of each place that has more than `most`.
    fn merge(&mut self, most: usize) -> Result<(), FlushError> {
        let mut places: BTreeMap<Place, Vec<SegmentRow>> = BTreeMap::new();
        for segment in self.flushed.segments() {
            let place = (segment.tenant.clone(), segment.facility.clone(), segment.month.clone());
            places.entry(place).or_default().push(segment.clone());
        }
        places.retain(|_, segments| segments.len() > most);
        if !places.is_empty() {
            self.remove_retired()?;
        }
        for (place, segments) in places {
            let mut merged: BTreeMap<SeriesId, Vec<Sample>> = BTreeMap::new();
            for row in &segments {
                let rows = self.read_whole(row)?;
                rows.into_iter().for_each(|(id, sample)| merged.entry(id).or_default().push(sample));
            }
            merged.values_mut().for_each(|samples| samples.sort_by_key(|sample| (sample.ts_ms, sample.version)));
            let added = self.write_all([(place, merged.into_iter().collect())])?;
            let removed: Vec<i64> = segments.iter().map(|segment| segment.id).collect();
            let publication = Publication {
                flushed_lsn: self.wal.last_lsn(),
                next_segment: self.next_segment,
                counters: self.state.counters,
                added: added.iter().collect(),
                removed: removed.clone(),
                ..Publication::default()
            };
            if let Err(err) = self.manifest.publish(&publication) {
                return Err(self.not_published(&added, err));
            }
            self.flushed.change(added, &removed.into_iter().collect());
        }
        Ok(())
    }

    /// Removes files that no manifest has ever named: what a flush that was cut off left behind.
    pub(crate) fn remove_strangers(&mut self) -> Result<(), OpenError> {
        self.remove_retired_files()?;
        let known: HashSet<&str> = self.flushed.segments().iter().map(|segment| segment.path.as_str()).collect();
        let dir = self.dir.join("segments");
        let folder = |what| {
            let path = dir.clone();
            move |err| OpenError::Folder { what, path, err }
        };
        for entry in std::fs::read_dir(&dir).map_err(folder("list"))? {
            let entry = entry.map_err(folder("list"))?;
            let name = entry.file_name();
            let is_known = name.to_str().is_some_and(|name| known.contains(format!("segments/{name}").as_str()));
            if !is_known {
                std::fs::remove_file(entry.path()).map_err(folder("clean"))?;
            }
        }
        Ok(())
    }

    fn remove_retired_files(&mut self) -> Result<(), OpenError> {
        for path in self.manifest.retired()? {
            let full = self.dir.join(&path);
            match std::fs::remove_file(&full) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(OpenError::Folder { what: "remove", path: full, err });
                }
                _ => self.manifest.forget_retired(&path)?,
            }
        }
        Ok(())
    }

    fn remove_retired(&mut self) -> Result<(), FlushError> {
        for path in self.manifest.retired()? {
            let full = self.dir.join(&path);
            match std::fs::remove_file(&full) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(FlushError::Segment { what: "remove", path: full, err });
                }
                _ => self.manifest.forget_retired(&path)?,
            }
        }
        Ok(())
    }

    /// Every row of a segment whose bytes are those that were written: what is merged anew gets a new hash, and a damage
    /// that nobody noticed would become the truth.
    fn read_whole(&self, row: &SegmentRow) -> Result<Vec<(SeriesId, Sample)>, FlushError> {
        let path = self.flushed.path(row);
        let bytes = std::fs::read(&path).map_err(|err| FlushError::Segment { what: "read", path: path.clone(), err })?;
        if hex::encode(Sha256::digest(&bytes)) != row.sha256 {
            return Err(FlushError::Damaged { path });
        }
        segment::decode(bytes.into(), 0, row.rows).map_err(|err| crate::SegmentError { path, err }.into())
    }

    /// Writes and syncs one segment for each place. When one fails, none is left behind: a full disk would only be filled
    /// further by trying again.
    fn write_all(&mut self, places: impl IntoIterator<Item = (Place, Readings)>) -> Result<Vec<SegmentRow>, FlushError> {
        let first = self.next_segment;
        let mut added = Vec::new();
        let written = places.into_iter().try_for_each(|(place, readings)| self.write(place, &readings).map(|row| added.push(row)));
        match written.and_then(|()| self.sync_segments(&added)) {
            Ok(()) => Ok(added),
            Err(err) => {
                self.discard(first..self.next_segment);
                Err(err)
            }
        }
    }

    /// A manifest that failed may have changed all the same. Segments are removed only when it says that it has not.
    fn not_published(&mut self, added: &[SegmentRow], err: ManifestError) -> FlushError {
        for row in added {
            if matches!(self.manifest.has_segment(row.id), Ok(false)) {
                self.discard(row.id..row.id + 1);
            }
        }
        err.into()
    }

    /// Removes segments that the manifest does not have. What cannot be removed is a stranger to the next start.
    fn discard(&self, ids: Range<i64>) {
        for id in ids {
            let path = self.dir.join(relative(id));
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

    fn write(&mut self, (tenant, facility, month): Place, readings: &Readings) -> Result<SegmentRow, FlushError> {
        let id = self.next_segment;
        self.next_segment += 1;
        let relative = relative(id);
        let path = self.dir.join(&relative);
        let keyed: Vec<_> =
            readings.iter().filter_map(|(id, samples)| Some((*id, self.state.catalogue.get(*id)?, samples.clone()))).collect();
        let encoded = segment::encode(&keyed).map_err(|err| FlushError::Encode { path: path.clone(), err })?;
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
            tenant,
            facility,
            month,
            rows: readings.iter().map(|(_, samples)| samples.len() as u64).sum(),
            bytes: encoded.bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&encoded.bytes)),
            spans: encoded.spans,
        })
    }

    fn sync_segments(&self, added: &[SegmentRow]) -> Result<(), FlushError> {
        let dir = self.dir.join("segments");
        if added.is_empty() {
            return Ok(());
        }
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(|err| FlushError::Segment { what: "sync", path: dir, err })
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

/// Cuts sorted readings at the months of UTC, `2026-01`.
fn by_month(samples: Vec<Sample>) -> Vec<(String, Vec<Sample>)> {
    let mut months: Vec<(String, Vec<Sample>)> = Vec::new();
    let mut end_ms = i64::MIN;
    for sample in samples {
        if sample.ts_ms >= end_ms || months.is_empty() {
            let (month, end) = month_of(sample.ts_ms);
            months.push((month, Vec::new()));
            end_ms = end;
        }
        if let Some((_, month)) = months.last_mut() {
            month.push(sample);
        }
    }
    months
}

/// The month of a time, and where it ends. The commit has made sure that the calendar has it.
fn month_of(ts_ms: i64) -> (String, i64) {
    let date = jiff::Timestamp::from_millisecond(ts_ms).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    let end = date.last_of_month().tomorrow().ok().and_then(|next| next.to_zoned(jiff::tz::TimeZone::UTC).ok());
    (date.strftime("%Y-%m").to_string(), end.map_or(i64::MAX, |end| end.timestamp().as_millisecond()))
}
