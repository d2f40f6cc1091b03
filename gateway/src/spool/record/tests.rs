use proptest::prelude::*;

use super::*;

fn segment(first: u64, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (seq, frame) in (first..).zip(frames) {
        bytes.extend(encode(seq, frame).unwrap());
    }
    bytes.resize(bytes.len() + 64, 0);
    bytes
}

fn frame_of(bytes: &[u8], entry: Entry) -> Vec<u8> {
    frame(&bytes[entry.offset..entry.end]).unwrap()
}

#[test]
fn the_bytes_of_a_record_are_these() {
    let bytes = encode(258, b"frame").unwrap();
    assert_eq!(bytes[..16], *b"NWR1\x05\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00");
    assert_eq!(bytes[16..20], crc32c::crc32c(b"NWR1\x05\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00frame").to_le_bytes());
    assert_eq!(bytes[20..], *b"frame");
    assert_eq!(renumber(&bytes, 259), encode(259, b"frame"));
}

#[test]
fn a_packed_record_is_read_whatever_packed_it() {
    // 300 times the letter `a`: one literal, a match of the rest at distance 1, five literals, as the LZ4 block format has it.
    let body = [44, 1, 0, 0, 0x1f, b'a', 1, 0, 255, 20, 0x50, b'a', b'a', b'a', b'a', b'a'];
    let record = assemble(PACKED, 7, &body).unwrap();
    assert_eq!(decode(&record, 0, 6), Some(Entry { seq: 7, offset: 0, end: 36 }));
    assert_eq!(frame(&record).unwrap(), vec![b'a'; 300]);
    let ours = encode(7, &[b'a'; 300]).unwrap();
    assert!(ours.starts_with(b"NWR2") && ours.len() < 60);
    assert_eq!(frame(&ours).unwrap(), vec![b'a'; 300]);
    // A length that nobody writes is not believed, and no memory is taken for it.
    let boast = assemble(PACKED, 7, &[255, 255, 255, 255, 0]).unwrap();
    assert_eq!(frame(&boast), None);
}

fn frames(longest: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..longest), 1..12)
}

proptest! {
    #[test]
    fn written_records_are_found(frames in frames(600)) {
        let bytes = segment(1, &frames);
        let found = scan(&bytes, 1);
        prop_assert!(found.damaged().next().is_none() && !found.reused);
        let read: Vec<_> = found.entries.iter().map(|&entry| frame_of(&bytes, entry)).collect();
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn one_flipped_bit_costs_one_record_and_never_changes_one(frames in frames(40), at: proptest::sample::Index, bit in 0_u8..8) {
        let mut bytes = segment(1, &frames);
        let written = bytes.len() - 64;
        bytes[at.index(written)] ^= 1 << bit;
        let found = scan(&bytes, 1);
        prop_assert_eq!(found.entries.len(), frames.len() - 1);
        for &entry in &found.entries {
            prop_assert_eq!(&frame_of(&bytes, entry), &frames[usize::try_from(entry.seq).unwrap() - 1]);
        }
        prop_assert_eq!(found.damaged().count(), 1);
    }

    /// A file that was full of older records and is written again: each write ends in zeros for one header.
    #[test]
    fn older_records_behind_the_end_are_left_alone(old in frames(300), new in frames(300), torn: proptest::sample::Index) {
        let mut bytes = segment(1, &old);
        bytes.resize(8 << 10, 0x5a);
        let begin = reuse(1_000).unwrap();
        bytes[..begin.len()].copy_from_slice(&begin);
        prop_assert_eq!(scan(&bytes, 1_000), Scan { reused: true, ..Scan::default() });
        let mut end = HEADER_BYTES;
        for (seq, frame) in (1_000..).zip(&new) {
            let mut record = encode(seq, frame).unwrap();
            let next = end + record.len();
            record.resize(record.len() + HEADER_BYTES, 0);
            bytes[end..end + record.len()].copy_from_slice(&record);
            end = next;
        }
        let found = scan(&bytes, 1_000);
        prop_assert_eq!((found.entries.len(), found.end(), found.reused, &found.tail), (new.len(), end, true, &None));
        prop_assert_eq!(found.burnt(&bytes, 1_000), 0);
        // The next record is torn at any byte.
        let record = encode(1_000 + new.len() as u64, &[7; 200]).unwrap();
        let kept = torn.index(record.len());
        bytes[end..end + kept].copy_from_slice(&record[..kept]);
        let found = scan(&bytes, 1_000);
        prop_assert_eq!((found.entries.len(), found.burnt(&bytes, 1_000)), (new.len(), u64::from(kept > 0)));
        // And wiped, as an opening spool does.
        if let Some(tail) = found.tail {
            bytes[tail].fill(0);
            prop_assert_eq!(scan(&bytes, 1_000).tail, None);
        }
    }
}
