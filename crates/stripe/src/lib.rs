//! The only crate that speaks Stripe's nouns.
//!
//! A thin client: the operations that collect an invoice and pay its shares, with only the fields we read. Three rules hold
//! everywhere:
//!
//! * every POST carries an [`IdempotencyKey`] that was derived, and stored, before the call;
//! * an answer that did not arrive is [`Outcome::Unknown`], never a failure: look the object up, then decide;
//! * unknown fields, enum values and event kinds are never errors.
//!
//! Source: Stripe API `2026-10-28.endive`, pinned in [`API_VERSION`].

mod balance;
mod charge;
mod client;
mod connect;
mod currency;
mod customer;
mod error;
mod form;
mod idempotency;
mod object;
mod payment_intent;
mod payout;
mod reply;
mod retry;
mod secret;
mod transfer;
pub mod webhook;

pub use balance::{Balance, BalanceTransaction, BalanceTransactionKind, Created};
pub use charge::{Charge, ChargeStatus};
pub use client::{API_VERSION, Client, ClientOptions, LIVE_URL};
pub use connect::{Account, AccountLink, CapabilityStatus, NewAccount, Readiness};
pub use customer::{Customer, NewCustomer, PaymentMethod};
pub use error::{CardDecline, Outcome, RateLimit, StripeError};
pub use form::{Field, Form};
pub use idempotency::IdempotencyKey;
pub use object::{
    AccountId, BalanceTransactionId, ChargeId, CustomerId, EventId, Expandable, List, PaymentIntentId, PaymentMethodId, PayoutId,
    ReversalId, TransferId,
};
pub use payment_intent::{IntentStatus, NewPaymentIntent, PaymentIntent, PaymentMethodType};
pub use payout::{Payout, PayoutStatus};
pub use retry::RetryPolicy;
pub use secret::SecretKey;
pub use transfer::{NewTransfer, Reversal, Transfer};
