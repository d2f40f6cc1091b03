use super::*;
use store::{Options, Reader, Sample};

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn import(unit: Option<Unit>) -> Import {
    Import {
        tenant: slug("acme"),
        facility: slug("hall"),
        device: slug("utility-meter"),
        point: "e_int".to_owned(),
        unit,
        column: None,
        zone: None,
    }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn stored(dir: &std::path::Path) -> Vec<Sample> {
    let reader = Reader::open(dir).unwrap();
    let series = reader.series(&slug("acme"), &slug("hall"));
    series.iter().flat_map(|info| reader.scan(info.id, i64::MIN..i64::MAX).unwrap()).collect()
}

const CSV: &str = "start,value
2016-01-01T00:00:00Z,1.5
2016-01-01T01:00:00Z,
2016-01-01 02:00:00+00:00,0.0000005
2016-01-01T02:00:00Z,3
2016-01-01T03:00:00,4
yesterday,5
2016-01-01T05:00:00Z,six
2016-01-01T06:00:00Z,inf
2030-01-01T00:00:00Z,7
2016-01-01T08:00:00Z,
";

#[test]
fn good_lines_are_taken_and_the_others_are_told_with_their_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let imported = import(Some(Unit::KilowattHour)).csv(&store, CSV.as_bytes(), now()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&imported).unwrap());
    let samples: Vec<_> = stored(dir.path()).iter().map(|sample| (sample.raw, sample.quality.to_string())).collect();
    let good = |raw| (Some(raw), "good".to_owned());
    assert_eq!(samples, [good(1_500_000), (None, "bad:no_value".to_owned()), good(1)]);
}

#[test]
fn the_same_file_again_changes_nothing_and_another_file_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let import = import(Some(Unit::KilowattHour));
    let counts = |imported: &Imported| (imported.accepted, imported.duplicate, imported.conflict);
    let file = "start,value\n2016-01-01T00:00:00Z,1\n2016-01-01T01:00:00Z,2\n";
    assert_eq!(counts(&import.csv(&store, file.as_bytes(), now()).unwrap()), (2, 0, 0));
    store.flush().unwrap();
    assert_eq!(counts(&import.csv(&store, file.as_bytes(), now()).unwrap()), (0, 2, 0));
    let longer = "start,value\n2016-01-01T00:00:00Z,1\n2016-01-01T01:00:00Z,2.5\n2016-01-01T02:00:00Z,3\n";
    assert_eq!(counts(&import.csv(&store, longer.as_bytes(), now()).unwrap()), (2, 1, 1));
}

#[test]
fn one_file_read_in_another_way_is_another_import() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let counts = |imported: Imported| (imported.accepted, imported.duplicate, imported.conflict);
    let file = "start,value,net\n2016-01-01T00:00:00,1,10\n2016-01-01T01:00:00,2,20\n";
    let read = |zone: &str, column: Option<&str>, now: Timestamp| {
        let (zone, column) = (Some(TimeZone::get(zone).unwrap()), column.map(str::to_owned));
        let import = Import { zone, column, ..import(Some(Unit::KilowattHour)) };
        counts(import.csv(&store, file.as_bytes(), now).unwrap())
    };
    assert_eq!(read("America/Chicago", None, now()), (2, 0, 0));
    assert_eq!(read("Asia/Tokyo", None, now()), (2, 0, 0), "the right zone, after the wrong one");
    assert_eq!(read("Asia/Tokyo", Some("net"), now()), (2, 0, 2), "the right column, after the wrong one");
    assert_eq!(read("Asia/Tokyo", Some("net"), now()), (0, 2, 0));
    // Lines that were in the future are not when the file comes again.
    let early = "2016-01-01T00:30:00Z".parse().unwrap();
    assert_eq!(read("UTC", None, early), (1, 0, 0));
    assert_eq!(read("UTC", None, now()), (1, 1, 0));
}

#[test]
fn local_times_need_a_zone_and_the_doubled_hour_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let file = "date,energy_kwh,temp_f\n2012-03-01,21505.43952,38.4\n2012-11-04T01:30:00,1,2\n";
    let column = Some("energy_kwh".to_owned());
    let without = Import { column: column.clone(), ..import(None) };
    assert_eq!(without.csv(&store, file.as_bytes(), now()).unwrap().rejected_rows, 2);
    let zone = TimeZone::get("America/New_York").unwrap();
    let with = Import { column, zone: Some(zone), ..import(None) };
    assert_eq!(with.csv(&store, file.as_bytes(), now()).unwrap().accepted, 2);
    let samples = stored(dir.path());
    assert_eq!(samples[0].ts_ms, "2012-03-01T05:00:00Z".parse::<Timestamp>().unwrap().as_millisecond());
    assert_eq!((samples[0].raw, samples[1].quality), (Some(21_505_439_520), Quality::uncertain(Reason::DstAmbiguous)));
}

#[test]
fn what_is_no_table_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let told = |import: Import, body: &str| import.csv(&store, body.as_bytes(), now()).unwrap_err().to_string();
    insta::assert_snapshot!([
        told(import(None), "a,b\n1,2\n"),
        told(import(None), "start,kw\n1,2\n"),
        told(import(None), "start,value\n1,2\n"),
        told(import(Some(Unit::Celsius)), "t,temp_f\n1,2\n"),
        told(Import { point: "E int".to_owned(), ..import(Some(Unit::Celsius)) }, "t,value\n1,2\n"),
        import(None).parquet(&store, bytes::Bytes::from_static(b"PAR1"), now()).unwrap_err().to_string(),
    ].join("\n"), @"
    the file has no time column; it has: a, b
    the file has no value column `value, temp_f or temp_c`; it has: start, kw
    the unit of column `value` is not known: name it
    the file says that it is in degF, and the request that it is in degC
    `E int` is not the name of a point: use lower-case letters, digits and underscores
    the file is not Parquet that can be read here
    ");
}

/// The same table as Parquet, with nanoseconds as pandas writes them.
#[test]
fn parquet_is_read_like_csv() {
    use ::parquet::data_type::{DoubleType, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    let schema = "message m { optional int64 t (TIMESTAMP(NANOS,true)); optional double temp_f; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let hours = [0_i64, 3_600_000_000_000, 7_200_000_000_000];
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&hours, Some(&[1, 1, 1]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&[33.8, f64::NAN], Some(&[1, 1, 0]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let body = bytes::Bytes::from(writer.into_inner().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let import = Import { device: slug("weather-station"), point: "temp".to_owned(), ..import(None) };
    let imported = import.parquet(&store, body, now()).unwrap();
    assert_eq!((imported.accepted, imported.closed, imported.unit.as_str()), (2, true, "degF"));
    let samples: Vec<_> = stored(dir.path()).iter().map(|sample| (sample.ts_ms, sample.raw)).collect();
    assert_eq!(samples, [(0, Some(33_800_000)), (3_600_000, None)]);
}

/// Two years of a real building's weather and a meter's hours, as CSV and as the Parquet they were made from.
#[test]
fn the_files_of_the_demo_are_taken_whole_and_both_formats_agree() {
    use std::io::Read;

    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/mv");
    for (name, unit) in [("il-electricity-cdd-hdd-hourly", Some(Unit::KilowattHour)), ("il_temperature_hourly", None)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let mut csv = Vec::new();
        let file = std::fs::File::open(format!("{fixtures}/{name}.csv.gz")).unwrap();
        flate2::read::GzDecoder::new(file).read_to_end(&mut csv).unwrap();
        let imported = import(unit).csv(&store, &csv, now()).unwrap();
        let first_ms = "2015-11-22T06:00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(
            (imported.accepted + u64::from(imported.closed), imported.rejected_rows, imported.first_ms),
            (imported.rows, 0, Some(first_ms))
        );
        assert!(imported.accepted > 19_000 && imported.conflict == 0);
        store.flush().unwrap();
        let body = std::fs::read(format!("{fixtures}/{name}.parquet")).unwrap();
        let (_, rows) = parquet_rows(body.clone().into()).unwrap();
        assert_eq!((rows.len() as u64, rows[0].0.as_millisecond()), (imported.rows, first_ms));
        let again = import(unit).parquet(&store, body.into(), now()).unwrap();
        assert_eq!((again.accepted, again.duplicate, again.conflict), (0, imported.accepted, 0), "{name}");
    }
}
