//! `negawatt savings portfolio` on folders of made-up meters: what it adds up, what it survives, and what it says.
//!
//! Each meter is the sample's year times a factor, with a saving of its own put in after the intervention.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ids::Slug;
use jiff::Timestamp;
use negawatt_tests::program::{negawatt, program, stderr, stdout};
use serde_json::Value;
use store::{Batch, Options, Origin, Row, Store};
use units::{Quality, Unit};

use crate::savings::{fixture, question};

pub(crate) const START: &str = "2016-12-26";
pub(crate) const END: &str = "2017-01-04";
/// What a run leaves, beside its lock.
const FILES: [&str; 6] = ["charts.jsonl", "cusum.parquet", "meters.jsonl", "meters.parquet", "portfolio.json", "response.parquet"];

/// The sample's days: when each begins, and what was used.
fn sample() -> Vec<(String, Option<f64>)> {
    let mut text = String::new();
    let packed = fs::File::open(fixture("il-electricity-cdd-hdd-daily.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let line = |line: &str| line.split_once(',').map(|(start, value)| (start.to_owned(), value.parse().ok()));
    text.lines().skip(1).filter_map(line).collect()
}

/// A meter's days: `scale` times the sample's, and `kept` of it after the intervention.
fn days(sample: &[(String, Option<f64>)], scale: f64, kept: f64) -> String {
    let mut text = String::from("start,value\n");
    for (start, value) in sample {
        let factor = if start.as_str() < END { scale } else { scale * kept };
        text.push_str(&format!("{start},{}\n", value.map(|value| (value * factor).to_string()).unwrap_or_default()));
    }
    text
}

/// A folder of meters: `m000`, `m001` and so on, each a little larger and saving a little more.
pub(crate) fn folder(dir: &Path, meters: usize) -> PathBuf {
    let (folder, sample) = (dir.join("meters"), sample());
    fs::create_dir_all(&folder).unwrap();
    for meter in 0..meters {
        let step = meter as f64 / meters as f64;
        fs::write(folder.join(format!("m{meter:03}.csv")), days(&sample, 1.0 + step, 1.0 - 0.2 * step)).unwrap();
    }
    folder
}

fn words(source: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let temperature = fixture("il_temperature_hourly.parquet");
    let (temperature, source, out) = (temperature.to_str().unwrap(), source.to_str().unwrap(), out.to_str().unwrap());
    let mut words = vec!["savings", "portfolio", "--meters", source, "--temperature", temperature, "--out", out];
    words.extend(["--commodity", "electricity", "--unit", "kWh", "--zone", "UTC", "--blackout-start", START, "--blackout-end", END]);
    words.extend(more);
    words.into_iter().map(str::to_owned).collect()
}

pub(crate) fn run(source: &Path, out: &Path, more: &[&str]) -> Output {
    let words = words(source, out, more);
    negawatt(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The object of a run that went well.
pub(crate) fn summary(source: &Path, out: &Path, more: &[&str]) -> Value {
    let output = run(source, out, &[more, &["--output", "json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    assert_eq!(text, fs::read_to_string(out.join("portfolio.json")).unwrap());
    serde_json::from_str(&text).unwrap()
}

/// The lines of the meters, in the order in which they are written.
pub(crate) fn meters(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("meters.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} is no number in {value}"))
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} instead of {expected}");
}

/// A run's files, byte for byte.
fn same(one: &Path, other: &Path) {
    for name in FILES {
        let (one, other) = (fs::read(one.join(name)).unwrap(), fs::read(other.join(name)).unwrap());
        assert!(one == other, "{name} differs: {} and {} bytes", one.len(), other.len());
    }
}

#[test]
fn meters_are_added_up_ranked_and_drawn_and_each_has_the_digest_of_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (folder(dir.path(), 40), dir.path().join("out"));
    let found = summary(&source, &out, &["--top", "3"]);
    assert_eq!((&found["schema"], &found["unit"]), (&"negawatt.savings.portfolio/1".into(), &"kWh".into()));
    assert_eq!((found["meters"]["all"].as_u64(), found["meters"]["summed"].as_u64()), (Some(40), Some(40)));

    let rows = meters(&out);
    assert_eq!(rows.len(), 40);
    assert!(rows.windows(2).all(|pair| pair[0]["meter"].as_str() < pair[1]["meter"].as_str()));
    let sum = |name: &str| rows.iter().map(|row| number(row, &format!("/avoided/{name}"))).sum::<f64>();
    for name in ["counterfactual", "observed", "savings"] {
        close(number(&found, &format!("/totals/{name}")), sum(name));
    }
    let squares: f64 = rows.iter().map(|row| number(row, "/avoided/interval_90_half_width").powi(2)).sum();
    close(number(&found, "/totals/half_width_90/independent"), squares.sqrt());
    // One weather, one sample: what the models leave unexplained is the same everywhere, and does not average out.
    assert_eq!(found["common"]["source"], "measured");
    assert!(number(&found, "/common/station") > 0.99, "{}", found["common"]);
    assert!(number(&found, "/totals/half_width_90/shared") > 0.99 * sum("interval_90_half_width"), "{}", found["totals"]);
    let month = found["months"].as_array().unwrap().last().unwrap();
    assert!((number(month, "/cumulative") - sum("savings")).abs() < 0.04, "{month}");

    let names =
        |list: &str| found[list].as_array().unwrap().iter().map(|row| row["meter"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names("top"), ["m039", "m038", "m037"]);
    assert_eq!(names("bottom"), ["m000", "m001", "m002"]);
    let charts = fs::read_to_string(out.join("charts.jsonl")).unwrap();
    assert_eq!(charts.lines().count(), 6);
    let chart: Value = serde_json::from_str(charts.lines().last().unwrap()).unwrap();
    assert_eq!(chart["meter"], "m039");
    let last = chart["cusum"].as_array().unwrap().last().unwrap();
    close(number(last, "/cumulative"), number(&rows[39], "/avoided/savings"));
    let days: u64 = chart["response"].as_array().unwrap().iter().map(|row| row["reporting_days"].as_u64().unwrap()).sum();
    assert_eq!(days, rows[39]["avoided"]["rows_compared"].as_u64().unwrap());
    for name in FILES.into_iter().filter(|name| name.ends_with(".parquet")) {
        assert!(fs::read(out.join(name)).unwrap().starts_with(b"PAR1"), "{name}");
    }

    let (meter, temperature) = (source.join("m007.csv"), fixture("il_temperature_hourly.parquet"));
    let alone = negawatt(&question("report", &meter, &temperature, &["--unit", "kWh", "--output", "json"]));
    let alone: Value = serde_json::from_str(&stdout(&alone)).unwrap();
    assert_eq!(rows[7]["digest"], alone["digest"]);
    assert_eq!(rows[7]["avoided"], alone["avoided"]);
}

#[test]
fn threads_and_earlier_runs_change_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let source = folder(dir.path(), 30);
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::write(source.join("m900.csv"), "start,value\n2016-01-01T00:00:00Z,many\n").unwrap();
    let code = |output: &Output| output.status.code();
    assert_eq!(code(&run(&source, &one, &["--threads", "1", "--charts", "all"])), Some(65));
    assert_eq!(code(&run(&source, &two, &["--threads", "2", "--charts", "all"])), Some(65));
    same(&one, &two);
    // Again, when everything is finished; and again, when one meter has other rows.
    let again = run(&source, &two, &["--threads", "2", "--charts", "all"]);
    assert!(stderr(&again).contains("31 were finished before"), "{}", stderr(&again));
    same(&one, &two);
    let lines = fs::read_to_string(source.join("m004.csv")).unwrap();
    fs::write(source.join("m004.csv"), lines.replace("2016-02-09T00:00:00Z,", "2016-02-09T00:00:00Z,1")).unwrap();
    let changed = run(&source, &two, &["--charts", "all"]);
    assert!(stderr(&changed).contains("30 were finished before"), "{}", stderr(&changed));
    let fresh = run(&source, &one, &["--charts", "all", "--fresh"]);
    assert!(!stderr(&fresh).contains("finished before"), "{}", stderr(&fresh));
    same(&one, &two);
    // Another question is another result: nothing that was finished stands for it.
    let strict = run(&source, &two, &["--mode", "strict"]);
    assert!(!stderr(&strict).contains("finished before"), "{}", stderr(&strict));
}

#[test]
fn a_killed_run_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let source = folder(dir.path(), 60);
    // Sixty files under twenty names each: enough work to be killed in.
    for meter in 0..60 {
        for copy in 1..20 {
            fs::hard_link(source.join(format!("m{meter:03}.csv")), source.join(format!("c{copy:02}-{meter:03}.csv"))).unwrap();
        }
    }
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let mut child = program("negawatt");
    child.args(words(&source, &killed, &["--threads", "1"])).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let written = || fs::metadata(killed.join("meters.jsonl")).map_or(0, |file| file.len());
    let began = Instant::now();
    while written() < 20_000 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing was written");
        std::thread::sleep(Duration::from_millis(1));
    }
    // SIGKILL: nothing is said and nothing is tidied up.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.join("portfolio.json").exists(), "the run ended before it was killed");

    let went_on = run(&source, &killed, &[]);
    assert!(went_on.status.success(), "{}", stderr(&went_on));
    let said = stderr(&went_on);
    let kept = said.split(", ").find_map(|part| part.split_once(" were finished before")?.0.parse::<usize>().ok()).unwrap_or(0);
    assert!((1..1_200).contains(&kept), "{said}");
    assert!(run(&source, &whole, &[]).status.success());
    same(&whole, &killed);
}

#[test]
fn bad_meters_are_listed_by_file_row_and_rule_and_end_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (folder(dir.path(), 12), dir.path().join("out"));
    let sample = sample();
    let good = days(&sample, 1.0, 0.9);
    let line = good.lines().nth(101).unwrap();
    let start = line.split(',').next().unwrap();
    let zeros = |line: &str| line.split_once("Z,").map_or_else(|| format!("{line}\n"), |(start, _)| format!("{start}Z,0\n"));
    for (name, text) in [
        ("x-nan", good.replace(line, &format!("{start},NaN"))),
        ("x-text", good.replace(line, &format!("{start},many"))),
        ("x-one-row", good.lines().take(2).map(|line| format!("{line}\n")).collect()),
        ("x-empty", String::new()),
        ("x-zeros", good.lines().map(zeros).collect()),
        ("x-overlap", good.replace(line, &format!("{line}\n{start},99"))),
    ] {
        fs::write(source.join(format!("{name}.csv")), text).unwrap();
    }
    fs::write(source.join("x-torn.parquet"), b"PAR1 and nothing behind").unwrap();
    fs::write(source.join("notes.txt"), "no meter").unwrap();
    let output = run(&source, &out, &["--output", "json"]);
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((found["meters"]["summed"].as_u64(), found["meters"]["refused"].as_u64()), (Some(12), Some(7)));
    let refused = found["refused"].as_array().unwrap();
    for (name, row, says, rule) in [
        ("x-nan", Some(101), "", "cleaning 1"),
        ("x-text", Some(101), "many", "cleaning 1"),
        ("x-one-row", Some(1), "closes", "cleaning 5"),
        ("x-empty", None, "time column", "cleaning 1"),
        ("x-zeros", Some(36), "zero", "2.2.1.4"),
        ("x-overlap", Some(102), "says something else", "cleaning 3"),
        ("x-torn", None, "", "cleaning 1"),
    ] {
        let one = refused.iter().find(|one| one["meter"] == name).unwrap_or_else(|| panic!("{name} is not listed"));
        assert_eq!(one["row"].as_u64(), row, "{one}");
        assert!(one["file"].as_str().unwrap().contains(name) && one["message"].as_str().unwrap().contains(says), "{one}");
        assert!(one["rule"].as_str().unwrap().contains(rule), "{one}");
    }
    // The good ones come to what they come to alone.
    let alone = folder(&dir.path().join("alone"), 12);
    let alone = summary(&alone, &dir.path().join("alone-out"), &[]);
    assert_eq!(found["totals"], alone["totals"]);
    // Who knows of them says so.
    assert_eq!(run(&source, &out, &["--refused-max", "7"]).status.code(), Some(0));
    assert_eq!(run(&source, &out, &["--refused-max", "6"]).status.code(), Some(65));
}

/// What people read, without where this checkout and its folders lie.
fn kept(text: &str, dir: &Path) -> String {
    let line = |line: &str| match line.strip_prefix("digest") {
        Some(digits) if digits.trim().len() == 64 => "digest            (64 digits)".to_owned(),
        _ => line.replace(dir.to_str().unwrap(), "folder"),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_comparison_group_takes_off_what_happened_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out, sample) = (dir.path().join("meters"), dir.path().join("out"), sample());
    fs::create_dir_all(&source).unwrap();
    let mut list = String::from("meter,role,stratum,station_km\n");
    // Everybody uses less than the sample's own model expects; the treated use 15 % less than that.
    for meter in 0..16 {
        let (role, kept) = if meter % 2 == 0 { ("treated", 0.85) } else { ("comparison", 1.0) };
        let stratum = if meter < 10 { "shops" } else { "offices" };
        let name = format!("{role}-{meter:02}");
        fs::write(source.join(format!("{name}.csv")), days(&sample, 1.0 + f64::from(meter) / 50.0, kept + 0.002 * f64::from(meter % 5)))
            .unwrap();
        list.push_str(&format!("{name},{role},{stratum},12\n"));
    }
    list.push_str("absent,treated,shops,\nodd,control,,\n");
    let file = dir.path().join("list.csv");
    fs::write(&file, list).unwrap();
    fs::write(source.join("unlisted.csv"), "start,value\n").unwrap();
    let more = ["--list", file.to_str().unwrap(), "--top", "2"];
    let human = run(&source, &out, &more);
    assert_eq!(human.status.code(), Some(65));
    insta::assert_snapshot!("portfolio_human", kept(&stdout(&human), dir.path()));
    let json = run(&source, &out, &[&more[..], &["--output", "json"]].concat());
    let found: Value = serde_json::from_str(&stdout(&json)).unwrap();
    let counts = |name: &str| found["meters"][name].as_u64().unwrap();
    assert_eq!([counts("all"), counts("summed"), counts("comparison"), counts("refused")], [18, 8, 8, 2]);
    // The 15 %, less what each was given back, and nothing of the sample's own 8 %.
    let net = number(&found, "/comparison/net/savings") / number(&found, "/totals/counterfactual");
    let gross = number(&found, "/totals/share");
    assert!((0.12..0.16).contains(&net) && gross > net + 0.05, "{net} {gross}");
    let strata: Vec<&str> = found["comparison"]["strata"].as_array().unwrap().iter().map(|row| row["stratum"].as_str().unwrap()).collect();
    assert_eq!(strata, ["offices", "shops"]);
    // What all meters' baselines have in common, the comparison group takes away again.
    assert!(number(&found, "/comparison/net/half_width_90/shared") < number(&found, "/comparison/net/half_width_90/independent"));
    assert!(number(&found, "/totals/half_width_90/shared") > number(&found, "/totals/half_width_90/independent"));
}

#[test]
fn the_meters_of_a_store_are_those_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let (source, sample) = (folder(dir.path(), 3), sample());
    let files = summary(&source, &dir.path().join("of-files"), &[]);
    let folder = dir.path().join("store");
    let slug = |text: &str| Slug::parse(text).unwrap();
    let millis = |start: &str| start.parse::<Timestamp>().unwrap().as_millisecond();
    #[expect(clippy::cast_possible_truncation, reason = "millionths of a day's use")]
    let raw = |value: f64| (value * 1e6).round() as i64;
    let commit = |store: &Store, facility: &str, number: u8, device: &str, point: &str, unit: Unit, rows: Vec<(i64, f64)>| {
        let row = |(ts_ms, value): (i64, f64)| Row {
            device: slug(device),
            point: point.into(),
            unit,
            exponent: -6,
            ts_ms,
            raw: Some(raw(value)),
            quality: Quality::GOOD,
            words: None,
        };
        let origin = Origin { tenant: slug("acme"), facility: slug(facility), gateway: slug("import") };
        let rows = rows.into_iter().map(row).collect();
        store.commit(&[Batch { origin, spool_id: [number; 16], seq: 1, rows, profiles: Vec::new(), letter: None }]).unwrap();
    };
    let store = Store::open(&folder, Options::default()).unwrap();
    let mut weather = String::new();
    let packed = fs::File::open(fixture("il_temperature_hourly.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut weather).unwrap();
    let weather: Vec<(i64, f64)> =
        weather.lines().skip(1).filter_map(|line| line.split_once(',')).filter_map(|(at, f)| Some((millis(at), f.parse().ok()?))).collect();
    for meter in 0..3_u8 {
        let step = f64::from(meter) / 3.0;
        let (scale, kept) = (1.0 + step, 1.0 - 0.2 * step);
        // The last row of the file closes it and has no energy; in the store the last reading is an interval like the others.
        let rows = sample.iter().filter_map(|(start, value)| {
            let factor = if start.as_str() < END { scale } else { scale * kept };
            Some((millis(start), (*value)? * factor))
        });
        let facility = format!("hall-{meter}");
        commit(&store, &facility, 1, "main", "energy", Unit::KilowattHour, rows.collect());
        commit(&store, &facility, 2, "weather-station", "temp", Unit::Fahrenheit, weather.clone());
    }
    commit(&store, "hall-3", 1, "main", "energy", Unit::KilowattHour, vec![(millis("2016-01-01T00:00:00Z"), 1.0)]);
    drop(store);
    let out = dir.path().join("of-store");
    let ask = |more: &[&str]| {
        let mut words = vec!["savings", "portfolio", "--store", folder.to_str().unwrap(), "--out", out.to_str().unwrap()];
        words.extend(["--commodity", "electricity", "--zone", "UTC", "--blackout-start", START, "--blackout-end", END]);
        words.extend(more);
        negawatt(&words)
    };
    let output = ask(&["--point", "energy", "--output", "json"]);
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((found["meters"]["summed"].as_u64(), &found["refused"][0]["meter"]), (Some(3), &"acme/hall-3/main".into()));
    for name in ["counterfactual", "observed", "savings"] {
        let (one, other) = (number(&found, &format!("/totals/{name}")), number(&files, &format!("/totals/{name}")));
        assert!((one - other).abs() < 1e-6 * other.abs(), "{name}: {one} {other}");
    }
    let one = ask(&["--point", "energy", "--facility", "acme/hall-1"]);
    assert!(one.status.success() && stdout(&one).contains("1: 1 added up"), "{}", stdout(&one));
    let point = ask(&["--point", "energie"]);
    assert!(point.status.code() == Some(2) && stderr(&point).contains("points that do are: energy"), "{}", stderr(&point));
    let facility = ask(&["--point", "energy", "--facility", "acme/hall-9"]);
    assert!(facility.status.code() == Some(2) && stderr(&facility).contains("acme/hall-0"), "{}", stderr(&facility));
}

#[test]
fn a_question_that_says_too_little_is_refused_before_the_first_meter() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (folder(dir.path(), 2), dir.path().join("out"));
    let ask = |less: &str, more: &[&str]| {
        let mut words = words(&source, &out, more);
        if let Some(place) = words.iter().position(|word| word == less) {
            words.drain(place..place + 2);
        }
        let mut command: Command = program("negawatt");
        let output = command.args(words).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    for (less, more, says) in [
        ("--unit", &[][..], "write --unit"),
        ("--commodity", &[], "write --commodity"),
        ("--blackout-end", &[], "write --blackout-end"),
        ("--temperature", &[], "--temperature"),
        ("", &["--method", "controlled-environment"], "has a plan of its own"),
        ("", &["--station-share", "0.8", "--method-share", "0.4"], "together at most 1"),
        ("", &["--store", "somewhere"], "--store"),
    ] {
        let (code, said) = ask(less, more);
        assert!(code == Some(2) && said.contains(says), "{less} {more:?}: {code:?} {said}");
    }
    assert!(!out.exists(), "nothing was asked, so nothing is written");
    fs::create_dir_all(dir.path().join("none")).unwrap();
    let none = run(&dir.path().join("none"), &out, &[]);
    assert!(none.status.code() == Some(65) && stderr(&none).contains("has no meter"), "{}", stderr(&none));
}
