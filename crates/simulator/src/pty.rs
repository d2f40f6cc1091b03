//! A pseudo-terminal pair that carries bytes unchanged.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

/// Both ends of a pseudo-terminal.
///
/// The end with a path is kept open here as well: bytes survive while nobody else has it open, and the other end never sees a hang-up
/// when a program closes its port.
#[derive(Debug)]
pub(crate) struct Pty {
    /// The end without a path, non-blocking.
    pub(crate) inside: OwnedFd,
    /// The end with a path, in raw mode.
    pub(crate) outside: OwnedFd,
    path: PathBuf,
}

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let inside = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&inside)?;
        rustix::pty::unlockpt(&inside)?;
        let name = rustix::pty::ptsname(&inside, Vec::new())?;
        let path = PathBuf::from(name.to_str().map_err(io::Error::other)?);
        let outside = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut mode = rustix::termios::tcgetattr(&outside)?;
        mode.make_raw();
        rustix::termios::tcsetattr(&outside, OptionalActions::Now, &mode)?;
        rustix::fs::fcntl_setfl(&inside, rustix::fs::fcntl_getfl(&inside)? | OFlags::NONBLOCK)?;
        Ok(Self { inside, outside, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads what is there; an empty answer means nothing.
pub(crate) fn read_available(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; 1024];
    match rustix::io::read(fd, &mut chunk) {
        Ok(received) => {
            chunk.truncate(received);
            Ok(chunk)
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Vec::new()),
        Err(err) => Err(err.into()),
    }
}

/// Writes all bytes, or as many as the other side has room for: a serial line does not wait for its listeners.
pub(crate) fn write_or_lose(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(fd, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

/// Waits until one of the descriptors is readable or the time is over.
pub(crate) fn wait_readable(fds: &[&OwnedFd], timeout: std::time::Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
    let timeout = Timespec { tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX), tv_nsec: timeout.subsec_nanos().into() };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(err) => Err(err.into()),
    }
}
