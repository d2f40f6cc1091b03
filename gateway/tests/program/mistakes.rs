//! The mistakes of installers, each through the program as a technician starts it, over a paced serial line.
//!
//! The frozen meter is not here: it takes a minute of watching to call a meter frozen, which `commission.rs` does on a driven clock.

use std::{path::PathBuf, sync::Arc, time::Duration};

use daemon::{Clock as _, SystemClock};
use devices::{Parity, Profile};
use jiff::{SignedDuration, Timestamp};
use simulator::{Fault, Faults, Grid, Line, LineConfig, Load, Meter, Mistake, Rule};

use super::output;

const SDM630: &str = "eastron-sdm630";

/// A plant room: a serial line with meters on it, and a folder with profiles, a configuration and a key.
struct Room {
    folder: tempfile::TempDir,
    began: Timestamp,
    /// What the devices are set to; the configuration says 19200 8N1.
    set_to: (u32, Parity),
    units: Vec<(u8, Arc<Meter>)>,
    faults: Arc<Faults>,
}

/// The text of a built-in profile without its vectors, to be changed.
fn text_of(profile: &str) -> String {
    devices::find(profile).unwrap().text().split("[[vector]]").next().unwrap().to_owned()
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("profiles")).unwrap();
        let began = SystemClock.now() - SignedDuration::from_mins(30);
        Self { folder, began, set_to: (19_200, Parity::None), units: Vec::new(), faults: Faults::seeded(7) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn meter(&self, profile: &Profile, seed: u64) -> Meter {
        let load = Load::hourly(&[(self.began, 60_000), (self.began + SignedDuration::from_hours(1), 60_000)]).unwrap();
        Meter::electrical(profile, &load, Grid::EUROPE, seed, 2_000_000, Arc::new(SystemClock))
    }

    fn with(mut self, meter: Meter) -> Self {
        self.units.push((1, Arc::new(meter)));
        self
    }

    fn mistake(self, mistake: Mistake) -> Self {
        let meter = self.meter(devices::find(SDM630).unwrap(), 1).with_mistake(mistake);
        self.with(meter)
    }

    fn own_profile(&self, id: &str, text: &str) {
        std::fs::write(self.file("profiles").join(format!("{id}.toml")), text).unwrap();
    }

    /// Commissions unit 1 at 19200 8N1, whose right current on L1 a clamp has shown. Gives what is wrong, and the whole record.
    async fn commission(self, profile: &str) -> (Vec<String>, String) {
        let (baud, parity) = self.set_to;
        let config = LineConfig { baud, turnaround: Duration::from_millis(2), echo: false };
        let mut line = Line::open_with_parity(config, parity).unwrap();
        line.serve(self.units.clone(), Arc::clone(&self.faults)).unwrap();
        let written = format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\nprofiles = {:?}\n\
             [broker]\nurl = \"mqtt://127.0.0.1:1\"\n[[bus]]\nname = \"room\"\nkind = \"rtu\"\npath = {:?}\nbaud = 19200\n\
             [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"{profile}\"\n",
            self.file("profiles"),
            line.near()
        );
        std::fs::write(self.file("gateway.toml"), written).unwrap();
        let key = self.file("key.pem");
        assert_eq!(output(vec!["key".into(), key.clone()]).await.status.code(), Some(0));
        let right = self.meter(devices::find(SDM630).unwrap(), 1);
        let clamp = right.truth("i1", SystemClock.now()).unwrap().to_f64();
        let mut args: Vec<PathBuf> = vec!["commission".into(), "--config".into(), self.file("gateway.toml")];
        args.extend(["--device", "main", "--work-order", "WO-4711", "--technician", "T. Edison", "--ct", "200/5"].map(PathBuf::from));
        args.extend([
            PathBuf::from("--clamp"),
            format!("i1={clamp:.1}").into(),
            "--key".into(),
            key,
            "--out".into(),
            self.file("record.json"),
        ]);
        let done = output(args.into_iter().chain(["--watch", "2s", "--reads", "10"].map(PathBuf::from))).await;
        let told = String::from_utf8(done.stdout).unwrap();
        assert_eq!(done.status.code(), Some(65), "what is wrong ends with 65:\n{told}{}", String::from_utf8_lossy(&done.stderr));
        let wrong = told.lines().filter_map(|line| line.strip_prefix("WRONG  ")).map(|line| line.split_once(' ').unwrap().0.to_owned());
        (wrong.collect(), told)
    }
}

macro_rules! named {
    ($($name:ident: $profile:literal, $room:expr, $check:literal, $words:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (wrong, told) = $room.commission($profile).await;
            assert_eq!(wrong, [$check], "{told}");
            assert!(told.contains($words), "{told}");
        }
    )+};
}

named! {
    a_transformer_the_wrong_way_round: "eastron-sdm630", Room::new().mistake(Mistake::ReversedTransformer { phase: 2 }),
        "current-direction", "the current transformer of L2 is turned round";
    a_wrong_ratio: "eastron-sdm630", Room::new().mistake(Mistake::Ratio { shown: 20, real: 40 }),
        "ct-clamp", "next: set the transformer ratio in the meter to 200/5, as the label says";
    a_wrong_word_order: "eastron-sdm630", {
        let turned = Profile::parse(&text_of(SDM630).replace("high-first", "low-first")).unwrap();
        let room = Room::new();
        let meter = room.meter(&turned, 1);
        room.with(meter)
    }, "word-order", "the word order is the other one";
    a_wrong_map: "schneider-iem3000", {
        let room = Room::new();
        let meter = room.meter(devices::find(SDM630).unwrap(), 1);
        room.with(meter)
    }, "map", "next: configure profile = \"eastron-sdm630\"";
    a_resettable_counter: "our-em24", {
        let em24 = "carlo-gavazzi-em24-rs485";
        let text = text_of(em24);
        let lines = text.lines().filter(|line| !line.contains("\"e_imp\""));
        let text: Vec<String> = lines.map(|line| line.replace(em24, "our-em24").replace("\"e_imp_partial\"", "\"e_imp\"")).collect();
        let room = Room::new();
        room.own_profile("our-em24", &text.join("\n"));
        let meter = room.meter(devices::find(em24).unwrap(), 1);
        room.with(meter)
    }, "resettable", "anybody can set it to zero";
    crossed_phases: "eastron-sdm630", Room::new().mistake(Mistake::CrossedPhases { first: 1, second: 3 }),
        "phase-order", "the current transformers of L1 and L3 are exchanged";
    one_unit_id_twice: "eastron-sdm630", {
        let room = Room::new();
        let sdm630 = devices::find(SDM630).unwrap();
        let (one, two) = (room.meter(sdm630, 1), room.meter(sdm630, 2));
        room.with(one).with(two)
    }, "same-unit-id", "two devices have the unit id 1";
    a_wrong_parity: "eastron-sdm630", {
        let room = Room { set_to: (19_200, Parity::Even), ..Room::new() };
        let meter = room.meter(devices::find(SDM630).unwrap(), 1);
        room.with(meter)
    }, "line-settings", "the device answers at 19200 8E1, and the configuration says 19200 8N1";
    a_wrong_rate: "eastron-sdm630", {
        let room = Room { set_to: (2_400, Parity::None), ..Room::new() };
        let meter = room.meter(devices::find(SDM630).unwrap(), 1);
        room.with(meter)
    }, "line-settings", "next: write baud = 2400 and parity = \"none\" for this bus";
    // An adapter that loses its parity setting, or a device that has another one at every rate.
    a_line_that_only_garbles: "eastron-sdm630", {
        let room = Room::new();
        room.faults.set(&[Rule { unit: None, fault: Fault::Garbage, per_million: 1_000_000 }]);
        let meter = room.meter(devices::find(SDM630).unwrap(), 1);
        room.with(meter)
    }, "garbled", "parity first, many devices come with even parity";
    a_clock_of_another_hour: "our-sdm630", {
        let text = text_of(SDM630).replace(SDM630, "our-sdm630");
        let text = text.replace("point = [", "point = [\n  { id = \"clock\", address = 400, type = \"u32\", unit = \"s\" },");
        let room = Room::new();
        room.own_profile("our-sdm630", &text);
        let meter = room.meter(&Profile::parse(&text).unwrap(), 1).with_mistake(Mistake::Clock { ahead_s: 3_600 });
        room.with(meter)
    }, "meter-clock", "s ahead: its tariffs and load profiles belong to other hours";
}
