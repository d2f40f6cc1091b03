use std::path::Path;

use serde::Deserialize;

use crate::{ByteSizeText, DurationText, Fault, Faults, Hint, SecretRef, load, parse};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSite {
    facility: String,
    #[serde(default)]
    meters: Vec<RawMeter>,
    uplink: RawUplink,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeter {
    name: String,
    unit_id: u16,
    #[serde(default)]
    bus: Bus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Bus {
    #[default]
    Tcp,
    Rtu,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUplink {
    host: String,
    timeout: DurationText,
    #[serde(default = "spool_bytes")]
    spool: ByteSizeText,
    password: Option<SecretRef>,
}

fn spool_bytes() -> ByteSizeText {
    ByteSizeText::from_bytes(64 << 20)
}

const HINTS: &[Hint<'_>] = &[("uplink.qos", "readings are always sent with QoS 1; remove the line")];

fn validate(raw: RawSite, faults: &mut Faults) -> Option<RawSite> {
    for (i, meter) in raw.meters.iter().enumerate() {
        if !(1..=247).contains(&meter.unit_id) {
            let fault = Fault::at(format_args!("meters[{i}].unit_id"), format_args!("{} is not a Modbus unit id", meter.unit_id));
            faults.add(fault.allowed("1–247 on a serial bus"));
        }
    }
    faults.is_empty().then_some(raw)
}

fn faults(text: &str) -> Faults {
    parse(Path::new("site.toml"), text, HINTS, validate).expect_err("this text has faults")
}

const GOOD: &str = r#"
facility = "oak-hall"

[[meters]]
name = "main"
unit_id = 1

[[meters]]
name = "chiller"
unit_id = 7
bus = "rtu"

[uplink]
host = "localhost"
timeout = "15s"
password = { env = "MQTT_PASSWORD" }
"#;

#[test]
fn a_good_file_becomes_a_configuration() {
    let site = parse(Path::new("site.toml"), GOOD, HINTS, validate).unwrap();
    assert_eq!(site.facility, "oak-hall");
    assert_eq!(site.meters.iter().map(|meter| meter.name.as_str()).collect::<Vec<_>>(), ["main", "chiller"]);
    assert!(matches!(site.meters[1].bus, Bus::Rtu));
    assert_eq!(site.uplink.host, "localhost");
    assert_eq!(site.uplink.timeout, DurationText::from_secs(15));
    assert_eq!(site.uplink.spool.to_string(), "64MiB");
    assert_eq!(site.uplink.password.unwrap().place(), "environment variable MQTT_PASSWORD");
}

#[test]
fn unknown_keys_and_validation_faults_are_told_at_once() {
    let text = GOOD.replace("unit_id = 7", "unit_id = 300").replace("[uplink]", "[uplink]\nqos = 2");
    let faults = faults(&text);
    insta::assert_snapshot!(faults, @r"
    error: 2 faults in site.toml
      × meters[1].unit_id: 300 is not a Modbus unit id
        │ allowed: 1–247 on a serial bus
      × uplink.qos: unknown key
        help: readings are always sent with QoS 1; remove the line
    ");
    assert_eq!(faults.iter().map(Fault::line).collect::<Vec<_>>(), [Some(10), Some(14)]);
}

#[test]
fn an_unknown_key_alone_is_told_too() {
    let told = faults(&GOOD.replace("[uplink]", "[uplink]\nqos = 1"));
    assert_eq!(told.iter().map(Fault::key).collect::<Vec<_>>(), ["uplink.qos"]);
}

#[test]
fn every_wrong_value_is_told_with_its_own_key() {
    let text = r#"
facility = 12
colour = "green"

[[meters]]
nmae = "main"
unit_id = 70000

[[meters]]
name = "second"
unit_id = "seven"
bus = "can"

[[meters]]
name = "third"
unit_id = 1
points = ["v1"]

[uplink]
timeout = 15
spool = "64MB"
password = "hunter2"
"#;
    insta::assert_snapshot!(faults(text), @r#"
    error: 12 faults in site.toml
      × facility: 12 is not a string
        │ allowed: text in quotes
      × colour: unknown key
        │ allowed: facility, meters, uplink
        help: remove the line
      × meters[0].name: missing
        help: add the key; it has no default
      × meters[0].nmae: unknown key
        │ allowed: name, unit_id, bus
        help: did you mean `name`?
      × meters[0].unit_id: 70000 is not a whole number of this range
        │ allowed: 0–65535
      × meters[1].unit_id: "seven" is not a whole number
        │ allowed: 0–65535
      × meters[1].bus: "can" is not a choice here
        │ allowed: tcp, rtu
      × meters[2].points: unknown key
        │ allowed: name, unit_id, bus
        help: remove the line
      × uplink.host: missing
        help: add the key; it has no default
      × uplink.timeout: 15 is not a duration with its unit in quotes, like "15s"
      × uplink.spool: "64MB" is not a size; write a whole number and a unit: B, KiB, MiB, GiB or TiB
      × uplink.password: a secret is not written into this file; write { env = "NAME" } or { file = "PATH" }
    "#);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    for written in ["\"hunter2\"", "123456", "{ value = \"hunter2\" }", "{}", "{ env = \"A\", file = \"B\" }", "[\"hunter2\"]"] {
        let faults = faults(&GOOD.replace("{ env = \"MQTT_PASSWORD\" }", written)).to_string();
        assert!(faults.contains("uplink.password"), "{faults}");
        assert!(!faults.contains("hunter2") && !faults.contains("123456"), "{faults}");
    }
}

#[test]
fn an_absent_table_is_one_fault() {
    insta::assert_snapshot!(faults("facility = \"oak-hall\"\n"), @r"
    error: 1 fault in site.toml
      × uplink: missing
        help: add the key; it has no default
    ");
}

#[test]
fn a_text_that_is_not_toml_is_told_by_line() {
    insta::assert_snapshot!(faults("facility = \"oak-hall\"\n[uplink\nhost = 1\n"), @r"
    error: 1 fault in site.toml
      × line 2 is not TOML: unclosed table, expected `]`
        help: look at `[uplink`
    ");
    insta::assert_snapshot!(faults("facility = \"oak-hall\"\nfacility = \"elm\"\n"), @r#"
    error: 1 fault in site.toml
      × line 2 is not TOML: duplicate key
        help: look at `facility = "elm"`
    "#);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &Path| {
        let faults = load(path, validate).expect_err("there is nothing to load");
        faults.to_string().replace(&path.display().to_string(), "[path]")
    };
    insta::assert_snapshot!(of(&folder.path().join("none.toml")), @r"
    error: 1 fault in [path]
      × there is no such file
        help: name an existing file with --config FILE
    ");
    insta::assert_snapshot!(of(folder.path()), @r"
    error: 1 fault in [path]
      × this is a folder, not a file
        help: name a file in it with --config FILE
    ");
    let latin1 = folder.path().join("latin1.toml");
    std::fs::write(&latin1, b"a = 1\nb = \"caf\xe9\"\n").unwrap();
    insta::assert_snapshot!(of(&latin1), @r"
    error: 1 fault in [path]
      × line 2 is not UTF-8 text
        help: save the file as UTF-8; TOML knows no other encoding
    ");
}

#[test]
#[should_panic(expected = "names at least one fault")]
fn a_validation_that_refuses_silently_is_our_bug() {
    parse::<RawSite, ()>(Path::new("site.toml"), GOOD, &[], |_, _| None).unwrap_err();
}
