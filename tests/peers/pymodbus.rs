//! Our gateway reads a meter made of pymodbus: its registers are encoded by somebody else's code and answered by somebody else's
//! protocol stack. And pymodbus reads our simulated meter.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use simulator::{Faults, Line, LineConfig, TcpServer};
use tempfile::TempDir;

use crate::{
    field::{self, PROFILE, probe},
    peer::{Peer, ours, output, python, script},
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
    let mut command = script(&python(), "pymodbus_server.py");
    Peer::ready(command.args(args).arg(json!(values).to_string()), &folder.path().join("pymodbus.log"))
}

/// What `probe` has to print.
fn expected() -> Value {
    let points = devices::find(PROFILE).unwrap().points().iter().map(|point| {
        let value = SHOWN.iter().find(|(id, _)| *id == point.id).map_or("0", |(_, value)| value);
        json!({"id": point.id, "value": value, "unit": point.unit.symbol(), "quality": "good"})
    });
    json!({"schema": "negawatt.probe/1", "points": points.collect::<Vec<_>>()})
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
    // And what it says of itself, by functions 43/14 and 17.
    let identified = output(&ours("negawatt-gateway"), ["identify", &url, "--output", "json"]);
    let identified: Value = serde_json::from_slice(&identified.stdout).unwrap();
    assert_eq!(identified["identity"]["objects"], json!(["Peers Ltd", "PY-630", "3.16"]), "{identified}");
    let server_id = identified["identity"]["server_id"].as_str().unwrap();
    assert!(server_id.contains("Peers Ltd"), "{identified}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_reads_the_simulated_meter_over_tcp_and_a_serial_line() {
    let clock = field::clock();
    clock.advance_to(field::minute(90));
    let meter = field::meter(&clock);
    let server = TcpServer::start(vec![(7, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
    let port = server.address().port().to_string();
    field::check_words(script(&python(), "pymodbus_client.py").args(["tcp", &port, "7"]), &meter, field::minute(90));

    let mut line = Line::open(LineConfig { baud: 19_200, turnaround: Duration::from_millis(3), echo: false }).unwrap();
    line.serve(vec![(7, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    let mut command = script(&python(), "pymodbus_client.py");
    field::check_words(command.arg("serial").arg(line.near()).args(["19200", "7"]), &meter, field::minute(90));
}
