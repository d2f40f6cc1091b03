//! A month without an uplink, by size: `cargo xtask bench outage` has it whole, with the way back.

use super::*;

const DEVICES: u64 = 100;
const MINUTES_OF_A_MONTH: u64 = 30 * 24 * 60;

#[test]
fn a_month_of_a_hundred_meters_fits_a_gibibyte() {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions::within(1 << 30));
    let minutes = 12 * 60;
    let mut frames = 0;
    for seq in 1..=minutes {
        let frame = fleet::frame(seq, DEVICES);
        frames += frame.len();
        spool.append(&frame).unwrap();
        spool.commit().unwrap();
    }
    let counters = spool.counters();
    let per_minute = counters.bytes / minutes;
    eprintln!("{} points, {per_minute} bytes a minute, {} before packing", fleet::points(DEVICES), frames as u64 / minutes);
    assert!(fleet::points(DEVICES) > 1_500);
    assert!(per_minute * MINUTES_OF_A_MONTH < 1 << 30, "{per_minute} bytes a minute, {} before packing", frames as u64 / minutes);
    assert_eq!((counters.dropped, counters.points_left_out), (0, 0));
}
