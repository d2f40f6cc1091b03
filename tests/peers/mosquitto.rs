//! Mosquitto as the broker between gateway and collector, killed twice: once while readings pass, once with an hour of them in its queue.
//!
//! It is set to keep nothing on disk, so a kill loses every session and every message it had acknowledged: what arrives then arrives
//! because the gateway keeps a reading until the collector has said that it is durable.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use collector::Config as CollectorConfig;
use daemon::Clock;
use gateway::{Config as GatewayConfig, Status};
use ids::{IdSource, Slug};
use jiff::Timestamp;
use negawatt_tests::program::free_address;
use simulator::{DrivenClock, Faults, Link, Meter, TcpServer};
use store::Reader;
use tokio_util::sync::CancellationToken;
use units::{Measured, Quality};

use crate::{
    field::{self, PROFILE},
    peer::{PATIENCE, Peer, http, installed, until},
};

const POINTS: u64 = 26;
/// Three hours of minutes, both ends included.
const SWEEPS: u64 = 181;

fn mosquitto(folder: &Path, address: SocketAddr) -> Peer {
    let settings = folder.join("mosquitto.conf");
    fs::write(&settings, format!("listener {} 127.0.0.1\nallow_anonymous true\npersistence false\n", address.port())).unwrap();
    let mut peer = Peer::start(Command::new(installed("mosquitto", "mosquitto")).arg("-c").arg(settings), &folder.join("mosquitto.log"));
    peer.listening(address);
    peer
}

fn gateway_config(folder: &Path, broker: SocketAddr, meter: SocketAddr) -> GatewayConfig {
    let text = format!(
        "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n\
         [broker]\nurl = \"mqtt://{broker}\"\nack_timeout = \"500ms\"\n\
         [spool]\ncommit_interval = \"50ms\"\n\
         [[bus]]\nname = \"plant\"\nkind = \"tcp\"\naddress = \"{meter}\"\n\
         [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"{PROFILE}\"\n",
        folder.join("gateway").display()
    );
    GatewayConfig::parse(Path::new("gateway.toml"), &text).unwrap()
}

/// Checks that the store has every point of every minute, as the meter showed it. Gives how many.
fn check(reader: &Reader, meter: &Meter) -> u64 {
    let slug = |text| Slug::parse(text).unwrap();
    let minutes: Vec<i64> = (0..).take(usize::try_from(SWEEPS).unwrap()).map(|count| field::minute(count).as_millisecond()).collect();
    let mut points = 0;
    for info in reader.series(&slug("acme"), &slug("hall")) {
        let samples = reader.scan(info.id, i64::MIN..i64::MAX).unwrap();
        assert_eq!(samples.iter().map(|sample| sample.ts_ms).collect::<Vec<_>>(), minutes, "{}", info.key.point);
        for sample in samples {
            let shown = meter.truth(&info.key.point, Timestamp::from_millisecond(sample.ts_ms).unwrap());
            let stored = sample.raw.map(|raw| Measured { raw, exponent: info.key.exponent, unit: info.key.unit });
            assert_eq!((stored, sample.quality, sample.version), (shown, Quality::GOOD, 0), "{} at {}", info.key.point, sample.ts_ms);
            points += 1;
        }
    }
    points
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_mosquitto_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let broker = free_address();
    let mut mosquitto_runs = Some(mosquitto(folder.path(), broker));
    let clock = DrivenClock::new(field::start(), field::minute(60));
    let meter = field::meter(&clock);
    let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(1)).await.unwrap();

    let stop = CancellationToken::new();
    let store_dir = folder.path().join("store");
    let mut link = Link::to(broker).await.unwrap();
    let address = (link.address().ip().to_string(), link.address().port());
    let config = CollectorConfig::new(store_dir.clone(), "127.0.0.1:0".parse().unwrap(), address);
    let clock_of_collector: Arc<dyn Clock> = Arc::new(clock.follower());
    let collected = collector::start(config, clock_of_collector, stop.clone()).await.unwrap();
    let status = Arc::new(Status::default());
    let config = gateway_config(folder.path(), broker, server.address());
    let served = gateway::serve(config, Arc::new(clock.clone()), IdSource::seeded(1), Arc::clone(&status), stop.clone());
    let served = tokio::spawn(served);

    // Killed as soon as the first readings are through; the second hour is polled without a broker.
    until("the first readings are confirmed", || status.snapshot().acknowledged_seq > 0).await;
    drop(mosquitto_runs.take());
    clock.set_limit(field::minute(120));
    tokio::time::timeout(PATIENCE, clock.reached_limit()).await.unwrap();
    until("the second hour is in the spool", || status.snapshot().last_seq == 121).await;
    let outage = status.snapshot();
    assert!(outage.backlog >= 60 && !outage.connected, "{outage:?}");

    mosquitto_runs.replace(mosquitto(folder.path(), broker));
    until("two hours are confirmed", || status.snapshot().acknowledged_seq == 121).await;

    // The collector is cut off, so mosquitto takes the third hour into its queue, and is killed with it.
    link.cut().await;
    let sent = || {
        let told = status.snapshot();
        told.frames_sent - told.frames_resent
    };
    let before = sent();
    clock.set_limit(field::minute(180));
    until("the third hour is sent", || sent() >= before + 60).await;
    assert_eq!(status.snapshot().acknowledged_seq, 121);
    drop(mosquitto_runs.take());
    mosquitto_runs.replace(mosquitto(folder.path(), broker));
    link.restore().await.unwrap();
    until("every reading is confirmed", || status.snapshot().acknowledged_seq == SWEEPS).await;

    let admin = collected.addr();
    // What is repeated may still be on its way; in the end everything that arrived is accounted for.
    let balanced = move || http(admin, "GET", "/metrics", "").1.lines().any(|line| line == "negawatt_conservation_difference 0");
    let began = Instant::now();
    while !tokio::task::spawn_blocking(balanced).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "what arrived is not accounted for");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    served.await.unwrap().unwrap();
    collected.ended().await.unwrap();
    drop(mosquitto_runs);

    let told = status.snapshot();
    assert_eq!((told.sweeps, told.sweeps_missed, told.points_failed, told.frames_dropped), (SWEEPS, 0, 0, 0));
    assert_eq!((told.points_polled, told.points_acknowledged), (SWEEPS * POINTS, SWEEPS * POINTS));
    let reader = Reader::open(&store_dir).unwrap();
    assert_eq!(check(&reader, &meter), told.points_polled);
    let totals = reader.totals();
    let counters = totals.counters;
    assert_eq!((totals.rows, counters.accepted, counters.conflict, counters.dead_letter), (told.points_polled, told.points_polled, 0, 0));
    // What mosquitto took with it was sent again; what came twice was counted as such, and nothing else was received.
    assert!(told.frames_sent >= counters.batches + 60, "{} frames were sent, {} arrived", told.frames_sent, counters.batches);
    assert_eq!(counters.received(), counters.batches * POINTS);
    assert_eq!(counters.duplicate, counters.repeated_batches * POINTS);
}
