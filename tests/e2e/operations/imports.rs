//! History that is brought in while the collector runs: planned, committed and undone by its pages.

use std::path::Path;

use negawatt_tests::program::{negawatt, stderr, stdout};
use serde_json::{Value, json};

use super::{Answer, Collector};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import").join(name)).unwrap()
}

fn mapping(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}

fn send(collector: &Collector, path: &str, body: &Value) -> Answer {
    collector.post(path, body.to_string().as_bytes())
}

/// Uploads a fixture. Gives what it is asked for by.
fn upload(collector: &Collector, name: &str, body: &[u8]) -> String {
    let kept = collector.post(&format!("/v1/imports/files?name={name}"), body);
    assert_eq!(kept.code, 201, "{}", kept.body);
    let kept = kept.json();
    assert_eq!((kept["name"].as_str(), kept["bytes"].as_u64()), (Some(name), Some(body.len() as u64)));
    kept["file"].as_str().unwrap().to_owned()
}

/// The code of a problem.
fn problem(answer: &Answer) -> (u16, String) {
    (answer.code, answer.json()["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_portals_export_is_planned_committed_and_undone_while_readings_come() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(folder.path(), "");
    let file = upload(&collector, "utility.csv", &fixture("utility.csv"));
    let asked = json!({ "mapping": mapping("utility.toml"), "files": [file] });
    let planned = send(&collector, "/v1/imports/plans", &asked);
    assert_eq!(planned.code, 200, "{}", planned.body);
    let planned = planned.json();
    assert_eq!(planned["schema"], "negawatt.import.planned/1");
    let plan = &planned["plan"];
    assert_eq!((&plan["readings"], &plan["files"][0]["path"]), (&20.into(), &"utility.csv".into()), "{plan}");
    assert!(!planned.to_string().contains(folder.path().to_str().unwrap()), "it tells nobody where files lie");
    let id = plan["id"].as_str().unwrap().to_owned();
    assert_eq!(collector.metric("negawatt_points_accepted_total"), Some(0.0), "a plan changes nothing");
    assert_eq!(collector.get(&format!("/v1/imports/plans/{id}")).json()["id"], id.as_str());

    let path = format!("/v1/imports/plans/{id}/commit");
    assert_eq!(problem(&send(&collector, &path, &json!({ "actor": " " }))), (422, "account".to_owned()));
    let committed = send(&collector, &path, &json!({ "actor": "anna", "reason": "history of a portal" }));
    assert_eq!((committed.code, &committed.json()["import"]["accepted"]), (200, &20.into()), "{}", committed.body);
    let line = b"energy,device=main,unit=kWh value=1.5 1700000000\n";
    assert_eq!(collector.post("/api/v2/write?org=acme&bucket=hall&precision=s", line).code, 204);
    let again = send(&collector, &path, &json!({ "actor": "anna" })).json();
    assert_eq!((&again["import"]["changed"], &again["import"]["accepted"]), (&false.into(), &0.into()), "an answer that was not heard");
    // The same file once more is the same file, and the same plan.
    assert_eq!(upload(&collector, "utility.csv", &fixture("utility.csv")), file);
    let same = send(&collector, "/v1/imports/plans", &asked).json();
    assert_eq!((&same["plan"]["id"], &same["plan"]["new"]), (&id.as_str().into(), &0.into()));

    let list = collector.get("/v1/imports").json();
    assert_eq!((&list["schema"], &list["imports"][0]["by"]), (&"negawatt.imports/1".into(), &"anna".into()));
    assert_eq!(list["imports"][0]["reason"], "history of a portal");
    let undone = send(&collector, &format!("/v1/imports/{}/undo", id.get(..10).unwrap()), &json!({ "actor": "bert" }));
    assert_eq!((undone.code, &undone.json()["import"]["taken_back"]), (200, &18.into()), "{}", undone.body);
    assert_eq!(problem(&send(&collector, &path, &json!({ "actor": "anna" }))), (409, "undone".to_owned()));
    let back = send(&collector, &path, &json!({ "actor": "anna", "again": true })).json();
    assert_eq!(back["import"]["brought_back"], 18);
    assert_eq!(collector.metric("negawatt_conservation_difference"), Some(0.0));
    collector.stop();
    // The command sees the same, and the store is whole.
    let store = folder.path().join("store");
    let listed = negawatt(&["import", "list", "--output", "json", "--store", store.to_str().unwrap()]);
    let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!(listed["imports"][0]["id"], id.as_str());
    let whole = negawatt(&["store", "fsck", "--store", store.to_str().unwrap()]);
    assert!(whole.status.success(), "{}{}", stdout(&whole), stderr(&whole));
}

#[test]
fn faults_are_told_by_file_row_and_rule_and_stop_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(folder.path(), "");
    let file = upload(&collector, "faults.csv", &fixture("faults.csv"));
    let planned = send(&collector, "/v1/imports/plans", &json!({ "mapping": mapping("faults.toml"), "files": [file] })).json();
    let faults = planned["faults"].as_array().unwrap();
    assert!(!faults.is_empty() && faults.iter().all(|fault| fault["file"] == "faults.csv" && fault["row"].as_u64().is_some()), "{planned}");
    let id = planned["plan"]["id"].as_str().unwrap();
    let stopped = send(&collector, &format!("/v1/imports/plans/{id}/commit"), &json!({ "actor": "anna" }));
    assert_eq!(problem(&stopped), (409, "faults".to_owned()));
    let accepted = json!({ "mapping": mapping("faults.toml"), "files": [file], "accept_faults": true });
    let id = send(&collector, "/v1/imports/plans", &accepted).json()["plan"]["id"].as_str().unwrap().to_owned();
    assert_eq!(send(&collector, &format!("/v1/imports/plans/{id}/commit"), &json!({ "actor": "anna" })).code, 200);
    assert!(collector.metric("negawatt_points_accepted_total").unwrap() > 0.0);
    collector.stop();
}

#[test]
fn what_cannot_be_planned_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(folder.path(), "");
    let unknown = "0".repeat(64);
    let good = mapping("utility.toml");
    for (path, body, expected) in [
        ("/v1/imports/plans", json!({ "mapping": "tenant = 7", "files": [] }), (422, "mapping")),
        ("/v1/imports/plans", json!({ "mapping": good, "files": [unknown] }), (404, "file")),
        ("/v1/imports/plans", json!({ "mapping": good, "files": ["../../manifest.sqlite"] }), (404, "file")),
        ("/v1/imports/plans", json!({ "mapping": good, "files": [] }), (422, "faults")),
        ("/v1/imports/plans/abcdef01/commit", json!({ "actor": "anna" }), (404, "plan")),
        ("/v1/imports/abcdef01/undo", json!({ "actor": "anna" }), (404, "import")),
    ] {
        let (code, name) = problem(&send(&collector, path, &body));
        assert_eq!((code, name.as_str()), expected, "{path} {body}");
    }
    assert_eq!(problem(&collector.post("/v1/imports/files?name=../x", b"a")), (422, "name".to_owned()));
    assert_eq!(problem(&collector.post("/v1/imports/files?name=x", b"")), (400, "body".to_owned()));
    let prose = upload(&collector, "prose.csv", b"neither a header\nnor rows\n");
    let refused = send(&collector, "/v1/imports/plans", &json!({ "mapping": good, "files": [prose] }));
    assert_eq!(problem(&refused), (422, "file".to_owned()));
    assert!(refused.body.contains("prose.csv") && !refused.body.contains(folder.path().to_str().unwrap()), "{}", refused.body);
    collector.stop();
}
