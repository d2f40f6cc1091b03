//! modbus-serial, the Modbus library of Node, both ways: it reads our simulated meter, and our gateway reads a meter made of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use negawatt_tests::program::free_address;
use serde_json::{Value, json};
use simulator::{Faults, Line, LineConfig, Meter, TcpServer};

use crate::{
    field::{self, PROFILE},
    peer::{Peer, modbus_serial, ours, output, text},
};

/// Compares every point of the meter with the registers that they read.
fn check(place: &[&str], meter: &Meter) {
    field::check_words(modbus_serial().arg("client").args(place), meter, field::minute(90));
}

fn meter() -> Arc<Meter> {
    let clock = field::clock();
    clock.advance_to(field::minute(90));
    field::meter(&clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modbus_serial_reads_the_simulated_meter_over_tcp() {
    let meter = meter();
    let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
    check(&["tcp", &server.address().port().to_string(), "1"], &meter);
}

#[test]
fn modbus_serial_reads_the_simulated_meter_over_a_serial_line() {
    let meter = meter();
    let mut line = Line::open(LineConfig { baud: 19_200, turnaround: Duration::from_millis(3), echo: false }).unwrap();
    line.serve(vec![(3, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    check(&["serial", line.near().to_str().unwrap(), "19200", "3"], &meter);
}

/// The registers of the simulated meter, for a meter of theirs; what lies between them is zero.
fn registers(meter: &Meter) -> String {
    let mut words: BTreeMap<String, u16> = BTreeMap::new();
    for block in &meter.profile().plan(&[]).unwrap().blocks {
        let answer = meter.read(block.table, block.address, block.count).unwrap();
        words.extend((block.address..).map(|address| address.to_string()).zip(answer));
    }
    json!(words).to_string()
}

/// What `probe` has to print of a meter of theirs with those registers.
fn expected(meter: &Meter) -> Value {
    let points = meter.profile().points().iter().map(|point| {
        let value = meter.truth(&point.id, field::minute(90)).unwrap().decimal_text();
        json!({"id": point.id, "value": value, "unit": point.unit.symbol(), "quality": "good"})
    });
    json!({"schema": "negawatt.probe/1", "points": points.collect::<Vec<_>>()})
}

fn probe(url: &str, unit: &str) -> Result<Value, String> {
    let done = output(&ours("negawatt-gateway"), ["probe", url, "--unit", unit, "--device", PROFILE, "--output", "json"]);
    if done.status.success() { Ok(serde_json::from_slice(&done.stdout).unwrap()) } else { Err(text(&done.stderr)) }
}

#[test]
fn the_gateway_reads_a_meter_of_modbus_serial_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let (meter, address) = (meter(), free_address());
    let mut command = modbus_serial();
    command.args(["server", "tcp", &address.port().to_string(), &registers(&meter)]);
    let (peer, _) = Peer::ready(&mut command, &folder.path().join("modbus-serial.log"));
    assert_eq!(probe(&format!("tcp://{address}"), "1"), Ok(expected(&meter)), "{}", peer.log());
}

#[test]
fn the_gateway_reads_a_meter_of_modbus_serial_over_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let meter = meter();
    let line = Line::open(LineConfig { baud: 19_200, ..LineConfig::default() }).unwrap();
    let mut command = modbus_serial();
    command.args(["server", "serial", line.far().to_str().unwrap(), "19200", &registers(&meter)]);
    let (peer, _) = Peer::ready(&mut command, &folder.path().join("modbus-serial.log"));
    let url = format!("rtu://{}?baud=19200&parity=none", line.near().display());
    assert_eq!(probe(&url, "1"), Ok(expected(&meter)), "{}", peer.log());
}
