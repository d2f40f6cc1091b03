//! From messages to durable, acknowledged readings.
//!
//! ```text
//! broker -> mqtt (one task polls, nothing else)
//!        -> ingest: decode, validate, commit a group to the store, then PUBACK in order of arrival
//!        -> acks: what is durable, told to each gateway at most once per interval
//! write: line protocol over HTTP, committed before it is answered
//! sinks: what is stored, copied to other databases at their pace
//! admin: health, metrics, status, imports
//! ```
//!
//! Nothing is acknowledged before it is durable, and nothing that cannot be understood stops anything: it is kept as a
//! dead letter, and acknowledged. What the store cannot take waits: first here, then in the broker, then at its gateway.

mod admin;
pub mod cli;
mod config;
mod import;
mod ingest;
mod letters;
mod live;
mod mqtt;
mod serve;
mod sinks;
mod write;

pub use config::{Config, Login, Names, PointRule, WriteConfig, WriteToken};
pub use import::{FileRow, FileRows, Import, ImportError, Imported, ParsedRow, Rejected, file_rows, parquet_rows};
pub use ingest::IngestError;
pub use serve::{ServeError, Served, serve, start};
