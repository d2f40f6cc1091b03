//! Three collectors in one group, from the built program, with PostgreSQL and Mosquitto between them: whichever is killed, every
//! reading is in a store once, and another goes on with its facilities.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use negawatt_tests::program::{free_address, program};
use serde_json::Value;

use crate::{
    database::Database,
    peer::{Peer, http, run, text, until},
    site::{Gateway, Site},
};

const NODES: [&str; 3] = ["ash", "birch", "cedar"];

/// The group: a partition with one facility for each node, which prefers it.
struct Group {
    site: Site,
    broker: SocketAddr,
    database: SocketAddr,
    /// Of each node, and of each partition.
    pages: [(SocketAddr, SocketAddr); 3],
}

impl Group {
    fn config(&self, node: &str) -> PathBuf {
        let Self { site, broker, database, pages } = self;
        let at = NODES.iter().position(|name| *name == node).unwrap();
        let mut text = format!(
            "store = \"{}\"\nlisten = \"{}\"\n[broker]\nurl = \"mqtt://{broker}\"\nshare_group = \"collect\"\n\
             [ingest]\nack_interval = \"50ms\"\nflush_points = 2000\n\
             [cluster]\ndatabase = \"postgres://negawatt@{database}/postgres\"\nnode = \"{node}\"\nlease = \"1500ms\"\nprefer = [\"{node}\"]\n",
            site.path("stores").display(),
            pages[at].0,
        );
        for (name, (_, listen)) in NODES.iter().zip(pages) {
            let partition = format!("name = \"{name}\"\nfacilities = [\"acme/{name}\"]\nlisten = \"{listen}\"\n");
            text.push_str(&format!("[[cluster.partition]]\n{partition}"));
        }
        let file = site.path(&format!("{node}.toml"));
        fs::write(&file, text).unwrap();
        file
    }

    fn node(&self, node: &str, run: usize) -> Peer {
        let log = self.site.path(&format!("{node}-{run}.log"));
        Peer::start(program("negawatt").args(["collector", "run", "--config"]).arg(self.config(node)), &log)
    }

    /// Who has each partition, as a node that runs says.
    fn holders(&self, of: usize) -> Vec<String> {
        let (code, body) = http(self.pages[of].0, "GET", "/v1/cluster", "");
        assert_eq!(code, 200, "{body}");
        let said: Value = serde_json::from_str(&body).unwrap();
        said["partitions"].as_array().unwrap().iter().map(|one| one["node"].as_str().unwrap().to_owned()).collect()
    }

    async fn everybody_has_their_own(&self) {
        for (_, page) in &self.pages {
            let page = *page;
            until("each partition is served", || std::net::TcpStream::connect(page).is_ok()).await;
        }
        until("each has its own partition", || self.holders(0) == NODES).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_collectors_may_be_killed() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new(folder.path());
    let _database = database.start();
    let site = Site::new().await;
    let broker = free_address();
    let _mosquitto = site.mosquitto(broker, "");
    let pages = [(); 3].map(|()| (free_address(), free_address()));
    let group = Group { site, broker, database: database.address, pages };
    let mut nodes = NODES.map(|node| group.node(node, 0));
    for (node, (page, _)) in nodes.iter_mut().zip(&group.pages) {
        node.listening(*page);
    }
    group.everybody_has_their_own().await;
    let mut gateways = Vec::new();
    for name in NODES {
        // Each with a clock and a meter of its own.
        let site = Site::new().await;
        let gateway = site.gateway_of(name, "gateway", &format!("url = \"mqtt://{broker}\"\n"));
        gateways.push((site, gateway));
    }
    let mut minutes = 0;
    for round in 0..6 {
        let victim = round % 3;
        minutes += 30;
        polled(minutes - 10, &gateways).await;
        nodes[victim].child.kill().unwrap();
        let killed = Instant::now();
        polled(minutes, &gateways).await;
        for (_, gateway) in &gateways {
            gateway.confirmed().await;
        }
        eprintln!("round {round}: everything is confirmed {:?} after {} was killed", killed.elapsed(), NODES[victim]);
        let holders = group.holders((victim + 1) % 3);
        assert!(holders[victim] != NODES[victim] && !holders[victim].is_empty(), "{holders:?}");
        nodes[victim] = group.node(NODES[victim], round + 1);
        nodes[victim].listening(group.pages[victim].0);
        group.everybody_has_their_own().await;
    }
    for (_, gateway) in gateways {
        gateway.end().await;
    }
    for node in &mut nodes {
        let id = node.child.id().to_string();
        assert!(run(std::process::Command::new("kill").args(["-TERM", &id])).status.success());
        let begin = Instant::now();
        until("it ends", || node.child.try_wait().unwrap().is_some()).await;
        assert!(node.child.wait().unwrap().success() && begin.elapsed() < Duration::from_secs(10), "{}", node.log());
    }
    for name in NODES {
        group.site.check_in(&format!("stores/{name}"), u64::try_from(minutes).unwrap());
    }
    // Nobody has anything any more, and each partition has changed hands: there and back in each of two rounds.
    let left = database.ask("SELECT count(*) FROM negawatt_collector_lease WHERE holder = '' AND epoch >= 5");
    assert_eq!(left, "3");
}

/// Polls up to a minute with all of them.
async fn polled(minutes: i64, gateways: &[(Site, Gateway)]) {
    for (site, gateway) in gateways {
        site.poll(minutes, gateway).await;
    }
}

#[test]
fn partitions_that_meet_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    let partition = |name: &str, facilities: &str, listen: &str| {
        format!("[[cluster.partition]]\nname = \"{name}\"\nfacilities = [{facilities}]\nlisten = \"{listen}\"\n")
    };
    let config = format!(
        "store = \"s\"\n[broker]\nurl = \"mqtt://127.0.0.1\"\nfacilities = [\"acme\"]\n[write]\nlisten = \"127.0.0.1:1\"\n\
         [cluster]\ndatabase = \"mysql://db\"\nnode = \"a/b\"\nlease = \"1ms\"\nprefer = [\"north\"]\n{}{}{}",
        partition("east", "\"acme/*\"", "127.0.0.1:7501"),
        partition("east", "\"acme/hall\"", "127.0.0.1:7501"),
        partition("west", "\"other/hall\", \"other\"", "localhost"),
    );
    fs::write(&file, config).unwrap();
    let checked = program("negawatt").args(["collector", "check", "--config"]).arg(&file).output().unwrap();
    assert_eq!(checked.status.code(), Some(78));
    insta::assert_snapshot!(text(&checked.stderr).replace(folder.path().to_str().unwrap(), "FOLDER"));
}
