//! Many points, many files, and somebody who answers for it: planned, shown, committed, and undone if need be.
//!
//! ```text
//! files + mapping -> check (every rule, every row) -> compare (with what is stored) -> plan
//! plan -> the same files again, the same identity -> commit -> audit log
//! undo -> amendments on top of what the import brought; what came before or since stays
//! ```
//!
//! A plan holds no readings. It holds the hashes of its files, its mapping and the identity of what they say; the commit
//! reads the files again and refuses when any of it is another.

pub(crate) mod check;
mod commit;
mod compare;
mod csv;
mod espi;
mod espi_entry;
mod fault;
mod history;
mod mapping;
mod parquet;
mod plan;
#[cfg(test)]
mod tests;
mod undo;

use std::io::Read;
use std::path::{Path, PathBuf};

use super::ImportError;
use super::series::EXPONENT;
use check::{Checked, Checker, READINGS_MAX, TooMany};
use espi::Unasked;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub(crate) use commit::{Carry, CarryError, CommitOptions, CommitPlanError, Committed};
pub(crate) use compare::{Comparison, Fate};
pub(crate) use fault::Fault;
pub(crate) use history::{ImportSeen, State, imports, state};
pub(crate) use mapping::Mapping;
pub(crate) use plan::{Plan, PlanError, Prepared, Request};
pub(crate) use undo::{UndoError, UndoOptions, Undone, undo};

/// Bytes of a file, unpacked: memory is bounded by it.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Files of one import.
pub(crate) const FILES_MAX: usize = 64;

/// Why nothing of a file can be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the file cannot be read")]
    Open(#[source] std::io::Error),
    #[error("the file has more than {FILE_BYTES_MAX} bytes unpacked: divide it")]
    TooLarge,
    #[error("the file has no column {}; it has: {found}", absent.join(", "))]
    Columns { absent: Vec<String>, found: String },
    #[error("the header has {found} columns, which no export has: is the delimiter right?")]
    TooManyColumns { found: usize },
    #[error("the file is not CSV with a header line")]
    Csv(#[source] ::csv::Error),
    #[error("a Parquet file has its time in one column, and no point with `only`")]
    NotOfParquet,
    #[error("at byte {place} the file is no XML")]
    NoXml {
        place: u64,
        #[source]
        err: quick_xml::Error,
    },
    #[error("at byte {place} the file {what}")]
    Xml { place: u64, what: &'static str },
    #[error("the file has no Green Button reading in it")]
    NoFeed,
    #[error("the interval block `{block}` belongs to no reading type")]
    Untyped { block: String },
    #[error("points[{one}] and points[{other}] both ask for the readings in {what}: tell them apart by flow, kind or usage_point")]
    Ambiguous { what: String, one: usize, other: usize },
    #[error("the factor has more digits than can be kept")]
    Factor,
    #[error("there are more than {READINGS_MAX} readings: divide the import")]
    TooMany,
    #[error(transparent)]
    Parquet(Box<ImportError>),
}

impl From<ImportError> for SourceError {
    fn from(err: ImportError) -> Self {
        Self::Parquet(Box::new(err))
    }
}

impl From<TooMany> for SourceError {
    fn from(TooMany: TooMany) -> Self {
        Self::TooMany
    }
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Parquet,
    Espi,
}

impl Format {
    fn of(body: &[u8]) -> Self {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
        match () {
            () if body.starts_with(b"PAR1") => Self::Parquet,
            () if text.starts_with(b"<") => Self::Espi,
            () => Self::Csv,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Espi => "espi",
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSeen {
    pub(crate) path: PathBuf,
    pub(crate) format: &'static str,
    pub(crate) bytes: u64,
    /// Of the file as it lies on the disk.
    pub(crate) sha256: String,
    pub(crate) rows: u64,
}

/// Reads every file, and checks every row.
///
/// * Errors: the first file of which nothing can be taken.
pub(crate) fn gather(
    files: &[PathBuf],
    mapping: &Mapping,
    now: Timestamp,
) -> Result<(Vec<FileSeen>, Checked, Unasked), (PathBuf, SourceError)> {
    let (mut checker, mut seen, mut unasked) = (Checker::new(mapping, now), Vec::new(), Unasked::new());
    for path in files {
        let file = one(path, mapping, &mut checker, &mut unasked).map_err(|err| (path.clone(), err))?;
        seen.push(file);
    }
    Ok((seen, checker.finish(), unasked))
}

fn one(path: &Path, mapping: &Mapping, checker: &mut Checker<'_>, unasked: &mut Unasked) -> Result<FileSeen, SourceError> {
    let (packed, body) = load(path)?;
    checker.file(&path.display().to_string());
    let format = Format::of(&body);
    let rows = rows(format, body, mapping, checker, unasked)?;
    Ok(FileSeen { path: path.to_owned(), format: format.name(), bytes: packed.bytes, sha256: packed.sha256, rows })
}

fn rows(format: Format, body: Vec<u8>, mapping: &Mapping, checker: &mut Checker<'_>, unasked: &mut Unasked) -> Result<u64, SourceError> {
    match format {
        Format::Csv => csv::read(&body, mapping, checker),
        Format::Parquet => parquet::read(body.into(), mapping, checker),
        Format::Espi => espi::read(&body, mapping, checker, unasked),
    }
}

/// A file as it lies on the disk.
pub(crate) struct Packed {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// A file's bytes, unpacked where it is gzipped.
pub(crate) fn load(path: &Path) -> Result<(Packed, Vec<u8>), SourceError> {
    let file = std::fs::File::open(path).map_err(SourceError::Open)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(SourceError::Open)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SourceError::TooLarge);
    }
    let packed = Packed { bytes: bytes.len() as u64, sha256: wire::command::to_hex(&Sha256::digest(&bytes)) };
    if !bytes.starts_with(b"\x1f\x8b") {
        return Ok((packed, bytes));
    }
    let mut body = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(FILE_BYTES_MAX + 1).read_to_end(&mut body).map_err(SourceError::Open)?;
    if body.len() as u64 > FILE_BYTES_MAX {
        return Err(SourceError::TooLarge);
    }
    Ok((packed, body))
}
