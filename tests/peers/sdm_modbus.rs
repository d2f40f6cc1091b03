//! sdm_modbus, a library for Eastron meters, against our profiles: it reads the simulated meters by its own tables, decodes by its own
//! code, and has to find what the registers show.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use simulator::{Faults, Grid, Line, LineConfig, Load, Meter, TcpServer};
use units::Measured;

use crate::{
    field,
    peer::{answer, python_with_sdm_modbus, script},
};

/// Their classes and our profiles; they know every point that we know.
const MODELS: [(&str, &str); 5] = [
    ("SDM120", "eastron-sdm120"),
    ("SDM230", "eastron-sdm230"),
    ("SDM630", "eastron-sdm630"),
    ("SDM72", "eastron-sdm72d"),
    ("SDM72V2", "eastron-sdm72d-v2"),
];

fn meter(profile: &str) -> Arc<Meter> {
    let clock = field::clock();
    clock.advance_to(field::minute(90));
    let load = Load::hourly(&[(field::start(), 47_311), (field::minute(60), 47_311)]).unwrap();
    Arc::new(Meter::electrical(devices::find(profile).unwrap(), &load, Grid::EUROPE, 7, 1_234_567, Arc::new(clock)))
}

/// Compares what they found with what the meter shows, every point.
fn check(class: &str, place: &[&str], meter: &Meter) {
    let addresses: Vec<u16> = meter.profile().points().iter().map(|point| point.address).collect();
    let mut command = script(&python_with_sdm_modbus(), "sdm_client.py");
    let read = answer(command.arg(class).args(place).arg(json!(addresses).to_string()));
    let read: BTreeMap<String, (u16, f64)> = serde_json::from_value(read).unwrap();
    assert_eq!(read.len(), meter.profile().points().len(), "{class}: {:?}", read.keys());
    for (name, (address, value)) in &read {
        let point = meter.profile().points().iter().find(|point| point.address == *address).unwrap();
        let digits = usize::from(point.exponent.unsigned_abs());
        let rounded = Measured::parse(&format!("{value:.digits$}"), point.unit).unwrap().rescale(point.exponent).unwrap();
        assert_eq!(Some(rounded), meter.truth(&point.id, field::minute(90)), "{class}: {name} at {address} is our {}", point.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sdm_modbus_decodes_what_our_profiles_decode() {
    for (class, profile) in MODELS {
        let meter = meter(profile);
        let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
        check(class, &["tcp", &server.address().port().to_string(), "1"], &meter);
    }
}

#[test]
fn sdm_modbus_reads_over_a_serial_line_too() {
    let (class, profile) = MODELS[0];
    let meter = meter(profile);
    let mut line = Line::open(LineConfig { baud: 9_600, turnaround: Duration::from_millis(3), echo: false }).unwrap();
    line.serve(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    check(class, &["serial", line.near().to_str().unwrap(), "9600", "1"], &meter);
}
