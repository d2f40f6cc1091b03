//! The uplink against brokers of other people: one that refuses, that has nobody to give a reading to, that stops reading, that
//! answers in another order, and another one, killed and started again. Whatever happens, every reading is in the store once.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use negawatt_tests::program::free_address;

use crate::{
    cable::{Cable, Hands},
    peer::{Peer, aedes, until},
    site::Site,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_refuses_readings_is_told_of_and_gets_them_when_it_takes_them() {
    let site = Site::new().await;
    let address = free_address();
    let acl = |rights: &str| {
        let own = "nw/1/acme/hall/gw-1";
        format!("topic readwrite #\nuser gw-1\ntopic write {own}/state\ntopic write {own}/event\ntopic read {own}/ack\n{rights}")
    };
    fs::write(site.path("acl"), acl("")).unwrap();
    let broker = site.mosquitto(address, &format!("acl_file {}\n", site.path("acl").display()));
    let collector = site.collector(address).await;
    let gateway = site.gateway(&format!("url = \"mqtt://{address}\"\nusername = \"gw-1\"\n"));
    site.poll(60, &gateway).await;
    until("the refusal is told", || gateway.fault().contains("0x87")).await;
    let told = gateway.status.snapshot();
    assert!(told.connected && told.backlog == 61 && told.frames_dropped == 0, "{told:?}");
    // It is left alone: a first go, and then one frame at a time.
    assert!(told.frames_sent < 200, "{told:?}");
    fs::write(site.path("acl"), acl("topic write nw/1/acme/hall/gw-1/data\n")).unwrap();
    assert!(Command::new("kill").args(["-HUP", &broker.child.id().to_string()]).status().unwrap().success());
    gateway.confirmed().await;
    assert_eq!(gateway.fault(), "");
    gateway.end().await;
    collector.end().await;
    site.check(60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_quota_is_used_up_gets_the_readings_later() {
    let site = Site::new().await;
    let address = free_address();
    let _broker = site.mosquitto(address, "");
    let collector = site.collector(address).await;
    let cable = Cable::to(address).await;
    let gateway = site.gateway(&format!("url = \"mqtt://{}\"\n", cable.address));
    site.poll(10, &gateway).await;
    gateway.confirmed().await;
    cable.hands.send_replace(Hands::Refuse(0x97));
    site.poll(300, &gateway).await;
    until("the refusal is told", || gateway.fault().contains("0x97, quota exceeded")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = gateway.status.snapshot();
    assert!(told.connected && told.backlog == 290 && told.frames_dropped == 0, "{told:?}");
    assert!((1..100).contains(&cable.refused()), "{} readings were offered to a broker that is full", cable.refused());
    cable.hands.send_replace(Hands::Off);
    gateway.confirmed().await;
    assert_eq!((gateway.fault().as_str(), cable.connections()), ("", 1));
    gateway.end().await;
    collector.end().await;
    site.check(300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_in_another_order_stop_nothing() {
    let site = Site::new().await;
    let address = free_address();
    let _broker = site.mosquitto(address, "");
    let collector = site.collector(address).await;
    let cable = Cable::to(address).await;
    cable.hands.send_replace(Hands::Reverse);
    let gateway = site.gateway(&format!("url = \"mqtt://{}\"\n", cable.address));
    site.poll(1_440, &gateway).await;
    gateway.confirmed().await;
    assert!(cable.reversed() > 300, "only {} answers were overtaken", cable.reversed());
    // The client never came to the point at which it waits for a packet id for good.
    assert_eq!((cable.connections(), gateway.fault().as_str()), (1, ""));
    gateway.end().await;
    collector.end().await;
    site.check(1_440);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_a_collector_is_probed_and_the_readings_wait() {
    let site = Site::new().await;
    let address = free_address();
    let _broker = site.mosquitto(address, "");
    let gateway = site.gateway(&format!("url = \"mqtt://{address}\"\n"));
    site.poll(600, &gateway).await;
    until("it is told that nobody listens", || gateway.fault().contains("nobody who listens")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = gateway.status.snapshot();
    assert_eq!((told.backlog, told.frames_dropped), (601, 0));
    assert!(told.frames_sent < 300, "{} frames were sent to nobody", told.frames_sent);
    let collector = site.collector(address).await;
    gateway.confirmed().await;
    gateway.end().await;
    collector.end().await;
    site.check(600);
}

/// With the shortest keep-alive there is, so that the test need not wait a minute for what a usual one takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_through_which_nothing_moves_is_given_up_in_time_and_polling_goes_on() {
    let site = Site::new().await;
    let address = free_address();
    let _broker = site.mosquitto(address, "");
    let collector = site.collector(address).await;
    let cable = Cable::to(address).await;
    let gateway = site.gateway(&format!("url = \"mqtt://{}\"\nkeep_alive = \"5s\"\n", cable.address));
    site.poll(60, &gateway).await;
    gateway.confirmed().await;
    cable.hands.send_replace(Hands::Stall);
    let begin = Instant::now();
    site.poll(600, &gateway).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "polling waited for the uplink");
    until("the connection is given up", || !gateway.status.snapshot().connected).await;
    let patience = begin.elapsed();
    println!("given up after {:.1} s with a keep-alive of 5 s", patience.as_secs_f64());
    assert!(patience < Duration::from_secs(11), "{patience:?}");
    cable.hands.send_replace(Hands::Off);
    gateway.confirmed().await;
    assert!(cable.connections() >= 2);
    gateway.end().await;
    collector.end().await;
    site.check(600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_another_broker_is_killed() {
    let site = Site::new().await;
    let address = free_address();
    let start = || {
        let mut peer = Peer::start(&mut aedes(address.port()), &site.path("aedes.log"));
        peer.listening(address);
        peer
    };
    let mut broker = Some(start());
    let collector = site.collector(address).await;
    let gateway = site.gateway(&format!("url = \"mqtt://{address}\"\n"));
    for hour in 1..=3 {
        site.poll(60 * hour, &gateway).await;
        let before = 60 * u64::try_from(hour - 1).unwrap();
        until("readings are confirmed", || gateway.status.snapshot().acknowledged_seq > before).await;
        drop(broker.take());
        site.poll(60 * hour + 30, &gateway).await;
        broker = Some(start());
    }
    gateway.confirmed().await;
    gateway.end().await;
    collector.end().await;
    drop(broker);
    site.check(210);
}
