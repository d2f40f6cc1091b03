//! `negawatt vee` on a day of a meter, with an hour missing.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use negawatt_tests::program::{negawatt, stderr, stdout};
use serde_json::Value;

const DAY: [&str; 4] = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-03T00:00:00Z"];
const ANNA: [&str; 4] = ["--actor", "anna", "--reason", "tried"];

/// A quarter of a kilowatt-hour each five minutes; the hour from eight is missing.
fn store(folder: &Path) {
    let file = folder.join("meter.csv");
    let mut text = "timestamp,value\n".to_owned();
    for place in (0..288).filter(|place| !(96..108).contains(place)) {
        let (hour, minute) = (place / 12, place % 12 * 5);
        writeln!(text, "2026-03-02T{hour:02}:{minute:02}:00Z,{}", 1_000.0 + 0.25 * f64::from(place)).unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let (store, file) = (folder.join("store"), file.to_str().unwrap().to_owned());
    let place = ["--tenant", "acme", "--facility", "hall", "--device", "main", "--point", "e_imp", "--unit", "kWh"];
    let mut args = vec!["collector", "import", "--store", store.to_str().unwrap()];
    args.extend(place);
    args.push(&file);
    let imported = negawatt(&args);
    assert!(imported.status.success(), "{}", stderr(&imported));
}

#[test]
fn a_gap_is_found_filled_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path());
    let path = folder.path().join("store");
    let vee = |args: &[&[&str]]| -> Output {
        let mut all = vec!["vee"];
        args.iter().for_each(|part| all.extend(*part));
        all.extend(["--store", path.to_str().unwrap()]);
        negawatt(&all)
    };
    let json = |args: &[&[&str]]| -> Value {
        let mut all = args.to_vec();
        all.push(&["--output", "json"]);
        let answered = vee(&all);
        assert!(answered.status.success(), "{}", stderr(&answered));
        serde_json::from_str(&stdout(&answered)).unwrap()
    };

    let gaps = vee(&[&["gaps"], &DAY]);
    let expected = "acme/hall  2026-03-02T00:00:00Z .. 2026-03-03T00:00:00Z\n  main  e_imp\n    276 of 288 usable, 0 of these estimated, 0 edited\n    \
                    2026-03-02T08:00:00Z .. 2026-03-02T09:00:00Z      12  gateway_silent\n";
    assert_eq!(stdout(&gaps), expected, "{}", stderr(&gaps));
    assert_eq!(json(&[&["gaps"], &DAY])["series"][0]["gaps"][0]["cause"], "gateway_silent");

    let tried = vee(&[&["estimate", "--dry-run"], &DAY]);
    assert!(stdout(&tried).contains("12 readings by linear/1, 3.25 kWh passed"), "{}", stdout(&tried));
    assert_eq!(json(&[&["gaps"], &DAY])["series"][0]["usable"], 276);
    let made = json(&[&["estimate"], &DAY, &ANNA]);
    assert_eq!((&made["changes"][0]["way"], &made["changes"][0]["readings"]), (&"linear/1".into(), &12.into()));
    let now = json(&[&["gaps"], &DAY]);
    assert_eq!((&now["series"][0]["usable"], &now["series"][0]["estimated"]), (&288.into(), &12.into()));

    let refused = vee(&[&["undo", "1"]]);
    assert_eq!(refused.status.code(), Some(65));
    assert!(stderr(&refused).contains("actor and a reason"), "{}", stderr(&refused));
    assert!(vee(&[&["undo", "1"], &ANNA]).status.success());
    assert_eq!(json(&[&["gaps"], &DAY])["series"][0]["usable"], 276);
    let changes = json(&[&["changes"]]);
    let ways: Vec<&str> = changes["changes"].as_array().unwrap().iter().map(|change| change["way"].as_str().unwrap()).collect();
    assert_eq!(ways, ["undo", "undo", "linear/1"], "what was refused came to nothing, and is told");
    let point = ["--device", "main", "--point", "e_imp"];
    assert!(vee(&[&["set", "--at", "2026-03-02T08:30:00Z", "--value", "1025.5"], &point, &ANNA]).status.success());
    assert_eq!(json(&[&["gaps"], &DAY])["series"][0]["edited"], 1);

    assert_eq!(vee(&[&["gaps", "--facility", "acme/else"], &DAY]).status.code(), Some(2));
    let whole = negawatt(&["store", "fsck", "--store", path.to_str().unwrap()]);
    assert!(whole.status.success(), "{}{}", stdout(&whole), stderr(&whole));
}
