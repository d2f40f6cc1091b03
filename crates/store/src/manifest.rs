//! What the store consists of: an SQLite database that one transaction at a time moves from one truth to the next.
//!
//! The rest of the store is synchronous, so the few statements here are driven to their end in place: the SQLite
//! connection has its own thread and needs no runtime.

mod audit;
mod catalogue;
mod companion;
mod derived;
mod spans;
mod tables;
mod wait;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::audit::AuditEntry;
use crate::derived::DerivedRow;
use crate::flush::Place;
use crate::row::{Counters, DeadLetter, Origin};
use crate::segment::Span;
use crate::series::{SeriesId, SeriesKey};

use catalogue::Named;
pub(crate) use companion::{COMPANIONS, Companion};
pub(crate) use tables::ProfileRow;
pub(crate) use wait::wait;

/// The version of the folder's layout. The first had a row for each series of a segment, the second said the names of its device with
/// each series; who writes takes them over.
const FORMAT: i64 = 3;

/// Of a new database: most of its tables are empty or nearly so, and each takes a page.
const PAGE_BYTES: u32 = 1_024;

/// What stays of SQLite's own log after it was taken over: a flush of many series may make it longer.
const LOG_BYTES_MAX: &str = "1048576";

/// Why the manifest could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("could not {what} {}", path.display())]
    Database {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: sqlx::Error,
    },
    /// Written by a later version.
    #[error("{} has format {found}; this version reads format {FORMAT}", path.display())]
    Format { path: PathBuf, found: i64 },
    /// SQLite says so, or its rows do.
    #[error("{} is damaged: {said}", path.display())]
    Damaged { path: PathBuf, said: String },
    /// A row that no version has ever written.
    #[error("{} has a row in `{table}` that cannot be: restore it from a copy", path.display())]
    Corrupt { path: PathBuf, table: &'static str },
}

/// A segment that is part of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    pub(crate) id: i64,
    /// Relative to the store's folder.
    pub(crate) path: String,
    pub(crate) tenant: String,
    pub(crate) facility: String,
    /// `2026-01`, UTC.
    pub(crate) month: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// 0 from memory, 1 of several flushes, 2 of a whole month.
    pub(crate) level: u8,
    /// The entries of the log that it came from.
    pub(crate) min_lsn: u64,
    pub(crate) max_lsn: u64,
    pub(crate) spans: Vec<Span>,
}

impl SegmentRow {
    /// Where a series lies in it. They ascend.
    pub(crate) fn span(&self, id: SeriesId) -> Option<&Span> {
        let at = self.spans.binary_search_by_key(&id, |span| span.series).ok()?;
        self.spans.get(at)
    }

    pub(crate) fn is_of(&self, place: &Place) -> bool {
        self.tenant == place.tenant && self.facility == place.facility && self.month == place.month
    }
}

/// Ranges of one spool.
pub(crate) type Received = (u32, [u8; 16], Vec<(u64, u64)>);

/// Everything that is needed to go on.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) flushed_lsn: u64,
    pub(crate) next_segment: i64,
    pub(crate) counters: Counters,
    pub(crate) series: Vec<(SeriesId, SeriesKey)>,
    pub(crate) origins: Vec<(u32, Origin)>,
    pub(crate) received: Vec<Received>,
    pub(crate) profiles: Vec<ProfileRow>,
    pub(crate) audit: Vec<AuditEntry>,
    pub(crate) segments: Vec<SegmentRow>,
    pub(crate) derived: Vec<DerivedRow>,
}

/// What a reader did not know, and the log does not say.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) flushed_lsn: u64,
    pub(crate) added: Vec<SegmentRow>,
    pub(crate) removed: HashSet<i64>,
    /// All of them.
    pub(crate) derived: Vec<DerivedRow>,
}

/// What a flush or a compaction changes, all or nothing.
#[derive(Debug, Default)]
pub(crate) struct Publication<'a> {
    pub(crate) flushed_lsn: u64,
    pub(crate) next_segment: i64,
    pub(crate) counters: Counters,
    pub(crate) series: Vec<(SeriesId, &'a SeriesKey)>,
    pub(crate) origins: Vec<(u32, &'a Origin)>,
    pub(crate) received: Vec<Received>,
    pub(crate) profiles: Vec<ProfileRow>,
    pub(crate) letters: Vec<&'a DeadLetter>,
    pub(crate) audit: Vec<&'a AuditEntry>,
    pub(crate) added: Vec<&'a SegmentRow>,
    pub(crate) removed: Vec<i64>,
    /// Each takes the place of the one of its facility and month.
    pub(crate) derived: Vec<&'a DerivedRow>,
    /// Paths of files of quarters that are gone.
    pub(crate) underived: Vec<&'a str>,
}

/// An open manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    connection: SqliteConnection,
    /// Not yet read, or not to be trusted since a change failed: none.
    named: Option<Named>,
}

impl Manifest {
    /// Opens for the one writer, and makes the tables if there are none.
    pub(crate) fn open(path: &Path) -> Result<Self, ManifestError> {
        Self::open_in(SqliteJournalMode::Wal, path)
    }

    /// Opens a copy that nobody else has open. It is one file, and stays one: a log of SQLite's own would go only when the
    /// thread of the connection has come to its end, which may be after the copy was listed.
    pub(crate) fn open_copy(path: &Path) -> Result<Self, ManifestError> {
        Self::open_in(SqliteJournalMode::Delete, path)
    }

    fn open_in(mode: SqliteJournalMode, path: &Path) -> Result<Self, ManifestError> {
        let options = Self::options(path)
            .create_if_missing(true)
            .journal_mode(mode)
            .synchronous(SqliteSynchronous::Full)
            .page_size(PAGE_BYTES)
            // Of a new database: what is free can be given back.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .pragma("journal_size_limit", LOG_BYTES_MAX);
        let mut manifest = Self::connect(path, &options)?;
        wait(tables::create(&mut manifest.connection)).map_err(manifest.error("create tables in"))?;
        manifest.check_format()?;
        Ok(manifest)
    }

    /// Opens beside the writer.
    pub(crate) fn open_beside(path: &Path) -> Result<Self, ManifestError> {
        let mut manifest = Self::connect(path, &Self::options(path).read_only(true))?;
        manifest.check_format()?;
        Ok(manifest)
    }

    fn options(path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(10)).disable_statement_logging()
    }

    fn connect(path: &Path, options: &SqliteConnectOptions) -> Result<Self, ManifestError> {
        let connection = wait(options.connect()).map_err(|err| ManifestError::Database { what: "open", path: path.to_owned(), err })?;
        Ok(Self { path: path.to_owned(), connection, named: None })
    }

    fn error(&self, what: &'static str) -> impl FnOnce(sqlx::Error) -> ManifestError + use<> {
        let path = self.path.clone();
        move |err| ManifestError::Database { what, path, err }
    }

    fn check_format(&mut self) -> Result<(), ManifestError> {
        match wait(tables::format(&mut self.connection)).map_err(self.error("read"))? {
            1..=FORMAT => Ok(()),
            found => Err(ManifestError::Format { path: self.path.clone(), found }),
        }
    }

    /// Reads everything in one transaction.
    pub(crate) fn load(&mut self) -> Result<Snapshot, ManifestError> {
        let loaded = wait(async {
            let mut transaction = self.connection.begin().await?;
            tables::load(&mut transaction).await
        });
        loaded.map_err(self.error("read"))?.map_err(|table| ManifestError::Corrupt { path: self.path.clone(), table })
    }

    /// A number that is another one after the writer has changed anything.
    pub(crate) fn version(&mut self) -> Result<i64, ManifestError> {
        wait(tables::data_version(&mut self.connection)).map_err(self.error("read"))
    }

    /// What a reader needs who has these segments, read in one transaction.
    pub(crate) fn changes(&mut self, known: &HashSet<i64>) -> Result<Changes, ManifestError> {
        let read = wait(async {
            let mut transaction = self.connection.begin().await?;
            tables::changes(&mut transaction, known).await
        });
        read.map_err(self.error("read"))?.map_err(|table| ManifestError::Corrupt { path: self.path.clone(), table })
    }

    /// Changes everything in one transaction.
    pub(crate) fn publish(&mut self, publication: &Publication<'_>) -> Result<(), ManifestError> {
        let named = self.named.take();
        let published = wait(async {
            let mut transaction = self.connection.begin().await?;
            let mut named = match named {
                Some(named) => named,
                None => Named::load(&mut transaction).await?,
            };
            tables::publish(&mut transaction, publication, &mut named).await?;
            transaction.commit().await.map(|()| named)
        });
        self.named = Some(published.map_err(self.error("write"))?);
        Ok(())
    }

    /// Gives back free room, and empties SQLite's own log. Where a reader is at it, what it reads stays until the next time.
    pub(crate) fn settle(&mut self) -> Result<(), ManifestError> {
        wait(tables::checkpoint(&mut self.connection)).map_err(self.error("settle"))
    }

    /// What SQLite finds wrong with the database; nothing, when it is whole.
    pub(crate) fn integrity(&mut self) -> Result<Vec<String>, ManifestError> {
        let said = wait(tables::integrity(&mut self.connection)).map_err(self.error("check"))?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }

    /// Copies the database as of now, beside a writer. The file must not be there.
    pub(crate) fn copy_to(&mut self, path: &Path) -> Result<(), ManifestError> {
        wait(tables::copy_to(&mut self.connection, &path.to_string_lossy())).map_err(self.error("copy"))
    }

    /// Whether a segment is part of the store.
    pub(crate) fn has_segment(&mut self, id: i64) -> Result<bool, ManifestError> {
        wait(tables::has_segment(&mut self.connection, id)).map_err(self.error("read"))
    }

    /// Whether a file of quarters is part of the store.
    pub(crate) fn has_derived(&mut self, path: &str) -> Result<bool, ManifestError> {
        wait(derived::has(&mut self.connection, path)).map_err(self.error("read"))
    }

    /// Files that were replaced and may be read by a reader that opened before.
    pub(crate) fn retired(&mut self) -> Result<Vec<String>, ManifestError> {
        wait(tables::retired(&mut self.connection)).map_err(self.error("read"))
    }

    pub(crate) fn forget_retired(&mut self, paths: &[String]) -> Result<(), ManifestError> {
        wait(tables::forget_retired(&mut self.connection, paths)).map_err(self.error("write"))
    }

    /// The latest dead letters, newest first.
    pub(crate) fn letters(&mut self, limit: u32) -> Result<Vec<DeadLetter>, ManifestError> {
        wait(tables::letters(&mut self.connection, limit)).map_err(self.error("read"))
    }
}

/// Makes a manifest what an earlier version would have written.
#[cfg(test)]
pub(crate) fn make_old(path: &Path, format: i64) {
    let mut manifest = Manifest::open(path).unwrap();
    wait(async {
        spans::make_old(&mut manifest.connection, format).await?;
        catalogue::make_old(&mut manifest.connection).await?;
        sqlx::query("UPDATE meta SET value = ? WHERE key = 'format'").bind(format).execute(&mut manifest.connection).await
    })
    .unwrap();
}
