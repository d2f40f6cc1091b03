//! The write-ahead log: what is in it is durable, and nothing else is.
//!
//! A log file is preallocated, so that running out of space is noticed before anything has changed. One commit is one
//! frame, written by one call and followed by one `fdatasync`; so only the last frame can be torn, and a bad frame
//! anywhere else is damage that nobody may step over in silence.
//!
//! ```text
//! file  = "NWWAL\0\0\1" · first lsn u64 · frame* · zeros          all integers little-endian
//! frame = length of payload u32 · crc32c over (length, lsn, payload) u32 · lsn u64 · payload
//! ```

mod frame;
mod log;
mod record;
mod replay;
mod rescue;
mod tail;

pub(crate) use frame::PAYLOAD_BYTES_MAX;
pub(crate) use log::Wal;
pub(crate) use record::{Record, RecordWriter, RowsHead};
pub(crate) use replay::{Reading, replay};
pub(crate) use rescue::{Gap, rescue};
pub(crate) use tail::{Next, Tail};

use std::path::PathBuf;

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The operating system says no. After a failed write nothing more is written: whether it is on the disk is unknown.
    #[error("could not {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    /// There is no space left to go on. Nothing has changed; try again when there is.
    #[error("no space left to write {}: free some, the readings wait at their gateways until then", path.display())]
    Full {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    /// A frame that is not the last one is damaged.
    #[error("{} is damaged at byte {offset}, before readings that were acknowledged: restore it from a copy", path.display())]
    Damaged { path: PathBuf, offset: u64 },
    /// A frame whose checksum is right says something that cannot be understood.
    #[error("{} has an entry at byte {offset} that this version cannot read", path.display())]
    Unknown { path: PathBuf, offset: u64 },
    /// A log file is missing.
    #[error("the log continues at entry {found} in {}, but entry {expected} is missing", path.display())]
    Hole { path: PathBuf, expected: u64, found: u64 },
    /// An earlier write failed.
    #[error("{} failed before: nothing is written until a restart has read back what is really there", path.display())]
    Stopped { path: PathBuf },
}

impl WalError {
    /// Of a frame that may be on the disk, in part or whole: never [`WalError::Full`], which says that nothing has changed.
    pub(crate) fn unknown(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |err| Self::Io { what, path, err }
    }

    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |err| {
            let full = matches!(err.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
            if full { Self::Full { path, err } } else { Self::Io { what, path, err } }
        }
    }
}
