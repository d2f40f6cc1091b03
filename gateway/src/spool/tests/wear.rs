//! How much a card is written to for what is kept.

use super::*;

/// Bytes of the frames of each commit, and what the spool does with them: commits once, and notes what the collector has,
/// which happens every ten seconds at most.
fn commit(spool: &mut Spool, devices: u64, frames: u64) -> usize {
    let mut bytes = 0;
    for _ in 0..frames {
        let frame = fleet::frame(spool.next_seq, devices);
        bytes += frame.len();
        spool.append(&frame).unwrap();
    }
    let committed = spool.commit().unwrap();
    spool.acknowledge(committed).unwrap();
    spool.checkpoint().unwrap();
    bytes
}

/// Bytes that are written per byte of frames, once the allowance is in use, and the bytes of a frame.
///
/// * `written`: how many bytes were written to the disk so far.
fn amplification(mut spool: Spool, written: impl Fn() -> u64, devices: u64, frames: u64, commits: u64) -> (f64, f64) {
    while spool.counters().oldest == 1 {
        commit(&mut spool, devices, frames);
    }
    let before = written();
    let bytes: usize = (0..commits).map(|_| commit(&mut spool, devices, frames)).sum();
    ((written() - before) as f64 / bytes as f64, bytes as f64 / (commits * frames) as f64)
}

/// On a disk in memory that counts pages of 4 KiB.
fn amplification_of_pages(devices: u64, frames: u64, commits: u64) -> (f64, f64) {
    let disk = MemoryDisk::default();
    let spool = open_with(&disk, SpoolOptions::within(4 << 20));
    amplification(spool, || disk.pages_written() * 4096, devices, frames, commits)
}

/// On the disk of the system, by what its block device has been given: the file system's own writing and whatever else writes
/// there is in it. What the kernel tells of a process is no measure, as it counts whole folios.
fn amplification_of_the_device(devices: u64, frames: u64, commits: u64) -> Option<f64> {
    let real = tempdir().unwrap();
    let number = std::os::linux::fs::MetadataExt::st_dev(&std::fs::metadata(real.path()).unwrap());
    let device = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let stat = format!("/sys/dev/block/{device}/stat");
    let sectors = || std::fs::read_to_string(&stat).ok()?.split_whitespace().nth(6)?.parse::<u64>().ok();
    sectors()?;
    let spool = Spool::open(real.path(), SpoolOptions::within(4 << 20), || id(7)).unwrap();
    Some(amplification(spool, || sectors().unwrap() * 512, devices, frames, commits).0)
}

#[test]
fn a_minute_of_32_meters_and_a_backlog_stay_within_the_goals() {
    // One commit a minute, and the cursor after each, which is more than happens.
    let (minute, frame) = amplification_of_pages(32, 1, 1_500);
    assert!(frame > 10_000.0 && minute < 1.5, "{minute:.2} bytes written for each of {frame:.0} a minute");
    // Groups of 64 KiB and more.
    let (backlog, _) = amplification_of_pages(32, 6, 300);
    assert!(backlog < 0.9, "{backlog:.2}");
    if asked("NEGAWATT_BENCH_OUT").is_some() {
        report(&serde_json::json!({
            "schema": "negawatt.bench.wear/1",
            "devices": 32,
            "frame_bytes": frame,
            "write_amplification": minute,
            "write_amplification_backlog": backlog,
            "write_amplification_device": amplification_of_the_device(32, 1, 300),
            "write_amplification_backlog_device": amplification_of_the_device(32, 6, 100),
        }));
    }
}
