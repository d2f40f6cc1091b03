//! Databases that others keep in the folder of a store: they are not ours to read, and go with it wherever it goes.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions as _, SqliteConnection};

use super::wait::wait;
use super::{Manifest, ManifestError, tables};

/// What they are called. `vee.sqlite` is the collector's: watermarks, events, estimates and other changes.
pub(crate) const COMPANIONS: [&str; 1] = ["vee.sqlite"];

/// A database beside the manifest, opened beside the one who writes it.
#[derive(Debug)]
pub(crate) struct Companion {
    path: PathBuf,
    connection: SqliteConnection,
}

impl Companion {
    /// Nothing when there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ManifestError> {
        if !path.exists() {
            return Ok(None);
        }
        let connected = wait(Manifest::options(path).read_only(true).connect());
        let connection = connected.map_err(|err| ManifestError::Database { what: "open", path: path.to_owned(), err })?;
        Ok(Some(Self { path: path.to_owned(), connection }))
    }

    fn error(&self, what: &'static str) -> impl FnOnce(sqlx::Error) -> ManifestError + use<> {
        let path = self.path.clone();
        move |err| ManifestError::Database { what, path, err }
    }

    /// Copies the database as of now. The file must not be there.
    pub(crate) fn copy_to(&mut self, path: &Path) -> Result<(), ManifestError> {
        wait(tables::copy_to(&mut self.connection, &path.to_string_lossy())).map_err(self.error("copy"))
    }

    /// Another number after somebody else has written.
    pub(crate) fn version(&mut self) -> Result<i64, ManifestError> {
        wait(sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection)).map_err(self.error("read"))
    }

    /// What SQLite finds wrong with it.
    pub(crate) fn integrity(&mut self) -> Result<Vec<String>, ManifestError> {
        let said = wait(tables::integrity(&mut self.connection)).map_err(self.error("check"))?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }
}
