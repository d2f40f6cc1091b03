//! The HTTP edge: routes, who may use them, and how refusals look.
//!
//! Handlers are short: they take a [`command::Command`] or a caller, ask `service` or `db`, and answer. Rules live in
//! `service` and below.

mod adjustments;
mod auth;
mod baselines;
mod beside;
mod command;
mod contracts;
mod dossiers;
pub(crate) mod early;
mod facilities;
mod invoices;
mod ledger;
mod operations;
mod page;
mod payees;
mod payouts;
pub(crate) mod problem;
mod readings;
mod router;
mod savings;
mod shapes;
mod statements;
mod webhooks;

pub(crate) use operations::metrics_page;
pub(crate) use page::instant;
pub(crate) use router::{openapi, router};
pub(crate) use shapes::{Amount, decimal};
