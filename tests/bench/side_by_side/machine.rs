//! A server that is measured: its process, and what it takes from the machine as Linux counts it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Result;

/// The longest that a server may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// Runs until it is killed, or dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it with both outputs at the end of a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn()?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until it is ready, and says how long that took.
    pub(crate) fn ready(&mut self, mut is: impl FnMut() -> bool) -> Result<Duration> {
        let began = Instant::now();
        while !is() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || began.elapsed() > PATIENCE {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                return Err(format!("it does not get ready ({ended:?}): {}", last.join(" | ")).into());
            }
            std::thread::sleep(POLL);
        }
        Ok(began.elapsed())
    }

    /// The processes of it: itself first, then those that it has started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let parent = self.child.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        std::iter::once(parent).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// What it has computed so far, with what its ended children had.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.pids().into_iter().enumerate().map(|(at, pid)| ticks(pid, at == 0)).sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1))
    }

    /// The most of the memory that it ever took, in MiB; of several processes, what they share is counted once.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        let pids = self.pids();
        let (file, name) = if pids.len() == 1 { ("status", "VmHWM:") } else { ("smaps_rollup", "Pss:") };
        let mut kib = 0.0;
        for pid in pids {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let figure = text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().trim_end_matches("kB").trim());
            kib += figure.map_or(Ok(0.0), str::parse::<f64>)?;
        }
        Ok(kib / 1_024.0)
    }

    /// SIGKILL to every process of it at the same time: no destructor, no last write.
    pub(crate) fn kill(&mut self) -> Result<()> {
        kill_all(&self.pids());
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err("it does not end when it is asked to".into());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None))
            && let Err(err) = self.kill()
        {
            super::say(&format!("a process could not be ended: {err}"));
        }
    }
}

pub(crate) fn kill_all(pids: &[u32]) {
    for pid in pids {
        // One that has just ended by itself is what is wanted.
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw)
            && let Err(err) = kill_process(pid, Signal::KILL)
            && err != rustix::io::Errno::SRCH
        {
            super::say(&format!("a process could not be killed: {err}"));
        }
    }
}

/// Clock ticks that a process has computed, and those of the children it has waited for.
fn ticks(pid: u32, with_ended: bool) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: the state is field 3, user time 14, and so on.
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let until = if with_ended { 15 } else { 13 };
    fields.get(11..until).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Bytes that a folder takes from the disk.
pub(crate) fn allocated(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let Ok(entry) = entry else { continue };
        // Compactions take files away while we look.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { allocated(&entry.path()).unwrap_or(0) } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// Waits until a folder has had the same size for a while, and gives it.
pub(crate) fn settled(folder: &Path, quiet: Duration, patience: Duration) -> Result<u64> {
    let (began, mut since, mut last) = (Instant::now(), Instant::now(), allocated(folder)?);
    while since.elapsed() < quiet && began.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(100));
        let now = allocated(folder)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

/// A program of a Debian package; nothing when it is not installed.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons live where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// An address that was free a moment ago.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
