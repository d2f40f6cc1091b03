//! Reading back, one frame in memory at a time.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::WalError;
use super::frame::{FILE_HEADER_BYTES, HEADER_BYTES, Header, MAGIC};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The one process that will write: looks behind a torn frame before it is cut.
    Owner,
    /// Beside a process that writes: an incomplete frame is the end.
    Beside,
}

/// Where the log ends.
#[derive(Debug)]
pub(crate) struct Tail {
    /// First lsn and path of each file.
    pub(crate) files: Vec<(u64, PathBuf)>,
    pub(crate) next_lsn: u64,
    /// Where the next frame goes in the last file.
    pub(crate) end: u64,
}

/// Calls `visit` with the number and the payload of each frame after `after_lsn`, in order.
///
/// * Errors: damage, a missing file, or an entry that `visit` does not understand (it returns false); whatever else
///   `visit` fails with.
pub(crate) fn replay<E: From<WalError>>(
    dir: &Path,
    after_lsn: u64,
    reading: Reading,
    mut visit: impl FnMut(u64, &[u8]) -> Result<bool, E>,
) -> Result<Tail, E> {
    let files = list(dir)?;
    let mut tail = Tail { files: Vec::new(), next_lsn: after_lsn + 1, end: FILE_HEADER_BYTES };
    let mut expected = 0;
    let last = files.len().saturating_sub(1);
    for (index, (first, path)) in files.into_iter().enumerate() {
        // What is flushed may be missing: a file that was trimmed comes back when the machine stops before the folder
        // is written, and those around it need not.
        let needed = expected.max(after_lsn + 1);
        if first > needed {
            return Err(WalError::Hole { expected: needed, found: first, path }.into());
        }
        let mut frames = Frames::open(&path, first)?;
        if first < expected {
            // An earlier version went on with the old file when the folder of a new one could not be synced.
            unused(frames, reading)?;
            continue;
        }
        while let Some(payload) = frames.next()? {
            if payload.0 > after_lsn && !visit(payload.0, payload.1)? {
                return Err(WalError::Unknown { path, offset: frames.start }.into());
            }
        }
        if frames.damaged && (index < last || (reading == Reading::Owner && frames.any_frame_later()?)) {
            return Err(WalError::Damaged { path, offset: frames.offset }.into());
        }
        expected = frames.lsn;
        tail.next_lsn = frames.lsn;
        tail.end = frames.offset;
        tail.files.push((first, path));
    }
    if tail.next_lsn <= after_lsn {
        // Everything in the log is flushed and the newest frames are gone with trimmed files: impossible without a file.
        let path = tail.files.last().map_or_else(|| dir.to_owned(), |(_, path)| path.clone());
        return Err(WalError::Hole { path, expected: after_lsn, found: tail.next_lsn }.into());
    }
    Ok(tail)
}

/// A file that was begun where another went on: nothing may be in it.
fn unused(mut file: Frames, reading: Reading) -> Result<(), WalError> {
    if file.next()?.is_some() || file.damaged {
        return Err(WalError::Damaged { path: file.path, offset: FILE_HEADER_BYTES });
    }
    if reading == Reading::Owner {
        std::fs::remove_file(&file.path).map_err(WalError::io("remove", &file.path))?;
    }
    Ok(())
}

pub(crate) fn first_lsn_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".wal")?.parse().ok()
}

pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, WalError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(WalError::io("list", dir))? {
        let path = entry.map_err(WalError::io("list", dir))?.path();
        if let Some(first) = first_lsn_of(&path) {
            files.push((first, path));
        }
    }
    files.sort();
    Ok(files)
}

#[derive(Debug)]
struct Frames {
    path: PathBuf,
    file: BufReader<File>,
    size: u64,
    /// Of the frame returned last.
    start: u64,
    /// Of the next frame.
    offset: u64,
    lsn: u64,
    payload: Vec<u8>,
    damaged: bool,
}

impl Frames {
    fn open(path: &Path, first_lsn: u64) -> Result<Self, WalError> {
        let file = File::open(path).map_err(WalError::io("open", path))?;
        let size = file.metadata().map_err(WalError::io("read", path))?.len();
        let mut file = BufReader::with_capacity(256 << 10, file);
        let mut header = [0; 16];
        file.read_exact(&mut header).map_err(WalError::io("read", path))?;
        let expected: Vec<u8> = MAGIC.into_iter().chain(first_lsn.to_le_bytes()).collect();
        if header.as_slice() != expected {
            return Err(WalError::Damaged { path: path.to_owned(), offset: 0 });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            start: 0,
            offset: FILE_HEADER_BYTES,
            lsn: first_lsn,
            payload: Vec::new(),
            damaged: false,
        })
    }

    /// The next frame, or `None` at the end and at the first damage.
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, WalError> {
        let left = self.size.saturating_sub(self.offset);
        let mut header = [0; HEADER_BYTES];
        if left < HEADER_BYTES as u64 {
            self.damaged = left > 0 && self.rest_is_not_blank()?;
            return Ok(None);
        }
        self.file.read_exact(&mut header).map_err(WalError::io("read", &self.path))?;
        let header = Header::decode(&header);
        if header.is_blank() {
            self.damaged = self.rest_is_not_blank()?;
            return Ok(None);
        }
        let fits = |len: &usize| *len as u64 <= left - HEADER_BYTES as u64;
        let Some(len) = header.payload_bytes().filter(fits).filter(|_| header.lsn == self.lsn) else {
            self.damaged = true;
            return Ok(None);
        };
        self.payload.resize(len, 0);
        self.file.read_exact(&mut self.payload).map_err(WalError::io("read", &self.path))?;
        if !header.matches(&self.payload) {
            self.damaged = true;
            return Ok(None);
        }
        self.start = self.offset;
        self.offset += (HEADER_BYTES + len) as u64;
        let lsn = self.lsn;
        self.lsn += 1;
        Ok(Some((lsn, &self.payload)))
    }

    /// Whether anything was ever written behind this place.
    fn rest_is_not_blank(&mut self) -> Result<bool, WalError> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            let read = self.file.read(&mut chunk).map_err(WalError::io("read", &self.path))?;
            let read = chunk.get(..read).unwrap_or_default();
            if read.is_empty() {
                return Ok(false);
            }
            if read.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
        }
    }

    /// Whether a later commit lies behind the damage, or was begun there. A torn frame is the last: a successor means that the
    /// damage hit something that was already acknowledged, for no frame is begun before the one in front of it is on the disk.
    fn any_frame_later(&self) -> Result<bool, WalError> {
        let bytes = std::fs::read(&self.path).map_err(WalError::io("read", &self.path))?;
        let from = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let split = |at: usize| {
            let (header, body) = rest.get(at..)?.split_first_chunk::<HEADER_BYTES>()?;
            let header = Header::decode(header);
            let later = header.lsn > self.lsn && header.lsn - self.lsn <= bytes.len() as u64;
            Some((header, header.payload_bytes().filter(|_| later)?, body))
        };
        let good = |(header, len, body): (Header, usize, &[u8])| body.get(..len).is_some_and(|payload| header.matches(payload));
        Ok((1..rest.len()).any(|at| split(at).is_some_and(|frame| good(frame) || self.ends_at(at, frame.0, rest))))
    }

    /// Whether the damaged frame ends where the next one was begun, of which nothing but the header has to be there: by the
    /// length that it says or, when that is what is damaged, by its checksum.
    fn ends_at(&self, at: usize, next: Header, rest: &[u8]) -> bool {
        let Some((header, body)) = rest.split_first_chunk::<HEADER_BYTES>() else { return false };
        let header = Header::decode(header);
        let Some(payload) = at.checked_sub(HEADER_BYTES).and_then(|len| body.get(..len)) else { return false };
        let told = header.payload_bytes() == Some(payload.len());
        next.lsn == self.lsn + 1 && (told || header.is_of(self.lsn, payload))
    }
}
