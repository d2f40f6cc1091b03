//! Several collectors that divide facilities among themselves.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{DurationText, Fault, Faults, Secret, SecretRef, SecretSource};
use ids::{FacilityFilter, FacilityFilterError, Slug};
use serde::Deserialize;

/// The part of this process in a group that divides facilities by leases.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// `postgres://USER@HOST:PORT/DATABASE`, without a password.
    pub database: String,
    pub password: Option<Secret>,
    /// The name of this process in the group.
    pub node: String,
    /// A collector that is not heard of for so long has lost its partitions.
    pub lease: Duration,
    /// Partitions that come here whenever this process runs; others only when nobody else wants them.
    pub prefer: Vec<Slug>,
    pub partitions: Vec<PartitionConfig>,
}

/// Facilities that are always read by one collector together, into one store.
#[derive(Clone, Debug)]
pub struct PartitionConfig {
    pub name: Slug,
    pub facilities: Vec<FacilityFilter>,
    /// On a disk that every process of the group reaches, and that keeps locks of files.
    pub store: PathBuf,
    /// Health, metrics and line protocol of whoever has it.
    pub listen: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCluster {
    database: String,
    password: Option<SecretRef>,
    node: String,
    #[serde(default = "default_lease")]
    lease: DurationText,
    #[serde(default)]
    prefer: Vec<Slug>,
    #[serde(default)]
    partition: Vec<RawPartition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPartition {
    name: Slug,
    facilities: Vec<String>,
    store: Option<PathBuf>,
    listen: String,
}

const fn default_lease() -> DurationText {
    DurationText::from_secs(2)
}

const LEASE_MIN: Duration = Duration::from_millis(500);
const LEASE_MAX: Duration = Duration::from_secs(60);

/// The facilities of a list; every one that cannot be read is a fault of `key`.
pub(super) fn filters(key: &str, texts: &[String], faults: &mut Faults) -> Vec<FacilityFilter> {
    let read = |text: &String| text.parse().map_err(|err: FacilityFilterError| Fault::at(key, err).allowed(FacilityFilter::ALLOWED));
    texts.iter().filter_map(|text| faults.keep(read(text))).collect()
}

pub(super) fn validate(raw: RawCluster, store: &Path, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<ClusterConfig> {
    if !raw.database.starts_with("postgres://") {
        faults.add(Fault::at("cluster.database", "is not the address of a database").allowed("postgres://USER@HOST:PORT/DATABASE"));
    }
    let password = raw
        .password
        .as_ref()
        .and_then(|password| faults.keep(password.resolve(secrets).map_err(|err| Fault::at("cluster.password", daemon::chain(&err)))));
    if raw.node.is_empty() || raw.node.contains('/') {
        faults.add(Fault::at("cluster.node", "is no name").allowed("text without /"));
    }
    let lease = raw.lease.duration();
    if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
        faults.add(Fault::at("cluster.lease", "is too short to be kept, or too long to be waited for").allowed("500ms–60s"));
    }
    let partitions: Vec<_> = raw.partition.into_iter().filter_map(|one| partition(one, store, faults)).collect();
    if partitions.is_empty() {
        faults.add(Fault::at("cluster.partition", "there is none").help("add [[cluster.partition]] with name, facilities and listen"));
    }
    for (at, one) in partitions.iter().enumerate() {
        for other in partitions.iter().take(at) {
            apart(one, other, faults);
        }
    }
    for name in raw.prefer.iter().filter(|name| !partitions.iter().any(|one| one.name == **name)) {
        faults.add(Fault::at("cluster.prefer", format_args!("\"{name}\" is the name of no partition")));
    }
    Some(ClusterConfig { database: raw.database, password, node: raw.node, lease, prefer: raw.prefer, partitions })
}

fn partition(raw: RawPartition, store: &Path, faults: &mut Faults) -> Option<PartitionConfig> {
    let facilities = filters("cluster.partition.facilities", &raw.facilities, faults);
    if raw.facilities.is_empty() {
        faults.add(Fault::at("cluster.partition.facilities", format_args!("partition \"{}\" has none", raw.name)));
    }
    let listen = faults.keep(raw.listen.parse().map_err(|_unread| {
        Fault::at("cluster.partition.listen", format_args!("\"{}\" is not an address", raw.listen))
            .allowed("an IP address and a port, like 127.0.0.1:7501")
    }))?;
    let store = raw.store.unwrap_or_else(|| store.join(raw.name.as_str()));
    Some(PartitionConfig { name: raw.name, facilities, store, listen })
}

/// Two that have something in common would keep the same readings twice, or wait for each other.
fn apart(one: &PartitionConfig, other: &PartitionConfig, faults: &mut Faults) {
    let mut both = |key: &str, what: &dyn fmt::Display| {
        let text = format!("{what} is of \"{}\" and of \"{}\"", other.name, one.name);
        faults.add(Fault::at(format!("cluster.partition.{key}"), text));
    };
    if one.name == other.name {
        both("name", &"this name");
    }
    if one.store == other.store {
        both("store", &one.store.display());
    }
    if one.listen == other.listen && one.listen.port() != 0 {
        both("listen", &one.listen);
    }
    if let Some(met) = one.facilities.iter().find(|filter| other.facilities.iter().any(|their| their.meets(filter))) {
        both("facilities", met);
    }
}
