//! Devices that describe themselves, with the program as it is: found, named, set up, read and proven without a profile of ours.

use std::{process::Output, sync::Arc};

use devices::{CommonModel, Discovery, ModelAt, Profile};
use jiff::{SignedDuration, Timestamp};
use simulator::{DrivenClock, Faults, Load, Meter, Nameplate, TcpServer};

use super::{json, output, text};

/// When everything happens.
fn now() -> Timestamp {
    "2026-03-02T09:30:00Z".parse().unwrap()
}

/// A chain with a model that nobody knows before the one of interest.
fn said(base: u16, number: u16, length: u16) -> Discovery {
    let some = |text: &str| Some(text.to_owned());
    let common = CommonModel {
        manufacturer: some("Acme"),
        model: some("EM 3"),
        options: None,
        version: some("1.2.3"),
        serial: some(&format!("SN-{number}")),
    };
    let before = ModelAt { number: 64_112, address: base + 70, length: 8 };
    Discovery { base, common, models: vec![before, ModelAt { number, address: base + 80, length }] }
}

fn device(said: &Discovery, number: u16, seed: u64) -> Arc<Meter> {
    let start = now() - SignedDuration::from_mins(30);
    let load = Load::hourly(&[(start, 20_000)]).unwrap();
    Arc::new(Meter::sunspec(said, number, &load, seed, Arc::new(DrivenClock::new(now(), now()))).unwrap())
}

/// What `probe` has to print of a device: every point as its registers show it.
fn truth(meter: &Meter, profile: &Profile) -> Vec<(String, Option<String>)> {
    let value = |id: &str| meter.truth(id, now()).map(units::Measured::decimal_text);
    profile.points().iter().map(|point| (point.id.clone(), value(&point.id))).collect()
}

fn probed(output: &Output) -> Vec<(String, Option<String>)> {
    let report = json(output);
    let one = |point: &serde_json::Value| (point["id"].as_str().unwrap().to_owned(), point["value"].as_str().map(str::to_owned));
    report["points"].as_array().unwrap().iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_model_is_recognised_and_read_as_it_shows_itself() {
    let models = [(101, 50), (102, 50), (103, 50), (111, 60), (112, 60), (113, 60), (201, 105), (202, 105), (203, 105), (204, 105)];
    let models = models.into_iter().chain([(211, 124), (212, 124), (213, 124), (214, 124)]);
    for ((number, length), base) in models.zip([40_000, 50_000, 0].into_iter().cycle()) {
        let said = said(base, number, length);
        let meter = device(&said, number, 3);
        let server = TcpServer::start(vec![(126, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();
        let url = format!("tcp://{}", server.address());
        let identified = json(&output(&["identify", &url, "--unit", "126", "--output", "json"]).await);
        let plate = &identified["identity"]["sunspec"];
        let named = ["manufacturer", "model", "serial", "version"].map(|key| plate[key].as_str().unwrap().to_owned());
        assert_eq!(named, ["Acme".to_owned(), "EM 3".to_owned(), format!("SN-{number}"), "1.2.3".to_owned()]);
        assert_eq!((plate["base"].as_u64(), &plate["models"]), (Some(base.into()), &serde_json::json!([64_112, number])));
        assert_eq!(identified["best"], format!("sunspec-{number}-acme-em-3"), "{identified}");

        let probed_now = probed(&output(&["probe", &url, "--unit", "126", "--device", "sunspec", "--output", "json"]).await);
        let known = identified["identity"]["candidates"][0]["text"].as_str().unwrap();
        let profile = Profile::parse(known).unwrap();
        assert_eq!(probed_now, truth(&meter, &profile), "model {number} at {base}");
        let counter = if number < 200 { "e_gen" } else { "e_imp" };
        assert!(profile.point(counter).unwrap().billing && profile.point("v1").is_some(), "{number}");
        assert!(probed_now.iter().filter(|(_, value)| value.is_some()).count() >= 8, "{probed_now:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_describes_itself_is_set_up_and_proven_like_any_other() {
    let (meter_says, inverter_says) = (said(40_000, 203, 105), said(0, 103, 50));
    let meter = device(&meter_says, 203, 1);
    let units = vec![(1, Arc::clone(&meter)), (2, device(&inverter_says, 103, 2)), (3, device(&meter_says, 203, 9))];
    let server = TcpServer::start(units, Faults::seeded(1)).await.unwrap();
    let url = format!("tcp://{}", server.address());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (config, key, record, data) = (file("gateway.toml"), file("key.pem"), file("record.json"), file("data"));

    let scanned = text(&output(&["scan", "--port", &url]).await.stdout);
    let unit = scanned.lines().find(|line| line.trim_start().starts_with("unit   1")).unwrap();
    assert!(unit.contains("  sunspec-203-acme-em-3 (Acme EM 3, serial SN-203)"), "{scanned}");
    assert!(scanned.ends_with(&format!("next: negawatt-gateway probe '{url}' --unit 1 --device sunspec\n")), "{scanned}");

    let told = ["--tenant", "acme", "--facility", "hall", "--broker", "mqtt://127.0.0.1:1", "--data-dir", &data];
    let written = output(&[&["setup", "--out", &config, "--port", &url, "--no-input"], &told[..]].concat()).await;
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert!(text(&written.stdout).contains("3 devices, 2 profiles of devices that describe themselves in "), "{}", text(&written.stdout));
    let own = file("profiles/sunspec-203-acme-em-3.toml");
    let profile = Profile::parse(&std::fs::read_to_string(&own).unwrap()).unwrap();
    assert_eq!(profile.manufacturer(), "Acme");
    assert_eq!(output(&["device", "lint", &own]).await.status.code(), Some(0));

    // The daemon polls by the same configuration; only the broker is not there.
    let checked = text(&output(&["check", "--config", &config, "--connect"]).await.stdout);
    for device in ["meter-1", "meter-2", "meter-3"] {
        assert!(checked.contains(&format!("ok      device {device}\n")), "{checked}");
    }
    let probe = output(&["probe", &url, "--unit", "1", "--device", &own, "--output", "json"]).await;
    assert_eq!(probed(&probe), truth(&meter, &profile));
    let lived = text(&output(&["live", &url, "--unit", "1", "--device", &own, "--plain", "--count", "1"]).await.stdout);
    assert!(lived.contains("V ok, Hz ok"), "{lived}");

    assert_eq!(output(&["key", &key]).await.status.code(), Some(0));
    let order = ["--device", "meter-1", "--work-order", "WO 1", "--technician", "T", "--key", &key, "--out", &record, "--serial", "SN-203"];
    let proven = output(&[&["commission", "--config", &config, "--watch", "1s", "--reads", "10"], &order[..]].concat()).await;
    let proven = text(&proven.stdout);
    for line in ["nameplate    Acme EM 3 serial SN-203", "the serial number is the one of the work order: SN-203"] {
        assert!(proven.contains(line), "{proven}");
    }
    let model = proven.lines().find(|line| line.contains(" model ")).unwrap();
    assert!(model.starts_with("ok     model"), "{proven}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_becomes_a_file_and_what_is_none_is_named() {
    let says = said(50_000, 213, 124);
    let plain = Load::hourly(&[(now() - SignedDuration::from_mins(30), 20_000)]).unwrap();
    let clock = Arc::new(DrivenClock::new(now(), now()));
    let sdm = Meter::electrical(devices::find("eastron-sdm630").unwrap(), &plain, simulator::Grid::EUROPE, 1, 0, clock);
    let server = TcpServer::start(vec![(1, device(&says, 213, 1)), (2, Arc::new(sdm))], Faults::seeded(1)).await.unwrap();
    let url = format!("tcp://{}", server.address());
    let import = |more: &[&str]| {
        let args: Vec<String> = ["device", "import", "--from", "sunspec", &url].iter().chain(more).map(|arg| (*arg).to_owned()).collect();
        async move { output(&args.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let imported = import(&["--id", "roof"]).await;
    let profile = Profile::parse(&text(&imported.stdout)).unwrap();
    assert_eq!((profile.id(), profile.is_sunspec()), ("roof", true));
    let told = json(&import(&["--output", "json"]).await);
    assert_eq!((told["schema"].as_str(), told["id"].as_str()), (Some("negawatt.device-import/1"), Some("sunspec-213-acme-em-3")));
    assert_eq!(Profile::parse(told["profile"].as_str().unwrap()).unwrap().hash_hex(), told["hash"]);

    let refused = |output: Output| (output.status.code(), text(&output.stderr));
    let (code, said) = refused(import(&["--unit", "2"]).await);
    assert!(code == Some(65) && said.contains("no SunSpec marker at register 40000, 50000 or 0"), "{said}");
    let (code, said) = refused(import(&["--model", "203"]).await);
    assert!(code == Some(65) && said.contains("its SunSpec models are 64112, 213: there is nothing among them"), "{said}");
    let (code, said) = refused(output(&["probe", "tcp://127.0.0.1:1", "--device", "sunspec"]).await);
    assert!(code == Some(69) && said.contains("could not connect"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_calls_itself_names_its_profile() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Load::hourly(&[(now() - SignedDuration::from_mins(30), 20_000)]).unwrap();
    let clock = Arc::new(DrivenClock::new(now(), now()));
    let sdm630 = devices::find("eastron-sdm630").unwrap();
    let text =
        sdm630.named("our-meter").unwrap().text().replacen("kind = ", "identification = \"EM-630\"\nserver_id = \"OURS\"\nkind = ", 1);
    let ours = Profile::parse(&text).unwrap();
    std::fs::write(folder.path().join("our-meter.toml"), &text).unwrap();
    let meter = || Meter::electrical(sdm630, &plain, simulator::Grid::EUROPE, 1, 0, Arc::<DrivenClock>::clone(&clock));
    let says = |objects: &[&str], server_id: Option<&str>| Nameplate {
        objects: objects.iter().map(|text| (*text).to_owned()).collect(),
        server_id: server_id.map(str::to_owned),
    };
    let units = vec![
        (1, Arc::new(meter().with_nameplate(says(&["Acme", "EM-630/5A", "V1.0"], None)))),
        (2, Arc::new(meter().with_nameplate(says(&[], Some("OURS v2"))))),
        (3, Arc::new(meter().with_nameplate(says(&["Acme", "another"], Some("another"))))),
    ];
    let acuvim = devices::find("accuenergy-acuvim2").unwrap();
    let mut named = Meter::electrical(acuvim, &plain, simulator::Grid::EUROPE, 1, 0, Arc::<DrivenClock>::clone(&clock));
    for (field, text) in acuvim.texts().iter().zip(["Acuvim IIR", "AH17091234"]) {
        named = named.with_registers(field.table, field.address, &field.bytes.encode(text, field.registers).unwrap());
    }
    let units = units.into_iter().chain([(4, Arc::new(named))]).collect();
    let server = TcpServer::start(units, Faults::seeded(1)).await.unwrap();
    let endpoint = negawatt_gateway::Endpoint::parse(&format!("tcp://{}", server.address())).unwrap();
    let profiles = [sdm630, &ours];
    let mut found = Vec::new();
    for unit in 1..=3 {
        let identity = negawatt_gateway::setup::identify_among(&endpoint, unit, &profiles).await;
        let best = identity.candidates.first().unwrap();
        found.push((
            best.certain,
            best.because.first().cloned().unwrap_or_default(),
            identity.objects.join(" "),
            identity.server_id.unwrap_or_default(),
        ));
    }
    let row = |index: usize| (found[index].0, found[index].1.as_str(), found[index].2.as_str(), found[index].3.as_str());
    assert_eq!(row(0), (true, "it calls itself EM-630 (function 43/14)", "Acme EM-630/5A V1.0", ""));
    assert_eq!(row(1), (true, "it calls itself OURS (function 17)", "", "OURS v2"));
    assert_eq!((row(2).0, row(2).2, row(2).3), (false, "Acme another", "another"));
    let by_registers = negawatt_gateway::setup::identify_among(&endpoint, 4, &[sdm630, acuvim]).await;
    let texts: Vec<(&str, &str)> = by_registers.texts.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    assert_eq!(texts, [("model", "Acuvim IIR"), ("serial", "AH17091234")], "{by_registers:#?}");
}
