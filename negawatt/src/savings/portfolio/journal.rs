//! The meters that are finished, each on a line as soon as it is.
//!
//! `meters.jsonl` is what a run adds to while it goes on and what it leaves, in the order of meters, when it ends. A run that
//! was killed leaves whole lines and perhaps a part of one, which is cut off. A line says by its key whether it may stand
//! for its meter: the key is over the rows, the weather, the question and the edition of the code.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::input::Refused;

pub(super) const NAME: &str = "meters.jsonl";
const LOCK: &str = ".lock";

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    offset: u64,
    length: usize,
}

/// The file of finished meters.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) folder: PathBuf,
    pub(super) lines: Lines,
    pub(super) writer: Writer,
    /// Held as long as the run: two runs in one folder would write over each other.
    _lock: File,
}

/// Of each meter: its key, and its last line.
type Known = HashMap<String, (String, Span)>;

/// What was finished before this run, and how a line is read.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    finished: Known,
}

/// Where this run adds.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Opens the folder, and makes it where there is none.
    ///
    /// * Errors: another run is at work there; a folder that cannot be written.
    pub(super) fn open(folder: &Path, fresh: bool) -> Result<Self, Refused> {
        let failed = |err: std::io::Error| Refused::down(folder, format!("could not be written: {err}"));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refused::down(folder, "another run is writing there".to_owned())),
            Err(TryLockError::Error(err)) => return Err(failed(err)),
        }
        let path = folder.join(NAME);
        let file = OpenOptions::new().create(true).read(true).write(true).truncate(fresh).open(&path);
        let unread = |err: std::io::Error| Refused::down(&path, format!("could not be read: {err}"));
        let file = file.map_err(unread)?;
        let (finished, length) = finished(&file).map_err(unread)?;
        file.set_len(length).map_err(unread)?;
        let reading = File::open(&path).map_err(unread)?;
        let lines = Lines { file: reading, finished };
        Ok(Self { folder: folder.to_owned(), lines, writer: Writer { path, file, length }, _lock: lock })
    }
}

/// Every meter's last line, and where the last whole line ends.
fn finished(file: &File) -> std::io::Result<(Known, u64)> {
    #[derive(Deserialize)]
    struct Line {
        meter: String,
        key: String,
    }
    let (mut found, mut offset, mut line) = (HashMap::new(), 0, Vec::new());
    let mut reader = BufReader::new(file);
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        // What does not end was being written when the run was stopped.
        if length == 0 || line.last() != Some(&b'\n') {
            return Ok((found, offset));
        }
        // A line that is none of ours stands for no meter.
        if let Ok(known) = serde_json::from_slice::<Line>(&line) {
            found.insert(known.meter, (known.key, Span { offset, length }));
        }
        offset += length as u64;
    }
}

impl Lines {
    /// The line that stands for a meter, if it was finished with this key.
    pub(super) fn of(&self, meter: &str, key: &str) -> Option<Span> {
        self.finished.get(meter).filter(|(known, _)| known == key).map(|(_, span)| *span)
    }

    pub(super) fn read(&self, span: Span) -> std::io::Result<Vec<u8>> {
        let mut line = vec![0; span.length];
        self.file.read_exact_at(&mut line, span.offset)?;
        Ok(line)
    }
}

impl Writer {
    /// Adds whole lines, of these lengths, at once.
    pub(super) fn append(&mut self, lines: &[u8], lengths: &[usize]) -> Result<Vec<Span>, Refused> {
        self.file.write_all_at(lines, self.length).map_err(|err| Refused::down(&self.path, format!("could not be written: {err}")))?;
        let mut offset = self.length;
        let spans = lengths.iter().map(|length| {
            let span = Span { offset, length: *length };
            offset += *length as u64;
            span
        });
        let spans = spans.collect();
        self.length = offset;
        Ok(spans)
    }
}

/// A file of the folder that takes the place of the one before when it is whole.
#[derive(Debug)]
pub(super) struct Replacing {
    path: PathBuf,
    hidden: PathBuf,
}

impl Replacing {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name), hidden: folder.join(format!(".{name}.new")) }
    }

    pub(super) fn create(&self) -> Result<File, Refused> {
        File::create(&self.hidden).map_err(|err| self.failed(&err))
    }

    /// Puts it in its place.
    pub(super) fn done(&self, mut file: File) -> Result<(), Refused> {
        let placed = file.flush().and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&self.hidden, &self.path));
        placed.map_err(|err| self.failed(&err))
    }

    /// Takes the file away that an earlier run left.
    pub(super) fn remove(&self) -> Result<(), Refused> {
        match std::fs::remove_file(&self.path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(self.failed(&err)),
            _ => Ok(()),
        }
    }

    pub(super) fn failed(&self, err: &dyn std::error::Error) -> Refused {
        Refused::down(&self.path, format!("could not be written: {}", daemon::chain(err)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(meter: &str, key: &str) -> String {
        format!("{{\"meter\":\"{meter}\",\"key\":\"{key}\",\"more\":[1,2]}}\n")
    }

    #[test]
    fn whole_lines_are_found_again_and_the_torn_one_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, again) = (line("a", "k1"), line("b", "k2"), line("a", "k3"));
        let mut journal = Journal::open(dir.path(), false).unwrap();
        let spans = journal.writer.append(format!("{one}{two}{again}").as_bytes(), &[one.len(), two.len(), again.len()]).unwrap();
        assert_eq!(journal.lines.read(spans[1]).unwrap(), two.as_bytes());
        drop(journal);
        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"{\"meter\":\"c\",\"ke"].concat()).unwrap();

        let mut journal = Journal::open(dir.path(), false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert_eq!((journal.lines.of("a", "k1"), journal.lines.of("c", "k4")), (None, None));
        let found = journal.lines.of("a", "k3").unwrap();
        assert_eq!(journal.lines.read(found).unwrap(), again.as_bytes());
        let more = line("c", "k4");
        let spans = journal.writer.append(more.as_bytes(), &[more.len()]).unwrap();
        assert_eq!(journal.lines.read(spans[0]).unwrap(), more.as_bytes());
    }

    #[test]
    fn one_run_at_a_time_and_a_fresh_one_forgets() {
        let dir = tempfile::tempdir().unwrap();
        let one = line("a", "k1");
        let mut journal = Journal::open(dir.path(), false).unwrap();
        journal.writer.append(one.as_bytes(), &[one.len()]).unwrap();
        assert!(Journal::open(dir.path(), false).unwrap_err().to_string().contains("another run"));
        drop(journal);
        assert_eq!(Journal::open(dir.path(), true).unwrap().lines.of("a", "k1"), None);
    }
}
