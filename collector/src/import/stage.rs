//! Files and plans that came over HTTP and wait for their commit, in the folder of the store.
//!
//! ```text
//! imports/files/SHA256/NAME    a file, as it came
//! imports/plans/ID.json        what was planned of some of them
//! ```
//!
//! A file that comes again is the same file. What has waited for a week is forgotten when something new comes; until then a
//! commit can be asked for again and again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::bulk::{CommitPlanError, Plan};

/// Bytes of one file, as it comes.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Bytes and number of all files that wait.
const WAITING_BYTES_MAX: u64 = 1 << 30;
const WAITING_MAX: usize = 256;
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
const NAME_LENGTH_MAX: usize = 128;
/// Less than this part of the disk is for readings alone.
const ROOM_MIN: f64 = 0.05;

/// Why something does not wait here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("`{name}` cannot be the name of a file here: letters, digits, blanks and `._-`, {NAME_LENGTH_MAX} at most, no dot first")]
    Name { name: String },
    #[error("the file is empty")]
    Empty,
    #[error("the file has more than {FILE_BYTES_MAX} bytes: gzip it, or divide it")]
    TooLarge,
    #[error(
        "{files} files with {bytes} bytes wait already, and no more than {WAITING_MAX} with {WAITING_BYTES_MAX} may: each is forgotten a week after it came"
    )]
    TooMany { files: usize, bytes: u64 },
    #[error("there is too little room on the disk of the store")]
    NoRoom,
    #[error("the body ended early")]
    Cut,
    #[error("there is no {what} `{id}` here: it never came, or more than a week ago")]
    Unknown { what: &'static str, id: String },
    #[error("could not keep {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error(transparent)]
    Plan(#[from] CommitPlanError),
}

/// A file that waits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Staged {
    /// SHA-256 of the file as it came: what it is asked for by.
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    files: PathBuf,
    plans: PathBuf,
}

/// A file that is coming. Given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Upload {
    temporary: PathBuf,
    files: PathBuf,
    name: String,
    file: File,
    hash: Sha256,
    bytes: u64,
    bytes_max: u64,
    done: bool,
}

fn io_err(path: &Path) -> impl FnOnce(io::Error) -> StageError {
    let path = path.to_owned();
    move |err| StageError::Io { path, err }
}

impl Stage {
    pub(crate) fn of(store: &Path) -> Self {
        let folder = store.join("imports");
        Self { files: folder.join("files"), plans: folder.join("plans") }
    }

    /// Makes room for a file.
    pub(crate) fn begin(&self, name: &str, now: Timestamp) -> Result<Upload, StageError> {
        let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, ' ' | '.' | '_' | '-');
        if !(1..=NAME_LENGTH_MAX).contains(&name.len()) || name.starts_with('.') || !name.chars().all(plain) {
            return Err(StageError::Name { name: name.to_owned() });
        }
        fs::create_dir_all(&self.files).map_err(io_err(&self.files))?;
        let (files, bytes) = self.forget(now)?;
        if files >= WAITING_MAX || bytes >= WAITING_BYTES_MAX {
            return Err(StageError::TooMany { files, bytes });
        }
        if store::free_ratio(&self.files).is_ok_and(|free| free < ROOM_MIN) {
            return Err(StageError::NoRoom);
        }
        let temporary = self.files.join(format!("coming-{}", wire::command::to_hex(&crate::ingest::random_spool())));
        let file = File::create(&temporary).map_err(io_err(&temporary))?;
        let bytes_max = FILE_BYTES_MAX.min(WAITING_BYTES_MAX - bytes);
        let (folder, name) = (self.files.clone(), name.to_owned());
        Ok(Upload { temporary, files: folder, name, file, hash: Sha256::new(), bytes: 0, bytes_max, done: false })
    }

    /// Removes what has waited too long. Gives the number and the bytes of the files that are left.
    fn forget(&self, now: Timestamp) -> Result<(usize, u64), StageError> {
        let (mut files, mut bytes) = (0, 0);
        for folder in [&self.files, &self.plans] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let of = |path: &Path| path.metadata().and_then(|found| Ok((found.modified()?, found.len())));
                // A file lies in a folder of its own, by its hash.
                let inside = fs::read_dir(&path).into_iter().flatten().flatten().next().map_or_else(|| path.clone(), |one| one.path());
                let Ok((modified, length)) = of(&inside) else { continue };
                if Timestamp::try_from(modified).is_ok_and(|came| now.duration_since(came) > KEPT) {
                    let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                    removed.map_err(io_err(&path))?;
                } else if folder == &self.files {
                    files += 1;
                    bytes += length;
                }
            }
        }
        Ok((files, bytes))
    }

    /// Where the file with this hash lies.
    pub(crate) fn file(&self, hash: &str) -> Result<PathBuf, StageError> {
        let unknown = || StageError::Unknown { what: "file", id: hash.to_owned() };
        let folder = self.files.join(is_hex(hash).then_some(hash).ok_or_else(unknown)?);
        fs::read_dir(folder).into_iter().flatten().flatten().next().map(|entry| entry.path()).ok_or_else(unknown)
    }

    pub(crate) fn keep(&self, plan: &Plan) -> Result<(), StageError> {
        fs::create_dir_all(&self.plans).map_err(io_err(&self.plans))?;
        let (temporary, path) = (self.plans.join("next"), self.plans.join(format!("{}.json", plan.id)));
        let text = serde_json::to_string(plan).map_err(|err| StageError::Io { path: path.clone(), err: err.into() })?;
        fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path)).map_err(io_err(&path))
    }

    pub(crate) fn plan(&self, id: &str) -> Result<Plan, StageError> {
        let unknown = || StageError::Unknown { what: "plan", id: id.to_owned() };
        let path = self.plans.join(format!("{}.json", is_hex(id).then_some(id).ok_or_else(unknown)?));
        let text = fs::read_to_string(&path).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => unknown(),
            _ => StageError::Io { path: path.clone(), err },
        })?;
        Ok(Plan::parse(&path, &text)?)
    }
}

/// Nothing else leads to a file here.
fn is_hex(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Upload {
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<(), StageError> {
        self.bytes += part.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(StageError::TooLarge);
        }
        self.hash.update(part);
        self.file.write_all(part).map_err(io_err(&self.temporary))
    }

    pub(crate) fn finish(mut self) -> Result<Staged, StageError> {
        if self.bytes == 0 {
            return Err(StageError::Empty);
        }
        self.file.sync_all().map_err(io_err(&self.temporary))?;
        let file = wire::command::to_hex(&std::mem::take(&mut self.hash).finalize());
        let folder = self.files.join(&file);
        fs::create_dir_all(&folder).map_err(io_err(&folder))?;
        // It may be there already under another name: the last one holds.
        for entry in fs::read_dir(&folder).map_err(io_err(&folder))?.flatten() {
            fs::remove_file(entry.path()).map_err(io_err(&entry.path()))?;
        }
        let path = folder.join(&self.name);
        fs::rename(&self.temporary, &path).map_err(io_err(&path))?;
        self.done = true;
        Ok(Staged { file, name: self.name.clone(), bytes: self.bytes })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed is forgotten in a week.
            fs::remove_file(&self.temporary).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        daemon::Clock::now(&daemon::SystemClock)
    }

    fn put(stage: &Stage, name: &str, body: &[u8]) -> Result<Staged, StageError> {
        let mut upload = stage.begin(name, now())?;
        body.chunks(3).try_for_each(|part| upload.write(part))?;
        upload.finish()
    }

    fn waiting(stage: &Stage) -> usize {
        fs::read_dir(&stage.files).unwrap().count()
    }

    #[test]
    fn a_file_waits_under_its_hash_and_is_one_however_often_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::of(folder.path());
        let staged = put(&stage, "meter 1.csv", b"a,b\n1,2\n").unwrap();
        assert_eq!((staged.name.as_str(), staged.bytes, staged.file.len()), ("meter 1.csv", 8, 64));
        assert_eq!(fs::read(stage.file(&staged.file).unwrap()).unwrap(), b"a,b\n1,2\n");
        let again = put(&stage, "other.csv", b"a,b\n1,2\n").unwrap();
        assert_eq!((again.file == staged.file, waiting(&stage)), (true, 1));
        assert!(stage.file(&staged.file).unwrap().ends_with("other.csv"));
        for id in ["..", "0", "../../manifest.sqlite", staged.file.to_uppercase().as_str(), "0".repeat(64).as_str()] {
            assert!(matches!(stage.file(id), Err(StageError::Unknown { .. })), "{id}");
            assert!(matches!(stage.plan(id), Err(StageError::Unknown { .. })), "{id}");
        }
    }

    #[test]
    fn what_cannot_wait_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::of(folder.path());
        for name in ["", ".hidden", "a/b", "..", "a\nb", "é", "n".repeat(129).as_str()] {
            assert!(matches!(put(&stage, name, b"x"), Err(StageError::Name { .. })), "{name}");
        }
        assert!(matches!(put(&stage, "a", b""), Err(StageError::Empty)));
        let mut upload = stage.begin("large", now()).unwrap();
        upload.bytes = FILE_BYTES_MAX;
        assert!(matches!(upload.write(b"x"), Err(StageError::TooLarge)));
        drop(upload);
        drop(stage.begin("cut", now()).unwrap());
        assert_eq!(waiting(&stage), 0);
    }

    #[test]
    fn a_file_is_forgotten_after_a_week_and_there_are_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::of(folder.path());
        for number in 0..WAITING_MAX {
            put(&stage, "f", number.to_string().as_bytes()).unwrap();
        }
        assert!(matches!(put(&stage, "f", b"more"), Err(StageError::TooMany { files: WAITING_MAX, .. })));
        drop(stage.begin("later", now() + KEPT + SignedDuration::from_mins(1)).unwrap());
        assert_eq!(waiting(&stage), 0);
    }
}
