//! A technician's visit with the program as it is: set up, check, prove, sign, doubt.

use std::sync::Arc;

use daemon::{Clock as _, SystemClock};
use simulator::{Faults, Grid, Load, Meter, TcpServer};

use super::{json, output, text};

async fn plant_room() -> TcpServer {
    let start = SystemClock.now() - jiff::SignedDuration::from_mins(30);
    let load = Load::hourly(&[(start, 60_000)]).unwrap();
    let profile = devices::find("eastron-sdm630").unwrap();
    let meter = Arc::new(Meter::electrical(profile, &load, Grid::EUROPE, 1, 5_000, Arc::new(SystemClock)));
    TcpServer::start(vec![(1, meter)], Faults::seeded(1)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_box_of_meters_to_a_signed_record() {
    let server = plant_room().await;
    let url = format!("tcp://{}", server.address());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (config, key, record) = (file("gateway.toml"), file("key.pem"), file("record.json"));

    let scanned = output(&["scan", "--port", &url, "--output", "json"]).await;
    let scanned = json(&scanned);
    assert_eq!(scanned["schema"], "negawatt.scan/1");
    let device = &scanned["places"][0]["devices"][0];
    assert_eq!((device["unit"].as_u64(), device["framing"].as_str(), device["url"].as_str()), (Some(1), Some("tcp"), Some(url.as_str())));
    let identified = json(&output(&["identify", &url, "--output", "json"]).await);
    assert_eq!((identified["schema"].as_str(), identified["best"].as_str()), (Some("negawatt.identify/1"), Some("eastron-sdm630")));

    let data = file("data");
    let told = ["--tenant", "acme", "--facility", "hall", "--broker", "mqtt://127.0.0.1:1", "--data-dir", &data];
    let asked = [&["setup", "--out", &config, "--port", &url, "--no-input"], &told[..]].concat();
    let written = output(&asked).await;
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(output(&["check", "--config", &config]).await.status.code(), Some(0));
    assert_eq!(output(&asked).await.status.code(), Some(69), "an existing file is not overwritten");

    let examined = output(&["doctor", "--config", &config, "--output", "json"]).await;
    let examined = json(&examined);
    assert_eq!((examined["schema"].as_str(), examined["state"].as_str()), (Some("negawatt.doctor/1"), Some("red")));
    let broker = examined["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "broker").unwrap();
    assert!(broker["next"].as_str().unwrap().contains("firewall"));

    let made = output(&["key", &key]).await;
    let public = text(&made.stdout).trim().to_owned();
    assert_eq!((made.status.code(), public.len()), (Some(0), 64));
    let order = ["--device", "meter-1", "--work-order", "WO 1", "--technician", "T", "--key", &key, "--out", &record];
    let quick = ["--watch", "3s", "--reads", "10", "--ct", "200/5"];
    let proven = output(&[&["commission", "--config", &config], &order[..], &quick[..]].concat()).await;
    assert_eq!(proven.status.code(), Some(0), "{}\n{}", text(&proven.stdout), text(&proven.stderr));
    assert!(text(&proven.stdout).starts_with("Commissioning record: usable, with something to look at"), "{}", text(&proven.stdout));

    let shown = output(&["report", &record, "--signed-by", &public]).await;
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).ends_with(&format!("signature holds, key {public}\n")));
    assert_eq!(json(&output(&["report", &record, "--output", "json"]).await)["verified"], true);
    let other = "00".repeat(32);
    assert_eq!(output(&["report", &record, "--signed-by", &other]).await.status.code(), Some(65));
    let forged = std::fs::read_to_string(&record).unwrap().replacen("\"technician\":\"T\"", "\"technician\":\"U\"", 1);
    std::fs::write(&record, forged).unwrap();
    let refused = output(&["report", &record]).await;
    assert_eq!(refused.status.code(), Some(65));
    assert!(text(&refused.stderr).contains("/record/technician was changed after it was signed"), "{}", text(&refused.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_can_be_watched_and_compared_with_the_display() {
    let server = plant_room().await;
    let url = format!("tcp://{}", server.address());
    let lived = output(&["live", &url, "--device", "eastron-sdm630", "--plain", "--count", "1"]).await;
    assert_eq!(lived.status.code(), Some(0), "{}", text(&lived.stderr));
    let lived = text(&lived.stdout);
    assert!(lived.contains("V ok, Hz ok, PF ok, sum P ok, direction ok\n"), "{lived}");
    let volt = lived.lines().find_map(|line| line.strip_prefix("v1 ")).unwrap().split(' ').next().unwrap().to_owned();

    let asked = ["probe", &url, "--device", "eastron-sdm630", "--point", "v1", "--shown", &volt, "--output", "json"];
    let compared = json(&output(&asked).await);
    assert_eq!(compared["schema"], "negawatt.display/1");
    assert_eq!(compared["hypotheses"][0]["says"], "the profile reads it right");
    let lost = output(&["probe", &url, "--device", "eastron-sdm630", "--point", "v1", "--shown", "98765.4"]).await;
    assert_eq!(lost.status.code(), Some(65));
    assert!(text(&lost.stderr).contains("nothing around `v1` is 98765.4"));
}
