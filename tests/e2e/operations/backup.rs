//! A store that is copied while its collector runs, brought back, and watched.

use std::path::Path;
use std::process::Output;

use daemon::{Clock as _, SystemClock};
use jiff::Timestamp;
use negawatt_tests::program::{negawatt, stderr, stdout};
use serde_json::Value;

use super::Collector;

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).unwrap()
}

fn store(words: &[&str]) -> Output {
    let mut all = vec!["store"];
    all.extend(words);
    negawatt(&all)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn estimates_and_their_history_come_back_with_the_readings() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(folder.path(), "");
    let (dir, copy, back) = (folder.path().join("store"), folder.path().join("copy"), folder.path().join("back"));
    assert_eq!(collector.metric("negawatt_backup_last_success_timestamp_seconds"), Some(0.0), "it was never copied");
    // A counter each five minutes; an hour of it is missing, and filled.
    let start: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
    let lines: String = (0..288)
        .filter(|place| !(96..108).contains(place))
        .map(|place| format!("e_imp,device=main,unit=kWh value={} {}\n", 1_000 + place, start.as_second() + place * 300))
        .collect();
    assert_eq!(collector.post("/api/v2/write?org=acme&bucket=hall&precision=s", lines.as_bytes()).code, 204);
    let estimate = r#"{"tenant":"acme","facility":"hall","actor":"anna","reason":"tried",
        "change":{"estimate":{"from":"2026-03-02T00:00:00Z","to":"2026-03-03T00:00:00Z"}}}"#;
    let made = collector.post("/v1/vee/changes", estimate.as_bytes());
    assert_eq!((made.code, &made.json()["changes"][0]["readings"]), (200, &12.into()), "{}", made.body);

    let begun = SystemClock.now();
    let first = json(&store(&["backup", "--store", text(&dir), "--to", text(&copy), "--output", "json"]));
    assert!(first["journal_bytes"].as_u64().unwrap() > 0, "{first}");
    let told = collector.metric("negawatt_backup_last_success_timestamp_seconds").unwrap();
    let (least, most) = (begun.as_duration().as_secs_f64(), SystemClock.now().as_duration().as_secs_f64());
    assert!((least - 0.002..=most).contains(&told), "{least} {told} {most}");
    // The change is taken back afterwards: the copy does not know.
    assert_eq!(
        collector
            .post(
                "/v1/vee/changes",
                estimate
                    .replace(r#""estimate":{"from":"2026-03-02T00:00:00Z","to":"2026-03-03T00:00:00Z"}"#, r#""undo":{"id":1}"#)
                    .as_bytes()
            )
            .code,
        200
    );
    collector.stop();

    let verified = store(&["restore", "--from", text(&copy), "--verify"]);
    assert!(verified.status.success() && stdout(&verified).ends_with("the store is whole\n"), "{}", stderr(&verified));
    let restored = json(&store(&["restore", "--from", text(&copy), "--to", text(&back), "--output", "json"]));
    assert_eq!(restored["journals"], 1);
    let changes = |dir: &Path| -> Vec<String> {
        let said = json(&negawatt(&["vee", "changes", "--store", text(dir), "--output", "json"]));
        said["changes"].as_array().unwrap().iter().map(|change| change["way"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((changes(&back), changes(&dir)), (vec!["linear/1".to_owned()], vec!["undo".to_owned(), "linear/1".to_owned()]));
    // What came back can be undone, as in the store that was lost.
    let undone = negawatt(&["vee", "undo", "1", "--actor", "anna", "--reason", "tried", "--store", text(&back)]);
    assert!(undone.status.success(), "{}", stderr(&undone));

    // One byte of the copied journal, and the copy is refused.
    let journal = copy.join(first["snapshot"].as_str().unwrap()).join("vee.sqlite");
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    let refused = store(&["restore", "--from", text(&copy), "--verify"]);
    assert_eq!(refused.status.code(), Some(65), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("vee.sqlite"), "{}", stderr(&refused));
}
