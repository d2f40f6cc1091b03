//! Where weather comes from: a folder by default, a provider where somebody says so.
//!
//! A folder holds files as their providers name them: `isd-history.csv`, `ghcnh-station-list.csv` or `stations.json`, and
//! `725300-94846-2023.gz`, `GHCNh_USW00094846_2023.psv`, `2023/10637.csv.gz`. Files with other names are known by what
//! they say of their station.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::{Format, StationSeen, WeatherFileError, observations, station_list};

/// Bytes of a file, unpacked.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Of a file with another name, what is read to know its station.
const HEAD_BYTES: u64 = 256 << 10;
/// Folders inside one another.
const DEPTH_MAX: usize = 4;
/// Files of a folder.
const FILES_MAX: usize = 200_000;
const LISTS: [&str; 4] = ["isd-history.csv", "ghcnh-station-list.csv", "ghcnh-station-list.txt", "stations.json"];

/// Something that has the history of stations.
pub trait Source: fmt::Debug {
    /// What it is, for people.
    fn said(&self) -> String;

    /// Every station that it knows.
    fn stations(&self) -> Result<Vec<StationSeen>, SourceError>;

    /// The files with the observations of a station in some years, unpacked; none when there are none.
    fn history(&self, station: &str, years: RangeInclusive<i16>) -> Result<Vec<Fetched>, SourceError>;
}

/// A file of observations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it was found.
    pub name: String,
    /// Unpacked.
    pub body: Vec<u8>,
}

/// Why a source does not say what it has.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("could not read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("{} has more than {FILE_BYTES_MAX} bytes unpacked", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} has more than {FILES_MAX} files: name a folder with fewer", path.display())]
    TooMany { path: PathBuf },
    #[error("{}", path.display())]
    File {
        path: PathBuf,
        #[source]
        err: WeatherFileError,
    },
    #[error("could not fetch {url}")]
    Fetch {
        url: String,
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A file of a folder, and whose it is.
#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    station: String,
    /// None when it may have any.
    year: Option<i16>,
    seen: Option<StationSeen>,
}

/// Files that somebody has put into a folder: no network is needed.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    entries: Vec<Entry>,
    lists: Vec<PathBuf>,
}

impl Folder {
    /// Looks through a folder. Files that are no weather are left alone.
    pub fn open(root: &Path) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        walk(root, root, 0, &mut files)?;
        files.sort();
        let (mut entries, mut lists) = (Vec::new(), Vec::new());
        for path in files {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if LISTS.contains(&name) {
                lists.push(path);
            } else if let Some((station, year)) = named(&path) {
                entries.push(Entry { path, station, year: Some(year), seen: None });
            } else if let Some(seen) = looked_at(&path) {
                let station = if seen.id.is_empty() { stem(&path).to_owned() } else { seen.id.clone() };
                entries.push(Entry { path, station: station.clone(), year: None, seen: Some(StationSeen { id: station, ..seen }) });
            }
        }
        Ok(Self { root: root.to_owned(), entries, lists })
    }
}

impl Source for Folder {
    fn said(&self) -> String {
        format!("folder {}", self.root.display())
    }

    fn stations(&self) -> Result<Vec<StationSeen>, SourceError> {
        let mut stations: Vec<StationSeen> = Vec::new();
        for path in &self.lists {
            let list = station_list(&read(path)?).map_err(|err| SourceError::File { path: path.clone(), err })?;
            stations.extend(list);
        }
        let listed: std::collections::HashSet<String> = stations.iter().map(|station| station.id.clone()).collect();
        let mut found: Vec<StationSeen> = Vec::new();
        for entry in self.entries.iter().filter(|entry| !listed.contains(&entry.station)) {
            if found.iter().any(|station| station.id == entry.station) {
                continue;
            }
            let seen = entry.seen.clone().or_else(|| looked_at(&entry.path));
            found.push(StationSeen { id: entry.station.clone(), ..seen.unwrap_or_default() });
        }
        stations.extend(found);
        Ok(stations)
    }

    fn history(&self, station: &str, years: RangeInclusive<i16>) -> Result<Vec<Fetched>, SourceError> {
        let wanted = |entry: &&Entry| entry.station == station && entry.year.is_none_or(|year| years.contains(&year));
        let fetched = |entry: &Entry| Ok(Fetched { name: entry.path.display().to_string(), body: read(&entry.path)? });
        self.entries.iter().filter(wanted).map(fetched).collect()
    }
}

fn walk(root: &Path, dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let failed = |err| SourceError::Read { path: dir.to_owned(), err };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A link may lead back up: it is not followed.
        let kind = fs::symlink_metadata(&path).map_err(|err| SourceError::Read { path: path.clone(), err })?.file_type();
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(root, &path, depth + 1, files)?;
        } else if kind.is_file() {
            if files.len() >= FILES_MAX {
                return Err(SourceError::TooMany { path: root.to_owned() });
            }
            files.push(path);
        }
    }
    Ok(())
}

/// The name up to its first dot.
fn stem(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('.').next().unwrap_or_default()
}

/// The station and the year that the name of a file says.
fn named(path: &Path) -> Option<(String, i16)> {
    let stem = stem(path);
    let year = |text: &str| text.parse::<i16>().ok().filter(|year| (1_800..2_200).contains(year));
    if let Some((station, last)) = stem.strip_prefix("GHCNh_").and_then(|rest| rest.rsplit_once('_')) {
        return Some((station.to_owned(), year(last)?));
    }
    // 725300-94846-2023
    if let Some((station, last)) = stem.rsplit_once('-')
        && station.split('-').map(str::len).eq([6, 5])
    {
        return Some((station.to_owned(), year(last)?));
    }
    // 2023/10637
    let folder = path.parent()?.file_name()?.to_str()?;
    (!stem.is_empty() && folder.len() == 4).then(|| Some((stem.to_owned(), year(folder)?)))?
}

/// What the beginning of a file says of its station; nothing for what is no weather.
fn looked_at(path: &Path) -> Option<StationSeen> {
    let file = File::open(path).ok()?;
    let mut packed = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut packed).ok()?;
    let mut head = Vec::new();
    if packed.starts_with(b"\x1f\x8b") {
        // Cut short on purpose: what came until then counts.
        flate2::read::MultiGzDecoder::new(packed.as_slice()).take(HEAD_BYTES).read_to_end(&mut head).unwrap_or_default();
    } else {
        head = packed;
    }
    match Format::of(&head)? {
        // Not to be read in parts.
        Format::OpenMeteoJson | Format::MeteostatJson => observations(&read(path).ok()?, None).ok().map(|seen| seen.station),
        _ => {
            let whole_lines = head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
            observations(head.get(..whole_lines)?, None).ok().map(|seen| seen.station)
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let failed = |err| SourceError::Read { path: path.to_owned(), err };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SourceError::TooLarge { path: path.to_owned() });
    }
    unpack(bytes).map_err(failed)?.ok_or_else(|| SourceError::TooLarge { path: path.to_owned() })
}

/// What is packed in gzip, or the bytes as they are; nothing when that is too much.
pub fn unpack(bytes: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return Ok(Some(bytes));
    }
    let mut body = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(FILE_BYTES_MAX + 1).read_to_end(&mut body)?;
    Ok((body.len() as u64 <= FILE_BYTES_MAX).then_some(body))
}
