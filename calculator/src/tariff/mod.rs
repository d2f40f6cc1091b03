//! What energy costs: tariffs in exact decimals, the price of an energy series, and the bills of a load profile.
//!
//! A [`Tariff`] is what a contract says a kilowatt-hour is worth. A [`Rate`] is everything a supplier charges: tiers, demand,
//! ratchets, fixed and least amounts, riders, taxes and export, in versions that follow one another. A [`Biller`] makes the bills
//! of a [`Profile`] under a rate, and [`value()`] is what a saving is worth: the bill of what would have been used less the bill of
//! what was, under the same version, never an average price.
//!
//! A tariff knows its currency by code only; amounts are unrounded decimals in that currency, and whoever makes an invoice
//! line rounds once. Energy comes in whole watt-hours per interval, in the facility's civil time, so that a switch of the
//! clocks moves no price. No float takes part.

mod bill;
mod charge;
mod demand;
mod energy;
mod expected;
mod flat;
mod lines;
mod price;
mod profile;
mod proration;
mod rate;
mod schedule;
mod shape;
mod spread;
mod time_of_use;
mod urdb;
mod value;

pub use bill::{Account, Bill, BillError, BillLine, Biller, Note, PastDemand, Quantity};
pub use charge::{
    Allocation, Averaging, CoincidentCharge, DemandCharge, DemandMeter, DemandPeriod, EnergyCharge, EnergyPeriod, Export, FixedCharge,
    LineKind, Minimum, Per, PowerFactor, PriceFrom, Ratchet, Rider, RiderPrice, Tax, Tier, TierUnit, Version,
};
pub use expected::{BILL_DRAWS, DailyCounterfactual, ExpectError, ExpectedValue, expected_value};
pub use flat::Flat;
pub use price::{EnergySlot, Line, PriceError, Priced, Tariff};
pub use profile::{BillPeriod, Profile, ProfileError, calendar_months};
pub use rate::{Half, LineRounding, Proration, Rate, RateTerms};
pub use shape::{Shape, ShapeError, ShapeFit};
pub use spread::spread;
pub use time_of_use::{PricePeriod, TimeOfUse, Weekday, Window};
pub use urdb::{Imported, NotUnderstood, UrdbError, urdb};
pub use value::{Difference, Valued, value};

use rust_decimal::Decimal;

/// A tariff that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TariffError {
    /// The currency is no three-letter code.
    #[error("currency {found:?} is not a code of three capital letters")]
    Currency {
        /// The currency as given.
        found: String,
    },
    /// A price has more places than an amount can hold exactly.
    #[error("the price of {period} has {places} decimal places; allowed: at most {allowed}")]
    PricePlaces {
        /// Whose price.
        period: String,
        /// Its decimal places.
        places: u32,
        /// What is allowed.
        allowed: u32,
    },
    /// A price is beyond any energy price.
    #[error("the price of {period} is {price} per kWh; allowed: between -1000000 and 1000000")]
    PriceRange {
        /// Whose price.
        period: String,
        /// The price.
        price: Decimal,
    },
    /// Two price periods have one name.
    #[error("two price periods are named {name:?}")]
    DuplicatePeriod {
        /// The name.
        name: String,
    },
    /// A charge that is not one.
    #[error("{name:?} is not a valid charge: {problem}")]
    Charge {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two charges have one name.
    #[error("two {what} are named {name:?}")]
    DuplicateCharge {
        /// Which charges.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// More than can be counted.
    #[error("{name:?} is one of too many {what}: at most 65536 are counted")]
    TooMany {
        /// What.
        what: &'static str,
        /// The first beyond.
        name: String,
    },
    /// A window names a month, an hour or a set of weekdays that does not exist.
    #[error("a window of {period} is not valid: {problem}")]
    Window {
        /// Whose window.
        period: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// An hour of the week has no price.
    #[error("no price in month {month}, {weekday:?}, hour {hour}")]
    Gap {
        /// The month, 1 to 12.
        month: i8,
        /// The weekday.
        weekday: Weekday,
        /// The hour, 0 to 23.
        hour: i8,
    },
    /// An hour of the week has two prices.
    #[error("{first} and {second} both price month {month}, {weekday:?}, hour {hour}")]
    Overlap {
        /// One period.
        first: String,
        /// The other.
        second: String,
        /// The month, 1 to 12.
        month: i8,
        /// The weekday.
        weekday: Weekday,
        /// The hour, 0 to 23.
        hour: i8,
    },
}

/// Most decimal places of a price per kWh.
const PLACES_MAX: u32 = 10;

fn checked_currency(currency: &str) -> Result<(), TariffError> {
    let is_code = currency.len() == 3 && currency.bytes().all(|letter| letter.is_ascii_uppercase());
    if is_code { Ok(()) } else { Err(TariffError::Currency { found: currency.to_owned() }) }
}

fn checked_price(period: &str, price: Decimal) -> Result<(), TariffError> {
    let places = price.normalize().scale();
    if places > PLACES_MAX {
        return Err(TariffError::PricePlaces { period: period.to_owned(), places, allowed: PLACES_MAX });
    }
    if price.abs() > Decimal::from(1_000_000) {
        return Err(TariffError::PriceRange { period: period.to_owned(), price });
    }
    Ok(())
}

#[cfg(test)]
#[path = "tariff_tests.rs"]
mod tests;
