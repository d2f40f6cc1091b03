//! What is installed agrees with the program: paths, commands, folders and exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

const UNIT: &str = include_str!("../packaging/negawatt-gateway.service");
const CONFIG: &str = include_str!("../packaging/gateway.toml");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// The settings of the unit, every value of each, in order.
fn unit() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut settings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in UNIT.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap();
        settings.entry(name).or_default().push(value);
    }
    settings
}

fn one(name: &str) -> &'static str {
    let settings = unit();
    let [value] = settings[name][..] else { panic!("{name} is there {} times", settings[name].len()) };
    value
}

/// `(source, place, mode)` of everything in the package.
fn assets() -> Vec<(String, String, String)> {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    deb["assets"].as_array().unwrap().iter().map(|asset| (text(&asset[0]), text(&asset[1]), text(&asset[2]))).collect()
}

#[test]
fn the_unit_runs_the_program_that_is_installed() {
    let command: Vec<&str> = one("ExecStart").split(' ').collect();
    let assets = assets();
    let (_, place, mode) = assets.iter().find(|(source, ..)| source == "target/release/negawatt-gateway").unwrap();
    assert_eq!((command[0], mode.as_str()), (format!("/{place}negawatt-gateway").as_str(), "755"));
    let config = command.iter().position(|word| *word == "--config").map(|at| command[at + 1]).unwrap();
    assert!(assets.iter().any(|(_, place, mode)| format!("/{place}") == config && mode == "640"), "{config} is not in the package");
    // The program understands these words.
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let words = command[1..].iter().map(|word| if *word == config { missing.to_str().unwrap() } else { word });
    let run = Command::new(env!("CARGO_BIN_EXE_negawatt-gateway")).args(words).output().unwrap();
    let code = run.status.code().unwrap().to_string();
    // A configuration that is wrong is no reason to try again.
    assert_eq!(code, one("RestartPreventExitStatus"), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(code, (daemon::ExitCode::Configuration as u8).to_string());
}

#[test]
fn only_the_folder_of_the_state_is_written() {
    let config: toml::Table = CONFIG.parse().unwrap();
    let data_dir = config["gateway"]["data_dir"].as_str().unwrap();
    assert_eq!(data_dir, format!("/var/lib/{}", one("StateDirectory")));
    let (_, _, proposed) = negawatt_gateway::setup::QUESTIONS.into_iter().find(|(key, ..)| *key == "data_dir").unwrap();
    assert_eq!(Some(data_dir), proposed, "`setup` proposes another folder");
    assert_eq!((one("ProtectSystem"), one("NoNewPrivileges"), one("DevicePolicy")), ("strict", "yes", "closed"));
    assert!(!unit().contains_key("ReadWritePaths"), "the root may be read-only");
    let devices = &unit()["DeviceAllow"];
    for kind in ["char-ttyUSB rw", "char-ttyACM rw", "char-ttyS rw"] {
        assert!(devices.contains(&kind), "{kind}");
    }
}

#[test]
fn the_service_manager_waits_as_long_as_the_program_needs() {
    let seconds = |name| one(name).parse::<u32>().unwrap();
    // The program says that it is alive every 10 s, and stops within 5 s.
    assert!(seconds("WatchdogSec") >= 3 * 10 && seconds("TimeoutStopSec") > 5);
    assert_eq!((one("Type"), one("ExecReload")), ("notify", "/bin/kill -HUP $MAINPID"));
}

#[test]
fn the_installed_configuration_wants_three_answers_and_nothing_else() {
    let told = negawatt_gateway::Config::parse(Path::new("gateway.toml"), CONFIG).unwrap_err().to_string();
    assert!(["3 faults", "gateway.tenant", "gateway.facility", "there is no bus"].iter().all(|word| told.contains(word)), "{told}");
    let answered = CONFIG.replace("tenant = \"\"", "tenant = \"acme\"").replace("facility = \"\"", "facility = \"hall\"");
    // Its commented bus is one that is understood.
    let (_, bus) = answered.split_once("# [[bus]]").unwrap();
    let bus: String = bus.lines().map(|line| line.trim_start_matches("# ").trim_start_matches('#')).collect::<Vec<_>>().join("\n");
    let config = negawatt_gateway::Config::parse(Path::new("gateway.toml"), &format!("{answered}\n[[bus]]{bus}\n")).unwrap();
    assert_eq!((config.devices().count(), config.listen.unwrap().ip().is_loopback()), (1, true));
}

#[test]
fn everything_in_the_package_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let assets = assets();
    for (source, ..) in assets.iter().filter(|(source, ..)| !source.starts_with("target/")) {
        assert!(root.join(source).is_file(), "{source}");
    }
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    for conffile in deb["conf-files"].as_array().unwrap() {
        let conffile = conffile.as_str().unwrap();
        assert!(assets.iter().any(|(_, place, _)| format!("/{place}") == conffile), "{conffile}");
    }
    let scripts = root.join(deb["maintainer-scripts"].as_str().unwrap());
    for script in ["postinst", "postrm"] {
        let text = fs::read_to_string(scripts.join(script)).unwrap();
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("#DEBHELPER#") && text.contains(one("User")), "{script}");
    }
    let unit_folder = deb["systemd-units"]["unit-scripts"].as_str().unwrap();
    let name = deb["systemd-units"]["unit-name"].as_str().unwrap();
    assert_eq!(fs::read_to_string(root.join(unit_folder).join(format!("{name}.service"))).unwrap(), UNIT);
}
