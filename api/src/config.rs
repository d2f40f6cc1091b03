//! What the API is told when it starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Fault, Faults, FromMachine, Secret, SecretRef, SecretSource};
use ids::{FacilityFilter, FacilityFilterError, Slug};
use otlp::{OtlpConfig, RawOtlp};
use serde::Deserialize;

/// Shortest API key accepted: it is the only thing between a stranger and a tenant's books.
const KEY_LENGTH_MIN: usize = 20;
/// Every API key starts so, which lets people and scanners recognise one.
pub(crate) const KEY_PREFIX: &str = "nwk_";

/// A valid configuration, secrets fetched.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SQLite file.
    pub database: PathBuf,
    /// The folder of the reading store, which the collector writes.
    pub store: PathBuf,
    /// The stores of a group of collectors: what of facilities that none of these has is in the one above.
    pub partitions: Vec<Partition>,
    /// Where evidence bundles are written.
    pub evidence: PathBuf,
    /// The collector's admin address, for the status page (`http://127.0.0.1:7500`); none leaves its counters out.
    pub collector: Option<String>,
    /// Whether `GET /` shows the status page.
    pub status_page: StatusPage,
    /// The payment processor; without one everything works up to the issued invoice.
    pub stripe: Option<Stripe>,
    /// The tenants to make sure of at start, each with the key that bootstraps it.
    pub tenants: Vec<Tenant>,
    /// Where our metrics are pushed to.
    pub otlp: Option<OtlpConfig>,
    /// The device profiles that evidence bundles carry. No file says them: whoever composes the program knows them.
    pub profiles: Vec<DeviceProfile>,
}

/// Facilities whose readings a group of collectors keeps in a store of their own.
#[derive(Clone, Debug)]
pub struct Partition {
    pub facilities: Vec<FacilityFilter>,
    pub store: PathBuf,
}

/// A device profile as evidence carries it. What it means is not ours to know: the API never decodes a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProfile {
    /// Its id, such as `eastron-sdm630`.
    pub id: String,
    /// The hash by which gateways name it, 64 hexadecimal digits.
    pub hash: String,
    /// Its text.
    pub text: String,
}

/// Whether `GET /` shows the status page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusPage {
    /// Everybody who reaches the address sees it. It shows names and sums, never keys or bank details.
    #[default]
    Public,
    /// Nobody sees it.
    Off,
}

/// The payment processor.
#[derive(Clone, Debug)]
pub struct Stripe {
    /// Its address; a simulator's in tests and demonstrations.
    pub base_url: String,
    /// The secret key.
    pub secret_key: Secret,
    /// The signing secrets of our webhook endpoint: the current one, and the old one while it is rolled.
    pub webhook_secrets: Vec<Secret>,
}

/// A tenant made sure of at start.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its short name, as in topics and in the store.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// Its first admin key, `nwk_…`.
    pub admin_key: Secret,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "default_listen")]
    listen: String,
    database: PathBuf,
    store: PathBuf,
    #[serde(default)]
    partition: Vec<RawPartition>,
    evidence: PathBuf,
    collector: Option<String>,
    #[serde(default)]
    status_page: StatusPage,
    stripe: Option<RawStripe>,
    otlp: Option<RawOtlp>,
    tenants: Vec<RawTenant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPartition {
    facilities: Vec<String>,
    store: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStripe {
    #[serde(default = "default_stripe")]
    base_url: String,
    secret_key: SecretRef,
    webhook_secrets: Vec<SecretRef>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenant {
    slug: String,
    name: String,
    admin_key: SecretRef,
}

fn default_listen() -> String {
    "127.0.0.1:7600".to_owned()
}

fn default_stripe() -> String {
    stripe::LIVE_URL.to_owned()
}

impl Config {
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

fn validate(raw: Raw, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<Config> {
    let listen = faults.keep(raw.listen.parse().map_err(|_| {
        Fault::at("listen", format_args!("\"{}\" is not an address to listen on", raw.listen))
            .allowed("an IP address and a port, like \"127.0.0.1:7600\"; port 0 takes a free one")
    }));
    let partitions: Vec<_> = (0..).zip(raw.partition).map(|(index, partition)| validate_partition(index, partition, faults)).collect();
    apart(&partitions, faults);
    let collector = raw.collector.map(|url| faults.keep(address("collector", url)));
    let stripe = raw.stripe.map(|raw| validate_stripe(raw, secrets, faults));
    let otlp = raw.otlp.map(|raw| otlp::validate(raw, secrets, faults));
    if raw.tenants.is_empty() {
        faults.add(Fault::at("tenants", "no tenant is named").help("add a [[tenants]] section with slug, name and admin_key"));
    }
    let tenants: Vec<_> = (0..).zip(raw.tenants).map(|(index, tenant)| validate_tenant(index, tenant, secrets, faults)).collect();
    Some(Config {
        listen: listen?,
        database: raw.database,
        store: raw.store,
        partitions,
        evidence: raw.evidence,
        collector: match collector {
            Some(checked) => Some(checked?),
            None => None,
        },
        status_page: raw.status_page,
        stripe: match stripe {
            Some(checked) => Some(checked?),
            None => None,
        },
        tenants: tenants.into_iter().collect::<Option<_>>()?,
        otlp: otlp.flatten(),
        profiles: Vec::new(),
    })
}

fn validate_partition(index: usize, raw: RawPartition, faults: &mut Faults) -> Partition {
    let key = format!("partition[{index}].facilities");
    if raw.facilities.is_empty() {
        faults.add(Fault::at(&key, "no facility is named").allowed(FacilityFilter::ALLOWED));
    }
    let read = |text: &String| text.parse().map_err(|err: FacilityFilterError| Fault::at(&key, err).allowed(FacilityFilter::ALLOWED));
    Partition { facilities: raw.facilities.iter().filter_map(|text| faults.keep(read(text))).collect(), store: raw.store }
}

/// A facility of two would be looked for in one of them alone.
fn apart(partitions: &[Partition], faults: &mut Faults) {
    for (index, one) in partitions.iter().enumerate() {
        let earlier = || partitions.iter().take(index).flat_map(|other| &other.facilities);
        for met in one.facilities.iter().filter(|filter| earlier().any(|other| other.meets(filter))) {
            faults.add(Fault::at(format_args!("partition[{index}].facilities"), format_args!("{met} is of an earlier partition too")));
        }
    }
}

fn validate_stripe(raw: RawStripe, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<Stripe> {
    let base_url = faults.keep(address("stripe.base_url", raw.base_url));
    let secret_key = faults.keep(secret("stripe.secret_key", &raw.secret_key, secrets));
    if raw.webhook_secrets.is_empty() {
        faults.add(
            Fault::at("stripe.webhook_secrets", "no signing secret is named")
                .help("name the endpoint's whsec_ secret; while it is rolled, name the old one too"),
        );
    }
    let webhook_secrets: Vec<_> = (0..)
        .zip(&raw.webhook_secrets)
        .map(|(index, reference)| faults.keep(secret(&format!("stripe.webhook_secrets[{index}]"), reference, secrets)))
        .collect();
    let webhook_secrets = webhook_secrets.into_iter().collect::<Option<_>>()?;
    Some(Stripe { base_url: base_url?, secret_key: secret_key?, webhook_secrets })
}

fn validate_tenant(index: usize, raw: RawTenant, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<Tenant> {
    let slug = faults.keep(Slug::parse(&raw.slug).map_err(|_| {
        Fault::at(format_args!("tenants[{index}].slug"), format_args!("\"{}\" is not a short name", raw.slug))
            .allowed("1 to 63 lower-case letters, digits and hyphens, not starting with a hyphen")
    }));
    let key = format!("tenants[{index}].admin_key");
    let admin_key = faults.keep(secret(&key, &raw.admin_key, secrets).and_then(|secret| {
        let text = secret.expose();
        if text.starts_with(KEY_PREFIX) && text.len() >= KEY_LENGTH_MIN {
            return Ok(secret);
        }
        Err(Fault::at(&key, format_args!("the secret in {} is not an API key", raw.admin_key.place()))
            .allowed(format_args!("{KEY_PREFIX} and at least {} random letters and digits", KEY_LENGTH_MIN - KEY_PREFIX.len())))
    }));
    Some(Tenant { slug: slug?, name: raw.name, admin_key: admin_key? })
}

fn secret(key: &str, reference: &SecretRef, secrets: &dyn SecretSource) -> Result<Secret, Fault> {
    reference.resolve(secrets).map_err(|err| Fault::at(key, daemon::chain(&err)))
}

fn address(key: &str, url: String) -> Result<String, Fault> {
    let after_scheme = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if after_scheme.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace)) {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(Fault::at(key, format_args!("\"{url}\" is not an address")).allowed("http://HOST:PORT or https://HOST"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io};

    use super::*;

    #[derive(Debug)]
    struct Env(BTreeMap<&'static str, &'static str>);

    impl SecretSource for Env {
        fn env(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&text| text.to_owned())
        }
        fn file(&self, _: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn env() -> Env {
        Env(BTreeMap::from([
            ("NEGAWATT_STRIPE_KEY", "sk_test_1"),
            ("NEGAWATT_STRIPE_WEBHOOK", "whsec_1"),
            ("NEGAWATT_ADMIN_KEY", "nwk_0123456789abcdefghij"),
            ("SHORT", "nwk_1"),
        ]))
    }

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../config/examples/api.toml");
        let config = Config::parse(Path::new("api.toml"), text, &env()).unwrap();
        assert_eq!(config.tenants[0].slug.as_str(), "demo");
        assert_eq!(config.status_page, StatusPage::Public);
        assert_eq!(config.partitions.len(), 0);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let text = r#"
listen = "nowhere"
database = "api.sqlite"
store = "store"
evidence = "evidence"
collector = "ftp://x"
[[partition]]
facilities = ["acme/*", "hall"]
store = "north"
[[partition]]
facilities = ["acme/hall"]
store = "south"
[[partition]]
facilities = []
store = "east"
[stripe]
secret_key = { env = "ABSENT" }
webhook_secrets = []
[[tenants]]
slug = "North Hall"
name = "North Hall"
admin_key = { env = "SHORT" }
"#;
        let faults = Config::parse(Path::new("api.toml"), text, &env()).unwrap_err();
        insta::assert_snapshot!(faults);
    }
}
