//! Files that are damaged, gone, or not ours.

use super::*;

fn lost(read: &[Stored]) -> Vec<u64> {
    read.iter().filter(|stored| stored.payload.is_err()).map(|stored| stored.seq).collect()
}

/// Every whole frame is the one that was written.
fn assert_true(read: &[Stored], told: &str) {
    for (seq, stored) in (1..).zip(read) {
        assert_eq!(stored.seq, seq, "{told}");
        assert!(stored.payload.is_err() || stored.payload == Ok(frame(seq)), "{told}: changed {seq}");
    }
}

#[test]
fn a_flipped_bit_anywhere_never_changes_a_frame_and_costs_one() {
    let disk = MemoryDisk::default();
    let options = SpoolOptions { bytes_max: 1 << 20, segment_bytes: 1024 };
    let mut spool = open_with(&disk, options);
    append(&mut spool, 60);
    spool.acknowledge(10).unwrap();
    spool.checkpoint().unwrap();
    drop(spool);
    let files = disk.seen();
    for (path, whole) in &files {
        for at in 0..whole.len() {
            let mut harmed = whole.clone();
            harmed[at] ^= 1 << (at % 8);
            let copy = disk.cut(disk::memory::Tear::All, usize::MAX);
            copy.harm(path, Some(harmed));
            let told = format!("byte {at} of {}", path.display());
            let mut spool = open_with(&copy, options);
            let read = read_all(&mut spool);
            assert_true(&read, &told);
            assert!(lost(&read).len() <= 1, "{told}: {:?}", lost(&read));
            assert!(spool.next_seq > 60 && spool.acknowledged <= 10, "{told}");
            append(&mut spool, 2);
        }
    }
}

#[test]
fn damaged_bytes_are_kept_counted_and_told_once() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 200);
    let path = segments(&disk).remove(0);
    let mut bytes = disk.seen()[&path].clone();
    bytes[100] ^= 1;
    disk.harm(&path, Some(bytes.clone()));
    for _ in 0..2 {
        let mut spool = open(&disk);
        assert_eq!(lost(&read_all(&mut spool)).len(), 1);
        assert_eq!(lost(&read_all(&mut spool)).len(), 1);
        assert_eq!(spool.counters().damaged, 1);
        let events = spool.take_events();
        assert!(matches!(events[..], [SpoolEvent::Damaged { segment: 1, stretches: 1, .. }]), "{events:?}");
    }
    let kept: Vec<_> = disk.seen().into_iter().filter(|(path, _)| path.starts_with(folder().join("quarantine"))).collect();
    assert_eq!(kept.len(), 1);
    let found = bytes.windows(kept[0].1.len()).position(|window| window == kept[0].1);
    assert!(found.is_some_and(|at| at <= 100 && at + kept[0].1.len() > 100));
}

#[test]
fn a_segment_that_is_gone_costs_its_frames_and_no_number_is_given_twice() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 300);
    let files = segments(&disk);
    assert!(files.len() > 4);
    for (index, path) in files.iter().enumerate() {
        let copy = disk.cut(disk::memory::Tear::All, usize::MAX);
        copy.harm(path, None);
        let mut spool = open(&copy);
        let read = read_all(&mut spool);
        assert_true(&read, "a segment is gone");
        let lost = lost(&read);
        assert!((20..5_000).contains(&lost.len()) && lost.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{index}: {lost:?}");
        assert!(spool.next_seq > 300, "{index}");
        let next = spool.next_seq;
        append(&mut spool, 3);
        assert_eq!(spool.read(next, 1_000).unwrap(), whole(next..=next + 2));
    }
}

#[test]
fn a_segment_that_goes_while_it_is_used_is_no_error() {
    let disk = MemoryDisk::default();
    let mut spool = open(&disk);
    append(&mut spool, 300);
    disk.harm(&segments(&disk)[1], None);
    let read = read_all(&mut spool);
    assert_true(&read, "gone while in use");
    assert!(!lost(&read).is_empty());
    append(&mut spool, 300);
}

#[test]
fn a_cursor_that_is_gone_stale_or_bad_costs_repetitions_only() {
    let disk = MemoryDisk::default();
    let mut spool = open_with(&disk, SpoolOptions { bytes_max: 5 * 4096, ..SMALL });
    append(&mut spool, 100);
    spool.acknowledge(100).unwrap();
    let cursor = folder().join(cursor::NAME);
    let stale = disk.seen()[&cursor].clone();
    append(&mut spool, 400);
    let (oldest, committed) = (spool.counters().oldest, spool.counters().committed);
    assert!(oldest > 1);
    spool.acknowledge(450).unwrap();
    spool.checkpoint().unwrap();
    drop(spool);
    for (content, acknowledged) in
        [(None, oldest - 1), (Some(vec![0xff; 1024]), oldest - 1), (Some(Vec::new()), oldest - 1), (Some(stale), 0)]
    {
        let copy = disk.cut(disk::memory::Tear::All, usize::MAX);
        copy.harm(&cursor, content);
        let mut spool = open_with(&copy, SMALL);
        assert_eq!((spool.id(), spool.acknowledged), (id(7), acknowledged));
        assert_eq!(spool.read(oldest, 1 << 20).unwrap(), whole(oldest..=committed));
        append(&mut spool, 100);
    }
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 100);
    let names = [
        "notes.txt",
        "5.seg",
        "00000000000000000000.seg",
        "99999999999999999999.seg",
        "18446744073709551615.seg",
        "00000000000000000007.seg.bak",
    ];
    for name in names {
        disk.harm(&folder().join(SEGMENTS).join(name), Some(b"not ours".to_vec()));
    }
    let mut spool = open(&disk);
    append(&mut spool, 100);
    assert_eq!(read_all(&mut spool), whole(1..=200));
    let seen = disk.seen();
    assert!(names.iter().all(|name| seen[&folder().join(SEGMENTS).join(name)] == b"not ours"));
}

#[test]
fn a_foreign_file_under_one_of_our_names_costs_nothing_that_was_written() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 100);
    disk.harm(&folder().join(SEGMENTS).join("00000000000000000500.seg"), Some(b"a photo of a cat".to_vec()));
    let mut spool = open(&disk);
    assert_eq!(read_all(&mut spool)[..100], whole(1..=100));
    assert_eq!(spool.counters().damaged, 1);
    append(&mut spool, 10);
    let next = spool.next_seq;
    drop(spool);
    let mut spool = open(&disk);
    assert_eq!(spool.read(next - 10, 1_000).unwrap(), whole(next - 10..=next - 1));
}

#[test]
fn drafts_of_a_start_before_are_removed() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 10);
    let draft = folder().join(SEGMENTS).join("00000000000000000011.seg.new");
    disk.harm(&draft, Some(vec![0; 4096]));
    open(&disk);
    assert!(!disk.seen().contains_key(&draft));
}
