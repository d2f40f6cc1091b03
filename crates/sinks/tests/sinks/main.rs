//! Sinks that run: against a server that misbehaves, against databases of other people, and until they are killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

extern crate negawatt_sinks as sinks;

#[cfg(feature = "postgres")]
#[path = "../../../../tests/peers/database.rs"]
mod database;
#[cfg(feature = "influx2")]
mod flux;
mod influx;
mod kill;
#[expect(dead_code, reason = "it serves the tests of all peers")]
#[path = "../../../../tests/peers/peer.rs"]
mod peer;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg_attr(not(feature = "influx2"), expect(dead_code, reason = "the tests of Flux alone drive the time"))]
mod rig;
#[cfg(feature = "s3")]
mod s3;
#[cfg_attr(not(feature = "influx2"), expect(dead_code, reason = "the tests of Flux alone ask it"))]
mod stub;
mod victoria_metrics;
