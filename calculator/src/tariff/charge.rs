//! The charges that a bill is made of, as a rate states them.
//!
//! Prices, bounds and percentages are decimals, written as text. Windows are in the facility's civil time; a period without
//! windows applies always.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Weekday, Window};

/// A step of a price: what lies above the bound of the step before and up to this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its upper bound; the last step has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Decimal>,
    /// Currency per kWh or per kW and month.
    pub price: Decimal,
}

/// What the bounds of energy tiers are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierUnit {
    /// kWh in a month.
    #[default]
    Kwh,
    /// kWh in a day; the bound of a bill is that of its days.
    KwhDaily,
    /// Hours of use: kWh in a month for each kW of the bill's demand.
    KwhPerKw,
    /// kWh in a day for each kW of the bill's demand.
    KwhPerKwDaily,
}

/// Which energy fills which tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// All periods fill the tiers together in order of time; a tier is cut at its kWh, inside an interval where need be.
    #[default]
    Chronological,
    /// Each period has its share of each tier, in proportion to its energy.
    Proportional,
    /// Each period fills tiers of its own.
    ByPeriod,
}

/// Prices of energy. Every hour of the year belongs to exactly one of its periods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyCharge {
    /// Its name on the bill, such as `delivery`.
    pub name: String,
    /// What the bounds of its tiers are counted in.
    #[serde(default)]
    pub tiers_by: TierUnit,
    /// Which energy fills which tier.
    #[serde(default)]
    pub allocation: Allocation,
    /// Its periods.
    pub periods: Vec<EnergyPeriod>,
}

/// A period of an energy charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyPeriod {
    /// Its name on the bill, such as `on-peak`.
    pub name: String,
    /// When it applies.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Its prices per kWh.
    pub tiers: Vec<Tier>,
    /// What a kWh given to the grid is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sell_per_kwh: Option<Decimal>,
}

/// What becomes of energy given to the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// It is not paid.
    #[default]
    Unpaid,
    /// It is paid, interval by interval, at the price of its period.
    Sell,
    /// It is set against what was taken in the same period of the bill; what is left over is paid at the price of its period.
    Net,
}

/// How demand is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemandMeter {
    /// The length of the average, in minutes; divides an hour.
    pub window_minutes: u8,
    /// Whether windows follow one another or slide.
    #[serde(default)]
    pub averaging: Averaging,
}

impl Default for DemandMeter {
    fn default() -> Self {
        Self { window_minutes: 15, averaging: Averaging::Fixed }
    }
}

/// Which windows an average is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// One after another, aligned to the hour of the clock.
    #[default]
    Fixed,
    /// A new one with every interval.
    Rolling,
}

/// Prices of demand. An hour belongs to at most one of its periods; other hours are not charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemandCharge {
    /// Its name on the bill, such as `capacity`.
    pub name: String,
    /// Its periods.
    pub periods: Vec<DemandPeriod>,
    /// What is charged at least, in what prices are for, such as a contracted power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_kw: Option<Decimal>,
    /// How it follows from active power where that is not what is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_factor: Option<PowerFactor>,
    /// What earlier bills make of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratchet: Option<Ratchet>,
}

/// How the demand that is charged follows from active power, by the power factor that both sides agree on: meters of active
/// energy do not show it, and what would have been used has none that could be measured. Rounded to whole watts or volt-amperes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PowerFactor {
    /// Prices and bounds are those of apparent power, kVA: kW over the factor.
    Apparent {
        /// Above 0, at most 1.
        factor: Decimal,
    },
    /// Prices are those of kW, of which more are charged where the factor is poor: kW times `at_least` over the factor.
    Penalised {
        /// Above 0, at most 1.
        factor: Decimal,
        /// From this factor on nothing is added; above 0, at most 1.
        at_least: Decimal,
    },
}

impl PowerFactor {
    /// What is charged for so many kW; `None` beyond what a decimal holds.
    pub(super) fn charged(self, kw: Decimal) -> Option<Decimal> {
        let charged = match self {
            Self::Apparent { factor } => kw.checked_div(factor)?,
            Self::Penalised { factor, at_least } if factor < at_least => kw.checked_mul(at_least)?.checked_div(factor)?,
            Self::Penalised { .. } => return Some(kw),
        };
        Some(charged.round_dp(WATTS))
    }

    pub(super) const fn is_apparent(self) -> bool {
        matches!(self, Self::Apparent { .. })
    }

    pub(super) fn holds(self) -> bool {
        let is_factor = |factor: Decimal| factor > Decimal::ZERO && factor <= Decimal::ONE;
        match self {
            Self::Apparent { factor } => is_factor(factor),
            Self::Penalised { factor, at_least } => is_factor(factor) && is_factor(at_least),
        }
    }
}

/// Decimals of a kW down to its watts.
const WATTS: u32 = 3;

/// A period of a demand charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemandPeriod {
    /// Its name on the bill.
    pub name: String,
    /// When it applies.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Its prices per kW and month.
    pub tiers: Vec<Tier>,
}

/// At least a part of the highest demand of earlier bills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    /// The part, in percent.
    pub percent: Decimal,
    /// How many earlier bills count.
    pub bills: u8,
    /// Only bills that end in one of these months count; all where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub months: Vec<i8>,
}

/// A price of the demand at the moment of the grid's own peak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoincidentCharge {
    /// Its name on the bill.
    pub name: String,
    /// The months it is charged in; all where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub months: Vec<i8>,
    /// Its prices per kW and month.
    pub tiers: Vec<Tier>,
}

/// What an amount is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A month.
    #[default]
    Month,
    /// A day.
    Day,
}

/// An amount that no use changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedCharge {
    /// Its name on the bill.
    pub name: String,
    /// The amount.
    pub amount: Decimal,
    /// What it is paid for.
    #[serde(default)]
    pub per: Per,
}

/// What is paid at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// Its name on the bill.
    pub name: String,
    /// The amount.
    pub amount: Decimal,
    /// What it is paid for.
    #[serde(default)]
    pub per: Per,
    /// Which lines count towards it; all before taxes where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<LineKind>,
}

/// An addition to the bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rider {
    /// Its name on the bill.
    pub name: String,
    /// What it adds.
    pub adds: RiderPrice,
}

/// What a rider adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RiderPrice {
    /// A price of every kWh.
    PerKwh {
        /// The price; may be negative.
        price: Decimal,
    },
    /// A price of every kWh that changes from time to time, such as a fuel adjustment.
    PerKwhFrom {
        /// The prices in order of time; a day before the first is an error.
        prices: Vec<PriceFrom>,
    },
    /// A part of other lines.
    Percent {
        /// The part.
        percent: Decimal,
        /// Which lines; all so far where it is empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of: Vec<LineKind>,
    },
}

/// A price from a day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceFrom {
    /// The first local day.
    pub from: Date,
    /// Currency per kWh.
    pub price: Decimal,
}

/// A part of other lines that the state asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// Its name on the bill.
    pub name: String,
    /// The part.
    pub percent: Decimal,
    /// Which lines; all but taxes where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<LineKind>,
}

/// What a line of a bill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Energy taken.
    Energy,
    /// Energy given, which takes away.
    Export,
    /// Demand.
    Demand,
    /// Demand at the grid's peak.
    Coincident,
    /// An amount that no use changes.
    Fixed,
    /// An addition.
    Rider,
    /// What is missing to the least bill.
    Minimum,
    /// A tax.
    Tax,
}

/// The charges that hold from a day on, until the next version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The first local day.
    pub from: Date,
    /// Energy.
    #[serde(default)]
    pub energy: Vec<EnergyCharge>,
    /// What becomes of energy given to the grid.
    #[serde(default)]
    pub export: Export,
    /// How demand is averaged, for demand charges and hours of use.
    #[serde(default)]
    pub demand_meter: DemandMeter,
    /// Demand.
    #[serde(default)]
    pub demand: Vec<DemandCharge>,
    /// Demand at the grid's peak.
    #[serde(default)]
    pub coincident: Vec<CoincidentCharge>,
    /// Amounts that no use changes.
    #[serde(default)]
    pub fixed: Vec<FixedCharge>,
    /// Additions, in the order of the bill.
    #[serde(default)]
    pub riders: Vec<Rider>,
    /// What is paid at least, before taxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Minimum>,
    /// Taxes, in the order of the bill.
    #[serde(default)]
    pub taxes: Vec<Tax>,
    /// Days that count as another weekday.
    #[serde(default)]
    pub holidays: Vec<Date>,
    /// Which weekday they count as.
    #[serde(default = "sunday")]
    pub holidays_as: Weekday,
}

fn sunday() -> Weekday {
    Weekday::Sunday
}

impl Version {
    /// No charges from a day on.
    pub fn empty(from: Date) -> Self {
        Self {
            from,
            energy: Vec::new(),
            export: Export::default(),
            demand_meter: DemandMeter::default(),
            demand: Vec::new(),
            coincident: Vec::new(),
            fixed: Vec::new(),
            riders: Vec::new(),
            minimum: None,
            taxes: Vec::new(),
            holidays: Vec::new(),
            holidays_as: sunday(),
        }
    }
}
