//! Right times, and sending again.

use wire::SeqRange;

use super::*;

fn frame_at(boot_id: u64, tick_ms: i64, monotonic_ms: u64, clock_synced: bool) -> Vec<u8> {
    let device = DeviceReading { device: "main".into(), requested_ms: tick_ms + 2, ..DeviceReading::default() };
    Frame { schema: 1, boot_id, tick_ms, monotonic_ms, clock_synced, devices: vec![device], ..Frame::default() }.encode_to_vec()
}

fn ticks(spool: &mut Spool) -> Vec<(i64, bool)> {
    let frames = read_all(spool).into_iter().map(|stored| Frame::decode(&stored.payload.unwrap()[..]).unwrap());
    frames
        .map(|frame| {
            assert_eq!(frame.devices[0].requested_ms, frame.tick_ms + 2);
            (frame.tick_ms, frame.clock_synced)
        })
        .collect()
}

const NOON: i64 = 1_750_000_000_000;

#[test]
fn frames_from_before_the_clock_was_set_wait_and_get_the_right_time() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    spool.append(&frame_at(1, NOON - 600_000, 900_000, true)).unwrap();
    // The power was out for a while, and the board begins in 1970.
    for minute in 0..5_u32 {
        spool.append(&frame_at(2, i64::from(minute) * 60_000, u64::from(minute) * 60_000 + 3_000, false)).unwrap();
    }
    spool.commit().unwrap();
    assert_eq!((spool.counters().committed, spool.counters().deliverable), (6, 1));
    spool.append(&frame_at(2, NOON, 5 * 60_000 + 3_000, true)).unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.counters().deliverable, 7);
    let right: Vec<_> = [(NOON - 600_000, true)]
        .into_iter()
        .chain((1..=5).rev().map(|minutes| (NOON - minutes * 60_000, false)))
        .chain([(NOON, true)])
        .collect();
    assert_eq!(ticks(&mut spool), right);
    // The next start knows nothing of it but what is on disk.
    drop(spool);
    let mut spool = open(&disk);
    assert_eq!(spool.counters().deliverable, 7);
    assert_eq!(ticks(&mut spool), right);
}

#[test]
fn a_start_whose_clock_was_never_set_is_delivered_as_it_is() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    spool.append(&frame_at(2, 0, 3_000, false)).unwrap();
    spool.append(&frame_at(2, 60_000, 63_000, false)).unwrap();
    spool.commit().unwrap();
    drop(spool);
    let mut spool = open(&disk);
    spool.append(&frame_at(3, NOON, 3_000, true)).unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.counters().deliverable, 3);
    assert_eq!(ticks(&mut spool), [(0, false), (60_000, false), (NOON, true)]);
}

#[test]
fn requests_from_outside_are_taken_once() {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions { bytes_max: 5 * 4096, ..SMALL });
    append(&mut spool, 100);
    spool.acknowledge(95).unwrap();
    let view = SpoolView::of(&spool);
    assert_eq!(view.find(&Again::Frames(20..=30)).unwrap(), Some(20..=30));
    assert_eq!(view.find(&Again::Frames(99..=300)).unwrap(), Some(99..=100));
    assert_eq!(view.find(&Again::Frames(200..=300)).unwrap(), None);
    let ask = |name: &str, frames: std::ops::RangeInclusive<u64>| view.ask(&frames, name).unwrap();
    ask("1", 20..=30);
    ask("2", 90..=300);
    ask("3", 96..=97);
    disk.harm(&folder().join(REPLAY).join("4.json"), Some(b"{}".to_vec()));
    disk.harm(&folder().join(REPLAY).join("notes.txt"), Some(b"mine".to_vec()));
    let ranges = [SeqRange { first: 20, last: 30 }, SeqRange { first: 90, last: 95 }];
    assert_eq!(spool.take_requests(), ranges);
    assert_eq!(spool.take_requests(), []);
    let left: Vec<_> = disk.seen().into_keys().filter(|path| path.starts_with(folder().join(REPLAY))).collect();
    assert_eq!(left, [folder().join(REPLAY).join("notes.txt")]);
    // What made room since is not promised.
    append(&mut spool, 400);
    let oldest = spool.counters().oldest;
    ask("5", 1..=oldest + 1);
    spool.acknowledge(oldest).unwrap();
    assert_eq!(spool.take_requests(), [SeqRange { first: oldest, last: oldest }]);
}

#[test]
fn frames_are_found_by_their_minute() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append_of(&mut spool, 300, meter_frame);
    let view = SpoolView::of(&spool);
    assert_eq!(view.find(&Again::Times(60_000 * 100..=60_000 * 120 + 1)).unwrap(), Some(100..=120));
    assert_eq!(view.find(&Again::Times(i64::MIN..=59_999)).unwrap(), None);
}
