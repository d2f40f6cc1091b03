//! What goes when the allowance is used up, in which order, and how it is told.

use super::*;
use crate::spool::class::{Class, class};

fn classes(stored: &Stored) -> Vec<Class> {
    let Ok(payload) = &stored.payload else { return Vec::new() };
    let mut classes: Vec<_> = Frame::decode(&payload[..]).unwrap().devices.iter().flat_map(|device| &device.points).map(class).collect();
    classes.sort();
    classes.dedup();
    classes
}

#[test]
fn diagnostics_go_before_power_and_energy_last() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 16 * 4096, segment_bytes: SEGMENT };
    let mut spool = open_with(&disk, options);
    let all = [Class::Diagnostic, Class::Power, Class::Energy];
    let (mut no_diagnostics_at, mut energy_only_at, mut dropped_at) = (0, 0, 0);
    while dropped_at == 0 {
        append_of(&mut spool, 5, meter_frame);
        assert!(spool.counters().bytes <= options.bytes_max);
        let read = read_all(&mut spool);
        let kinds: Vec<_> = read.iter().map(classes).collect();
        let oldest = kinds.iter().find(|kinds| !kinds.is_empty()).unwrap();
        let count = read.len();
        if kinds.iter().any(Vec::is_empty) {
            dropped_at = count;
            // Nothing that could go first is left, but what is being written.
            let active = spool.segments.back().unwrap().first;
            let others = kinds.iter().zip(1..).filter(|(_, seq)| *seq < active);
            assert!(others.clone().all(|(kinds, _)| kinds.is_empty() || *kinds == [Class::Energy]));
        } else if oldest[..] == [Class::Energy] && energy_only_at == 0 {
            energy_only_at = count;
            let active = spool.segments.back().unwrap().first;
            assert!(kinds.iter().zip(1..).filter(|(_, seq)| *seq < active).all(|(kinds, _)| !kinds.contains(&Class::Diagnostic)));
        } else if oldest[..] != all && no_diagnostics_at == 0 {
            no_diagnostics_at = count;
        }
    }
    assert!(
        0 < no_diagnostics_at && no_diagnostics_at < energy_only_at && energy_only_at < dropped_at,
        "{no_diagnostics_at} {energy_only_at} {dropped_at}"
    );
    // So the spool reaches half as far again.
    assert!(2 * dropped_at > 3 * no_diagnostics_at, "{no_diagnostics_at} {energy_only_at} {dropped_at}");

    let counters = spool.counters();
    let read = read_all(&mut spool);
    let gone = read.iter().filter(|stored| stored.payload == Err(Lost::MadeRoom)).count();
    assert_eq!(u64::try_from(gone).unwrap(), counters.dropped);
    let left_out: u64 = read
        .iter()
        .filter_map(|stored| stored.payload.as_deref().ok())
        .map(|frame| u64::from(Frame::decode(frame).unwrap().left_out))
        .sum();
    // What was dropped had lost all but its nine energy points before.
    assert_eq!(counters.points_left_out, left_out + counters.dropped * 17);
    let events = spool.take_events();
    let told: u64 =
        events.iter().filter_map(|event| if let SpoolEvent::Dropped { first, last } = event { Some(last + 1 - first) } else { None }).sum();
    assert_eq!(told, counters.dropped);
    assert!(events.iter().any(|event| matches!(event, SpoolEvent::LeftOut { class: "diagnostic", .. })));
    assert!(events.iter().any(|event| matches!(event, SpoolEvent::LeftOut { class: "power", .. })));
    drop(spool);
    assert_eq!(read_all(&mut open_with(&disk, options)), read);
}

#[test]
fn what_the_collector_has_goes_first_and_costs_nothing() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 6 * 4096, segment_bytes: SEGMENT };
    let mut spool = open_with(&disk, options);
    for _ in 0..100 {
        append_of(&mut spool, 5, meter_frame);
        spool.acknowledge(spool.committed - 3).unwrap();
    }
    let counters = spool.counters();
    assert_eq!((counters.dropped, counters.points_left_out, counters.level), (0, 0, 0));
    assert!(counters.bytes == options.bytes_max && counters.oldest > 300, "{counters:?}");
    drop(spool);
    let mut spool = open_with(&disk, options);
    assert_eq!((spool.counters().committed, spool.counters().damaged), (500, 0));
    assert_eq!(spool.read(490, 1 << 20).unwrap().len(), 11);
}

#[test]
fn a_smaller_allowance_takes_at_once_what_the_collector_has_and_later_what_it_has_not() {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions { bytes_max: 40 * 4096, segment_bytes: SEGMENT });
    append_of(&mut spool, 200, meter_frame);
    let half = spool.segments.get(spool.segments.len() / 2).unwrap().first;
    spool.acknowledge(half).unwrap();
    let before = spool.counters();
    spool.allow(before.bytes / 4).unwrap();
    let after = spool.counters();
    assert!(before.bytes > after.bytes && after.bytes > after.bytes_max, "{before:?} {after:?}");
    assert_eq!((after.oldest, after.dropped, after.points_left_out), (half, 0, 0));
    assert_eq!(disk.seen().iter().filter(|(path, _)| path.starts_with(folder().join(SEGMENTS))).count(), spool.segments.len());
    // With the next segment it counts for everything.
    append_of(&mut spool, 20, meter_frame);
    assert!(spool.counters().bytes <= after.bytes_max && spool.counters().points_left_out > 0);
    // And more is followed at once.
    let left_out = spool.counters().points_left_out;
    spool.allow(80 * 4096).unwrap();
    append_of(&mut spool, 100, meter_frame);
    assert_eq!(spool.counters().points_left_out, left_out);
    drop(spool);
    assert_eq!(open_with(&disk, SMALL).counters().committed, 320);
}

#[test]
fn once_the_allowance_is_used_hardly_more_is_written_than_is_kept() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 4 << 16, segment_bytes: 1 << 16 };
    let mut spool = open_with(&disk, options);
    while spool.counters().oldest == 1 {
        append_of(&mut spool, 5, meter_frame);
        spool.acknowledge(spool.committed).unwrap();
    }
    let (before, from) = (disk.bytes_written(), spool.next_seq);
    for _ in 0..100 {
        append_of(&mut spool, 20, meter_frame);
        spool.acknowledge(spool.committed).unwrap();
    }
    let payload: u64 = (from..from + 2_000).map(|seq| record::encode(seq, &meter_frame(seq)).unwrap().len() as u64).sum();
    let written = disk.bytes_written() - before;
    assert!(spool.counters().dropped == 0 && written < payload * 105 / 100, "{written} bytes for {payload}");
}

#[test]
fn each_level_of_fill_is_told_once() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 40 * 4096, segment_bytes: SEGMENT };
    let mut spool = open_with(&disk, options);
    let mut levels = Vec::new();
    let mut take = |spool: &mut Spool| {
        for event in spool.take_events() {
            if let SpoolEvent::Filled { level, rising, .. } = event {
                levels.push((level, rising));
            }
        }
    };
    while spool.counters().percent < 96 {
        append(&mut spool, 10);
        take(&mut spool);
    }
    assert_eq!(spool.counters().level, 95);
    for share in [2, 3, 4] {
        spool.acknowledge(spool.committed * share / 4).unwrap();
        take(&mut spool);
    }
    assert_eq!(levels, [(50, true), (80, true), (95, true), (50, false), (0, false)]);
}

#[test]
fn without_a_word_it_is_a_part_of_what_is_free() {
    const MIB: u64 = 1 << 20;
    assert_eq!(allowance(None), 256 * MIB);
    assert_eq!([0, 100 * MIB, 1_000 * MIB, 64 << 30].map(|free| allowance(Some(free)) / MIB), [2, 20, 200, 256]);
    let real = tempdir().unwrap();
    let free = disk::free_bytes(real.path()).unwrap();
    assert_eq!(SpoolOptions::on_disk(real.path(), None).bytes_max, (free / 5).clamp(2 * MIB, 256 * MIB));
    assert_eq!(SpoolOptions::on_disk(real.path(), Some(7 * MIB)).bytes_max, 7 * MIB);
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions { bytes_max: 4 * 4096, segment_bytes: SEGMENT });
    append(&mut spool, 6_000);
    assert!(spool.counters().dropped > 4_000);
    assert_eq!(spool.take_events().len(), EVENTS_MAX);
}
