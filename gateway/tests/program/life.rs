//! What it prints, how it exits, how it stops.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use simulator::{DrivenClock, Faults, Grid, Load, Meter, TcpServer};

use super::{output, program, text};

async fn meter(profile: &str) -> (TcpServer, Arc<Meter>, Timestamp) {
    let start: Timestamp = "2025-06-01T00:00:00Z".parse().unwrap();
    let load = Load::hourly(&[(start, 60_000)]).unwrap();
    let at = start + jiff::SignedDuration::from_mins(30);
    let clock = DrivenClock::new(at, at);
    let meter = Arc::new(Meter::electrical(devices::find(profile).unwrap(), &load, Grid::EUROPE, 1, 5_000, Arc::new(clock)));
    (TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap(), meter, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_prints_every_point_as_the_meter_shows_it() {
    for profile in devices::builtin().iter().filter(|profile| profile.kind() == devices::Kind::PowerMeter) {
        let (server, meter, at) = meter(profile.id()).await;
        let url = format!("tcp://{}", server.address());
        let printed = output(&["probe", &url, "--unit", "1", "--device", profile.id(), "--output", "json"]).await;
        assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
        let points: Vec<serde_json::Value> = profile
            .points()
            .iter()
            .map(|point| {
                let shown = meter.truth(&point.id, at);
                serde_json::json!({
                    "id": point.id,
                    "value": shown.map(units::Measured::decimal_text),
                    "unit": point.unit.symbol(),
                    "quality": if shown.is_some() { "good" } else { "bad:invalid_marker+no_value" },
                })
            })
            .collect();
        let report: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
        assert_eq!(report, serde_json::json!({"schema": "negawatt.probe/1", "points": points}), "{}", profile.id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_is_not_there_is_named_with_the_next_step() {
    let (server, _meter, _) = meter("eastron-sdm630").await;
    let url = format!("tcp://{}", server.address());
    let printed = output(&["probe", &url, "--unit", "9", "--device", "eastron-sdm630"]).await;
    assert_eq!(printed.status.code(), Some(69));
    assert!(printed.stdout.is_empty());
    insta::assert_snapshot!(text(&printed.stderr).replace(&url, "[url]"), @r"
    error: unit 9 on [url] refused to read 76 registers at 0 with function 4: Gateway target device failed to respond
    help: the converter is there and the device behind it is not: check the unit id, then its wiring
    ");
}

fn configuration(folder: &Path, meter: &str) -> String {
    format!(
        "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}/data\"\n\
         [broker]\nurl = \"mqtt://127.0.0.1:1\"\n[poll]\ninterval = \"1s\"\n\
         [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"{meter}\"\n\
         [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"eastron-sdm630\"\n",
        folder.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_polls_without_a_broker_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _meter, _) = meter("eastron-sdm630").await;
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, configuration(folder.path(), &server.address().to_string())).unwrap();
    let path = path.to_str().unwrap();

    let checked = output(&["check", "--config", path]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let tried = output(&["check", "--config", path, "--connect"]).await;
    assert_eq!(tried.status.code(), Some(69));
    assert!(text(&tried.stdout).contains("failed  broker 127.0.0.1:1") && text(&tried.stdout).contains("ok      device main"));
    let bus = format!("ok      bus main at tcp://{}", server.address());
    assert!(text(&tried.stdout).contains(&bus), "{}", text(&tried.stdout));

    let running = program(["run", "--config", path]).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let second = output(&["run", "--config", path]).await;
    assert_eq!(second.status.code(), Some(69));
    assert!(text(&second.stderr).contains("is used by another gateway"), "{}", text(&second.stderr));
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    let stopped = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(stopped.status.code(), Some(0), "{}", text(&stopped.stderr));
    let told = text(&stopped.stderr);
    assert!(told.contains("gateway `acme/hall/gw-1` started") && told.contains("gateway stopped"), "{told}");
    assert!(told.contains("readings are kept here until the collector can be reached"), "{told}");
}

/// A device that takes every connection and every question and never says a word, and a broker of the same kind.
async fn mute() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_within_five_seconds_whoever_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _meter, _) = meter("eastron-sdm630").await;
    let (device, broker) = (mute().await, mute().await);
    let path = folder.path().join("gateway.toml");
    let toml = format!(
        "{}[[bus]]\nname = \"stuck\"\nkind = \"tcp\"\naddress = \"{device}\"\ntimeout = \"30s\"\n\
         [[bus.device]]\nid = \"stuck\"\nunit = 1\nprofile = \"eastron-sdm630\"\n[http]\nlisten = \"127.0.0.1:0\"\n",
        configuration(folder.path(), &server.address().to_string()).replace("127.0.0.1:1\"", &format!("{broker}\""))
    );
    std::fs::write(&path, toml).unwrap();
    let running = program(["run", "--config", path.to_str().unwrap()]).stderr(Stdio::piped()).spawn().unwrap();
    // In the middle of waiting for a device that has thirty seconds to answer.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    let stopped = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    let took = asked.elapsed();
    let told = text(&stopped.stderr);
    println!("stopped after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(5), "{took:?}: {told}");
    assert_eq!(stopped.status.code(), Some(0), "{told}");
    assert!(told.contains("gateway stopped") && told.contains("a task did not stop in time"), "{told}");
}

/// What systemd hears of a unit with `Type=notify` and `WatchdogSec`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hears_that_it_is_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _meter, _) = meter("eastron-sdm630").await;
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, configuration(folder.path(), &server.address().to_string())).unwrap();
    let manager = tokio::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let mut running =
        program(["run", "--quiet", "--config", path.to_str().unwrap()]).env("NOTIFY_SOCKET", folder.path().join("notify")).spawn().unwrap();
    let hear = async |wanted: &str| {
        let mut heard = [0; 256];
        loop {
            let length = tokio::time::timeout(Duration::from_secs(15), manager.recv(&mut heard)).await.expect(wanted).unwrap();
            if text(&heard[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    hear("READY=1").await;
    hear("WATCHDOG=1").await;
    assert!(Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    hear("STOPPING=1").await;
    assert_eq!(tokio::task::spawn_blocking(move || running.wait().unwrap()).await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_printed_for_a_gateway_that_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let without = configuration(folder.path(), "127.0.0.1:1502");
    std::fs::write(&path, &without).unwrap();
    let path = path.to_str().unwrap();
    let refused = output(&["pair", "--config", path]).await;
    assert_eq!(refused.status.code(), Some(78));
    assert!(text(&refused.stderr).contains("has no page"), "{}", text(&refused.stderr));
    std::fs::write(path, format!("{without}[http]\n")).unwrap();
    let made = output(&["pair", "--config", path]).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let printed = text(&made.stdout);
    let code = printed.lines().next().unwrap().strip_prefix("code   ").unwrap();
    assert!(code.len() == 9 && printed.contains("http://127.0.0.1:7501/") && printed.contains("10 minutes"), "{printed}");
    let revoked = output(&["pair", "--config", path, "--revoke", "--output", "json"]).await;
    assert_eq!(text(&revoked.stdout).trim(), r#"{"schema":"negawatt.pairing-revoked/1","sessions":0}"#);
}

#[tokio::test]
async fn a_configuration_with_faults_is_refused_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, configuration(folder.path(), "10.0.0.7").replace("sdm630", "sdm999")).unwrap();
    for verb in ["run", "check"] {
        let refused = output(&[verb, "--config", path.to_str().unwrap()]).await;
        assert_eq!(refused.status.code(), Some(78));
        let told = text(&refused.stderr);
        assert!(told.contains("error: 2 faults in ") && told.contains("bus[0].address") && told.contains("eastron-sdm999"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_signed_for_one_gateway_and_printed_with_its_topic() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("ops.pem");
    let key = key.to_str().unwrap();
    let made = output(&["command", "keygen", "--key", key]).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let public = text(&made.stdout).trim().strip_prefix("ed25519:").unwrap().to_owned();
    assert_eq!(output(&["command", "keygen", "--key", key]).await.status.code(), Some(2), "a key is never overwritten");
    let sign = ["command", "sign", "--key", key, "--to", "acme/hall/gw-1", "--verb", "replay", "--arg", "from=3", "--arg", "to=9"];
    let printed = output(&[&sign[..], &["--expires", "10m", "--output", "json"]].concat()).await;
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed["topic"], "nw/1/acme/hall/gw-1/cmd/replay");
    let read = wire::Command::read(printed["payload"].as_str().unwrap().as_bytes()).unwrap();
    let command = &read.command;
    assert_eq!((command.key.as_str(), command.to.as_str(), command.verb.as_str()), (public.as_str(), "acme/hall/gw-1", "replay"));
    assert_eq!((command.args["from"].as_u64(), command.expires_ms - command.issued_ms), (Some(3), 600_000));
    let wrong = output(&["command", "sign", "--key", key, "--to", "acme/hall", "--verb", "replay"]).await;
    assert_eq!((wrong.status.code(), text(&wrong.stderr).trim()), (Some(2), "error: `acme/hall` is not TENANT/FACILITY/GATEWAY"));
}
