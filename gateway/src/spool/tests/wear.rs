//! How much a card is written to for what is kept.

use super::*;

/// Bytes that a disk with pages of 4 KiB writes per byte of frames, once the allowance is in use.
fn amplification(devices: u64, frames_per_commit: u64, commits: u64) -> (f64, f64) {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions::within(4 << 20));
    let mut seq = 0;
    let mut commit = |spool: &mut Spool| {
        let mut bytes = 0;
        for _ in 0..frames_per_commit {
            seq += 1;
            let frame = fleet::frame(seq, devices);
            bytes += frame.len();
            spool.append(&frame).unwrap();
        }
        spool.commit().unwrap();
        // The collector follows, and is noted every ten seconds at most.
        spool.acknowledge(seq).unwrap();
        spool.checkpoint().unwrap();
        bytes
    };
    while spool.counters().oldest == 1 {
        commit(&mut spool);
    }
    let before = disk.pages_written();
    let frames: usize = (0..commits).map(|_| commit(&mut spool)).sum();
    let pages = disk.pages_written() - before;
    (pages as f64 * 4096.0 / frames as f64, frames as f64 / (commits * frames_per_commit) as f64)
}

#[test]
fn a_minute_of_32_meters_and_a_backlog_stay_within_the_goals() {
    // One commit a minute, and the cursor after each, which is more than happens.
    let (minute, frame) = amplification(32, 1, 1_500);
    assert!(frame > 10_000.0 && minute < 1.5, "{minute:.2} bytes written for each of {frame:.0} a minute");
    // Groups of 64 KiB and more.
    let (backlog, _) = amplification(32, 6, 300);
    assert!(backlog < 0.9, "{backlog:.2}");
}
