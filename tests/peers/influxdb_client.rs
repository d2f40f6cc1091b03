//! The Python client of InfluxDB 2 writes to our collector, and every point of it is there.

use std::sync::Arc;

use collector::{Config, WriteConfig, WriteToken};
use daemon::SystemClock;
use ids::Slug;
use store::Reader;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use units::Unit;

use crate::peer::{answer, python, script};

#[test]
fn what_the_python_client_writes_is_stored_and_what_it_writes_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let slug = |text| Slug::parse(text).unwrap();
    // No broker is needed to write lines.
    let mut config = Config::new(folder.path().to_owned(), "127.0.0.1:0".parse().unwrap(), ("127.0.0.1".to_owned(), 1));
    let token = WriteToken {
        token: config::Secret::new("a-token"),
        tenant: slug("acme"),
        facilities: vec![slug("hall")],
        gateway: slug("python"),
        points_per_second: None,
    };
    config.write = WriteConfig { tokens: vec![token], ..WriteConfig::default() };
    let (runtime, stop) = (Runtime::new().unwrap(), CancellationToken::new());
    let served = runtime.block_on(collector::start(config, Arc::new(SystemClock), stop.clone())).unwrap();
    let said = answer(script(&python(), "influxdb_writer.py").arg(format!("http://{}", served.write_addr())).arg("a-token"));
    stop.cancel();
    runtime.block_on(served.ended()).unwrap();

    assert_eq!((&said["ping"], &said["failed"]), (&true.into(), &serde_json::json!([])), "{said}");
    for (what, status, code) in [
        ("malformed", 400, "invalid"),
        ("unusable", 422, "unprocessable entity"),
        ("elsewhere", 404, "not found"),
        ("stranger", 401, "unauthorized"),
    ] {
        assert_eq!((&said[what]["status"], &said[what]["code"]), (&status.into(), &code.into()), "{what}: {said}");
    }
    assert!(said["malformed"]["message"].as_str().unwrap().contains("line 2 has a value that is no number"), "{said}");

    let reader = Reader::open(folder.path()).unwrap();
    let mut found = Vec::new();
    for info in reader.all_series() {
        let samples = reader.scan(info.id, i64::MIN..i64::MAX).unwrap();
        found.push((info.key.device.to_string(), info.key.point.clone(), info.key.unit, samples));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let [(main, energy, unit, samples), (roof, temp, degrees, one)] = found.as_slice() else { panic!("{} series", found.len()) };
    assert_eq!((main.as_str(), energy.as_str(), *unit), ("main", "energy", Unit::KilowattHour));
    let begin = 1_767_225_600_000_i64;
    let mut expected: Vec<_> = (0..1_100_i64).map(|at| (begin + at * 60_000, Some(at * 1_000_000 + 250_000))).collect();
    expected.push((1_767_312_000_000, Some(1_000_000)));
    assert_eq!(samples.iter().map(|sample| (sample.ts_ms, sample.raw)).collect::<Vec<_>>(), expected);
    assert_eq!(
        (roof.as_str(), temp.as_str(), *degrees, one[0].ts_ms, one[0].raw),
        ("roof", "temp", Unit::Celsius, begin, Some(-3_500_000))
    );
    let counters = reader.totals().counters;
    assert_eq!((counters.accepted, counters.duplicate, counters.conflict, counters.dead_letter), (1_102, 0, 0, 2));
}
