//! `[[sink]]`: where readings are copied to.

use std::path::PathBuf;
use std::time::Duration;

use config::{DurationText, Fault, Faults, Secret, SecretRef, SecretSource};
use ids::Slug;
use serde::Deserialize;

use crate::places::{InfluxConfig, ObjectsConfig, PostgresConfig, ReadApi};

/// A sink.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// What its cursor, its metrics and its dead letters are known by.
    pub name: String,
    /// Only what is of this tenant.
    pub tenant: Option<Slug>,
    /// Only these facilities of it; all when empty.
    pub facilities: Vec<Slug>,
    /// Readings in a request.
    pub batch_rows: usize,
    /// How often the store is asked for what is new.
    pub interval: Duration,
    /// So many days before today are compared each night; none when 0.
    pub reconcile_days: u32,
    /// When, after midnight UTC.
    pub reconcile_at: Duration,
    pub target: TargetConfig,
}

/// Where to.
#[derive(Clone, Debug)]
pub enum TargetConfig {
    Influx(InfluxConfig),
    Postgres(PostgresConfig),
    Objects(ObjectsConfig),
}

impl TargetConfig {
    /// `influx2`, `postgres`, `parquet`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Influx(_) => INFLUX,
            Self::Postgres(_) => POSTGRES,
            Self::Objects(_) => PARQUET,
        }
    }

    /// The place, without secrets: a cursor is of one place.
    #[must_use]
    pub fn destination(&self) -> String {
        match self {
            Self::Influx(InfluxConfig { url, org, bucket, .. }) => format!("{url} org {org} bucket {bucket}"),
            Self::Postgres(PostgresConfig { url, schema, .. }) => format!("{url} schema {schema}"),
            Self::Objects(ObjectsConfig::Folder(folder)) => folder.display().to_string(),
            Self::Objects(ObjectsConfig::S3 { endpoint, bucket, prefix, .. }) => {
                format!("s3://{bucket}/{prefix} at {}", endpoint.as_deref().unwrap_or("AWS"))
            }
        }
    }
}

const INFLUX: &str = "influx2";
const POSTGRES: &str = "postgres";
const PARQUET: &str = "parquet";

/// A `[[sink]]` as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSink {
    name: String,
    kind: String,
    tenant: Option<Slug>,
    #[serde(default)]
    facilities: Vec<Slug>,
    batch_rows: Option<usize>,
    timeout: Option<DurationText>,
    interval: Option<DurationText>,
    reconcile_days: Option<u32>,
    reconcile_at: Option<DurationText>,
    url: Option<String>,
    org: Option<String>,
    bucket: Option<String>,
    token: Option<SecretRef>,
    read_api: Option<String>,
    create_bucket: Option<bool>,
    password: Option<SecretRef>,
    schema: Option<String>,
    folder: Option<PathBuf>,
    region: Option<String>,
    prefix: Option<String>,
    access_key_id: Option<SecretRef>,
    secret_access_key: Option<SecretRef>,
}

const BATCH_ROWS_MAX: usize = 50_000;
const BATCH_ROWS: usize = 5_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const RECONCILE_DAYS: u32 = 3;
const RECONCILE_DAYS_MAX: u32 = 400;
/// Late enough for the last readings of the day before.
const RECONCILE_AT: Duration = Duration::from_secs(2 * 3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The sinks of a configuration, or all faults of all of them.
pub fn validate(raws: Vec<RawSink>, secrets: &dyn SecretSource, faults: &mut Faults) -> Option<Vec<SinkConfig>> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    let (count, mut names) = (raws.len(), Vec::new());
    for (at, raw) in raws.into_iter().enumerate() {
        if names.contains(&raw.name) {
            faults.add(Fault::at(format_args!("sink[{at}].name"), format_args!("there is another sink \"{}\"", raw.name)));
        }
        names.push(raw.name.clone());
        sinks.extend(One { at, secrets, faults, good: true }.sink(raw));
    }
    (sinks.len() == count).then_some(sinks)
}

/// One sink, while it is looked at.
struct One<'a> {
    at: usize,
    secrets: &'a dyn SecretSource,
    faults: &'a mut Faults,
    good: bool,
}

impl One<'_> {
    fn sink(mut self, raw: RawSink) -> Option<SinkConfig> {
        let name_is_good = !raw.name.is_empty()
            && raw.name.len() <= 32
            && raw.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !name_is_good {
            self.fault("name", format!("\"{}\" is not a name", raw.name), "1 to 32 lower-case letters, digits and `-`");
        }
        let batch_rows = raw.batch_rows.unwrap_or(BATCH_ROWS);
        if !(1..=BATCH_ROWS_MAX).contains(&batch_rows) {
            self.fault("batch_rows", format!("{batch_rows} is not a useful batch"), "1–50000");
        }
        let timeout = raw.timeout.map_or(TIMEOUT, |text| text.duration());
        if timeout.is_zero() {
            self.fault("timeout", "0 would let nothing be answered".to_owned(), "more than 0");
        }
        if raw.tenant.is_none() && !raw.facilities.is_empty() {
            self.fault("facilities", "facilities are known by their tenant".to_owned(), "with `tenant`");
        }
        let asks_flux = raw.kind == INFLUX && raw.read_api.as_deref().is_none_or(|api| api == "flux");
        let can_ask = !asks_flux || cfg!(feature = "influx2") && !raw.url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let reconcile_days = raw.reconcile_days.unwrap_or(if can_ask { RECONCILE_DAYS } else { 0 });
        if reconcile_days > RECONCILE_DAYS_MAX {
            self.fault("reconcile_days", format!("{reconcile_days} days are too many for every night"), "0–400");
        }
        let reconcile_at = raw.reconcile_at.map_or(RECONCILE_AT, |text| text.duration());
        if reconcile_at >= DAY {
            self.fault("reconcile_at", "it is after the end of the day".to_owned(), "less than 24h");
        }
        let target = match raw.kind.as_str() {
            INFLUX => self.influx(&raw, timeout).map(TargetConfig::Influx),
            POSTGRES => self.postgres(&raw, timeout).map(TargetConfig::Postgres),
            PARQUET => self.objects(&raw).map(TargetConfig::Objects),
            other => {
                self.fault("kind", format!("\"{other}\" is no kind of sink"), "influx2, postgres, parquet");
                None
            }
        };
        let every = Duration::from_secs(if raw.kind == PARQUET { 3_600 } else { 1 });
        let interval = raw.interval.map_or(every, |text| text.duration());
        if interval < Duration::from_millis(10) {
            self.fault("interval", "it would ask all the time".to_owned(), "10ms or more");
        }
        let RawSink { name, tenant, facilities, .. } = raw;
        let target = target.filter(|_| self.good)?;
        Some(SinkConfig { name, tenant, facilities, batch_rows, interval, reconcile_days, reconcile_at, target })
    }

    fn key(&self, name: &str) -> String {
        format!("sink[{}].{name}", self.at)
    }

    fn fault(&mut self, name: &str, message: String, allowed: &str) {
        self.good = false;
        self.faults.add(Fault::at(self.key(name), message).allowed(allowed));
    }

    /// Keys that say nothing of this kind.
    fn only(&mut self, raw: &RawSink, known: &[&str]) {
        let given = [
            ("url", raw.url.is_some()),
            ("org", raw.org.is_some()),
            ("bucket", raw.bucket.is_some()),
            ("token", raw.token.is_some()),
            ("read_api", raw.read_api.is_some()),
            ("create_bucket", raw.create_bucket.is_some()),
            ("password", raw.password.is_some()),
            ("schema", raw.schema.is_some()),
            ("folder", raw.folder.is_some()),
            ("region", raw.region.is_some()),
            ("prefix", raw.prefix.is_some()),
            ("access_key_id", raw.access_key_id.is_some()),
            ("secret_access_key", raw.secret_access_key.is_some()),
            ("tenant", raw.tenant.is_some() && raw.kind == PARQUET),
            ("batch_rows", raw.batch_rows.is_some() && raw.kind == PARQUET),
            ("timeout", raw.timeout.is_some() && raw.kind == PARQUET),
        ];
        for (name, _) in given.into_iter().filter(|(name, given)| *given && !known.contains(name)) {
            self.good = false;
            let message = format!("says nothing of a sink of kind \"{}\"", raw.kind);
            self.faults.add(Fault::at(self.key(name), message).help("remove the line"));
        }
    }

    fn needed(&mut self, name: &str, given: Option<&String>, like: &str) -> String {
        match given {
            Some(text) if !text.is_empty() => text.clone(),
            _ => {
                self.fault(name, "is missing".to_owned(), like);
                String::new()
            }
        }
    }

    fn secret(&mut self, name: &str, given: Option<&SecretRef>) -> Option<Secret> {
        let resolved = given?.resolve(self.secrets);
        let key = self.key(name);
        let secret = self.faults.keep(resolved.map_err(|err| Fault::at(key, daemon::chain(&err))));
        self.good &= secret.is_some();
        secret
    }

    fn needed_secret(&mut self, name: &str, given: Option<&SecretRef>) -> Option<Secret> {
        if given.is_none() {
            self.fault(name, "is missing".to_owned(), "{ env = \"NAME\" } or { file = \"PATH\" }");
        }
        self.secret(name, given)
    }

    fn built(&mut self, feature: &str, is: bool, what: &str) {
        if !is {
            self.good = false;
            let message = format!("this program was built without {what}");
            self.faults.add(Fault::at(self.key("kind"), message).help(format_args!("build it with the feature `{feature}`")));
        }
    }

    fn http(&mut self, name: &str, url: &str) {
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            self.fault(name, format!("\"{url}\" is not an address"), "http://HOST:PORT or https://HOST");
        }
    }

    fn influx(&mut self, raw: &RawSink, timeout: Duration) -> Option<InfluxConfig> {
        self.only(raw, &["tenant", "batch_rows", "timeout", "url", "org", "bucket", "token", "read_api", "create_bucket"]);
        let url = self.needed("url", raw.url.as_ref(), "http://HOST:8086");
        self.http("url", &url);
        let read_api = match raw.read_api.as_deref() {
            None | Some("flux") => ReadApi::Flux,
            Some("victoria-metrics") => ReadApi::VictoriaMetrics,
            Some(other) => {
                self.fault("read_api", format!("\"{other}\" is not known"), "flux, victoria-metrics");
                ReadApi::Flux
            }
        };
        let (org, bucket) = match read_api {
            ReadApi::Flux => (
                self.needed("org", raw.org.as_ref(), "the organization that the token is of"),
                self.needed("bucket", raw.bucket.as_ref(), "the bucket that readings are written to"),
            ),
            // It does not look at them.
            ReadApi::VictoriaMetrics => (raw.org.clone().unwrap_or_default(), raw.bucket.clone().unwrap_or_default()),
        };
        let create_bucket = raw.create_bucket.unwrap_or(false);
        let asks_flux = read_api == ReadApi::Flux && (create_bucket || raw.reconcile_days.is_some_and(|days| days > 0));
        if asks_flux {
            self.built("influx2", cfg!(feature = "influx2"), "the crate that asks InfluxDB 2 (reconcile_days and create_bucket need it)");
        }
        if asks_flux && url.starts_with("https://") {
            let message = "InfluxDB 2 is asked over plain HTTP only: put the sink beside it, or behind a tunnel";
            self.fault("url", message.to_owned(), "http:// with create_bucket or reconcile_days");
        }
        let token = self.secret("token", raw.token.as_ref());
        Some(InfluxConfig { url, org, bucket, token, timeout, read_api, create_bucket })
    }

    fn postgres(&mut self, raw: &RawSink, timeout: Duration) -> Option<PostgresConfig> {
        self.only(raw, &["tenant", "batch_rows", "timeout", "url", "password", "schema"]);
        self.built("postgres", cfg!(feature = "postgres"), "PostgreSQL");
        let url = self.needed("url", raw.url.as_ref(), "postgres://USER@HOST:5432/DATABASE");
        let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !url.is_empty() && !scheme {
            self.fault("url", format!("\"{url}\" is not the address of a database"), "postgres://USER@HOST:5432/DATABASE");
        }
        let has_password = url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).is_some_and(|(user, _)| user.contains(':'));
        if has_password {
            self.fault("url", "a password does not belong into a configuration".to_owned(), "password = { env = \"NAME\" }");
        }
        let schema = raw.schema.clone().unwrap_or_else(|| "negawatt".to_owned());
        let good = schema.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if schema.is_empty() || schema.len() > 63 || !good {
            self.fault("schema", format!("\"{schema}\" is not the name of a schema"), "1 to 63 lower-case letters, digits and `_`");
        }
        let password = self.secret("password", raw.password.as_ref());
        Some(PostgresConfig { url, password, schema, timeout })
    }

    fn objects(&mut self, raw: &RawSink) -> Option<ObjectsConfig> {
        self.only(raw, &["url", "bucket", "folder", "region", "prefix", "access_key_id", "secret_access_key"]);
        self.built("objects", cfg!(feature = "objects"), "the export of Parquet files");
        if let Some(folder) = &raw.folder {
            let of_s3 = [raw.url.is_some(), raw.bucket.is_some(), raw.region.is_some(), raw.prefix.is_some()];
            if of_s3.contains(&true) {
                self.fault("folder", "it is a folder or a bucket, not both".to_owned(), "folder, or url with bucket");
            }
            return Some(ObjectsConfig::Folder(folder.clone()));
        }
        self.built("s3", cfg!(feature = "s3"), "S3");
        let bucket = self.needed("bucket", raw.bucket.as_ref(), "the bucket, or a folder");
        if let Some(url) = &raw.url {
            self.http("url", url);
        }
        let access_key_id = self.needed_secret("access_key_id", raw.access_key_id.as_ref());
        let secret_access_key = self.needed_secret("secret_access_key", raw.secret_access_key.as_ref());
        Some(ObjectsConfig::S3 {
            endpoint: raw.url.clone(),
            region: raw.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            bucket,
            prefix: raw.prefix.clone().unwrap_or_default(),
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
        })
    }
}

#[cfg(test)]
mod tests;
