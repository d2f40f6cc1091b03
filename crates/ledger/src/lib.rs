//! Double entry: accounts, postings, balanced transactions, and balances as the fold of them.
//!
//! A [`Transaction`] cannot be made unless its postings sum to zero in every currency, and reading one back checks it
//! again. Every transaction has a key, made of what it was posted for and which of its effects it is; a [`Journal`] takes
//! the same key twice as one transaction and refuses the same key with other content. Nothing is ever changed: what was
//! wrong is corrected by another transaction.
//!
//! The patterns that the house posts are in [`flow`]: issue, collect, transfer, and the way back of a transfer.
#![warn(clippy::float_arithmetic)]

mod account;
mod balances;
pub mod flow;
mod journal;
mod transaction;

pub use account::{Account, AccountError, AccountKind};
pub use balances::{BalanceError, Balances, TrialBalance, TrialRow};
pub use journal::{Journal, JournalError, Posted};
pub use transaction::{Effect, EffectError, Posting, Transaction, TransactionError};
