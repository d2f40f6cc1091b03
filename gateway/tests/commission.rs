//! Ten mistakes of installers over a paced serial line: each is named in plain words, and a right installation is all green.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use daemon::Clock as _;
use devices::Profile;
use jiff::{Timestamp, ToSpan};
use negawatt_gateway::{
    Config,
    setup::{Known, Order, Record, State, commission},
};
use simulator::{DrivenClock, Fault, Faults, Grid, Line, LineConfig, Load, Meter, Mistake, Rule};
use tokio::sync::mpsc;

/// A plant room: one serial line, the time, and a folder for own profiles.
struct Room {
    clock: DrivenClock,
    folder: tempfile::TempDir,
    units: Vec<(u8, Arc<Meter>)>,
    faults: Arc<Faults>,
}

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

/// The text of a built-in profile without its vectors, to be changed.
fn text_of(profile: &str) -> String {
    devices::find(profile).unwrap().text().split("[[vector]]").next().unwrap().to_owned()
}

impl Room {
    fn new() -> Self {
        let clock = DrivenClock::new(start() + 10.minutes(), start() + 50.minutes());
        Self { clock, folder: tempfile::tempdir().unwrap(), units: Vec::new(), faults: Faults::seeded(7) }
    }

    fn meter(&self, profile: &Profile, seed: u64) -> Meter {
        let load = Load::hourly(&[(start(), 60_000 + i64::try_from(seed).unwrap() * 1_000)]).unwrap();
        Meter::electrical(profile, &load, Grid::EUROPE, seed, 2_000_000, Arc::new(self.clock.clone()))
    }

    fn put(mut self, unit: u8, meter: Meter) -> Self {
        self.units.push((unit, Arc::new(meter)));
        self
    }

    fn with(self, mistake: Mistake) -> Self {
        let meter = self.meter(devices::find("eastron-sdm630").unwrap(), 1).with_mistake(mistake);
        self.put(1, meter)
    }

    fn own_profile(&self, id: &str, text: &str) {
        std::fs::write(self.folder.path().join(format!("{id}.toml")), text).unwrap();
    }

    /// Commissions `main` at unit 1, whose right current on L1 a clamp has shown.
    async fn commission(&self, profile: &str) -> Record {
        let mut line = Line::open(LineConfig { baud: 115_200, turnaround: Duration::from_millis(2), echo: false }).unwrap();
        line.serve(self.units.clone(), Arc::clone(&self.faults)).unwrap();
        let mut text = format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\nprofiles = \"{}\"\n\
             [broker]\nurl = \"mqtt://127.0.0.1:1\"\n[[bus]]\nname = \"room\"\nkind = \"rtu\"\npath = \"{}\"\nbaud = 115200\n\
             [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"{profile}\"\n",
            self.folder.path().display(),
            line.near().display()
        );
        for unit in self.units.iter().map(|(unit, _)| *unit).filter(|unit| *unit != 1) {
            text += &format!("[[bus.device]]\nid = \"other-{unit}\"\nunit = {unit}\nprofile = \"eastron-sdm630\"\n");
        }
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        let right = self.meter(devices::find("eastron-sdm630").unwrap(), 1);
        let clamp = right.truth("i1", self.clock.now()).unwrap().to_f64();
        let order = Order {
            device: "main".to_owned(),
            work_order: "WO-4711".to_owned(),
            technician: "T. Edison".to_owned(),
            known: Known { transformer: Some((200.0, 5.0)), clamp: BTreeMap::from([("i1".to_owned(), clamp)]), serial: None },
            watch: Duration::from_secs(180),
            every: Duration::from_secs(15),
            reads: 20,
        };
        let (steps, mut heard) = mpsc::channel(4);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        commission(&config, &order, &self.clock, steps).await.unwrap()
    }
}

/// What is red and amber, as a technician reads it; how long answers took is of the day.
fn told(record: &Record) -> String {
    let told = record.findings.iter().filter(|finding| finding.state >= State::Amber);
    told.map(|finding| finding.text()).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_installation_is_all_green() {
    let room = Room::new();
    let sdm630 = devices::find("eastron-sdm630").unwrap();
    let (main, other, third) = (room.meter(sdm630, 1), room.meter(sdm630, 2), room.meter(sdm630, 3));
    let room = room.put(1, main).put(2, other).put(3, third);
    let record = room.commission("eastron-sdm630").await;
    println!("{}", record.text());
    assert_eq!(record.verdict(), State::Green, "{}", told(&record));
    assert!(record.findings.iter().all(|finding| finding.state == State::Green), "{:#?}", record.findings);
    let checks: Vec<&str> = record.findings.iter().map(|finding| finding.check.as_str()).collect();
    insta::assert_snapshot!(checks.join(" "));
    assert_eq!(record.samples.len(), 13);
    let latency = record.latency.unwrap();
    assert_eq!((latency.failed, latency.largest_block), (0, 80));
    assert!(latency.timeout_ms >= 100 && latency.busy_percent_32 > latency.busy_percent);
}

macro_rules! mistakes {
    ($($name:ident: $profile:literal, $room:expr, [$($check:literal),+];)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let record = $room.commission($profile).await;
            println!("{}", record.text());
            assert_eq!(record.verdict(), State::Red);
            let red: Vec<&str> =
                record.findings.iter().filter(|finding| finding.state == State::Red).map(|finding| finding.check.as_str()).collect();
            assert_eq!(red, [$($check),+], "{}", told(&record));
            insta::assert_snapshot!(told(&record));
        }
    )+};
}

mistakes! {
    swapped_transformer: "eastron-sdm630", Room::new().with(Mistake::ReversedTransformer { phase: 2 }), ["current-direction"];
    wrong_ratio: "eastron-sdm630", Room::new().with(Mistake::Ratio { shown: 20, real: 40 }), ["ct-clamp"];
    wrong_word_order: "eastron-sdm630", {
        let room = Room::new();
        let turned = Profile::parse(&text_of("eastron-sdm630").replace("high-first", "low-first")).unwrap();
        let meter = room.meter(&turned, 1);
        room.put(1, meter)
    }, ["word-order"];
    wrong_map: "schneider-iem3000", {
        let room = Room::new();
        let meter = room.meter(devices::find("eastron-sdm630").unwrap(), 1);
        room.put(1, meter)
    }, ["map"];
    resettable_counter: "our-em24", {
        let room = Room::new();
        let em24 = "carlo-gavazzi-em24-rs485";
        let text = text_of(em24);
        let lines = text.lines().filter(|line| !line.contains("\"e_imp\""));
        let text: Vec<String> = lines.map(|line| line.replace(em24, "our-em24").replace("\"e_imp_partial\"", "\"e_imp\"")).collect();
        room.own_profile("our-em24", &text.join("\n"));
        let meter = room.meter(devices::find(em24).unwrap(), 1);
        room.put(1, meter)
    }, ["resettable"];
    wrong_phase: "eastron-sdm630", Room::new().with(Mistake::CrossedPhases { first: 1, second: 3 }), ["phase-order"];
    duplicate_unit_id: "eastron-sdm630", {
        let room = Room::new();
        let sdm630 = devices::find("eastron-sdm630").unwrap();
        let (one, two) = (room.meter(sdm630, 1), room.meter(sdm630, 2));
        room.put(1, one).put(1, two)
    }, ["same-unit-id"];
    wrong_parity: "eastron-sdm630", {
        let room = Room::new();
        room.faults.set(&[Rule { unit: None, fault: Fault::Garbage, per_million: 1_000_000 }]);
        let meter = room.meter(devices::find("eastron-sdm630").unwrap(), 1);
        room.put(1, meter)
    }, ["garbled"];
    frozen_meter: "eastron-sdm630", Room::new().with(Mistake::Frozen { at: start() + 5.minutes() }), ["frozen"];
    wrong_clock: "our-sdm630", {
        let room = Room::new();
        let text = text_of("eastron-sdm630").replace("eastron-sdm630", "our-sdm630");
        let text = text.replace("point = [", "point = [\n  { id = \"clock\", address = 400, type = \"u32\", unit = \"s\" },");
        room.own_profile("our-sdm630", &text);
        let meter = room.meter(&Profile::parse(&text).unwrap(), 1).with_mistake(Mistake::Clock { ahead_s: 3_600 });
        room.put(1, meter)
    }, ["meter-clock"];
}
