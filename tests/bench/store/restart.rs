//! Killed with a long log, and ready again.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use negawatt_tests::fleet::Fleet;
use serde_json::{Value, json};
use store::{Options, Store};

use super::{LOG_FILE_BYTES, METERS, Result, print, process_cpu, rounded};

/// Nothing is moved to segments: the log is the longest that may be.
fn options(points: u64) -> Options {
    Options { flush_rows: usize::try_from(points).unwrap_or(usize::MAX / 8) * 2, wal_file_bytes: LOG_FILE_BYTES, ..Options::default() }
}

pub(super) fn measure(dir: &Path, seed: u64, points: u64) -> Result<Value> {
    let this = std::env::current_exe()?;
    let asked = ["--seed".to_owned(), seed.to_string(), "--log-points".to_owned(), points.to_string()];
    let mut child = Command::new(&this).args(&asked).arg("fill").arg(dir).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    // SIGKILL: no destructor runs.
    child.kill()?;
    child.wait()?;
    let committed: Value = serde_json::from_str(&line)?;
    let output = Command::new(&this).args(&asked).arg("reopen").arg(dir).output()?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    if found["replay_points"] != committed["committed"] {
        return Err(format!("{} were committed, {} are there", committed["committed"], found["replay_points"]).into());
    }
    Ok(found)
}

pub(super) fn fill(dir: &Path, seed: u64, points: u64) -> Result<()> {
    let store = Store::open(dir, options(points))?;
    let mut fleet = Fleet::new(METERS, seed)?;
    let mut minute = 0;
    while store.counters().accepted < points {
        fleet.advance(minute);
        store.commit(&fleet.batches)?;
        minute += 1;
    }
    print(&json!({ "committed": store.counters().accepted }))?;
    loop {
        std::thread::park();
    }
}

pub(super) fn reopen(dir: &Path) -> Result<Value> {
    let (began, cpu) = (Instant::now(), process_cpu());
    let store = Store::open(dir, options(u64::from(u32::MAX)))?;
    let seconds = began.elapsed().as_secs_f64();
    let computed = process_cpu() - cpu;
    Ok(json!({
        "replay_seconds": rounded(seconds),
        "replay_cpu_seconds": rounded(computed.as_secs_f64()),
        "replay_points": store.counters().accepted,
        "replay_log_mib": rounded(mebibytes(store.wal_bytes())),
        "replay_rss_mib": rounded(resident_mib()?),
    }))
}

fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1_024.0
}

/// What this process takes of the memory now.
fn resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let kib: u32 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(f64::from(kib) / 1_024.0)
}
