//! Our gateway reads a meter made of libmodbus, over TCP and over a serial line; `mbpoll` is the other direction.

use simulator::{Line, LineConfig};

use crate::{
    field::{self, expected, probe, registers},
    peer::{Peer, python, script},
};

#[test]
fn the_gateway_reads_a_meter_of_libmodbus_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let meter = field::meter_at(90);
    let mut command = script(&python(), "libmodbus_server.py");
    let (peer, port) = Peer::ready(command.args(["tcp", &registers(&meter)]), &folder.path().join("libmodbus.log"));
    let url = format!("tcp://127.0.0.1:{port}");
    assert_eq!(probe(&url, "1"), Ok(expected(&meter, 90)), "{}", peer.log());
    // It serves one connection after another.
    assert_eq!(probe(&url, "1"), Ok(expected(&meter, 90)), "{}", peer.log());
}

#[test]
fn the_gateway_reads_a_meter_of_libmodbus_over_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let meter = field::meter_at(90);
    let line = Line::open(LineConfig { baud: 19_200, ..LineConfig::default() }).unwrap();
    let mut command = script(&python(), "libmodbus_server.py");
    command.args(["serial", line.far().to_str().unwrap(), "19200", &registers(&meter)]);
    let (peer, _) = Peer::ready(&mut command, &folder.path().join("libmodbus.log"));
    let url = format!("rtu://{}?baud=19200&parity=none", line.near().display());
    assert_eq!(probe(&url, "1"), Ok(expected(&meter, 90)), "{}", peer.log());
    assert!(line.carried() > 26 * 4, "every register went over the line");
    // Another unit id it leaves to others.
    assert!(probe(&url, "9").unwrap_err().starts_with("error: unit 9 on"));
}
