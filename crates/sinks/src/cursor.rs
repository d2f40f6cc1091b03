//! How far a sink has come, on the disk: one small file, replaced as a whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use store::Position;

/// Why a cursor could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    #[error("could not {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("{} is not a cursor: remove it, and everything is sent again", path.display())]
    Damaged { path: PathBuf },
}

/// What is known of a sink after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub position: Position,
    /// Where it was sent to. Another place has nothing of it yet.
    pub destination: String,
    /// When the sink last had everything, UTC milliseconds; 0 when it never had.
    pub caught_up_ms: i64,
    pub counts: Counts,
}

/// Totals since the cursor was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that the sink has taken, those that were sent again included.
    pub written: u64,
    /// Attempts that were repeated.
    pub retried: u64,
    /// Readings that the sink refuses for what they are: each is a dead letter.
    pub rejected: u64,
}

impl Cursor {
    /// Reads it; `None` when there is none yet.
    pub fn load(store: &Path, name: &str) -> Result<Option<Self>, CursorError> {
        let path = path(store, name, "json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(CursorError::Io { what: "read", path, err }),
        };
        let parsed = serde_json::from_str(&text).ok().and_then(|value| Self::from_json(&value));
        parsed.map(Some).ok_or(CursorError::Damaged { path })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let count = |key: &str| value.get(key).and_then(Value::as_u64);
        Some(Self {
            position: Position::from_json(value.get("position")?)?,
            destination: value.get("destination")?.as_str()?.to_owned(),
            caught_up_ms: value.get("caught_up_ms")?.as_i64()?,
            counts: Counts { written: count("written")?, retried: count("retried")?, rejected: count("rejected")? },
        })
    }

    /// Writes it; it is on the disk when this returns.
    pub fn save(&self, store: &Path, name: &str) -> Result<(), CursorError> {
        let Counts { written, retried, rejected } = self.counts;
        let value = json!({
            "position": self.position.to_json(),
            "destination": self.destination,
            "caught_up_ms": self.caught_up_ms,
            "written": written,
            "retried": retried,
            "rejected": rejected,
        });
        replace(&path(store, name, "json"), value.to_string().as_bytes())
    }
}

/// Asks that a sink starts again after an entry of the log: whoever runs it does so, now or at its next start.
pub fn ask_to_rewind(store: &Path, name: &str, lsn: u64) -> Result<(), CursorError> {
    replace(&path(store, name, "rewind"), lsn.to_string().as_bytes())
}

/// Where somebody has asked a sink to start again.
pub fn asked_to_rewind(store: &Path, name: &str) -> Result<Option<u64>, CursorError> {
    let path = path(store, name, "rewind");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_unread| CursorError::Damaged { path }),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(CursorError::Io { what: "read", path, err }),
    }
}

/// The sink has started again.
pub fn rewound(store: &Path, name: &str) -> Result<(), CursorError> {
    let path = path(store, name, "rewind");
    std::fs::remove_file(&path).map_err(|err| CursorError::Io { what: "remove", path, err })
}

fn path(store: &Path, name: &str, extension: &str) -> PathBuf {
    store.join("sinks").join(format!("{name}.{extension}"))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), CursorError> {
    let failed = |what| move |err| CursorError::Io { what, path: path.to_owned(), err };
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
    // A name of its own for each: a command may ask for a rewind while the collector moves the cursor.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(failed("create"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
    std::fs::rename(&temporary, path).map_err(failed("rename"))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{SeriesId, Sweep};

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Cursor::load(folder.path(), "a").unwrap(), None);
        let sweep = Some(Sweep { target: u64::MAX, series: SeriesId(3), after_ms: i64::MIN });
        let counts = Counts { written: 1, retried: 2, rejected: 3 };
        let cursor = Cursor { position: Position { lsn: 9, sweep }, destination: "there".to_owned(), caught_up_ms: -1, counts };
        cursor.save(folder.path(), "a").unwrap();
        assert_eq!(Cursor::load(folder.path(), "a").unwrap(), Some(cursor));
        assert_eq!(Cursor::load(folder.path(), "b").unwrap(), None);
        std::fs::write(folder.path().join("sinks/a.json"), "{}").unwrap();
        assert!(matches!(Cursor::load(folder.path(), "a"), Err(CursorError::Damaged { .. })));
    }

    #[test]
    fn a_rewind_waits_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(asked_to_rewind(folder.path(), "a").unwrap(), None);
        ask_to_rewind(folder.path(), "a", 7).unwrap();
        assert_eq!(asked_to_rewind(folder.path(), "a").unwrap(), Some(7));
        rewound(folder.path(), "a").unwrap();
        assert_eq!(asked_to_rewind(folder.path(), "a").unwrap(), None);
    }
}
