//! Where readings are kept: a write-ahead log, what of it is in memory, and immutable segments.
//!
//! ```text
//! commit -> log (fdatasync) -> memory -> Parquet segments per facility and month
//!                     |                  manifest (SQLite): which segments, series, spools, counters
//!                     `-> quarters of an hour beside them, to be made anew at any time
//! ```
//!
//! * A commit that has returned is never lost, and nothing in it is counted twice: whole batches are known by their
//!   spool and sequence number, single readings by series and time, of whatever age.
//! * Nothing is overwritten: a reading that contradicts a stored one becomes its next version, and both are kept.
//! * One process writes (it holds the lock of the folder); others read snapshots beside it.
//! * A failed write stops the store: what is on the disk after it is unknown until a restart has read it back. A full
//!   disk does not: nothing has changed, and the same commit may be tried again.
//!
//! Everything here blocks. Callers in an async program use a blocking thread.

mod amend;
mod archive;
mod audit;
mod care;
mod compact;
mod complete;
pub mod counter;
mod derived;
mod fault;
mod flush;
mod flushed;
mod follow;
#[cfg(feature = "frames")]
mod frames;
pub mod grid;
mod head;
mod intake;
mod keeper;
mod manifest;
mod reader;
mod readers;
mod retention;
mod room;
mod row;
mod segment;
mod seq;
mod series;
mod shared;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod upkeep;
mod varint;
mod wal;

pub use amend::{AmendError, Amendment, Imported, Seal, SealedRange};
pub use archive::FlushError;
pub use audit::{Account, Action, AuditEntry, broken_at};
pub use care::{
    BackupError, BackupReport, DumpError, Findings, Format, LastBackup, Loss, LostSeries, Moved, Problem, SalvageError, Salvaged, backup,
    dump, dump_buckets, fsck, last_backup, note_backup, restore, salvage,
};
pub use complete::Completeness;
pub use derived::{Bucket, Passing, Resolution};
pub use flushed::SegmentError;
pub use follow::{FollowError, Follower, Portion, Position, Sweep};
#[cfg(feature = "frames")]
pub use frames::{FrameError, Summary, Values};
pub use intake::CommitError;
pub use manifest::ManifestError;
pub use reader::{Reader, SegmentFile, Totals};
pub use readers::Readers;
pub use retention::{Dropped, Fate, Letting, OldMonth, RetentionError};
pub use room::free_ratio;
pub use row::{Batch, Committed, Counters, DeadLetter, Origin, ProfilePeriod, ProfileSeen, Row, Sample, Words};
pub use seq::AckState;
pub use series::{SeriesId, SeriesInfo, SeriesKey};
pub use store::{OpenError, Options, SpoolState, Store};
pub use upkeep::{Spent, Upkeep};
pub use wal::WalError;
