//! A facility with a meter, whose gateway sends to a broker of other people and on to a collector.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use collector::Config as CollectorConfig;
use daemon::Clock;
use gateway::{Config as GatewayConfig, ServeError, Status};
use ids::IdSource;
use simulator::{DrivenClock, Faults, TcpServer};
use store::Reader;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    field::{self, PROFILE},
    peer::{Peer, installed, until},
};

/// Points of the meter.
pub(crate) const POINTS: u64 = 26;

/// A meter, a clock and folders; gateways and a collector are started on it.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    clock: DrivenClock,
    server: TcpServer,
}

pub(crate) struct Gateway {
    pub(crate) status: Arc<Status>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Gateway {
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }

    pub(crate) fn fault(&self) -> String {
        self.status.snapshot().uplink_fault.unwrap_or_default()
    }

    pub(crate) async fn confirmed(&self) {
        until("every reading is confirmed", || self.status.snapshot().backlog == 0).await;
    }
}

pub(crate) struct Collector {
    stop: CancellationToken,
    served: collector::Served,
}

impl Collector {
    /// Where its admin pages are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.served.addr()
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.served.ended().await.unwrap();
    }
}

impl Site {
    pub(crate) async fn new() -> Self {
        let clock = field::clock();
        let server = TcpServer::start(vec![(1, field::meter(&clock))], Faults::seeded(1)).await.unwrap();
        Self { folder: tempfile::tempdir().unwrap(), clock, server }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the gateway with what its table `[broker]` says.
    pub(crate) fn gateway(&self, broker: &str) -> Gateway {
        self.gateway_in("gateway", broker)
    }

    /// Starts a gateway that has its readings elsewhere.
    pub(crate) fn gateway_in(&self, folder: &str, broker: &str) -> Gateway {
        self.gateway_of("hall", folder, broker)
    }

    /// Starts a gateway of another facility, which reads the same meter.
    pub(crate) fn gateway_of(&self, facility: &str, folder: &str, broker: &str) -> Gateway {
        let text = format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"{facility}\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n\
             [spool]\ncommit_interval = \"50ms\"\n[broker]\nack_timeout = \"500ms\"\nspread = \"20ms\"\n{broker}\n\
             [[bus]]\nname = \"plant\"\nkind = \"tcp\"\naddress = \"{}\"\n\
             [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"{PROFILE}\"\n",
            self.path(folder).display(),
            self.server.address()
        );
        let config = GatewayConfig::parse(Path::new("gateway.toml"), &text).unwrap_or_else(|faults| panic!("{faults}"));
        let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let serving = tokio::spawn(gateway::serve(config, clock, IdSource::seeded(1), Arc::clone(&status), stop.clone()));
        Gateway { status, stop, serving }
    }

    pub(crate) async fn collector(&self, broker: SocketAddr) -> Collector {
        let config = CollectorConfig::new(self.path("store"), "127.0.0.1:0".parse().unwrap(), (broker.ip().to_string(), broker.port()));
        let clock: Arc<dyn Clock> = Arc::new(self.clock.follower());
        let stop = CancellationToken::new();
        Collector { served: collector::start(config, clock, stop.clone()).await.unwrap(), stop }
    }

    /// Mosquitto with these lines beside what it always has. It keeps nothing on disk: a session ends with it.
    pub(crate) fn mosquitto(&self, address: SocketAddr, settings: &str) -> Peer {
        let file = self.path("mosquitto.conf");
        let listener = format!("listener {} 127.0.0.1", address.port());
        // Whoever starts it stays its user: another could not read our keys and lists.
        fs::write(&file, format!("user root\npersistence false\nallow_anonymous true\n{listener}\n{settings}")).unwrap();
        let mut peer = Peer::start(Command::new(installed("mosquitto", "mosquitto")).arg("-c").arg(file), &self.path("mosquitto.log"));
        peer.listening(address);
        peer
    }

    /// Polls up to a minute.
    pub(crate) async fn poll(&self, minutes: i64, gateway: &Gateway) {
        self.clock.set_limit(field::minute(minutes));
        let sweeps = u64::try_from(minutes + 1).unwrap();
        until("every minute is in the spool", || gateway.status.snapshot().last_seq == sweeps).await;
    }

    /// Checks that every point of every minute is in the store, once.
    pub(crate) fn check(&self, minutes: u64) {
        self.check_in("store", minutes);
    }

    /// The same of another store.
    pub(crate) fn check_in(&self, store: &str, minutes: u64) {
        let totals = Reader::open(&self.path(store)).unwrap().totals();
        let counters = totals.counters;
        assert_eq!((totals.rows, counters.accepted), ((minutes + 1) * POINTS, (minutes + 1) * POINTS));
        assert_eq!((counters.conflict, counters.dead_letter), (0, 0));
    }
}
