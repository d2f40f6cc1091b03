//! `negawatt savings` from files to answers: every method, every verb, for people and for programs.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use negawatt_tests::program::{negawatt, stderr, stdout};
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mv");
const METHODS: [(&str, &str); 5] = [
    ("caltrack-daily", "il-electricity-cdd-hdd-daily.parquet"),
    ("change-point", "il-electricity-cdd-hdd-daily.parquet"),
    ("caltrack-hourly", "il-electricity-cdd-hdd-hourly.parquet"),
    ("towt", "il-electricity-cdd-hdd-hourly.parquet"),
    ("best", "il-electricity-cdd-hdd-daily.parquet"),
];

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURES).join(name)
}

/// The words of a question about the sample facility.
pub(crate) fn question<'a>(verb: &'a str, meter: &'a Path, temperature: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["savings", verb, "--meter", meter.to_str().unwrap(), "--temperature", temperature.to_str().unwrap()];
    words.extend(["--commodity", "electricity", "--zone", "UTC", "--blackout-start", "2016-12-26", "--blackout-end", "2017-01-04"]);
    words.extend(more);
    words
}

fn ask(verb: &str, meter: &str, more: &[&str]) -> String {
    let (meter, temperature) = (fixture(meter), fixture("il_temperature_hourly.parquet"));
    let mut words = question(verb, &meter, &temperature, &["--unit", "kWh"]);
    words.extend(more);
    let output = negawatt(&words);
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    stdout(&output)
}

fn object(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    serde_json::from_str(text).unwrap()
}

/// A text without what every edition of the code changes, and without where this checkout lies.
fn kept(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("digest") {
        Some(digits) if digits.trim().len() == 64 => "digest            (64 digits)".to_owned(),
        _ => line.replace(FIXTURES, "fixtures"),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The names of everything in an object, and what kind of thing each is.
fn names(path: &str, value: &Value, found: &mut Vec<String>) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names(&format!("{path}.{name}"), value, found);
            }
            return;
        }
        Value::Array(_) => "list",
        Value::String(_) => "text",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    };
    found.push(format!("{} {kind}", path.trim_start_matches('.')));
}

#[test]
fn every_method_answers_with_an_interval_and_the_same_digest_twice() {
    for (method, meter) in METHODS {
        let first = ask("report", meter, &["--method", method, "--output", "json"]);
        assert_eq!(first, ask("report", meter, &["--method", method, "--output", "json"]), "{method}");
        let answer = object(&first);
        assert_eq!((&answer["schema"], &answer["method"]), (&"negawatt.savings/1".into(), &method.into()));
        assert_eq!(answer["status"], "qualified", "{method}: {answer}");
        assert_eq!(answer["digest"].as_str().unwrap().len(), 64, "{method}");
        let number = |name: &str| answer.pointer(&format!("/avoided/{name}")).and_then(Value::as_f64).unwrap();
        let (savings, low, high) = (number("savings"), number("interval_90/0"), number("interval_90/1"));
        assert!(low < savings && savings < high && (700.0..1_300.0).contains(&savings), "{method}: {low} {savings} {high}");
        assert!((high - low - 2.0 * number("interval_90_half_width")).abs() < 1e-6, "{method}");
        assert!((number("counterfactual") - number("observed") - savings).abs() < 1e-6, "{method}");
    }
}

#[test]
fn an_answer_reads_as_before() {
    insta::assert_snapshot!("report_daily", kept(&ask("report", METHODS[0].1, &[])));
    insta::assert_snapshot!("fit_strict", kept(&ask("fit", METHODS[0].1, &["--mode", "strict"])));
    insta::assert_snapshot!("report_change_point", kept(&ask("report", METHODS[1].1, &["--method", "change-point"])));
    let mut found = Vec::new();
    names("", &object(&ask("fit", METHODS[0].1, &["--output", "json"])), &mut found);
    insta::assert_snapshot!("fit_daily_json", found.join("\n"));
}

#[test]
fn candidates_are_listed_with_the_reason_why_each_lost() {
    let daily = object(&ask("candidates", METHODS[0].1, &["--output", "json"]));
    let rows = daily["candidates"].as_array().unwrap();
    assert_eq!(rows.len(), 2_014);
    assert_eq!(rows.iter().filter(|row| row["selected"] == true).count(), 1);
    assert!(rows.iter().all(|row| row["selected"] == true || row["reason"].as_str().is_some_and(|reason| reason.len() > 10)));
    let months = object(&ask("candidates", METHODS[2].1, &["--method", "caltrack-hourly", "--output", "json"]));
    assert_eq!(months["candidates"].as_array().unwrap().len(), 13, "twelve months, and the model that they are");
    for (method, meter) in METHODS {
        let object = object(&ask("candidates", meter, &["--method", method, "--output", "json"]));
        let selected = object["candidates"].as_array().unwrap().iter().filter(|row| row["selected"] == true).count();
        assert_eq!(selected, 1, "{method}");
    }
    insta::assert_snapshot!(
        "candidates_change_point",
        kept(&ask("candidates", METHODS[1].1, &["--method", "change-point", "--mode", "strict"]))
    );
    insta::assert_snapshot!("candidates_best", kept(&ask("candidates", METHODS[4].1, &["--method", "best", "--mode", "strict"])));
}

#[test]
fn a_kept_answer_is_verified_and_a_changed_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.json");
    for (method, meter) in METHODS {
        let text = ask("fit", meter, &["--method", method, "--output", "json"]);
        std::fs::write(&file, &text).unwrap();
        let verified = negawatt(&["savings", "verify", file.to_str().unwrap(), "--output", "json"]);
        assert!(verified.status.success(), "{method}: {}", stderr(&verified));
        let (said, answer) = (object(&stdout(&verified)), object(&text));
        assert_eq!((&said["result"], &said["digest"]), (&"verified".into(), &answer["digest"]), "{method}");

        let mut changed = answer;
        changed["avoided"]["savings"] = (changed["avoided"]["savings"].as_f64().unwrap() + 1.0).into();
        std::fs::write(&file, changed.to_string()).unwrap();
        let refused = negawatt(&["savings", "verify", file.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(65), "{method}");
        assert!(stderr(&refused).contains("avoided.savings") && stdout(&refused).is_empty(), "{method}: {}", stderr(&refused));
    }
    std::fs::write(&file, "{").unwrap();
    let refused = negawatt(&["savings", "verify", file.to_str().unwrap()]);
    assert!(refused.status.code() == Some(65) && stderr(&refused).contains("answer.json: is not JSON"), "{}", stderr(&refused));
}

/// Bills as they come: a file of fourteen rows, and an interval that is honest about so few.
#[test]
fn bills_are_answered_from_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bills.csv");
    let mut text = String::new();
    let packed = File::open(fixture("il-electricity-cdd-hdd-billing_monthly.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    std::fs::write(&file, text).unwrap();
    let temperature = fixture("il_temperature_hourly.parquet");
    let words = question("report", &file, &temperature, &["--unit", "kWh", "--method", "caltrack-billing", "--output", "json"]);
    let output = negawatt(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    let answer = object(&stdout(&output));
    assert_eq!(answer["status"], "disqualified");
    assert_eq!(answer["sufficiency"]["findings"][0]["name"], "incorrect_number_of_total_days");
    assert!((answer["avoided"]["savings"].as_f64().unwrap() - 798.4).abs() < 0.1, "{answer}");
}

#[test]
fn a_saving_of_one_month_is_one_bill() {
    let dir = tempfile::tempdir().unwrap();
    let rows = |value: f64| -> String {
        let mut text = String::from("start,value\n");
        for hour in 0..=31 * 24 {
            let (day, of_day) = (hour / 24 + 1, hour % 24);
            let start = if day > 31 { "2025-02-01T00:00:00Z".to_owned() } else { format!("2025-01-{day:02}T{of_day:02}:00:00Z") };
            text.push_str(&format!("{start},{}\n", if day > 31 { String::new() } else { value.to_string() }));
        }
        text
    };
    let path = |name: &str, text: String| -> String {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (measured, would) = (path("measured.csv", rows(2.0)), path("would.csv", rows(3.0)));
    let tariff = r#"{"name":"Flat","currency":"USD","versions":[{"from":"2020-01-01","energy":[{"name":"e","periods":[{"name":"all","tiers":[{"price":"0.10"}]}]}]}]}"#;
    let tariff = path("tariff.json", tariff.to_owned());
    let words =
        ["savings", "price", "--tariff", &tariff, "--measured", &measured, "--counterfactual", &would, "--unit", "kWh", "--zone", "UTC"];
    let output = negawatt(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains(" for 744000 Wh, in 1 bill\n"), "{}", stdout(&output));

    let faulty = path("faulty.csv", rows(2.0).replace("2025-01-07T05:00:00Z,2", "2025-01-07T05:00:00Z,"));
    let words = words.map(|word| if word == measured { faulty.as_str() } else { word });
    let refused = negawatt(&words);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(65), "{said}");
    assert!(said.contains("faulty.csv") && said.contains("row 150") && said.contains("rule: "), "{said}");
}

/// Hourly rows show whether the meter's clock stood still, where the dossier does not say it.
#[test]
fn a_clock_that_was_set_in_summer_is_seen_in_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let mut text = String::new();
    let file = File::open(fixture("il-electricity-cdd-hdd-hourly.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let rows: Vec<(&str, &str)> = text.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let summer = rows.iter().position(|(start, _)| *start >= "2016-07-15").unwrap();
    let clock = r#"{"zone_known":true,"offset_minutes":0.5,"long_days_right":true}"#;
    std::fs::write(place("dossier.json"), format!(r#"{{"facts":{{"clock":{clock}}},"date":"2018-02-01"}}"#)).unwrap();
    for (hours, verdict) in [(0, "pass"), (3, "conditional")] {
        let late = |row: usize| if row < summer { row } else { (row + hours).min(rows.len() - 1) };
        let shifted: String = rows.iter().enumerate().map(|(row, (start, _))| format!("{start},{}\n", rows[late(row)].1)).collect();
        std::fs::write(place("meter.csv"), format!("start,value\n{shifted}")).unwrap();
        let (meter, temperature) = (place("meter.csv"), fixture("il_temperature_hourly.parquet"));
        let fitted =
            negawatt(&question("fit", &meter, &temperature, &["--unit", "kWh", "--method", "caltrack-hourly", "--output", "json"]));
        assert!(fitted.status.success(), "{}", stderr(&fitted));
        std::fs::write(place("answer.json"), stdout(&fitted)).unwrap();
        let (answer, dossier) = (place("answer.json"), place("dossier.json"));
        let audited = negawatt(&["audit", answer.to_str().unwrap(), "--dossier", dossier.to_str().unwrap(), "--output", "json"]);
        let found = object(&stdout(&audited));
        assert_eq!(found["checks"][5]["verdict"], verdict, "{:#}", found["checks"][5]);
    }
}

/// A baseline is audited by its answer: computed again, judged by fifteen categories, and scored where its dossier has a day.
#[test]
fn a_baseline_is_audited_by_its_answer_and_its_dossier() {
    let dir = tempfile::tempdir().unwrap();
    let (answer, dossier) = (dir.path().join("answer.json"), dir.path().join("dossier.json"));
    std::fs::write(&answer, ask("fit", METHODS[0].1, &["--output", "json", "--station-km", "12"])).unwrap();
    let audit = |more: &[&str]| {
        let mut words = vec!["audit", answer.to_str().unwrap()];
        words.extend(more);
        negawatt(&words)
    };
    let alone = audit(&["--output", "json"]);
    assert!(alone.status.success(), "{}", stderr(&alone));
    let found = object(&stdout(&alone));
    assert_eq!((&found["schema"], &found["verified"], &found["trust"]), (&"negawatt.audit.baseline/1".into(), &false.into(), &Value::Null));
    let checks = found["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 15);
    let verdict = |number: usize| checks[number - 1]["verdict"].as_str().unwrap();
    // Of certificates, bills and signatures nobody said anything, which passes nowhere.
    assert_eq!((verdict(1), verdict(2), verdict(3), verdict(5), verdict(14)), ("pass", "pass", "fail", "fail", "fail"));
    assert!(found["out_of_sample"]["cv"].as_f64().unwrap() > 0.1);

    let facts = r#"{"meter_class":0.5,"certificate_expired_months":0,"transformer_ratio_verified":true,"register_difference":0.001,
        "worst_bill_difference":0.002,"year_bill_difference":0.001,"clock":{"zone_known":true,"offset_minutes":0.5,
        "long_days_right":true,"lag_stable":true},"unexplained_energy_share":0,"station_elevation_m":40,"inventory_signed":true,
        "chain_unbroken":true,"records_in_time":true,"auditor_independent":true}"#;
    let inventory = format!(
        r#"[{{"name":"canopy","unit":"m2","value":900,"tolerance":10,"evidence":"{}","valid_from":"2015-01-01","valid_to":null,"formula":null}}]"#,
        "a".repeat(64)
    );
    let text = format!(r#"{{"facts":{facts},"inventory":{inventory},"past":{{"signed_share":1}},"date":"2018-02-01"}}"#);
    std::fs::write(&dossier, &text).unwrap();
    let with = audit(&["--dossier", dossier.to_str().unwrap(), "--output", "json"]);
    assert!(with.status.success(), "{}", stderr(&with));
    let found = object(&stdout(&with));
    let failed: Vec<_> = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["verdict"] == "fail")
        .map(|check| check["number"].clone())
        .collect();
    // A CV of a quarter is beyond what a category allows out of sample, or near it; everything that was told passes.
    assert!(failed.iter().all(|number| [12, 13].contains(&number.as_u64().unwrap())), "{found:#}");
    let score = found["trust"]["score"].as_f64().unwrap();
    assert!((1.0..100.0).contains(&score) && found["trust"]["version"] == "negawatt.trust/1" && found["trust"]["date"] == "2018-02-01");
    let human = audit(&["--dossier", dossier.to_str().unwrap()]);
    assert!(stdout(&human).contains("trust") && stdout(&human).contains("not verified"), "{}", stdout(&human));

    std::fs::write(&dossier, text.replace("\"facts\"", "\"fact\"")).unwrap();
    let refused = audit(&["--dossier", dossier.to_str().unwrap()]);
    assert!(refused.status.code() == Some(65) && stderr(&refused).contains("dossier.json: is no dossier"), "{}", stderr(&refused));
    let changed = std::fs::read_to_string(&answer).unwrap().replacen("\"savings\":", "\"savings\":1", 1);
    std::fs::write(&answer, changed).unwrap();
    let refused = audit(&[]);
    assert!(refused.status.code() == Some(65) && stderr(&refused).contains("avoided.savings"), "{}", stderr(&refused));
}

/// Rows that nobody read, bills of the same energy, and harvests, from the command line to the answer and back.
#[test]
fn estimates_bills_and_harvests_are_part_of_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let first = jiff::civil::date(2015, 12, 27);
    let day = |day: i64| first.checked_add(jiff::Span::new().days(day)).unwrap();
    let mut rows = String::from("start,value,estimated\n");
    for index in 0..740_i64 {
        rows.push_str(&format!("{}T00:00:00Z,{},{}\n", day(index), 30 + index * 7 % 11, if index % 100 == 50 { "yes" } else { "" }));
    }
    let write = |name: &str, text: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let (meter, temperature) = (write("meter.csv", &rows), fixture("il_temperature_hourly.parquet"));
    let bills = write("bills.csv", &format!("start,value\n{}T00:00:00Z,1000\n{}T00:00:00Z,\n", day(0), day(30)));
    let harvests = write("harvests.csv", &format!("from,on,marketable_kg\n{},{},9000\n", day(0), day(739)));
    let more = ["--unit", "kWh", "--mode", "strict", "--bills", bills.to_str().unwrap(), "--output", "json"];
    let output = negawatt(&question("fit", &meter, &temperature, &more));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let answer = object(&text);
    let steps = answer["inputs"]["cleaning"].as_array().unwrap();
    assert!(steps.len() == 10 && steps[9]["found"].as_str().unwrap().contains("rows that nobody read: 7"), "{steps:#?}");
    assert!(steps[8]["found"].as_str().unwrap().starts_with("against 1 bill the rows differ by"), "{}", steps[8]);
    let names: Vec<&str> =
        answer["sufficiency"]["findings"].as_array().unwrap().iter().filter_map(|found| found["name"].as_str()).collect();
    assert!(names.contains(&"estimated_reads") && names.contains(&"sum_check"), "{names:?}");
    let kept = write("kept.json", &text);
    let verified = negawatt(&["savings", "verify", kept.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", stderr(&verified));

    let mut words = question("fit", &meter, &temperature, &["--unit", "kWh", "--method", "controlled-environment", "--output", "json"]);
    words.extend(["--harvests", harvests.to_str().unwrap(), "--measure", "climate"]);
    let output = negawatt(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    let grown = stdout(&output);
    assert_eq!(object(&grown)["inputs"]["drivers_rows"], 740);
    let kept = write("kept.json", &grown);
    let verified = negawatt(&["savings", "verify", kept.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}
