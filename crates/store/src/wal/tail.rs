//! Following the log beside the process that writes it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::WalError;
use super::frame::{FILE_HEADER_BYTES, HEADER_BYTES, Header};
use super::replay::list;

/// A place in the log, and the file it is in. A file that was trimmed is read to its end all the same: it stays open.
#[derive(Debug)]
pub(crate) struct Tail {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    offset: u64,
    next_lsn: u64,
    payload: Vec<u8>,
}

/// What is at the place.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Frame(u64, &'a [u8]),
    /// Nothing yet.
    End,
    /// The log goes on later: what is between is in segments.
    Trimmed,
}

impl Tail {
    /// The place where a replay came to the end of the log, if there is a log.
    pub(crate) fn at_end(dir: &Path, replayed: &super::replay::Tail) -> Result<Option<Self>, WalError> {
        let Some((_, path)) = replayed.files.last() else { return Ok(None) };
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                dir: dir.to_owned(),
                path: path.clone(),
                file,
                offset: replayed.end,
                next_lsn: replayed.next_lsn,
                payload: Vec::new(),
            })),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(WalError::io("open", path)(err)),
        }
    }

    /// Where it reads.
    pub(crate) fn place(&self) -> (&Path, u64) {
        (&self.path, self.offset)
    }

    /// The place after the entry `lsn`, or `None` when the log no longer has it.
    pub(crate) fn after(dir: &Path, lsn: u64) -> Result<Option<Self>, WalError> {
        let Some(mut tail) = Self::file_with(dir, lsn.saturating_add(1))? else { return Ok(None) };
        while tail.next_lsn <= lsn {
            match tail.next()? {
                Next::Frame(..) => {}
                // It ends before: nobody has written that entry.
                Next::End => return Ok(Some(tail)),
                Next::Trimmed => return Ok(None),
            }
        }
        Ok(Some(tail))
    }

    /// The number of the frame that comes next.
    pub(crate) fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    /// Opens the file that has, or will have, an entry.
    fn file_with(dir: &Path, lsn: u64) -> Result<Option<Self>, WalError> {
        let Some((first, path)) = list(dir)?.into_iter().rev().find(|(first, _)| *first <= lsn) else { return Ok(None) };
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { dir: dir.to_owned(), path, file, offset: FILE_HEADER_BYTES, next_lsn: first, payload: Vec::new() })),
            // Trimmed in this moment.
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(WalError::io("open", path)(err)),
        }
    }

    /// The next frame. One that is being written is not there yet.
    pub(crate) fn next(&mut self) -> Result<Next<'_>, WalError> {
        if self.read()? {
            return Ok(Next::Frame(self.next_lsn - 1, &self.payload));
        }
        match Self::file_with(&self.dir, self.next_lsn)? {
            None => Ok(Next::Trimmed),
            Some(later) if later.path != self.path => {
                let payload = std::mem::take(&mut self.payload);
                // A file is only begun behind a whole one: what this one had was read, or was written since we looked.
                if self.read()? {
                    return Ok(Next::Frame(self.next_lsn - 1, &self.payload));
                }
                if later.next_lsn != self.next_lsn {
                    return Ok(Next::Trimmed);
                }
                *self = Self { payload, ..later };
                if self.read()? { Ok(Next::Frame(self.next_lsn - 1, &self.payload)) } else { Ok(Next::End) }
            }
            Some(_) => Ok(Next::End),
        }
    }

    /// Reads a whole frame, or nothing.
    fn read(&mut self) -> Result<bool, WalError> {
        let mut header = [0; HEADER_BYTES];
        if !self.fill(self.offset, &mut header)? {
            return Ok(false);
        }
        let header = Header::decode(&header);
        let Some(len) = header.payload_bytes().filter(|_| header.lsn == self.next_lsn) else { return Ok(false) };
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(len, 0);
        let whole = self.fill(self.offset + HEADER_BYTES as u64, &mut payload)? && header.matches(&payload);
        self.payload = payload;
        if whole {
            self.offset += (HEADER_BYTES + len) as u64;
            self.next_lsn += 1;
        }
        Ok(whole)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, WalError> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(true),
            Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(err) => Err(WalError::io("read", &self.path)(err)),
        }
    }
}
