//! modbus-serial, the Modbus library of Node, both ways: it reads our simulated meter, and our gateway reads a meter made of it.

use std::{sync::Arc, time::Duration};

use negawatt_tests::program::free_address;
use simulator::{Faults, Line, LineConfig, Meter, TcpServer};

use crate::{
    field::{self, expected, probe, registers},
    peer::{Peer, modbus_serial},
};

/// Compares every point of the meter with the registers that they read.
fn check(place: &[&str], meter: &Meter) {
    field::check_words(modbus_serial().arg("client").args(place), meter, field::minute(90));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modbus_serial_reads_the_simulated_meter_over_tcp() {
    let meter = field::meter_at(90);
    let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
    check(&["tcp", &server.address().port().to_string(), "1"], &meter);
}

#[test]
fn modbus_serial_reads_the_simulated_meter_over_a_serial_line() {
    let meter = field::meter_at(90);
    let mut line = Line::open(LineConfig { baud: 19_200, turnaround: Duration::from_millis(3), echo: false }).unwrap();
    line.serve(vec![(3, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    check(&["serial", line.near().to_str().unwrap(), "19200", "3"], &meter);
}

#[test]
fn the_gateway_reads_a_meter_of_modbus_serial_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let (meter, address) = (field::meter_at(90), free_address());
    let mut command = modbus_serial();
    command.args(["server", "tcp", &address.port().to_string(), &registers(&meter)]);
    let (peer, _) = Peer::ready(&mut command, &folder.path().join("modbus-serial.log"));
    assert_eq!(probe(&format!("tcp://{address}"), "1"), Ok(expected(&meter, 90)), "{}", peer.log());
}

#[test]
fn the_gateway_reads_a_meter_of_modbus_serial_over_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let meter = field::meter_at(90);
    let line = Line::open(LineConfig { baud: 19_200, ..LineConfig::default() }).unwrap();
    let mut command = modbus_serial();
    command.args(["server", "serial", line.far().to_str().unwrap(), "19200", &registers(&meter)]);
    let (peer, _) = Peer::ready(&mut command, &folder.path().join("modbus-serial.log"));
    let url = format!("rtu://{}?baud=19200&parity=none", line.near().display());
    assert_eq!(probe(&url, "1"), Ok(expected(&meter, 90)), "{}", peer.log());
}
