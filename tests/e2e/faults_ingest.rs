//! A hundred runs of the faults of `cargo xtask bench faults-ingest`.

use negawatt_tests::program::{program, stderr, stdout};

#[test]
fn nothing_is_lost_and_nothing_counted_twice_whatever_is_killed_or_damaged() {
    let output = program("faults-ingest").args(["--runs", "100", "--seed", "20261121", "--jobs", "5"]).output().unwrap();
    let text = stdout(&output);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|err| panic!("{err}: {text}{}", stderr(&output)));
    assert!(output.status.success(), "{object}\n{}", stderr(&output));
    assert_eq!((&object["runs"], &object["lost"], &object["false_duplicates"]), (&100.into(), &0.into(), &0.into()), "{object}");
    assert_eq!((&object["conservation"], &object["failed_seeds"]), (&"balanced".into(), &serde_json::json!([])), "{object}");
    assert!(object["offered"].as_u64().unwrap() > 50_000 && object["stored"] == object["offered"], "{object}");
    let faults: u64 = object["faults"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(faults >= 200, "{object}");
    // What comes again is counted as such: a store that forgets would have nothing to tell.
    assert!(object["duplicate"].as_u64().unwrap() > 0, "{object}");
}
