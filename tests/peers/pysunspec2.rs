//! pysunspec2, the reference of the SunSpec Alliance, both ways: our gateway discovers devices that it encodes, and it discovers ours.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use devices::{CommonModel, Discovery, ModelAt, Profile};
use serde_json::{Value, json};
use simulator::{Faults, Line, LineConfig, Load, Meter, TcpServer};

use crate::{
    field,
    peer::{Peer, answer, ours, output, python, script, text},
};

/// Their models, registers behind the header, and where the map begins in the test.
const MODELS: [(u16, u16, u16); 14] = [
    (101, 50, 40_000),
    (102, 50, 50_000),
    (103, 50, 0),
    (111, 60, 40_000),
    (112, 60, 50_000),
    (113, 60, 0),
    (201, 105, 40_000),
    (202, 105, 50_000),
    (203, 105, 0),
    (204, 105, 40_000),
    (211, 124, 50_000),
    (212, 124, 0),
    (213, 124, 40_000),
    (214, 124, 50_000),
];

/// What the points of a model show, scale factors included. Values that a float and our steps hold exactly.
fn values(number: u16) -> Value {
    match number {
        101..=103 => json!({
            "A_SF": -2, "V_SF": -1, "W_SF": 1, "Hz_SF": -2, "VA_SF": 1, "VAr_SF": 1, "PF_SF": -2, "WH_SF": 1, "DCV_SF": -1, "Tmp_SF": -1,
            "A": 21.53, "AphA": 7.21, "PhVphA": 231.5, "W": -4960, "Hz": 50.01, "VA": 4970, "VAr": -120, "PF": -99.82, "WH": 98_765_430,
            "DCV": 612.3, "TmpCab": -3.5, "St": 4
        }),
        111..=113 => json!({
            "A": 21.5, "AphA": 7.25, "PhVphA": 231.5, "W": -4960.5, "Hz": 50.125, "VA": 4970, "VAr": -120, "PF": 99.75, "WH": 9_876_543,
            "DCV": 612.25, "TmpCab": -3.5, "St": 4
        }),
        201..=204 => json!({
            "A_SF": -2, "V_SF": -1, "Hz_SF": -2, "W_SF": 1, "VA_SF": 1, "VAR_SF": 1, "PF_SF": -2, "TotWh_SF": 0,
            "A": 21.09, "AphA": 12.34, "PhVphA": 230.1, "Hz": 50.02, "W": -5280, "WphA": -1230, "VA": 5360, "VAR": 920, "PF": 98.5,
            "TotWhExp": 1_500, "TotWhImp": 4_123_456_789_u32, "TotWhImpPhA": 12_345_678
        }),
        _ => json!({
            "A": 21, "AphA": 12.25, "PhVphA": 230.5, "Hz": 50.125, "W": -5280.5, "WphA": -1230, "VA": 5360, "VAR": 920, "PF": 0.875,
            "TotWhExp": 1_500, "TotWhImp": 12_345_678, "TotWhImpPhA": 4_567_890
        }),
    }
}

/// Percent of a power factor becomes a ratio, as our profiles have it.
fn factor(profile: &Profile, id: &str) -> f64 {
    if profile.point(id).unwrap().scale == devices::Scale::parse("0.01").unwrap() { 100.0 } else { 1.0 }
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(1.0)
}

#[test]
fn what_pysunspec2_encodes_is_discovered_and_read() {
    let folder = tempfile::tempdir().unwrap();
    for (number, _, base) in MODELS {
        let mut command = script(&python(), "sunspec_server.py");
        command.args([base.to_string(), number.to_string(), values(number).to_string()]);
        let (_peer, ready) = Peer::ready(&mut command, &folder.path().join("pysunspec2.log"));
        let (port, shown) = ready.split_once(' ').unwrap();
        let shown: BTreeMap<String, f64> = serde_json::from_str(shown).unwrap();
        let url = format!("tcp://127.0.0.1:{port}");

        let imported = output(&ours("negawatt-gateway"), ["device", "import", "--from", "sunspec", &url]);
        assert!(imported.status.success(), "model {number} at {base}: {}", text(&imported.stderr));
        let profile = Profile::parse(&text(&imported.stdout)).unwrap();
        assert_eq!((profile.id(), profile.manufacturer()), (format!("sunspec-{number}-peers-model-{number}").as_str(), "Peers"));
        let probed = output(&ours("negawatt-gateway"), ["probe", &url, "--device", "sunspec", "--output", "json"]);
        let probed: Value = serde_json::from_slice(&probed.stdout).unwrap();
        let mut found = BTreeMap::new();
        for point in probed["points"].as_array().unwrap() {
            let id = point["id"].as_str().unwrap();
            let label = profile.point(id).unwrap().label.clone().unwrap();
            match point["value"].as_str() {
                Some(value) => drop(found.insert(label, value.parse::<f64>().unwrap() * factor(&profile, id))),
                None => assert!(!shown.contains_key(&label), "model {number}: {label} is {point}"),
            }
        }
        let wanted = values(number);
        for label in wanted.as_object().unwrap().keys().filter(|label| !label.ends_with("_SF")) {
            let (ours, theirs) = (found.remove(label), shown[label]);
            assert!(ours.is_some_and(|ours| near(theirs, ours)), "model {number} at {base}: {label} is {theirs}, we read {ours:?}");
        }
        assert_eq!(found, BTreeMap::new(), "model {number}: what is not implemented has no value");
    }
}

fn said(base: u16, number: u16, length: u16) -> Discovery {
    let some = |text: &str| Some(text.to_owned());
    let (manufacturer, model, version, serial) = (some("Negawatt"), some("Simulated"), some("2.0"), some("4711"));
    let common = CommonModel { manufacturer, model, options: None, version, serial };
    Discovery { base, common, models: vec![ModelAt { number, address: base + 70, length }] }
}

fn meter(base: u16, number: u16, length: u16) -> Arc<Meter> {
    let clock = field::clock();
    clock.advance_to(field::minute(90));
    let load = Load::hourly(&[(field::start(), 21_000), (field::minute(60), 21_000)]).unwrap();
    Arc::new(Meter::sunspec(&said(base, number, length), number, &load, 7, Arc::new(clock)).unwrap())
}

/// Reads our device with theirs, and compares every point. Gives how many have a value.
fn check(place: &[&str], meter: &Meter, base: u16, number: u16) -> usize {
    let read = answer(script(&python(), "sunspec_client.py").args(place));
    assert_eq!(read["plate"], json!({"Mn": "Negawatt", "Md": "Simulated", "Vr": "2.0", "SN": "4711"}));
    assert_eq!((read["base"].as_u64(), &read["models"]), (Some(base.into()), &json!([number])));
    let mut seen = 0;
    for point in meter.profile().points() {
        let theirs = read["points"][point.label.as_ref().unwrap()].as_f64();
        let ours = meter.truth(&point.id, field::minute(90)).map(|ours| ours.to_f64() * factor(meter.profile(), &point.id));
        match (theirs, ours) {
            // A float is compared to the step of our readings.
            (Some(theirs), Some(ours)) if point.encoding.is_float() => {
                let step = 10_f64.powi(point.exponent.into()) * factor(meter.profile(), &point.id);
                assert!((theirs - ours).abs() <= step, "model {number}: {} {theirs} {ours}", point.id);
                seen += 1;
            }
            (Some(theirs), Some(ours)) => {
                assert!(near(theirs, ours), "model {number}: {} is {ours}, pysunspec2 reads {theirs}", point.id);
                seen += 1;
            }
            // A counter of 0 is none to us; pysunspec2 says 0 of an accumulator that counted nothing.
            (None | Some(0.0), None) => {}
            other => panic!("model {number}: {} is {other:?}", point.id),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pysunspec2_discovers_the_simulated_devices() {
    for (number, length, base) in MODELS {
        let meter = meter(base, number, length);
        let server = TcpServer::start(vec![(5, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
        let seen = check(&["tcp", &server.address().port().to_string(), "5"], &meter, base, number);
        assert!(seen >= 8, "model {number}: {seen} values");
    }
}

#[test]
fn pysunspec2_discovers_a_simulated_meter_on_a_serial_line() {
    let meter = meter(40_000, 203, 105);
    let mut line = Line::open(LineConfig { baud: 19_200, turnaround: Duration::from_millis(3), echo: false }).unwrap();
    line.serve(vec![(5, Arc::clone(&meter))], Faults::seeded(1)).unwrap();
    assert!(check(&["serial", line.near().to_str().unwrap(), "19200", "5"], &meter, 40_000, 203) >= 20);
    // And the gateway, over the same line.
    let url = format!("rtu://{}?baud=19200&parity=none", line.near().display());
    let identified = output(&ours("negawatt-gateway"), ["identify", &url, "--unit", "5", "--output", "json"]);
    let identified: Value = serde_json::from_slice(&identified.stdout).unwrap();
    assert_eq!(identified["best"], "sunspec-203-negawatt-simulated", "{identified}");
}
