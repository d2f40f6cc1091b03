//! The database: one SQLite file, one function per question.
//!
//! There is one writer connection and a few readers. A write is a [`Tx`]: the effect, its idempotency record, its
//! outbox row and its audit row are written through the same one and become true together. Every question about
//! somebody's data takes the tenant, so a query that forgets it cannot be written by calling these functions.

pub(crate) mod adjustments;
pub(crate) mod baselines;
pub(crate) mod contracts;
pub(crate) mod events;
pub(crate) mod facilities;
pub(crate) mod idempotency;
pub(crate) mod inbox;
pub(crate) mod invoices;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod ledger;
mod migrate;
pub(crate) mod papers;
pub(crate) mod payees;
pub(crate) mod payments;
pub(crate) mod payouts;
mod row;
pub(crate) mod statements;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

/// An open write transaction; dropped without commit it never happened.
pub(crate) type Tx = Transaction<'static, Sqlite>;

/// Readers beside the one writer.
const READERS: u32 = 4;
/// How long a statement waits for another process's lock (a backup, a `migrate`).
const BUSY: Duration = Duration::from_secs(10);

/// Why the database did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file could not be opened, made or brought up to date.
    #[error("could not open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        err: sqlx::Error,
    },
    /// A statement failed.
    #[error("the database refused a statement")]
    Sql(#[from] sqlx::Error),
    /// A stored value is not what the column holds by design.
    #[error("column `{column}` holds `{found}`, which is not {expected}")]
    Malformed {
        /// The column.
        column: &'static str,
        /// What is in it.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A document could not be written as or read from JSON.
    #[error("the document in column `{column}` cannot be read")]
    Document {
        /// The column.
        column: &'static str,
        /// What the parser said.
        #[source]
        err: serde_json::Error,
    },
    /// A document's effect was posted before, with other content. Nothing is posted; somebody must look.
    #[error("{key} was posted before with other content")]
    Posted {
        /// The source and the effect.
        key: String,
    },
    /// The file was written by a later release, or a migration was edited after it ran.
    #[error("migration {version} of the database is not the one this release knows")]
    Migration {
        /// Number of the migration.
        version: i64,
    },
}

impl DbError {
    /// Whether a unique constraint was in the way: the thing exists already.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(err)) if err.is_unique_violation())
    }
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Db {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Db {
    /// Opens the file, makes it when absent, and brings its tables up to date.
    ///
    /// * Durability: write-ahead log with `synchronous = FULL`: a committed transaction survives a power cut.
    pub async fn open(path: &Path) -> Result<Self, DbError> {
        let refused = |err| DbError::Open { path: path.to_owned(), err };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|err| refused(sqlx::Error::Io(err)))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(refused)?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await.map_err(refused)?;
        let db = Self { readers, writer };
        let mut tx = db.write().await?;
        migrate::run(&mut tx).await?;
        tx.commit().await?;
        Ok(db)
    }

    /// For questions.
    pub(crate) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// For changes: waits for the writer, and sees everything committed before.
    pub(crate) async fn write(&self) -> Result<Tx, DbError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Closes every connection, so that the log is folded into the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Rows after this identifier; empty for the first page.
    pub(crate) after: String,
    /// At most so many rows.
    pub(crate) limit: i64,
}

#[cfg(test)]
mod tests;
