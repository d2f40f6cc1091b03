//! What the collector is told when it starts.

mod cluster;
mod quota;
mod retention;
mod vee;
mod write;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{ByteSizeText, DurationText, Fault, Faults, FromMachine, Secret, SecretRef, SecretSource};
use otlp::{OtlpConfig, RawOtlp};
use serde::Deserialize;
use sinks::{RawSink, SinkConfig};

pub use cluster::{ClusterConfig, PartitionConfig};
pub use ids::FacilityFilter;
pub use quota::QuotaRule;
pub use retention::RetentionRule;
pub(crate) use retention::rule;
pub use vee::{FacilityRules, VeeConfig};
pub use write::{Names, PointRule, WriteConfig, WriteToken};

/// A valid configuration, secrets fetched.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the store.
    pub store: PathBuf,
    /// Where the admin pages listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host and port of the MQTT 5 broker.
    pub broker: (String, u16),
    /// Two collectors with one id would throw each other out.
    pub client_id: String,
    pub login: Option<Login>,
    /// Collectors of one group divide the gateways' messages among them. They must not share a store.
    pub share_group: Option<String>,
    /// What is read and taken; everything when empty.
    pub facilities: Vec<FacilityFilter>,
    /// Messages that the broker may send ahead of our PUBACKs.
    pub receive_maximum: u16,
    /// How long the broker keeps messages for a collector that is away. Longer is of no use: gateways keep them too.
    pub session_expiry: Duration,
    /// A gateway is told what is durable at most this often.
    pub ack_interval: Duration,
    /// How long a commit waits for more messages to join it.
    pub commit_interval: Duration,
    /// Messages in one commit.
    pub commit_messages: usize,
    /// A reading that is further in the future than this is refused; any age is accepted.
    pub clock_ahead_max: Duration,
    /// What one gateway may bring; its frames beyond it are not acknowledged, and come again. No limit when there is none.
    pub points_per_second: Option<u32>,
    /// Longer messages are dead letters.
    pub message_bytes_max: usize,
    /// Readings in memory before they are moved to segments: about 50 bytes each.
    pub flush_rows: usize,
    /// Readings of a series in a month from which on its quarters of an hour are kept as a file.
    pub quarters_from: u64,
    /// What the readings of a tenant may come to, over MQTT and HTTP together. No limit when there is none.
    pub quotas: Vec<QuotaRule>,
    /// Who may write over HTTP.
    pub write: WriteConfig,
    /// Where readings are copied to.
    pub sinks: Vec<SinkConfig>,
    /// Validation, estimation, completeness.
    pub vee: VeeConfig,
    /// What may go, when somebody says so. Everything is kept when there is none.
    pub retention: Vec<RetentionRule>,
    /// Where our metrics are pushed to.
    pub otlp: Option<OtlpConfig>,
    /// The group that divides the facilities; each part is a collector with a store of its own.
    pub cluster: Option<ClusterConfig>,
}

/// How we are known to the broker.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: Secret,
}

impl Config {
    /// The defaults, for a store, an admin address and a broker.
    #[must_use]
    pub fn new(store: PathBuf, listen: SocketAddr, broker: (String, u16)) -> Self {
        Self {
            store,
            listen,
            broker,
            client_id: default_client_id(),
            login: None,
            share_group: None,
            facilities: Vec::new(),
            receive_maximum: default_receive_maximum(),
            session_expiry: default_session_expiry().duration(),
            ack_interval: default_ack_interval().duration(),
            commit_interval: default_commit_interval().duration(),
            commit_messages: default_commit_messages(),
            clock_ahead_max: default_clock_ahead().duration(),
            points_per_second: None,
            message_bytes_max: 1 << 20,
            flush_rows: default_flush_points(),
            quarters_from: store::Options::default().quarters_from,
            quotas: Vec::new(),
            write: WriteConfig::default(),
            sinks: Vec::new(),
            vee: VeeConfig::default(),
            retention: Vec::new(),
            otlp: None,
            cluster: None,
        }
    }

    /// Loads a file and fetches the secrets it refers to.
    ///
    /// * Errors: all faults at once.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        config::load(path, |raw, faults| validate(raw, &FromMachine, faults))
    }

    /// As [`load`](Self::load), of a text; secrets come from `secrets`.
    pub fn parse(file: &Path, text: &str, secrets: &dyn SecretSource) -> Result<Self, Faults> {
        config::parse(file, text, &[], |raw, faults| validate(raw, secrets, faults))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    store: PathBuf,
    #[serde(default = "default_listen")]
    listen: String,
    broker: RawBroker,
    #[serde(default)]
    ingest: RawIngest,
    #[serde(default)]
    quota: Vec<quota::RawQuota>,
    #[serde(default)]
    write: write::RawWrite,
    #[serde(default)]
    sink: Vec<RawSink>,
    #[serde(default)]
    vee: vee::RawVee,
    #[serde(default)]
    retention: Vec<retention::RawRetention>,
    otlp: Option<RawOtlp>,
    cluster: Option<cluster::RawCluster>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBroker {
    url: String,
    #[serde(default = "default_client_id")]
    client_id: String,
    user: Option<String>,
    password: Option<SecretRef>,
    share_group: Option<String>,
    #[serde(default)]
    facilities: Vec<String>,
    #[serde(default = "default_receive_maximum")]
    receive_maximum: u16,
    #[serde(default = "default_session_expiry")]
    session_expiry: DurationText,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIngest {
    ack_interval: DurationText,
    commit_interval: DurationText,
    commit_messages: usize,
    clock_ahead_max: DurationText,
    points_per_second: Option<u32>,
    message_bytes_max: ByteSizeText,
    flush_points: usize,
}

impl Default for RawIngest {
    fn default() -> Self {
        Self {
            ack_interval: default_ack_interval(),
            commit_interval: default_commit_interval(),
            commit_messages: default_commit_messages(),
            clock_ahead_max: default_clock_ahead(),
            points_per_second: None,
            message_bytes_max: ByteSizeText::from_bytes(1 << 20),
            flush_points: default_flush_points(),
        }
    }
}

fn default_listen() -> String {
    "127.0.0.1:7500".to_owned()
}

fn default_client_id() -> String {
    "negawatt-collector".to_owned()
}

const fn default_receive_maximum() -> u16 {
    512
}

const fn default_session_expiry() -> DurationText {
    DurationText::from_secs(60)
}

const fn default_ack_interval() -> DurationText {
    DurationText::from_secs(1)
}

const fn default_commit_interval() -> DurationText {
    DurationText::from_millis(5)
}

const fn default_commit_messages() -> usize {
    512
}

const fn default_clock_ahead() -> DurationText {
    DurationText::from_secs(600)
}

const fn default_flush_points() -> usize {
    250_000
}

const MESSAGE_BYTES_MAX: u64 = 16 << 20;
const MQTT_PORT: u16 = 1883;

fn validate(raw: Raw, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<Config> {
    let store = raw.store;
    let listen = faults.keep(raw.listen.parse().map_err(|_unread| {
        Fault::at("listen", format_args!("\"{}\" is not an address", raw.listen)).allowed("an IP address and a port, like 127.0.0.1:7500")
    }));
    let broker = faults.keep(host_and_port(&raw.broker.url));
    let login = login(&raw.broker, secrets, faults);
    for (key, name) in [("broker.client_id", Some(&raw.broker.client_id)), ("broker.share_group", raw.broker.share_group.as_ref())] {
        if name.is_some_and(|name| name.is_empty() || name.contains(['/', '+', '#', '$'])) {
            faults.add(Fault::at(key, "has a character that means something in a topic, or none at all").allowed("text without / + # $"));
        }
    }
    if raw.broker.receive_maximum == 0 {
        faults.add(Fault::at("broker.receive_maximum", "0 would let nothing in").allowed("1–65535"));
    }
    let RawIngest { commit_messages, message_bytes_max, flush_points, .. } = raw.ingest;
    if commit_messages == 0 {
        faults.add(Fault::at("ingest.commit_messages", "0 would commit nothing").allowed("1 or more"));
    }
    if raw.ingest.points_per_second == Some(0) {
        faults.add(Fault::at("ingest.points_per_second", "0 would let nothing in").allowed("1 or more"));
    }
    if flush_points == 0 {
        faults.add(Fault::at("ingest.flush_points", "0 would keep nothing in memory").allowed("1 or more"));
    }
    if !(1..=MESSAGE_BYTES_MAX).contains(&message_bytes_max.bytes()) {
        faults.add(Fault::at("ingest.message_bytes_max", format_args!("{message_bytes_max} is not a useful limit")).allowed("1B–16MiB"));
    }
    let quotas = quota::validate(raw.quota, faults);
    let write = write::validate(raw.write, secrets, faults);
    let sinks = sinks::validate(raw.sink, secrets, faults);
    let vee = vee::validate(raw.vee, faults);
    let retention = retention::validate(raw.retention, faults);
    let otlp = raw.otlp.map(|raw| otlp::validate(raw, secrets, faults));
    let facilities = cluster::filters("broker.facilities", &raw.broker.facilities, faults);
    let cluster = match raw.cluster {
        Some(raw) => Some(cluster::validate(raw, &store, secrets, faults)?),
        None => None,
    };
    if cluster.is_some() && cfg!(not(feature = "cluster")) {
        faults.add(Fault::at("cluster", "this program was built without it").help("build it with the feature `cluster`"));
    }
    if cluster.is_some() && !facilities.is_empty() {
        faults.add(Fault::at("broker.facilities", "the partitions of the cluster say what is read").help("leave it out"));
    }
    if cluster.is_some() && write.as_ref().is_some_and(|write| write.listen.is_some()) {
        faults.add(Fault::at("write.listen", "each partition of the cluster takes lines at its own address").help("leave it out"));
    }
    let (listen, broker, write, sinks) = (listen?, broker?, write?, sinks?);
    faults.is_empty().then(|| Config {
        client_id: raw.broker.client_id,
        login,
        share_group: raw.broker.share_group,
        facilities,
        receive_maximum: raw.broker.receive_maximum,
        session_expiry: raw.broker.session_expiry.duration(),
        ack_interval: raw.ingest.ack_interval.duration(),
        commit_interval: raw.ingest.commit_interval.duration(),
        commit_messages,
        clock_ahead_max: raw.ingest.clock_ahead_max.duration(),
        points_per_second: raw.ingest.points_per_second,
        message_bytes_max: usize::try_from(message_bytes_max.bytes()).unwrap_or(usize::MAX),
        flush_rows: flush_points,
        quarters_from: store::Options::default().quarters_from,
        quotas,
        write,
        sinks,
        vee,
        retention,
        otlp: otlp.flatten(),
        cluster,
        ..Config::new(store, listen, broker)
    })
}

fn host_and_port(url: &str) -> Result<(String, u16), Fault> {
    let parts = url.strip_prefix("mqtt://").map(|rest| rest.trim_end_matches('/')).and_then(|rest| match rest.rsplit_once(':') {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None => Some((rest.to_owned(), MQTT_PORT)),
    });
    parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
        Fault::at("broker.url", format_args!("\"{url}\" is not the address of a broker"))
            .allowed("mqtt://HOST:PORT, the usual port is 1883")
    })
}

fn login(raw: &RawBroker, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<Login> {
    match (&raw.user, &raw.password) {
        (None, None) => None,
        (Some(user), Some(password)) => {
            let fault = |err| Fault::at("broker.password", daemon::chain(&err));
            let password = faults.keep(password.resolve(secrets).map_err(fault))?;
            Some(Login { user: user.clone(), password })
        }
        (Some(_), None) => {
            faults.add(Fault::at("broker.password", "a user needs a password").help("add password = { env = \"NAME\" }"));
            None
        }
        (None, Some(_)) => {
            faults.add(Fault::at("broker.user", "a password needs a user").help("add user = \"name\""));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, Faults> {
        Config::parse(Path::new("collector.toml"), text, &FromMachine)
    }

    #[test]
    fn the_example_is_the_defaults() {
        let example = include_str!("../../config/examples/collector.toml");
        let config = parsed(example).unwrap();
        let defaults = Config::new("negawatt-data/store".into(), "127.0.0.1:7500".parse().unwrap(), ("127.0.0.1".to_owned(), 1883));
        assert_eq!(format!("{config:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn a_facilitys_own_rule_goes_before_the_rule_of_all() {
        let slug = |text: &str| ids::Slug::parse(text).unwrap();
        let text = |rules: &str| format!("store = \"s\"\n[broker]\nurl = \"mqtt://b\"\n{rules}");
        let rules =
            "[[retention]]\nkeep = \"730d\"\n[[retention]]\ntenant = \"acme\"\nfacility = \"hall\"\nkeep = \"3650d\"\narchive = \"a\"\n";
        let config = parsed(&text(rules)).unwrap();
        let days = |facility: &str| rule(&config.retention, &slug("acme"), &slug(facility)).unwrap().keep.as_secs() / 86_400;
        assert_eq!((days("hall"), days("other")), (3_650, 730));
        for (wrong, said) in [("keep = \"30d\"", "too short"), ("keep = \"99d\"\ntenant = \"acme\"", "names a tenant or a facility alone")]
        {
            let faults = parsed(&text(&format!("[[retention]]\n{wrong}\n"))).unwrap_err().to_string();
            assert!(faults.contains(said) && faults.contains("retention[0]"), "{faults}");
        }
    }

    #[test]
    fn a_quota_limits_something_and_somebody_once() {
        let text = |quotas: &str| format!("store = \"s\"\n[broker]\nurl = \"mqtt://b\"\n{quotas}");
        let config = parsed(&text("[[quota]]\nseries = 100\n[[quota]]\ntenant = \"acme\"\npoints_per_second = 5\n")).unwrap();
        let acme = ids::Slug::parse("acme").unwrap();
        let expected = [(None, None, Some(100)), (Some(acme), Some(5), None)];
        assert_eq!(config.quotas, expected.map(|(tenant, points_per_second, series)| QuotaRule { tenant, points_per_second, series }));
        let wrong = "[[quota]]\n[[quota]]\nseries = 0\n[[quota]]\ntenant = \"a\"\npoints_per_second = 0\n";
        let faults = parsed(&text(wrong)).unwrap_err().to_string();
        let keys =
            ["quota[0]: limits nothing", "quota[1].series: 0 is", "quota[1].tenant: the same", "quota[2].points_per_second: 0 would"];
        assert!(keys.iter().all(|key| faults.contains(key)) && faults.starts_with("error: 4 faults"), "{faults}");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = r#"
store  = "s"
listen = "localhost"

[broker]
url             = "localhost"
client_id       = "a/b"
user            = "me"
receive_maximum = 0
qos             = 2

[ingest]
commit_messages = 0
"#;
        insta::assert_snapshot!(parsed(text).unwrap_err());
    }
}
