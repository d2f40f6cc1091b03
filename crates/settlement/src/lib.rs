//! From measured savings to an invoice and to payouts: contract, statement, lines, split, payout states.
//!
//! **What is billed.** A [`Contract`] says which share of the value of the savings is billed (`billed_share`); the rest
//! stays with whoever pays the energy bill and is shown on the invoice as a line of its own. So
//! `invoice total = savings value × billed share + fees`, after what a negative month carried over. The total is split
//! between the [`Party`]s of the contract (platform, network, facility, investor, partner) by exact parts per million
//! that sum to the whole, by largest remainder, so the parts add up to the total to the cent. The party of kind
//! `facility` is the owner's side of the split of what is billed, such as its venture account; it is not the share that
//! was never billed.
//!
//! **Where it is rounded.** Each priced line is rounded once; the billed share of their sum is rounded once. Everything
//! else is addition of whole minor units. No float touches any of it.
//!
//! **Frozen.** Issued documents have no setters, and reading one back checks that its figures add up.
#![warn(clippy::float_arithmetic)]

mod beside;
mod contract;
mod figures;
mod invoice;
mod line;
mod number;
mod payout;
mod period;
mod statement;

pub use beside::{Beside, Drawn, PerKilogram, Trust, TrustPart, Yield};
pub use contract::{Contract, ContractError, Fee, NegativeMonth, Party, PartyKind, PriceTerms, Terms};
pub use figures::{BilledCharge, Figures, PricedEnergy, Worth};
pub use invoice::{Invoice, InvoiceError, Issue, Part};
pub use line::{Bills, Line, LineKind};
pub use number::{InvoiceNumber, NumberError};
pub use payout::{Contradiction, Entry, Fact, Payout, PayoutState, Transition};
pub use period::{Period, PeriodError};
pub use statement::{Savings, SettleError, Statement};
