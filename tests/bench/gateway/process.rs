//! What a process or thread takes from the machine, as Linux counts it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::Result;

/// Keeps this thread on one core, where the machine lets us.
pub(super) fn stay_on_core(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(err) = sched_setaffinity(None, &cores) {
        super::say(&format!("core {core} cannot be had for one thread alone: {err}"));
    }
}

pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What this thread has computed so far.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// What all threads of a process have computed so far.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let mut nanos = 0_u64;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that has just ended has no file any more.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process now and at its most, in MiB.
pub(super) fn memory_mib(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim_end_matches("kB").trim().parse::<f64>().ok()).map(|kib| kib / 1024.0)
    };
    let missing = || format!("process {pid} has ended");
    Ok((of("VmRSS:").ok_or_else(missing)?, of("VmHWM:").ok_or_else(missing)?))
}

/// Bytes that were written to the disk of a folder so far, by everybody.
pub(super) fn written_to_disk_of(folder: &Path) -> Result<u64> {
    let device = rustix::fs::stat(folder)?.st_dev;
    let (major, minor) = (rustix::fs::major(device).to_string(), rustix::fs::minor(device).to_string());
    let disks = fs::read_to_string("/proc/diskstats")?;
    let sectors = disks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.first() == Some(&major.as_str()) && fields.get(1) == Some(&minor.as_str());
        is_it.then(|| fields.get(9).and_then(|sectors| sectors.parse::<u64>().ok())).flatten()
    });
    let sectors = sectors.ok_or_else(|| format!("the disk of {} is not in /proc/diskstats", folder.display()))?;
    Ok(sectors * 512)
}
