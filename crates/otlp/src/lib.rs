//! Tells OpenTelemetry what a page of metrics says: OTLP over HTTP, in protobuf.
//!
//! ```text
//! the page of /metrics, as Prometheus would read it --> messages --> POST ENDPOINT/v1/metrics, every so often
//! ```
//!
//! There is one truth, and it is the page: who scrapes it and who is told by us sees the same names and numbers; what
//! OpenTelemetry's conventions have a name for is told by that name too. Nothing here
//! waits for the receiver, and nothing is kept for it: counters go up, so the next export says what a lost one would have
//! said. An export that is not taken is counted, and told in the log once.
//!
//! The messages are few and written down here; tests hold them against those that OpenTelemetry publishes.

mod config;
mod exporter;
mod exports;
mod message;
mod metrics;
mod page;
mod receiver;
#[cfg(test)]
mod tests;

pub use config::{OtlpConfig, RawOtlp, validate};
pub use exporter::{Exporting, Identity, start};
pub use exports::Exports;
pub use metrics::Convention;
