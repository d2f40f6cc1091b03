//! VictoriaMetrics takes our lines. It says yes to what it has only in memory: what it forgets is found and sent again.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use sinks::{DAY_MS, InfluxConfig, ReadApi, Reconciled, Target, TargetConfig};
use store::Reader;

use crate::peer::{Peer, http, installed};
use crate::rig::{DAY, Rig};

fn start(address: SocketAddr, folder: &std::path::Path) -> Peer {
    let mut command = Command::new(installed("victoria-metrics", "victoria-metrics"));
    command.arg(format!("-httpListenAddr={address}")).arg(format!("-storageDataPath={}", folder.join("data").display()));
    // What is sent again is the same reading, and counts once; our readings are older than its usual month.
    command.args(["-dedup.minScrapeInterval=1ms", "-retentionPeriod=100y", "-memory.allowedBytes=64MiB", "-loggerLevel=WARN"]);
    let mut peer = Peer::start(&mut command, &folder.join("victoria-metrics.log"));
    peer.listening(address);
    peer
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn reconcile(rig: &Rig, address: SocketAddr, repair: bool) -> Reconciled {
    let rows = Target::new(&rig.config).unwrap().rows().unwrap();
    let flush = tokio::task::spawn_blocking(move || http(address, "GET", "/internal/force_flush", "").0).await.unwrap();
    assert_eq!(flush, 200);
    let reader = Reader::open(rig.folder.path()).unwrap();
    sinks::reconcile(&rig.config, &rows, &reader, DAY, DAY + 2 * DAY_MS, repair).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn victoria_metrics_has_every_reading_once_and_is_mended_after_it_forgot() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut peer = start(address, folder.path());
    let mut rig = Rig::new(TargetConfig::Influx(InfluxConfig {
        url: format!("http://{address}"),
        org: String::new(),
        bucket: String::new(),
        token: None,
        timeout: Duration::from_secs(5),
        read_api: ReadApi::VictoriaMetrics,
        create_bucket: false,
    }));
    rig.config.batch_rows = 1_000;
    rig.commit("one", 0..2_000, 0);
    rig.start();
    rig.caught_up().await;
    // Everything once more, as after a crash: and everything is there once.
    sinks::ask_to_rewind(rig.folder.path(), "copy", 0).unwrap();
    rig.until("it is sent again", |rig| rig.status().written == 4_000).await;
    let same = reconcile(&rig, address, false).await;
    assert_eq!(same, Reconciled { compared: 2, ..Reconciled::default() }, "{}", peer.log());
    // It says yes, and dies with what it has in memory.
    rig.commit("two", 0..2_000, 7);
    rig.caught_up().await;
    drop(peer);
    rig.commit("three", 0..500, 9);
    rig.until("it sees that nobody is there", |rig| rig.status().problem.is_some()).await;
    peer = start(address, folder.path());
    rig.caught_up().await;
    let forgot = reconcile(&rig, address, false).await;
    assert_eq!(forgot.compared, 5, "{}", peer.log());
    assert!(forgot.different >= 2 && forgot.unresolved.iter().any(|difference| difference.device == "two"), "{forgot:?}");
    let mended = reconcile(&rig, address, true).await;
    assert_eq!(mended.different, forgot.different, "{mended:?}");
    let whole = reconcile(&rig, address, false).await;
    assert_eq!((whole.different, whole.compared), (0, 5), "{whole:?}");
    rig.stop().await;
}
