//! Against programs of other people: clients and servers of Modbus, readers of SunSpec and of meters, two MQTT brokers, a time series
//! database, a client of another, a reader of Parquet, and readers of PDF.
//!
//! What we believe about a protocol is worth little until somebody else's program agrees. None of these tests is skipped: a peer that
//! is not installed is a failure that says how to get it. Every peer runs on a free port of the loopback address, keeps its files in a
//! temporary folder, and is ended by the test that started it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cable;
mod collectors;
mod database;
mod field;
mod influxdb_client;
mod libmodbus;
mod mbpoll;
mod minimalmodbus;
mod modbus_serial;
mod mosquitto;
mod paper;
mod peer;
mod prometheus;
mod pyarrow;
mod pymodbus;
mod pysunspec2;
mod sdm_modbus;
mod site;
mod tls;
mod uplink;
mod victoria_metrics;
