//! From the start of the process to the first reading that could come.

use broker::{Broker, Limits};
use negawatt_tests::program::free_address;

use super::Collector;

#[test]
fn it_has_started_when_the_broker_has_let_it_subscribe() {
    let folder = tempfile::tempdir().unwrap();
    let broker = free_address();
    let collector = Collector::start(folder.path(), broker, "");
    collector.until("the log is read", |one| one.get("/startupz").body.contains("the log is read"));
    let started = collector.get("/startupz");
    assert_eq!(started.code, 503, "{}", started.body);
    assert!(started.body.contains(&format!("the broker at {broker} has not let us subscribe yet")), "{}", started.body);
    assert_eq!(collector.get("/livez").code, 200);
    let _broker = Broker::start(broker, Limits::default()).unwrap();
    collector.until("it has started", |one| one.get("/startupz").code == 200);
    let started = collector.get("/startupz");
    assert_eq!((started.code, started.body.as_str()), (200, "started\n"));
    collector.until("it is ready", |one| one.get("/readyz").code == 200);
    collector.stop();
}

#[test]
fn a_collector_that_takes_lines_has_started_without_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::writable(folder.path(), "");
    assert_eq!(collector.get("/readyz").code, 503, "there is no broker");
    let line = b"energy,device=main,unit=kWh value=1.5 1700000000\n";
    assert_eq!(collector.post("/api/v2/write?org=acme&bucket=hall&precision=s", line).code, 204);
    assert_eq!(collector.metric("negawatt_points_accepted_total"), Some(1.0));
    collector.stop();
}
