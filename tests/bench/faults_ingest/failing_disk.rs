//! A disk that is full or does not keep what it was given, in the collector's process alone.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Result, at};

/// What stands between a program and its disk. Every linker of Rust needs a compiler of C, so there is one.
const SOURCE: &str = include_str!("failing_disk.c");

#[derive(Clone, Copy, Debug)]
pub(crate) enum Failing {
    /// No room: ENOSPC.
    Full,
    /// EIO at fsync, and what was written is gone.
    Syncs,
}

/// The built library, and the file that says what goes wrong now.
#[derive(Debug)]
pub(crate) struct FailingDisk {
    library: PathBuf,
    now: PathBuf,
}

impl FailingDisk {
    /// Builds it into a folder that is there for this run.
    pub(crate) fn build(folder: &Path) -> Result<Self> {
        let (library, now) = (folder.join("failing_disk.so"), folder.join("failing"));
        let mut compiler = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-x", "c", "-o"])
            .arg(&library)
            .args(["-", "-ldl"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|err| format!("the compiler `cc` could not be started ({err}): install one"))?;
        compiler.stdin.take().ok_or("no standard input")?.write_all(SOURCE.as_bytes())?;
        if compiler.wait()?.success() { Ok(Self { library, now }) } else { Err("failing_disk.c was not built".into()) }
    }

    /// Has a program write by way of it.
    pub(crate) fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAILING_DISK", &self.now);
    }

    /// Lets the disk fail for a while.
    pub(crate) fn fail(&self, how: Failing, pause: Duration) -> Result<()> {
        fs::write(
            &self.now,
            match how {
                Failing::Full => "f",
                Failing::Syncs => "s",
            },
        )
        .map_err(at(&self.now))?;
        std::thread::sleep(pause);
        Ok(fs::remove_file(&self.now).map_err(at(&self.now))?)
    }
}
