//! From messages to durable, acknowledged readings.
//!
//! ```text
//! broker -> mqtt (one task polls, nothing else)
//!        -> ingest: decode, validate, commit a group to the store, then PUBACK in order of arrival
//!        -> acks: what is durable, told to each gateway at most once per interval
//! write: line protocol over HTTP, committed before it is answered
//! sinks: what is stored, copied to other databases at their pace
//! admin: health, metrics, status, imports
//! cluster: several collectors that divide facilities among themselves, by leases in PostgreSQL
//! quota: what the readings of a tenant may come to, whichever way they come
//! import, weather: history from files, planned or at once, and undone
//! ```
//!
//! Nothing is acknowledged before it is durable, and nothing that cannot be understood stops anything: it is kept as a
//! dead letter, and acknowledged. What the store cannot take waits: first here, then in the broker, then at its gateway.

mod admin;
pub mod cli;
#[cfg(feature = "cluster")]
mod cluster;
mod config;
mod counted;
mod door;
mod import;
mod ingest;
mod letters;
mod live;
mod marks;
mod mqtt;
mod quota;
mod retention;
mod serve;
mod sinks;
mod vee;
pub mod weather;
mod write;

pub use config::{
    ClusterConfig, Config, FacilityFilter, FacilityRules, Login, Names, PartitionConfig, PointRule, QuotaRule, RetentionRule, VeeConfig,
    WriteConfig, WriteToken,
};
pub use import::{
    FilePart, FileRemark, FileRow, FileRows, Import, ImportError, Imported, ParsedRow, Rejected, file_parts, file_rows, parquet_rows,
};
pub use ingest::IngestError;
pub use serve::{ServeError, Served, serve, start};
