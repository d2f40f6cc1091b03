//! `negawatt savings portfolio` on one table of many meters, and on facilities with a plan each.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use negawatt_tests::program::{negawatt, stderr, stdout};
use serde_json::Value;

use crate::portfolio::{END, START, folder, meters, run, summary};
use crate::savings::fixture;

/// A table of all meters as Parquet.
fn parquet_of(file: &Path, meter: &[String], start: &[i64], value: &[Option<f64>]) {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    let schema = "message all { required int64 start (TIMESTAMP(MILLIS,true)); required binary meter (UTF8); optional double value; }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let mut writer = parquet::file::writer::SerializedFileWriter::new(fs::File::create(file).unwrap(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let names: Vec<ByteArray> = meter.iter().map(|name| name.as_str().into()).collect();
    let (values, levels): (Vec<f64>, Vec<i16>) =
        (value.iter().flatten().copied().collect(), value.iter().map(|value| i16::from(value.is_some())).collect());
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(start, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&names, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// The same meters in one table and in a folder: the same lines, and a fault is named by its row of the table.
#[test]
fn one_file_of_many_meters_is_the_folder_of_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let source = folder(dir.path(), 4);
    let apart = summary(&source, &dir.path().join("apart"), &[]);
    let mut names: Vec<PathBuf> = fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let files: Vec<(String, Vec<String>)> = names
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap().lines().skip(1).map(str::to_owned).collect())
        })
        .collect();
    // Row by row through all meters, as a head-end exports them.
    let mut table = String::from("meter,start,value\n");
    for row in 0..files[0].1.len() {
        for (name, rows) in &files {
            table.push_str(&format!("{name},{}\n", rows[row]));
        }
    }
    let one = dir.path().join("all.csv");
    fs::write(&one, &table).unwrap();
    let together = summary(&one, &dir.path().join("together"), &[]);
    assert_eq!((&together["digest"], &together["meters"]), (&apart["digest"], &apart["meters"]));
    let digests = |out: &str| meters(&dir.path().join(out)).iter().map(|row| row["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(digests("together"), digests("apart"));

    // Parquet, with the meter in the middle.
    let wide = dir.path().join("all.parquet");
    let (mut meter, mut start, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for line in table.lines().skip(1) {
        let mut fields = line.splitn(3, ',');
        meter.push(fields.next().unwrap().to_owned());
        start.push(fields.next().unwrap().parse::<Timestamp>().unwrap().as_millisecond());
        value.push(fields.next().unwrap().parse::<f64>().ok());
    }
    parquet_of(&wide, &meter, &start, &value);
    assert_eq!(summary(&wide, &dir.path().join("parquet"), &[])["digest"], apart["digest"]);

    let broken = table.replacen("m002,", "m002,2016-01-01T06:00:00+00:00,six\nm002,", 1);
    fs::write(&one, broken).unwrap();
    let output = run(&one, &dir.path().join("broken"), &[]);
    assert_eq!(output.status.code(), Some(65), "{}", stdout(&output));
    assert!(stdout(&output).contains("m002") && stdout(&output).contains("row 3"), "{}", stdout(&output));
    fs::write(&one, table.replacen("meter,", "name,", 1)).unwrap();
    let output = run(&one, &dir.path().join("nameless"), &[]);
    assert!(stderr(&output).contains("meter,start,value"), "{}", stderr(&output));
}

/// Controlled environments have a plan each, in the list: the answer of each is that of `savings report`.
#[test]
fn controlled_environments_have_a_plan_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let source = folder(dir.path(), 3);
    let out = dir.path().join("none");
    let refused = run(&source, &out, &["--method", "controlled-environment"]);
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("has a plan of its own"), "{}", stderr(&refused));

    // Harvests of thirty days from before the baseline to after the year that is compared.
    let mut harvests = String::from("from,on,marketable_kg\n");
    let first = jiff::civil::date(2015, 12, 1);
    for cycle in 0..27_i64 {
        let day = |days: i64| first.checked_add(jiff::Span::new().days(days)).unwrap();
        harvests.push_str(&format!("{},{},{}\n", day(cycle * 30), day(cycle * 30 + 29), 900 + cycle * 7 % 12 * 40));
    }
    fs::write(dir.path().join("harvests.csv"), harvests).unwrap();
    let list = dir.path().join("list.csv");
    fs::write(&list, "meter,measures,harvests\nm000,lighting,harvests.csv\nm001,growing,harvests.csv\nm002,lighting climate,\n").unwrap();
    let out = dir.path().join("out");
    let more = ["--method", "controlled-environment", "--list", list.to_str().unwrap(), "--refused-max", "2"];
    let all = summary(&source, &out, &more);
    assert_eq!((&all["meters"]["all"], &all["meters"]["refused"], &all["meters"]["summed"]), (&3.into(), &2.into(), &1.into()), "{all}");
    let rows = meters(&out);
    let message = |row: &Value| row["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message(&rows[1]).contains("moves production"), "{}", rows[1]);
    assert!(message(&rows[2]).contains("nothing says its variables"), "{}", rows[2]);
    assert_eq!(rows[0]["model"]["type"], "controlled_environment");

    let (meter, temperature) = (source.join("m000.csv"), fixture("il_temperature_hourly.parquet"));
    let harvests = dir.path().join("harvests.csv");
    let mut words = vec!["savings", "report", "--meter", meter.to_str().unwrap(), "--temperature", temperature.to_str().unwrap()];
    words.extend(["--commodity", "electricity", "--unit", "kWh", "--zone", "UTC", "--blackout-start", START, "--blackout-end", END]);
    words.extend([
        "--method",
        "controlled-environment",
        "--measure",
        "lighting",
        "--harvests",
        harvests.to_str().unwrap(),
        "--output",
        "json",
    ]);
    let single = negawatt(&words);
    let single: Value = serde_json::from_str(&stdout(&single)).unwrap();
    assert_eq!(single["digest"], rows[0]["digest"], "{single}");
}
