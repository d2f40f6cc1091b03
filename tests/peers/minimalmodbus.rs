//! minimalmodbus as the master of a serial line: what it makes of our simulated meter, with an adapter that hears itself and without.

use std::{collections::BTreeMap, process::Output, sync::Arc, time::Duration};

use simulator::{Faults, Line, LineConfig};
use units::Measured;

use crate::{
    field,
    peer::{python, run, script, text},
};

const UNIT: u8 = 17;

/// Reads every point over a new line.
fn read(echo: bool, told: bool) -> (Arc<simulator::Meter>, Line, Output) {
    let clock = field::clock();
    let meter = field::meter(&clock);
    clock.advance_to(field::minute(90));
    let mut line = Line::open(LineConfig { baud: 19_200, turnaround: Duration::from_millis(3), echo }).unwrap();
    line.serve(vec![(UNIT, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    let addresses = meter.profile().points().iter().map(|point| point.address.to_string());
    let mut command = script(&python(), "minimalmodbus_client.py");
    command.arg(line.near()).args(["19200", &UNIT.to_string(), if told { "1" } else { "0" }]).args(addresses);
    let done = run(&mut command);
    (meter, line, done)
}

#[test]
fn minimalmodbus_reads_the_simulated_meter_with_echo_and_without() {
    for echo in [false, true] {
        let (meter, line, done) = read(echo, echo);
        assert!(done.status.success(), "echo {echo}: {}", text(&done.stderr));
        let read: BTreeMap<String, f64> = serde_json::from_slice(&done.stdout).unwrap();
        for point in meter.profile().points() {
            let digits = usize::from(point.exponent.unsigned_abs());
            let value = read[&point.address.to_string()];
            let rounded = Measured::parse(&format!("{value:.digits$}"), point.unit).unwrap().rescale(point.exponent).unwrap();
            assert_eq!(Some(rounded), meter.truth(&point.id, field::minute(90)), "{} is {value}, echo {echo}", point.id);
        }
        assert!(line.carried() >= 26 * 17, "every request and every answer went over the line");
    }
}

#[test]
fn the_echo_of_our_line_is_a_real_one() {
    let (.., done) = read(true, false);
    assert!(!done.status.success(), "who does not expect an echo must stumble over it: {}", text(&done.stdout));
}
