//! A stateful Stripe on a loopback socket.
//!
//! It speaks the part of the API that Negawatt uses, refuses every request that the published shapes do not allow, keeps
//! idempotency keys as Stripe keeps them, signs and delivers webhooks, and books every cent in double entry, so that a test
//! can compare what we believe with what happened. Faults are switched on through [`Sim`], never over HTTP.
//!
//! Deterministic: ids come from a seed, time from a function that the caller gives.

mod answer;
mod books;
mod config;
mod courier;
mod cut;
mod fault;
mod form;
mod idempotency;
mod method;
mod seed;
mod server;
pub mod spec;
pub mod validate;
mod world;

pub use books::{BookAccount, Books, BooksFault, Entry, Leg, TransferRecord};
pub use config::{Clock, FeeRule, Onboarding, SimConfig, WebhookFaults, WebhookTarget};
pub use courier::Delivery;
pub use fault::Fault;
pub use form::{Tree, decode};
pub use server::{Sim, StartError};
