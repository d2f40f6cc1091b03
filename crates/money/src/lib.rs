//! Money: whole minor units with their currency, prices as decimals, one rounding, exact splits.
//!
//! No float touches money anywhere in the house.
#![warn(clippy::float_arithmetic)]

mod amount;
mod currency;
mod price;
mod rounding;
mod split;

pub use amount::{Money, MoneyError};
pub use currency::{Currency, CurrencyError};
pub use price::{Price, charge, rounded};
pub use split::{Share, ShareError};
