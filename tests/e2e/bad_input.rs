//! What the programs say to wrong configurations, absent devices and ports in use.

use std::net::TcpListener;

use negawatt_tests::program::{negawatt, program, stderr};

#[test]
fn every_daemon_tells_all_faults_of_a_configuration_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong.toml");
    std::fs::write(&path, "colour = \"blue\"\n[gateway]\ntenant = \"Acme Ltd\"\n[broker]\nurl = \"ftp://x\"\n").unwrap();
    for daemon in ["gateway", "collector", "api"] {
        let refused = negawatt(&[daemon, "check", "--config", path.to_str().unwrap()]);
        let text = stderr(&refused);
        assert_eq!(refused.status.code(), Some(78), "{daemon}: {text}");
        assert!(text.contains("faults in") && text.contains("colour") && text.contains("wrong.toml"), "{daemon}: {text}");
    }
    let edge = program("negawatt-gateway").args(["check", "--config", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(edge.status.code(), Some(78), "{}", stderr(&edge));
}

#[test]
fn the_example_configuration_of_the_gateway_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/gateway.toml");
    let checked = program("negawatt-gateway").args(["check", "--config", example]).output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let url = format!("tcp://{address}");
    let probed = program("negawatt-gateway").args(["probe", &url, "--unit", "1", "--device", "eastron-sdm630"]).output().unwrap();
    assert_eq!(probed.status.code(), Some(69), "{}", stderr(&probed));
    assert!(stderr(&probed).contains(&address.to_string()), "{}", stderr(&probed));
}

#[test]
fn a_demo_does_not_touch_a_folder_that_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    let refused = negawatt(&["demo", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(dir.path().join("thesis.txt").is_file());
    let nowhere = negawatt(&["demo", "--data", dir.path().to_str().unwrap(), "--dir", dir.path().join("demo").to_str().unwrap()]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", stderr(&nowhere));
    assert!(stderr(&nowhere).contains("daily.csv"), "{}", stderr(&nowhere));
}
