//! The file of a segment, read in few large pieces.
//!
//! A series lies in one row group, and its columns side by side: one read brings them all. The position is named in
//! every read, so threads that share a segment do not move each other's place.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;

use bytes::{Buf as _, Bytes, buf::Reader};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// A file, and the stretch of it that was read last.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    len: u64,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Source {
    /// Read at least, where the file has as much.
    const PIECE: usize = 64 << 10;
    /// A header of a page is never longer.
    const HEADER_BYTES_MAX: usize = 8 << 10;
    /// Longer stretches are not read ahead.
    const AHEAD_MAX: u64 = 16 << 20;

    pub(crate) fn new(file: File) -> std::io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len, window: Mutex::default() })
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().expect("no thread panics while it reads a segment")
    }

    fn read(&self, start: u64, length: usize) -> std::io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }

    fn left(&self, start: u64) -> usize {
        usize::try_from(self.len.saturating_sub(start)).unwrap_or(usize::MAX)
    }
}

impl Window {
    /// What it has from `start` on.
    fn from(&self, start: u64) -> Option<Bytes> {
        let at = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (at <= self.bytes.len()).then(|| self.bytes.slice(at..))
    }
}

/// Something that can be told what will be read next.
pub(crate) trait Ahead {
    fn ahead(&self, stretch: Range<u64>) -> Result<(), ParquetError>;
}

impl Ahead for Bytes {
    fn ahead(&self, _stretch: Range<u64>) -> Result<(), ParquetError> {
        Ok(())
    }
}

impl Ahead for Source {
    fn ahead(&self, stretch: Range<u64>) -> Result<(), ParquetError> {
        let end = stretch.end.min(self.len).min(stretch.start.saturating_add(Self::AHEAD_MAX));
        let length = usize::try_from(end.saturating_sub(stretch.start)).unwrap_or(0);
        let bytes = self.read(stretch.start, length)?;
        *self.window() = Window { start: stretch.start, bytes };
        Ok(())
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Source {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut window = self.window();
        let left = self.left(start);
        if let Some(bytes) = window.from(start).filter(|bytes| bytes.len() >= Self::HEADER_BYTES_MAX.min(left)) {
            return Ok(bytes.reader());
        }
        let bytes = self.read(start, Self::PIECE.min(left))?;
        *window = Window { start, bytes: bytes.clone() };
        Ok(bytes.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length > self.left(start) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are more than the file has")));
        }
        match self.window().from(start).filter(|bytes| bytes.len() >= length) {
            Some(bytes) => Ok(bytes.slice(..length)),
            None => Ok(self.read(start, length)?),
        }
    }
}
