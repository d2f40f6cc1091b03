//! `mbpoll`, which is libmodbus with a command line, reads our simulated meter: what the other tests take for a meter is one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use simulator::{Faults, Line, LineConfig, Meter, TcpServer};
use units::Measured;

use crate::{
    field,
    peer::{installed, output, text},
};

/// The meter's two areas: first register, and how many 32-bit values.
const AREAS: [(u16, u16); 2] = [(0, 38), (342, 8)];

/// What mbpoll prints, by register. `table` 3 is input registers, 4 holding registers.
fn poll(place: &[String], table: &str, first: u16, count: u16) -> Result<BTreeMap<u16, String>, String> {
    let (first, count) = (first.to_string(), count.to_string());
    let read = ["-0", "-1", "-B", "-o", "2", "-t", table, "-r", &first, "-c", &count].map(str::to_owned);
    let done = output(&installed("mbpoll", "mbpoll"), read.iter().chain(place));
    if !done.status.success() {
        return Err(text(&done.stderr));
    }
    let value = |line: &str| {
        let (register, value) = line.strip_prefix('[')?.split_once("]:")?;
        Some((register.parse().unwrap(), value.trim().to_owned()))
    };
    Ok(text(&done.stdout).lines().filter_map(value).collect())
}

/// Compares every point with what the meter shows: the registers to its resolution, and the value mbpoll makes of them as far as it
/// prints it.
fn check(place: &[String], meter: &Meter, at: jiff::Timestamp) -> usize {
    let (mut floats, mut words) = (BTreeMap::new(), BTreeMap::new());
    for (first, count) in AREAS {
        floats.append(&mut poll(place, "3:float", first, count).unwrap());
        words.append(&mut poll(place, "3:hex", first, 2 * count).unwrap());
    }
    let word = |register: u16| u32::from_str_radix(words[&register].trim_start_matches("0x"), 16).unwrap();
    for point in meter.profile().points() {
        let value = f32::from_bits(word(point.address) << 16 | word(point.address + 1));
        let digits = usize::from(point.exponent.unsigned_abs());
        let rounded = Measured::parse(&format!("{value:.digits$}"), point.unit).unwrap().rescale(point.exponent).unwrap();
        assert_eq!(Some(rounded), meter.truth(&point.id, at), "{} is {value}", point.id);
        let (value, read) = (f64::from(value), floats[&point.address].parse::<f64>().unwrap());
        // It prints six digits.
        assert!((read - value).abs() <= value.abs() * 5.1e-6, "{} is {value}, mbpoll makes {read} of it", point.id);
    }
    meter.profile().points().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libmodbus_reads_the_simulated_meter_over_tcp() {
    let clock = field::clock();
    let meter = field::meter(&clock);
    let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
    let place = ["-a", "1", "-p", &server.address().port().to_string(), "127.0.0.1"].map(str::to_owned);
    for count in [0, 59, 1_439] {
        clock.advance_to(field::minute(count));
        assert_eq!(check(&place, &meter, field::minute(count)), 26);
    }
    // And it is told what the meter does not have.
    let refused = poll(&place, "4", 0, 2).unwrap_err();
    assert!(refused.contains("Illegal data address"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libmodbus_reads_the_simulated_meter_over_a_serial_line() {
    let clock = field::clock();
    let meter = field::meter(&clock);
    let mut line = Line::open(LineConfig { baud: 19_200, turnaround: Duration::from_millis(3), echo: false }).unwrap();
    line.serve(vec![(17, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    let port = line.near().to_str().unwrap();
    let place = ["-m", "rtu", "-a", "17", "-b", "19200", "-P", "none", port].map(str::to_owned);
    clock.advance_to(field::minute(90));
    assert_eq!(check(&place, &meter, field::minute(90)), 26);
}
