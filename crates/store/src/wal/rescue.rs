//! Reading a log that is damaged, for what of it is whole.
//!
//! A frame has its length, its number and a checksum over both and what it says: behind a damage the next frame is
//! found by looking for one, and cannot be mistaken. Nobody who starts a store does this: it steps over commits that
//! were acknowledged.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::WalError;
use super::frame::{FILE_HEADER_BYTES, HEADER_BYTES, Header, MAGIC};
use super::replay::list;

/// A part of the log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) path: PathBuf,
    /// Its bytes in the file; none when a file is missing before this one.
    pub(crate) bytes: Range<u64>,
    /// The entries that are missing; none when no whole entry follows.
    pub(crate) entries: Option<Range<u64>>,
}

/// Calls `visit` with the number and the payload of every whole frame, in order. Gives what after `after_lsn` could not
/// be read.
///
/// * Errors: a file cannot be read at all; whatever `visit` fails with.
pub(crate) fn rescue<E: From<WalError>>(
    dir: &Path,
    after_lsn: u64,
    mut visit: impl FnMut(&Path, u64, &[u8]) -> Result<(), E>,
) -> Result<Vec<Gap>, E> {
    let (mut gaps, mut expected, mut end) = (Vec::new(), after_lsn + 1, None);
    for (first, path) in list(dir)? {
        let bytes = std::fs::read(&path).map_err(WalError::io("read", &path))?;
        if first > expected {
            gaps.push(Gap { path: path.clone(), bytes: 0..0, entries: Some(expected..first) });
            expected = first;
        }
        let whole_header = bytes.starts_with(&MAGIC) && bytes.get(MAGIC.len()..).is_some_and(|rest| rest.starts_with(&first.to_le_bytes()));
        let start = usize::try_from(FILE_HEADER_BYTES).unwrap_or(usize::MAX);
        let (mut at, mut next) = (start, first);
        if !whole_header {
            gaps.push(Gap { path: path.clone(), bytes: 0..FILE_HEADER_BYTES, entries: None });
        }
        while let Some((found, lsn, payload)) = (at..bytes.len()).find_map(|at| frame(&bytes, at, next).map(|(lsn, body)| (at, lsn, body)))
        {
            if found > at || lsn > next {
                gaps.push(Gap { path: path.clone(), bytes: at as u64..found as u64, entries: (lsn > next).then_some(next..lsn) });
            }
            visit(&path, lsn, payload)?;
            expected = expected.max(lsn + 1);
            (at, next) = (found + HEADER_BYTES + payload.len(), lsn + 1);
        }
        end = Some((next, path.clone()));
        if bytes.get(at..).unwrap_or_default().iter().any(|byte| *byte != 0) {
            gaps.push(Gap { path, bytes: at as u64..bytes.len() as u64, entries: None });
        }
    }
    // What is in segments was in the log first.
    if let Some((next, path)) = end.filter(|(next, _)| *next <= after_lsn) {
        gaps.push(Gap { path, bytes: 0..0, entries: Some(next..after_lsn + 1) });
    }
    Ok(gaps)
}

/// The whole frame that begins here, if there is one, of this number or a later one.
fn frame(bytes: &[u8], at: usize, next: u64) -> Option<(u64, &[u8])> {
    let (header, body) = bytes.get(at..)?.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header::decode(header);
    // No file has as many entries as bytes.
    let plausible = header.lsn >= next && header.lsn - next <= bytes.len() as u64;
    let payload = body.get(..header.payload_bytes().filter(|_| plausible)?)?;
    header.matches(payload).then_some((header.lsn, payload))
}
