use super::*;
use crate::wal::frame;
use proptest::prelude::*;

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn decoded(payload: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    Record::decode_all(payload, |record| records.push(record)).map(|()| records)
}

fn one_of_each() -> (Vec<Record>, Vec<u8>) {
    let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw-1") };
    let key = SeriesKey {
        tenant: slug("acme"),
        facility: slug("hall"),
        device: slug("main"),
        point: "e_imp".to_owned(),
        unit: Unit::KilowattHour,
        exponent: -2,
    };
    let sample = |ts_ms, raw, version| Sample {
        ts_ms,
        raw,
        quality: if raw.is_some() { Quality::GOOD } else { Quality::SILENT },
        words: None,
        seq: 7,
        version,
        lsn: 0,
    };
    let words = Sample { words: Words::new(&[0x45, 0x0c, 0x32, 0xf4]), ..sample(1_700_000_040_000, Some(-5), 2) };
    let rows = RowsRecord {
        head: RowsHead { origin: 1, spool_id: [0xab; 16], seq: 7, duplicate: 3, conflict: 1 },
        rows: vec![(SeriesId(1), words), (SeriesId(2), sample(1_700_000_040_000, None, 0))],
    };
    let letter =
        DeadLetter { topic: "nw/1/a/b/c/data".to_owned(), reason: "schema".to_owned(), payload: vec![1, 2], points: 1, received_ms: 5 };
    let period = ProfilePeriod { from_ms: 9, profile: "x".to_owned(), profile_hash: vec![1], config_hash: vec![] };
    let mut writer = RecordWriter::reuse((Vec::new(), Vec::new()));
    writer.probe();
    writer.series(SeriesId(1), &key);
    writer.origin(1, &origin);
    rows.rows.iter().for_each(|(id, sample)| writer.row(*id, sample));
    writer.rows(&rows.head);
    writer.repeat(300);
    writer.letter(&letter);
    writer.profile(&slug("acme"), &slug("hall"), &slug("main"), &period);
    let (mut bytes, _rows) = writer.into_buffers();
    frame::seal(&mut bytes, 42);
    let records = vec![
        Record::Probe,
        Record::Series { id: SeriesId(1), key },
        Record::Origin { id: 1, origin },
        Record::Rows(rows),
        Record::Repeat { rows: 300 },
        Record::Letter(letter),
        Record::Profile { tenant: slug("acme"), facility: slug("hall"), device: slug("main"), period },
    ];
    (records, bytes)
}

/// Written by the first version. A later one must still read it: never change these bytes, add others.
const GOLDEN: &str = "8b000000f89aa8db2a000000000000000001010461636d650468616c6c046d61696e05655f696d70080302010461636d650468616c6c0467772d310301abababababababababababababababab07030102028091b0fef962450902450c32f4020002c0c00204ac02050f6e772f312f612f622f632f6461746106736368656d61020102010a060461636d650468616c6c046d61696e120178010100";

#[test]
fn the_bytes_of_a_frame_are_what_they_always_were() {
    let (records, bytes) = one_of_each();
    assert_eq!(hex::encode(&bytes), GOLDEN);
    let (header, payload) = bytes.split_first_chunk().unwrap();
    assert!(frame::Header::decode(header).matches(payload));
    assert_eq!(frame::Header::decode(header).lsn, 42);
    assert_eq!(decoded(payload).unwrap(), records);
}

#[test]
fn a_change_and_its_rows_go_back() {
    let entry = AuditEntry {
        number: 3,
        action: Action::Amend,
        account: Account {
            actor: "anna".to_owned(),
            reason: "ratio".to_owned(),
            document: "wo 17".to_owned(),
            approval: String::new(),
            at_ms: 1_700_000_000_000,
        },
        tenant: slug("acme"),
        facility: slug("hall"),
        from_ms: -60_000,
        to_ms: 60_000,
        rows: 1,
        digest: [1; 32],
        sealed_lsn: 0,
        before: [2; 32],
    };
    let quality = Quality::GOOD.with(units::Reason::Edited);
    let sample = Sample { ts_ms: 0, raw: Some(-7), quality, words: None, seq: 0, version: 1, lsn: 0 };
    let mut writer = RecordWriter::reuse((Vec::new(), Vec::new()));
    writer.row(SeriesId(5), &sample);
    writer.audit(&entry);
    writer.amended();
    let (mut bytes, _rows) = writer.into_buffers();
    frame::seal(&mut bytes, 9);
    assert_eq!(hex::encode(&bytes), GOLDEN_CHANGE);
    let payload = &bytes[HEADER_BYTES..];
    assert_eq!(decoded(payload).unwrap(), [Record::Audit(entry), Record::Amended { rows: vec![(SeriesId(5), sample)] }]);
}

/// As [`GOLDEN`], of the second version.
const GOLDEN_CHANGE: &str = "760000004882a7a5090000000000000007030180a0abfef96204616e6e6105726174696f05776f203137000461636d650468616c6cbfa907c0a90701010101010101010101010101010101010101010101010101010101010101010100020202020202020202020202020202020202020202020202020202020202020208010a00070d800201";

#[test]
fn no_prefix_of_a_record_is_understood_as_another() {
    let (records, bytes) = one_of_each();
    let payload = &bytes[frame::HEADER_BYTES..];
    for cut in 0..payload.len() {
        if let Some(found) = decoded(&payload[..cut]) {
            assert_eq!(found, records[..found.len()]);
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _understood = decoded(&payload);
    }

    #[test]
    fn numbers_go_back(value: i64, other: u64) {
        let mut writer = RecordWriter::reuse((Vec::new(), Vec::new()));
        writer.zigzag(value);
        writer.varint(other);
        let (bytes, _rows) = writer.into_buffers();
        let mut input = Input(&bytes[HEADER_BYTES..]);
        prop_assert_eq!(input.zigzag(), Some(value));
        prop_assert_eq!(input.varint(), Some(other));
    }
}
