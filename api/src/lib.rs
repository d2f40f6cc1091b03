//! The API: HTTP under `/v1`, the workers behind it, and the database of everything that is not a reading.
//!
//! A statement is derived from readings by `evidence`, rules come from `settlement` and `ledger`, money moves through
//! `stripe`; this room owns who may ask, what is written down in which transaction, and what is tried again. Every
//! call that moves money is written down before it is made, so that whatever is killed at whatever moment, a
//! restart finds out what happened and nobody is paid twice.

pub mod cli;
mod config;
mod db;
mod http;
mod serve;
mod service;
mod state;
mod status;
mod stores;
mod worker;

pub use config::{Config, DeviceProfile, Partition, StatusPage, Stripe, Tenant};
pub use db::{Db, DbError};
pub use serve::{Running, ServeError, openapi_json, serve, start};

#[cfg(test)]
mod tests;
