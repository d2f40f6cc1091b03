//! What `negawatt savings` says to input that no method may use: the file, the row and the rule, and never a number.

use std::path::{Path, PathBuf};

use negawatt_tests::program::{negawatt, stderr, stdout};
use serde_json::Value;

use crate::savings::{fixture, question};

const DAYS: usize = 800;

/// A meter of days from 1 November 2015, as lines without the header; the last closes.
fn days() -> Vec<String> {
    let first = jiff::civil::date(2015, 11, 1);
    let day = |day: usize| first.checked_add(jiff::Span::new().days(i64::try_from(day).unwrap())).unwrap();
    (0..=DAYS)
        .map(|index| format!("{}T00:00:00Z,{}", day(index), if index < DAYS { (20 + index % 7).to_string() } else { String::new() }))
        .collect()
}

struct Refusal {
    code: i32,
    text: String,
    error: Value,
}

/// Asks with this meter; the refusal as people and as programs get it.
fn refused(meter: &Path, temperature: &Path, more: &[&str]) -> Refusal {
    let human = negawatt(&question("report", meter, temperature, more));
    let mut words = question("report", meter, temperature, more);
    words.extend(["--output", "json"]);
    let machine = negawatt(&words);
    assert_eq!(human.status.code(), machine.status.code());
    assert!(stdout(&human).is_empty(), "a refusal is no data: {}", stdout(&human));
    let object: Value = serde_json::from_str(&stdout(&machine)).unwrap();
    assert_eq!(object["status"], "refused");
    Refusal { code: human.status.code().unwrap(), text: stderr(&human), error: object["error"].clone() }
}

fn written(dir: &Path, lines: &[String]) -> PathBuf {
    let file = dir.join("meter.csv");
    std::fs::write(&file, format!("start,value\n{}\n", lines.join("\n"))).unwrap();
    file
}

#[test]
fn each_bad_file_is_refused_by_file_row_and_rule() {
    let dir = tempfile::tempdir().unwrap();
    let temperature = fixture("il_temperature_hourly.parquet");
    let changed = |index: usize, value: &str| {
        let mut lines = days();
        let start = lines[index].split(',').next().unwrap().to_owned();
        lines[index] = format!("{start},{value}");
        lines
    };
    let mut overlapping = days();
    overlapping.insert(101, changed(100, "99")[100].clone());
    let zeros: Vec<String> = days().iter().map(|line| format!("{},0", line.split(',').next().unwrap())).collect();
    for (name, lines, row, says, rule) in [
        ("overlapping rows", overlapping, 102, "says something else", "cleaning 3"),
        ("NaN", changed(100, "NaN"), 101, "", "cleaning 1"),
        ("infinity", changed(100, "inf"), 101, "", "cleaning 1"),
        ("text", changed(100, "many"), 101, "many", "cleaning 1"),
        ("no time", changed(0, "5").iter().map(|line| line.replace("2016-02-09", "later")).collect(), 101, "later", "cleaning 2"),
        ("a year of zeros", zeros, 57, "zero", "2.2.1.4"),
        ("one row", days()[..1].to_vec(), 1, "a row that opens it and one that closes it", "cleaning 5"),
    ] {
        let refusal = refused(&written(dir.path(), &lines), &temperature, &["--unit", "kWh"]);
        assert_eq!(refusal.code, 65, "{name}: {}", refusal.text);
        assert!(refusal.text.contains("meter.csv: row ") && refusal.text.contains(says), "{name}: {}", refusal.text);
        assert_eq!(refusal.error["row"], row, "{name}: {}", refusal.text);
        let said = refusal.error["rule"].as_str().unwrap();
        assert!(said.contains(rule) && refusal.text.contains(said), "{name}: {}", refusal.text);
        assert!(refusal.error["file"].as_str().unwrap().ends_with("meter.csv"), "{name}");
    }
}

#[test]
fn a_question_without_unit_or_with_an_unknown_zone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (meter, temperature) = (written(dir.path(), &days()), fixture("il_temperature_hourly.parquet"));
    let unit = refused(&meter, &temperature, &[]);
    assert!(unit.code == 2 && unit.text.contains("--unit") && unit.text.contains("cleaning 1: the unit is stated"), "{}", unit.text);
    assert!(refused(&meter, &temperature, &["--unit", "bushel"]).text.contains("`bushel` is not known"));
    let mut words = question("fit", &meter, &temperature, &["--unit", "kWh"]);
    let zone = words.iter().position(|word| *word == "UTC").unwrap();
    words[zone] = "America/Chicagoo";
    let said = stderr(&negawatt(&words));
    assert!(said.contains("`America/Chicagoo` is not known") && said.contains("cleaning 2: the zone is known"), "{said}");
}

#[test]
fn temperatures_that_end_early_or_lack_a_unit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let meter = written(dir.path(), &days());
    let hours = |count: i64| -> Vec<String> {
        let first: jiff::Timestamp = "2015-10-30T00:00:00Z".parse().unwrap();
        (0..count).map(|hour| format!("{},{}", first + jiff::SignedDuration::from_hours(hour), 40 + hour % 30)).collect()
    };
    let file = dir.path().join("weather.csv");
    std::fs::write(&file, format!("t,temp_f\n{}\n", hours(9_000).join("\n"))).unwrap();
    let early = refused(&meter, &file, &["--unit", "kWh"]);
    assert!(early.code == 65 && early.error["row"] == 9_000, "{}", early.text);
    assert!(early.text.contains("weather.csv: row 9000: the temperatures end at"), "{}", early.text);
    assert!(early.error["rule"].as_str().unwrap().contains("2.2.1.2"));
    std::fs::write(&file, format!("t,temperature\n{}\n", hours(100).join("\n"))).unwrap();
    let unit = refused(&meter, &file, &["--unit", "kWh"]);
    assert!(unit.code == 65 && unit.text.contains("weather.csv") && unit.text.contains("cleaning 1"), "{}", unit.text);
}

#[test]
fn variables_are_read_beside_the_meter_and_refused_by_their_row() {
    let dir = tempfile::tempdir().unwrap();
    let (meter, temperature) = (written(dir.path(), &days()), fixture("il_temperature_hourly.parquet"));
    let file = dir.path().join("days.csv");
    let lines = |spoiled: Option<usize>| -> String {
        let mut text = String::from("date,production,light_demand\n");
        for (index, line) in days().iter().enumerate() {
            let value = if spoiled == Some(index) { "much".to_owned() } else { (300 + index * 7 % 90).to_string() };
            text.push_str(&format!("{},{value},{}\n", line.split('T').next().unwrap(), index * 5 % 17));
        }
        text
    };
    let more = ["--unit", "kWh", "--method", "controlled-environment", "--drivers", file.to_str().unwrap(), "--measure", "lighting"];
    std::fs::write(&file, lines(None)).unwrap();
    let mut words = question("report", &meter, &temperature, &more);
    words.extend(["--output", "json"]);
    let output = negawatt(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&answer["model"]["type"], &answer["inputs"]["drivers_rows"]), (&"controlled_environment".into(), &801.into()));
    assert!(answer["avoided"]["interval_90"].is_array(), "{answer}");
    let kept = dir.path().join("answer.json");
    std::fs::write(&kept, stdout(&output)).unwrap();
    let verified = negawatt(&["savings", "verify", kept.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", stderr(&verified));

    std::fs::write(&file, lines(Some(41))).unwrap();
    let spoiled = refused(&meter, &temperature, &more);
    assert!(spoiled.code == 65 && spoiled.error["row"] == 42, "{}", spoiled.text);
    assert!(spoiled.text.contains("days.csv: row 42: production `much`"), "{}", spoiled.text);
    std::fs::write(&file, lines(None).replace("light_demand", "lamp_hours")).unwrap();
    let moved = refused(&meter, &temperature, &more);
    assert!(moved.code == 65 && moved.text.contains("moves lamp_hours"), "{}", moved.text);
}
