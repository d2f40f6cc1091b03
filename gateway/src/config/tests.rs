use super::*;

const GOOD: &str = r#"
[gateway]
tenant = "acme"
facility = "north-hall"
id = "gw-1"
data_dir = "data"

[broker]
url = "mqtt://localhost:1883"

[[bus]]
name = "main"
kind = "tcp"
address = "127.0.0.1:502"

[[bus.device]]
id = "main-meter"
unit = 1
profile = "eastron-sdm630"
points = ["v1", "p", "e_imp"]

[[bus]]
name = "plant"
kind = "rtu"
path = "/dev/ttyUSB0"
baud = 19200
parity = "even"
timeout = "300ms"
interval = "5m"

[[bus.device]]
id = "climate"
unit = 2
profile = "xy-md02"
"#;

fn faults(text: &str) -> String {
    Config::parse(Path::new("gateway.toml"), text).expect_err("this text has faults").to_string()
}

#[test]
fn a_good_file_is_ready_to_poll() {
    let config = Config::parse(Path::new("gateway.toml"), GOOD).unwrap();
    assert_eq!(config.path.to_string(), "acme/north-hall/gw-1");
    assert_eq!((config.broker.host.as_str(), config.broker.port), ("localhost", 1883));
    assert_eq!(config.broker.client_id, "negawatt-gateway-gw-1");
    assert_eq!((config.interval.as_secs(), config.spool.bytes_max, config.spool.commit_interval.as_secs()), (60, None, 0));
    let [main, plant] = &config.buses[..] else { panic!("two buses") };
    assert_eq!((main.endpoint.to_string().as_str(), main.interval.as_secs()), ("tcp://127.0.0.1:502", 60));
    assert_eq!((plant.endpoint.to_string().as_str(), plant.interval.as_secs()), ("rtu:///dev/ttyUSB0", 300));
    assert_eq!(main.devices[0].points(), ["v1", "p", "e_imp"]);
    assert_eq!(plant.devices[0].timeout, Duration::from_millis(300));
    assert_eq!(plant.devices[0].points().len(), plant.devices[0].profile.points().len());
}

#[test]
fn a_password_in_the_address_is_refused_and_not_repeated() {
    let told = faults(&GOOD.replace("mqtt://localhost", "mqtt://gw:s3cret@localhost"));
    assert!(told.contains("broker.url: who logs in does not belong into the address") && !told.contains("s3cret"), "{told}");
}

#[test]
fn the_page_is_for_this_machine_alone_unless_an_address_is_spelled_out() {
    let listen = |table: &str| Config::parse(Path::new("gateway.toml"), &format!("{GOOD}{table}")).unwrap().listen;
    assert_eq!(listen(""), None);
    assert_eq!(listen("[http]"), Some("127.0.0.1:7501".parse().unwrap()));
    assert_eq!(listen("[http]\nlisten = \"0.0.0.0:80\""), Some("0.0.0.0:80".parse().unwrap()));
    assert!(faults(&format!("{GOOD}[http]\nlisten = \"localhost\"")).contains("http.listen: `localhost` is not an address"));
}

#[test]
fn the_example_is_a_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/gateway.toml");
    let config = Config::load(&path).unwrap();
    assert_eq!(config.devices().count(), 3);
}

#[test]
fn the_hash_is_of_profiles_and_wiring() {
    let hash = |text: &str| Config::parse(Path::new("gateway.toml"), text).unwrap().hash();
    assert_eq!(hash(GOOD), hash(&GOOD.replace("127.0.0.1:502", "10.0.0.9:1502")));
    assert_ne!(hash(GOOD), hash(&GOOD.replace("\"p\", ", "")));
    assert_ne!(hash(GOOD), hash(&GOOD.replace("unit = 2", "unit = 3")));
}

#[test]
fn every_fault_is_told_at_once() {
    let text = r#"
[gateway]
tenant = "ACME"
facility = "north-hall"
id = "gw-1"
data_dir = "data"

[broker]
url = "https://broker"
qos = 2
keep_alive = "0s"
password = { env = "NEGAWATT_NO_SUCH_VARIABLE" }

[poll]
interval = "7s"

[spool]
max = "64KiB"

[[bus]]
name = "main"
kind = "tcp"
path = "/dev/ttyUSB0"

[[bus.device]]
id = "a"
unit = 300
profile = "eastron-sdm631"

[[bus]]
name = "main"
kind = "rtu"
path = "/dev/ttyUSB0"
baud = 12

[[bus.device]]
id = "a"
unit = 2
profile = "xy-md02"
points = ["temp", "temperature"]
slave = 40

[[bus.device]]
id = "b"
unit = 2
profile = "eastron-sdm120"
points = []
"#;
    insta::assert_snapshot!(faults(text));
}

#[test]
fn a_gateway_without_a_bus_has_nothing_to_do() {
    let (head, _) = GOOD.split_once("[[bus]]").unwrap();
    insta::assert_snapshot!(faults(head), @r"
    error: 1 fault in gateway.toml
      × bus: there is no bus, so there is nothing to read
        help: add a [[bus]] with at least one [[bus.device]]
    ");
}

#[test]
fn a_users_own_profile_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let own = devices::find("eastron-sdm120").unwrap().text().replace("id = \"eastron-sdm120\"", "id = \"own-meter\"");
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    let text = GOOD.replace("data_dir = \"data\"", &format!("data_dir = \"data\"\nprofiles = \"{}\"", folder.path().display()));
    let text = text.replace("eastron-sdm630", "own-meter");
    assert_eq!(Config::parse(Path::new("gateway.toml"), &text).unwrap().buses[0].devices[0].profile.id(), "own-meter");
    std::fs::write(folder.path().join("bad.toml"), "id = 3").unwrap();
    assert!(faults(&text).contains("bad.toml"));
}

/// Certificates in a folder: an authority, and a gateway's certificate with its key.
fn certificates(folder: &Path, until: i32) -> std::collections::BTreeMap<&'static str, String> {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_cert = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let mut own = CertificateParams::new(["gw-1".to_owned()]).unwrap();
    own.not_before = date_time_ymd(2020, 1, 1);
    own.not_after = date_time_ymd(until, 6, 30);
    let own_key = KeyPair::generate().unwrap();
    let own_cert = own.signed_by(&own_key, &issuer).unwrap();
    let files = [
        ("ca", authority_cert.pem()),
        ("cert", own_cert.pem()),
        ("key", own_key.serialize_pem()),
        ("other-key", KeyPair::generate().unwrap().serialize_pem()),
        ("text", "no PEM at all".to_owned()),
    ];
    let write = |(name, text): (&'static str, String)| {
        let path = folder.join(format!("{name}.pem"));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        (name, path.display().to_string())
    };
    files.into_iter().map(write).collect()
}

fn with_tls(table: &str) -> String {
    GOOD.replace("mqtt://localhost:1883\"", &format!("mqtts://localhost\"\n\n[broker.tls]\n{table}"))
}

#[test]
fn tls_is_ready_to_connect_and_equal_when_made_of_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path(), 2049);
    let table = format!("ca = {:?}\ncertificate = {:?}\nkey = {:?}\n", files["ca"], files["cert"], files["key"]);
    let broker =
        |table: &str| Config::parse(Path::new("gateway.toml"), &with_tls(table)).unwrap_or_else(|faults| panic!("{faults}")).broker;
    let first = broker(&table);
    assert_eq!((first.port, first.tls.as_ref().unwrap().expires().unwrap().to_string().as_str()), (8883, "2049-06-30T00:00:00Z"));
    assert_eq!(first, broker(&table));
    assert_ne!(first, broker(&format!("{table}server_name = \"broker.example\"\n")));
    let by_secret = table.replace("key = ", "key = { file = ").trim_end().to_owned() + " }\n";
    assert_eq!(first, broker(&by_secret));
    assert!(!format!("{first:?}").contains("PRIVATE"), "a key is never printed");
}

#[test]
fn everything_that_is_wrong_with_certificates_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path(), 2021);
    let told = |table: &str| faults(&with_tls(table)).replace(&folder.path().display().to_string(), "[folder]");
    let expired = format!("ca = {:?}\ncertificate = {:?}\nkey = {:?}\n", files["text"], files["cert"], files["other-key"]);
    let missing = "ca = \"/nowhere/ca.pem\"\ncertificate = \"/nowhere/cert.pem\"\nserver_name = \"not a name\"\n";
    std::fs::set_permissions(&files["key"], std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = format!("ca = {:?}\ncertificate = {:?}\nkey = {:?}\n", files["ca"], files["key"], files["key"]);
    let useless = faults(&with_tls("").replace("mqtts:", "mqtt:"));
    insta::assert_snapshot!([told(&expired), told(missing), told(&open), useless].join("\n"));
    // Polling does not stop for a certificate that has expired: the gateway runs with it, and the broker decides.
    let table = format!("ca = {:?}\ncertificate = {:?}\nkey = {:?}\n", files["ca"], files["cert"], files["key"]);
    std::fs::set_permissions(&files["key"], std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(faults(&with_tls(&table)).contains("expired on 2021-06-30"));
    Config::parse_to_run(Path::new("gateway.toml"), &with_tls(&table)).unwrap();
}

#[test]
fn commands_need_keys_and_known_verbs() {
    let text = format!("{GOOD}\n[commands]\nallow = [\"ping\", \"format\"]\nkeys = [\"ssh-ed25519 AAAA\"]\nconfirm_within = \"2d\"\n");
    insta::assert_snapshot!(faults(&text));
    let key = format!("{GOOD}\n[commands]\nkeys = [\"ed25519:{}\"]\n", "ab".repeat(32));
    let commands = Config::parse(Path::new("gateway.toml"), &key).unwrap().commands.unwrap();
    assert_eq!(commands.allow, BTreeSet::from([Verb::Ping, Verb::Status, Verb::Identify]));
    assert!(faults(&format!("{GOOD}\n[commands]\n")).contains("there is no key"));
}

#[test]
fn facts_of_an_installation_are_in_the_profile_and_never_in_what_is_billed() {
    let device = |points: &str, facts: &str| {
        let (head, _) = GOOD.split_once("[[bus]]").unwrap();
        let bus = "[[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"10.0.0.2:502\"\n";
        format!("{head}{bus}[[bus.device]]\nid = \"a\"\nunit = 2\nprofile = \"carlo-gavazzi-em340\"\n{points}{facts}")
    };
    let parsed = |text: &str| Config::parse(Path::new("gateway.toml"), text).unwrap_or_else(|faults| panic!("{faults}"));
    let (sampled, facts) = ("points = [\"i1\", \"v1\"]\n", "ct_ratio = \"40\"\nphase_order = [2, 3, 1]\n");
    let (plain, installed) = (parsed(&device(sampled, "")), parsed(&device(sampled, facts)));
    assert_ne!(plain.hash(), installed.hash(), "the facts are part of the configuration's hash");
    let current = |config: &Config| config.devices().next().unwrap().profile.point("i2").unwrap().clone();
    assert_eq!(current(&installed).scale, devices::Scale::parse("0.04").unwrap());
    // The meter's first input is the real second phase.
    assert_eq!((current(&plain).address, current(&installed).address), (14, 12));
    // What is billed from must be what the meter shows.
    insta::assert_snapshot!(faults(&device("points = [\"e_imp\", \"i1\"]\n", "ct_ratio = \"40\"\n")), @r"
    error: 1 fault in gateway.toml
      × bus[0].device[0]: ct_ratio, vt_ratio and reversed would change e_imp, which is billed from
        help: set them in the meter, or leave those counters out of points
    ");
    insta::assert_snapshot!(faults(&device(sampled, "ct_ratio = \"0\"\nphase_order = [1, 1, 2]\n")), @r#"
    error: 2 faults in gateway.toml
      × bus[0].device[0]: installation.ct_ratio: "0" is not a positive decimal up to 100000
      × bus[0].device[0]: installation.phase_order: [1, 1, 2] does not name 1, 2 and 3 once each
    "#);
    // Another order of the phases leaves the totals as they are.
    parsed(&device("points = [\"e_imp\", \"i1\"]\n", "phase_order = [2, 3, 1]\n"));
}

/// The good file with other lines for the serial bus, between its kind and its device.
fn with_plant(kind: &str, lines: &str, device: &str) -> String {
    let (head, _) = GOOD.split_once("name = \"plant\"").unwrap();
    format!(
        "{head}name = \"plant\"\nkind = \"{kind}\"\n{lines}\n[[bus.device]]\nid = \"climate\"\nunit = 2\nprofile = \"xy-md02\"\n{device}"
    )
}

#[test]
fn a_bus_may_be_dialled_in_driven_by_the_kernel_and_out_of_step() {
    let plant = |kind: &str, lines: &str| {
        let mut config = Config::parse(Path::new("gateway.toml"), &with_plant(kind, lines, "")).unwrap_or_else(|faults| panic!("{faults}"));
        config.buses.remove(1)
    };
    let dialled = plant("tcp-listen", "address = \"0.0.0.0:5020\"\nhello = \"MODEM-7\"\nphase = \"7s\"");
    assert_eq!((dialled.endpoint.to_string().as_str(), dialled.phase.as_secs()), ("listen://0.0.0.0:5020?hello=MODEM-7", 7));
    assert_eq!((dialled.foreign_gap, dialled.settle, dialled.late), (Duration::from_millis(10), Duration::from_millis(10), None));
    let port = "path = \"/dev/ttyS1\"\nphase = \"auto\"\nforeign_gap = \"50ms\"\nsettle = \"2ms\"\nlate = \"1m\"\nrs485 = { delay_after = \"2ms\", rx_during_tx = true }";
    let driven = plant("rtu", port);
    let rs485 = driven.rs485.unwrap();
    assert_eq!(
        (rs485.rts_on_send, rs485.delay_before, rs485.delay_after, rs485.rx_during_tx),
        (true, Duration::ZERO, Duration::from_millis(2), true)
    );
    assert!(driven.phase <= Duration::from_secs(15) && driven.phase == plant("rtu", port).phase && driven.phase != Duration::ZERO);
    assert_eq!((driven.foreign_gap, driven.settle), (Duration::from_millis(50), Duration::from_millis(2)));
    assert_eq!(driven.late, Some(Duration::from_secs(60)));
}

#[test]
fn slow_points_are_read_with_the_others_now_and_then() {
    let text =
        with_plant("rtu", "path = \"/dev/ttyS1\"", "points = [\"temperature\"]\nslow = { interval = \"15m\", points = [\"humidity\"] }");
    let device = Config::parse(Path::new("gateway.toml"), &text).unwrap().buses[1].devices[0].clone();
    assert_eq!(device.points(), ["temperature", "humidity"]);
    assert_eq!((device.points_at(60_000).len(), device.points_at(900_000).len()), (1, 2));
    assert!(device.slow.unwrap().reads.plan.registers() > device.reads.plan.registers());
}

#[test]
fn what_a_profile_calls_slow_is_read_now_and_then() {
    let device = |lines: &str| {
        let text = with_plant("rtu", "path = \"/dev/ttyS1\"", lines).replace("xy-md02", "senseair-s8");
        Config::parse(Path::new("gateway.toml"), &text).unwrap().buses[1].devices[0].clone()
    };
    let plain = device("");
    let all = plain.profile.points().len();
    let slow = plain.profile.group(&[], devices::Group::Slow).len();
    assert!(slow > 0 && plain.points().len() == all);
    assert_eq!((plain.points_at(60_000).len(), plain.points_at(900_000).len()), (all - slow, all));
    let hourly = device("slow = { interval = \"1h\" }");
    assert_eq!((hourly.points_at(900_000).len(), hourly.points_at(3_600_000).len()), (all - slow, all));
    let named = device("points = [\"status\"]");
    assert!(named.slow.is_none() && named.points_at(60_000) == ["status"], "what is named is read in every poll");
}

#[test]
fn faults_of_a_bus_are_told_at_once() {
    let lines = "address = \"0.0.0.0:5020\"\nbaud = 9600\nrs485 = { delay_before = \"1s\" }\npeer = \"10.0.0.7\"\nhello = \"A\"\nsettle = \"1s\"\nlate = \"11m\"\nphase = \"50s\"";
    insta::assert_snapshot!(faults(&with_plant(
        "tcp-listen",
        lines,
        "points = [\"temperature\"]\nslow = { interval = \"90s\", points = [\"temperature\"] }"
    )));
}

#[test]
fn a_read_runs_over_a_gap_where_the_line_is_fast_enough() {
    let reads = |baud: u32| {
        let text = with_plant("rtu", &format!("path = \"/dev/ttyS1\"\nbaud = {baud}"), "");
        let text = text.replace("xy-md02", "eastron-sdm630") + "points = [\"p1\", \"pf1\"]\n";
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap_or_else(|faults| panic!("{faults}"));
        config.buses[1].devices[0].reads.plan.blocks.iter().map(|block| (block.address, block.count)).collect::<Vec<_>>()
    };
    assert_eq!(reads(1_200), [(12, 2), (30, 4)]);
    assert_eq!(reads(9_600), [(12, 20)]);
}
