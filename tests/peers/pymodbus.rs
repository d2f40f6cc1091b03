//! Our gateway reads a meter made of pymodbus: its registers are encoded by somebody else's code and answered by somebody else's
//! protocol stack.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use simulator::{Line, LineConfig};
use tempfile::TempDir;

use crate::{
    field::PROFILE,
    peer::{PATIENCE, Peer, ours, output, python, text},
};

/// What the meter shows, within its resolution; everything else is zero.
const SHOWN: [(&str, &str); 14] = [
    ("v1", "230.1"),
    ("v2", "229.87"),
    ("i1", "12.345"),
    ("i3", "0.001"),
    ("p1", "-1234.5"),
    ("p", "40123.4"),
    ("q", "-0.7"),
    ("pf", "0.987"),
    ("pf3", "-1"),
    ("f", "50.02"),
    ("e_imp", "8123.456"),
    ("e_exp", "0.123"),
    ("e_sum", "8123.579"),
    ("e_exp3", "77"),
];

/// Starts the server and gives what it says when it is ready.
fn serve(folder: &TempDir, args: &[&str]) -> (Peer, String) {
    let profile = devices::find(PROFILE).unwrap();
    let value = |(id, text): &(&str, &str)| (profile.point(id).unwrap().address.to_string(), text.parse::<f64>().unwrap());
    let values: std::collections::BTreeMap<String, f64> = SHOWN.iter().map(value).collect();
    let log = folder.path().join("pymodbus.log");
    let mut command = Command::new(python());
    command.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/pymodbus_server.py")).args(args).arg(json!(values).to_string());
    // Our end of its standard input: it ends when that is closed, even by a crash of ours.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let mut peer = Peer::start_as_is(&mut command, &log);
    let mut said = BufReader::new(peer.child.stdout.take().unwrap());
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        tell.send(line).unwrap();
    });
    let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_late| panic!("pymodbus does not get ready:\n{}", peer.log()));
    let ready = line.trim().strip_prefix("ready").unwrap_or_else(|| panic!("pymodbus does not start:\n{}", peer.log()));
    (peer, ready.trim().to_owned())
}

/// What `probe` has to print.
fn expected() -> Value {
    let points = devices::find(PROFILE).unwrap().points().iter().map(|point| {
        let value = SHOWN.iter().find(|(id, _)| *id == point.id).map_or("0", |(_, value)| value);
        json!({"id": point.id, "value": value, "unit": point.unit.symbol(), "quality": "good"})
    });
    json!({"schema": "negawatt.probe/1", "points": points.collect::<Vec<_>>()})
}

fn probe(url: &str, unit: &str) -> Result<Value, String> {
    let done = output(&ours("negawatt-gateway"), ["probe", url, "--unit", unit, "--device", PROFILE, "--output", "json"]);
    if done.status.success() { Ok(serde_json::from_slice(&done.stdout).unwrap()) } else { Err(text(&done.stderr)) }
}

#[test]
fn the_gateway_reads_a_pymodbus_meter_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, port) = serve(&folder, &["tcp"]);
    let url = format!("tcp://127.0.0.1:{port}");
    assert_eq!(probe(&url, "1").unwrap(), expected(), "{}", peer.log());
    // How its exception for a device that is not there reads.
    let refused = probe(&url, "9").unwrap_err();
    assert!(refused.starts_with("error: unit 9 on"), "{refused}");
}

#[test]
fn the_gateway_reads_a_pymodbus_meter_over_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let line = Line::open(LineConfig { baud: 19_200, ..LineConfig::default() }).unwrap();
    let (peer, _) = serve(&folder, &["serial", line.far().to_str().unwrap(), "19200"]);
    let url = format!("rtu://{}?baud=19200&parity=none", line.near().display());
    assert_eq!(probe(&url, "1").unwrap(), expected(), "{}", peer.log());
    assert!(line.carried() > 26 * 4, "every register went over the line");
}
