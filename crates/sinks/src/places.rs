//! Where a sink is, as its configuration says.

use std::path::PathBuf;
use std::time::Duration;

use config::Secret;

/// How the server is asked what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadApi {
    /// InfluxDB 2: Flux, by way of the crate `influxdb2`.
    Flux,
    /// VictoriaMetrics: the export of raw values.
    VictoriaMetrics,
}

/// Where to write, and how.
#[derive(Clone, Debug)]
pub struct InfluxConfig {
    /// `http://HOST:PORT`, and a path before `/api/v2` when there is one.
    pub url: String,
    pub org: String,
    pub bucket: String,
    pub token: Option<Secret>,
    pub timeout: Duration,
    pub read_api: ReadApi,
    /// Make the bucket, when the server is there and has none of this name.
    pub create_bucket: bool,
}

/// Where to write.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// `postgres://USER@HOST:PORT/DATABASE`, without a password.
    pub url: String,
    pub password: Option<Secret>,
    /// The schema of our tables: made when it is not there.
    pub schema: String,
    pub timeout: Duration,
}

/// Where to copy to.
#[derive(Clone, Debug)]
pub enum ObjectsConfig {
    Folder(PathBuf),
    S3 {
        /// `https://HOST`; the region's own of AWS when there is none.
        endpoint: Option<String>,
        region: String,
        bucket: String,
        prefix: String,
        access_key_id: Secret,
        secret_access_key: Secret,
    },
}
