//! pyarrow reads our segments, and finds in them what our own reader finds.

use std::path::Path;

use ids::Slug;
use serde_json::{Value, json};
use store::{Batch, Options, Origin, Reader, Row, Store, Words};
use units::{Quality, Unit};

use crate::peer::{answer, python, script};

/// 2026-01-25T00:00:00Z, so that half of the fortnight is in February.
const BEGIN_MS: i64 = 1_769_299_200_000;
const MINUTES: i64 = 14 * 1_440;

/// A counter with its registers, a power that is silent now and then, and a temperature below zero.
fn rows(minute: i64) -> Vec<Row> {
    let row = |point: &str, unit, exponent, raw: Option<i64>, words: Option<Words>| Row {
        device: Slug::parse("main").unwrap(),
        point: point.into(),
        unit,
        exponent,
        ts_ms: BEGIN_MS + minute * 60_000,
        raw,
        quality: if raw.is_some() { Quality::GOOD } else { Quality::SILENT },
        words,
    };
    let energy = 4_294_000_000 + minute * 17;
    let registers = energy.to_be_bytes();
    // A register that runs over is one word longer than before.
    let registers = if energy > i64::from(u32::MAX) { &registers[2..] } else { &registers[4..] };
    vec![
        row("e_imp", Unit::KilowattHour, -2, Some(energy), Words::new(registers)),
        row("p", Unit::Kilowatt, -1, (minute % 97 != 5).then_some(minute * 7_919 % 1_000), None),
        row("t", Unit::Celsius, -1, Some(minute % 400 - 250), None),
    ]
}

fn batch(seq: u64, rows: Vec<Row>) -> Batch {
    let slug = |text| Slug::parse(text).unwrap();
    let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw-1") };
    Batch { origin, spool_id: [3; 16], seq, rows, profiles: Vec::new(), letter: None }
}

/// What our reader finds, as the script says it.
fn ours(store: &Path) -> Value {
    let reader = Reader::open(store).unwrap();
    let mut series = serde_json::Map::new();
    for info in reader.all_series() {
        let samples = reader.history(info.id, i64::MIN..i64::MAX).unwrap();
        let sum = |of: &dyn Fn(&store::Sample) -> i64| samples.iter().map(of).sum::<i64>();
        let number = |words: &Words| words.as_slice().iter().fold(0, |number, byte| number << 8 | i64::from(*byte));
        let key = &info.key;
        let found = json!({
            "name": {
                "tenant": key.tenant, "facility": key.facility, "device": key.device, "point": key.point,
                "unit": key.unit.symbol(), "exponent": key.exponent,
            },
            "rows": samples.len(),
            "values": samples.iter().filter(|sample| sample.raw.is_some()).count(),
            "sum": sum(&|sample| sample.raw.unwrap_or(0)),
            "times": sum(&|sample| sample.ts_ms),
            "quality": sum(&|sample| i64::from(sample.quality.bits())),
            "seq": sum(&|sample| i64::try_from(sample.seq).unwrap()),
            "version": sum(&|sample| i64::from(sample.version)),
            "words": sum(&|sample| sample.words.as_ref().map_or(0, number)),
            "word_bytes": sum(&|sample| sample.words.as_ref().map_or(0, |words| i64::try_from(words.as_slice().len()).unwrap())),
        });
        series.insert(info.id.0.to_string(), found);
    }
    Value::Object(series)
}

#[test]
fn pyarrow_finds_in_segments_what_our_reader_finds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let minutes: Vec<i64> = (0..MINUTES).filter(|minute| minute % 1_000 != 7).collect();
    for (seq, chunk) in (1..).zip(minutes.chunks(5_000)) {
        store.commit(&[batch(seq, chunk.iter().flat_map(|minute| rows(*minute)).collect())]).unwrap();
        store.flush().unwrap();
    }
    // What contradicts, and what comes late.
    let mut late = rows(7);
    late.extend(rows(40).into_iter().map(|row| Row { raw: row.raw.map(|raw| raw + 1), ..row }));
    store.commit(&[batch(100, late)]).unwrap();
    store.flush().unwrap();
    for (compacted, files) in [(false, 7), (true, 2)] {
        if compacted {
            store.compact().unwrap();
        }
        // Replaced files may still be there for readers that opened before.
        let segments = Reader::open(folder.path()).unwrap().totals().segments;
        let said = answer(script(&python(), "pyarrow_reader.py").arg(copy_of_segments(folder.path()).path()));
        assert_eq!((segments, said["files"].as_array().unwrap().len()), (files, usize::try_from(files).unwrap()), "{said}");
        assert_eq!(said["series"], ours(folder.path()), "compacted: {compacted}, pyarrow {}", said["pyarrow"]);
        let columns = json!(["series", "ts_ms", "raw", "quality", "words", "seq", "version", "lsn"]);
        assert!(said["files"].as_array().unwrap().iter().all(|file| file["columns"] == columns), "{said}");
    }
    let rows: u64 = ours(folder.path()).as_object().unwrap().values().map(|one| one["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, store.counters().accepted);
}

/// What a copy of the store names as its segments: nothing that was replaced.
fn copy_of_segments(store: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    store::backup(store, copy.path()).unwrap();
    let segments = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(copy.path().join("segments")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, segments.path().join(path.file_name().unwrap())).unwrap();
    }
    segments
}
