//! A tariff of either kind, and the price of an energy series.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Flat, Rate, TimeOfUse};

/// What a kilowatt-hour costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tariff {
    /// One price.
    Flat(Flat),
    /// Prices by month, weekday and hour.
    TimeOfUse(TimeOfUse),
    /// Everything that a supplier charges: it prices no energy by itself, but a saving by the difference of two bills.
    Rate(Box<Rate>),
}

/// The energy of one interval, short enough to lie inside one hour of the clock, or a day under a flat tariff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnergySlot {
    /// When the interval begins; its hour decides the price.
    pub start: Timestamp,
    /// Energy, Wh; negative where more was used than avoided.
    pub wh: i64,
}

/// The price of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// The code of the tariff's currency.
    pub currency: String,
    /// The exact amount, not rounded; a decimal string on the wire.
    pub amount: Decimal,
    /// The energy, Wh.
    pub energy_wh: i64,
    /// One line per price period in the tariff's order, periods without energy included.
    pub lines: Vec<Line>,
}

/// The energy and the price of one price period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The price period, or the tariff's name when it is flat.
    pub period: String,
    /// Currency per kWh.
    pub price_per_kwh: Decimal,
    /// Energy, Wh.
    pub energy_wh: i64,
    /// `energy_wh` × `price_per_kwh` / 1000, exact.
    pub amount: Decimal,
}

/// A series that cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The energy or its amount is beyond what can be counted.
    #[error("the energy priced until {start} is beyond what can be counted")]
    Overflow {
        /// The interval.
        start: Timestamp,
    },
    /// The amount is beyond what a decimal holds exactly.
    #[error("the amount is beyond what a decimal holds")]
    Amount,
    /// Demand and tiers have no price of a kilowatt-hour.
    #[error("a rate has no price of a kilowatt-hour; take the difference of two bills")]
    Rate,
}

impl Tariff {
    /// The tariff's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Flat(flat) => flat.name(),
            Self::TimeOfUse(time_of_use) => time_of_use.name(),
            Self::Rate(rate) => rate.name(),
        }
    }

    /// The code of its currency.
    pub fn currency(&self) -> &str {
        match self {
            Self::Flat(flat) => flat.currency(),
            Self::TimeOfUse(time_of_use) => time_of_use.currency(),
            Self::Rate(rate) => rate.currency(),
        }
    }

    /// The price of a series in the civil time of `zone`, with its breakdown.
    ///
    /// * Units: Wh in; currency out, exact: nothing is rounded here.
    /// * Errors: more energy or money than can be counted.
    pub fn price(&self, series: &[EnergySlot], zone: &TimeZone) -> Result<Priced, PriceError> {
        let names: Vec<(&str, Decimal)> = match self {
            Self::Flat(flat) => vec![(flat.name(), flat.price_per_kwh())],
            Self::TimeOfUse(time_of_use) => {
                time_of_use.periods().iter().map(|period| (period.name.as_str(), period.price_per_kwh)).collect()
            }
            Self::Rate(_) => return Err(PriceError::Rate),
        };
        let mut energies = vec![0_i64; names.len()];
        for slot in series {
            let period = match self {
                Self::Flat(_) | Self::Rate(_) => 0,
                Self::TimeOfUse(time_of_use) => time_of_use.period_at(zone.to_datetime(slot.start)),
            };
            energies[period] = energies[period].checked_add(slot.wh).ok_or(PriceError::Overflow { start: slot.start })?;
        }
        let mut lines = Vec::with_capacity(energies.len());
        let (mut amount, mut energy_wh) = (Decimal::ZERO, 0_i64);
        for ((period, price_per_kwh), wh) in names.into_iter().zip(energies) {
            let line_amount = Decimal::new(wh, 3).checked_mul(price_per_kwh).ok_or(PriceError::Amount)?.normalize();
            amount = amount.checked_add(line_amount).ok_or(PriceError::Amount)?;
            energy_wh = energy_wh.checked_add(wh).ok_or(PriceError::Amount)?;
            lines.push(Line { period: period.to_owned(), price_per_kwh, energy_wh: wh, amount: line_amount });
        }
        Ok(Priced { currency: self.currency().to_owned(), amount: amount.normalize(), energy_wh, lines })
    }
}
