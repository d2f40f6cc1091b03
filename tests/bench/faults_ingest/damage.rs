//! Bits that turn in a copy of a store: whoever looks has to notice, or nothing of it may have changed.

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use store::{Reader, fsck};

use super::{Result, at};

/// Device, point, time, version; and the value.
type Rows = BTreeMap<(String, String, i64, u16), Option<i64>>;

/// Turns a bit of a segment of a copy. False when nobody notices; nothing when there is no segment yet.
pub(crate) fn segment(store: &Path, random: u64) -> Result<Option<bool>> {
    let copy = Copied::of(store)?;
    let mut segments = files(&copy.path().join("segments"))?;
    segments.sort();
    if segments.is_empty() {
        return Ok(None);
    }
    let drawn = usize::try_from(random >> 40)? % segments.len();
    turn(&segments[drawn], random)?;
    let noticed = catch_unwind(|| !fsck(copy.path()).is_ok_and(|findings| findings.problems.is_empty()));
    Ok(Some(noticed.unwrap_or(false)))
}

/// Turns a bit of the manifest of a copy. False when the store says something else then, or ends the process.
pub(crate) fn manifest(store: &Path, random: u64) -> Result<Option<bool>> {
    let copy = Copied::of(store)?;
    let path = copy.path().join("manifest.sqlite");
    if !path.is_file() {
        return Ok(None);
    }
    let Ok(before) = rows(copy.path()) else { return Ok(None) };
    turn(&path, random)?;
    let right = catch_unwind(|| match (fsck(copy.path()), rows(copy.path())) {
        (Ok(findings), Ok(after)) => !findings.problems.is_empty() || after == before,
        _ => true,
    });
    Ok(Some(right.unwrap_or(false)))
}

fn rows(store: &Path) -> Result<Rows> {
    let reader = Reader::open(store)?;
    let mut rows = Rows::new();
    for info in reader.all_series() {
        for sample in reader.history(info.id, i64::MIN..i64::MAX)? {
            rows.insert((info.key.device.to_string(), info.key.point.clone(), sample.ts_ms, sample.version), sample.raw);
        }
    }
    Ok(rows)
}

/// Turns a bit somewhere in a file.
fn turn(path: &Path, random: u64) -> Result<()> {
    let mut bytes = fs::read(path).map_err(at(path))?;
    let turned = usize::try_from(random & 0xff_ffff_ffff)? % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(turned) {
        *byte ^= 1 << ((random >> 61) & 7);
    }
    Ok(fs::write(path, bytes).map_err(at(path))?)
}

/// A copy of a store that nobody has open.
#[derive(Debug)]
struct Copied(tempfile::TempDir);

impl Copied {
    fn of(store: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // It may have been killed before it had made any.
        if store.is_dir() {
            copy(store, folder.path())?;
        }
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))?.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, target).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}
