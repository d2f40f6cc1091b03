//! A rate: everything a supplier charges, with the versions of its prices.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::charge::{Allocation, EnergyCharge, EnergyPeriod, Export, RiderPrice, Tier, TierUnit, Version};
use super::schedule::{Coverage, Schedule};
use super::{Tariff, TariffError, Window, checked_currency, checked_price};

/// How an amount of a month becomes that of a bill with other days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// A bill is a month, however many days it has.
    #[default]
    BillingMonth,
    /// A day is its part of its calendar month, so bills between any dates sum to the months they cover.
    CalendarDays,
    /// A day is a thirtieth.
    ThirtyDays,
}

/// How each line of a bill is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineRounding {
    /// Decimal places that are kept, at most 6.
    pub places: u8,
    /// What becomes of a half.
    #[serde(default)]
    pub half: Half,
}

/// What becomes of a half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// It goes to the even neighbour.
    #[default]
    ToEven,
    /// It goes away from zero.
    AwayFromZero,
}

/// The terms of a rate before they are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateTerms {
    /// Its name.
    pub name: String,
    /// The code of its currency.
    pub currency: String,
    /// How an amount of a month becomes that of a bill.
    #[serde(default)]
    pub proration: Proration,
    /// How each line is rounded; not at all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<LineRounding>,
    /// The versions of its prices, in order of time.
    pub versions: Vec<Version>,
}

/// A rate whose terms hold together. It can only be made from [`RateTerms`], also when read.
///
/// ```
/// let rate: negawatt_calculator::tariff::Rate = serde_json::from_str(
///     r#"{
///         "name": "general service", "currency": "USD", "proration": "calendar_days",
///         "versions": [{
///             "from": "2025-01-01",
///             "energy": [{"name": "energy", "periods": [{"name": "all hours", "tiers": [{"up_to": "8000", "price": "0.10"}, {"price": "0.14"}]}]}],
///             "demand_meter": {"window_minutes": 15, "averaging": "rolling"},
///             "demand": [{
///                 "name": "capacity", "ratchet": {"percent": "80", "bills": 11},
///                 "periods": [{"name": "all hours", "tiers": [{"price": "9.50"}]}]
///             }],
///             "fixed": [{"name": "customer", "amount": "25"}],
///             "riders": [{"name": "fuel", "adds": {"kind": "per_kwh", "price": "0.0123"}}],
///             "taxes": [{"name": "city", "percent": "5"}]
///         }]
///     }"#,
/// )?;
/// assert_eq!(rate.name(), "general service");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RateTerms", into = "RateTerms")]
pub struct Rate {
    terms: RateTerms,
    compiled: Vec<Compiled>,
}

/// The schedules of a version's charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiled {
    pub(super) energy: Vec<Schedule>,
    pub(super) demand: Vec<Schedule>,
}

impl From<Rate> for RateTerms {
    fn from(rate: Rate) -> Self {
        rate.terms
    }
}

impl TryFrom<RateTerms> for Rate {
    type Error = TariffError;

    fn try_from(mut terms: RateTerms) -> Result<Self, TariffError> {
        checked_currency(&terms.currency)?;
        if terms.rounding.is_some_and(|rounding| rounding.places > 6) {
            return Err(invalid(&terms.name, "lines are rounded to at most 6 decimal places"));
        }
        if terms.versions.is_empty() || terms.versions.windows(2).any(|pair| matches!(pair, [a, b] if b.from <= a.from)) {
            return Err(invalid(&terms.name, "it needs at least one version, and each must begin later than the one before"));
        }
        let mut compiled = Vec::with_capacity(terms.versions.len());
        for version in &mut terms.versions {
            version.holidays.sort_unstable();
            version.holidays.dedup();
            compiled.push(compile(version)?);
        }
        Ok(Self { terms, compiled })
    }
}

impl Rate {
    /// The tariff's name.
    pub fn name(&self) -> &str {
        &self.terms.name
    }

    /// The code of its currency.
    pub fn currency(&self) -> &str {
        &self.terms.currency
    }

    /// Its terms.
    pub const fn terms(&self) -> &RateTerms {
        &self.terms
    }

    /// The index of the version that holds on a day.
    pub(super) fn version_on(&self, day: Date) -> Option<usize> {
        self.terms.versions.partition_point(|version| version.from <= day).checked_sub(1)
    }

    pub(super) fn version(&self, index: usize) -> (&Version, &Compiled) {
        (&self.terms.versions[index], &self.compiled[index])
    }

    /// Rounds the amount of a line by the rule of the rate.
    pub(super) fn rounded(&self, amount: Decimal) -> Decimal {
        use rust_decimal::RoundingStrategy::{MidpointAwayFromZero, MidpointNearestEven};
        match self.terms.rounding {
            None => amount.normalize(),
            Some(LineRounding { places, half: Half::ToEven }) => amount.round_dp_with_strategy(u32::from(places), MidpointNearestEven),
            Some(LineRounding { places, half: Half::AwayFromZero }) => {
                amount.round_dp_with_strategy(u32::from(places), MidpointAwayFromZero)
            }
        }
    }
}

/// A tariff of a contract as a rate that has always held: energy only.
impl TryFrom<&Tariff> for Rate {
    type Error = TariffError;

    fn try_from(tariff: &Tariff) -> Result<Self, TariffError> {
        let tiers = |price| vec![Tier { up_to: None, price }];
        let mut version = Version::empty(Date::MIN);
        let periods = match tariff {
            Tariff::Rate(rate) => return Ok((**rate).clone()),
            Tariff::Flat(flat) => {
                let name = flat.name().to_owned();
                vec![EnergyPeriod { name, windows: Vec::new(), tiers: tiers(flat.price_per_kwh()), sell_per_kwh: None }]
            }
            Tariff::TimeOfUse(time_of_use) => {
                let (holidays, holidays_as) = time_of_use.holidays();
                version.holidays = holidays.to_vec();
                version.holidays_as = holidays_as;
                let of = |period: &super::PricePeriod| EnergyPeriod {
                    name: period.name.clone(),
                    windows: period.windows.clone(),
                    tiers: tiers(period.price_per_kwh),
                    sell_per_kwh: None,
                };
                // A period without windows never applies in a tariff, and always in a rate.
                time_of_use.periods().iter().filter(|period| !period.windows.is_empty()).map(of).collect()
            }
        };
        let energy =
            EnergyCharge { name: tariff.name().to_owned(), tiers_by: TierUnit::default(), allocation: Allocation::default(), periods };
        version.energy = vec![energy];
        Self::try_from(RateTerms {
            name: tariff.name().to_owned(),
            currency: tariff.currency().to_owned(),
            proration: Proration::default(),
            rounding: None,
            versions: vec![version],
        })
    }
}

fn invalid(name: &str, problem: &'static str) -> TariffError {
    TariffError::Charge { name: name.to_owned(), problem }
}

fn compile(version: &Version) -> Result<Compiled, TariffError> {
    let meter = version.demand_meter.window_minutes;
    if meter == 0 || 60 % meter != 0 {
        return Err(invalid("the demand meter", "its window must divide an hour: 5, 10, 15, 20, 30 or 60 minutes"));
    }
    let mut energy = Vec::with_capacity(version.energy.len());
    for charge in &version.energy {
        for period in &charge.periods {
            checked_tiers(&charge.name, &period.tiers)?;
            if let Some(sell) = period.sell_per_kwh {
                checked_price(&period.name, sell)?;
            }
        }
        if version.export == Export::Net
            && charge.allocation == Allocation::Chronological
            && charge.periods.iter().any(|period| period.tiers.len() > 1)
        {
            return Err(invalid(&charge.name, "tiers of net energy are filled by_period or proportional, not in order of time"));
        }
        let periods = charge.periods.iter().map(|period| (period.name.as_str(), period.windows.as_slice()));
        energy.push(schedule(&charge.name, periods, Coverage::Whole)?);
    }
    let mut demand = Vec::with_capacity(version.demand.len());
    for charge in &version.demand {
        for period in &charge.periods {
            checked_tiers(&charge.name, &period.tiers)?;
        }
        if charge.ratchet.as_ref().is_some_and(|ratchet| ratchet.percent.is_sign_negative() || !are_months(&ratchet.months)) {
            return Err(invalid(&charge.name, "a ratchet has a percentage that is not negative, and months from 1 to 12"));
        }
        if charge.minimum_kw.is_some_and(|kw| kw.is_sign_negative()) {
            return Err(invalid(&charge.name, "the least demand is negative"));
        }
        if charge.power_factor.is_some_and(|factor| !factor.holds()) {
            return Err(invalid(&charge.name, "a power factor is above 0 and at most 1"));
        }
        let periods = charge.periods.iter().map(|period| (period.name.as_str(), period.windows.as_slice()));
        demand.push(schedule(&charge.name, periods, Coverage::Partial)?);
    }
    for charge in &version.coincident {
        checked_tiers(&charge.name, &charge.tiers)?;
        if !are_months(&charge.months) {
            return Err(invalid(&charge.name, "months are 1 to 12"));
        }
    }
    for rider in &version.riders {
        if let RiderPrice::PerKwhFrom { prices } = &rider.adds
            && (prices.is_empty() || prices.windows(2).any(|pair| matches!(pair, [a, b] if b.from <= a.from)))
        {
            return Err(invalid(&rider.name, "it needs prices in order of time"));
        }
    }
    unique("energy charges", version.energy.iter().map(|charge| &charge.name))?;
    unique("demand charges", version.demand.iter().map(|charge| &charge.name))?;
    Ok(Compiled { energy, demand })
}

fn schedule<'a>(charge: &str, periods: impl Iterator<Item = (&'a str, &'a [Window])>, coverage: Coverage) -> Result<Schedule, TariffError> {
    let always = [Window::whole_days(&super::Weekday::ALL)];
    let periods: Vec<_> = periods.map(|(name, windows)| (name, if windows.is_empty() { always.as_slice() } else { windows })).collect();
    if periods.is_empty() {
        return Err(invalid(charge, "it has no periods"));
    }
    for (index, (name, _)) in periods.iter().enumerate() {
        if periods.iter().take(index).any(|(earlier, _)| earlier == name) {
            return Err(TariffError::DuplicatePeriod { name: (*name).to_owned() });
        }
    }
    Schedule::new(&periods, coverage)
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), TariffError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(TariffError::DuplicateCharge { what, name: name.clone() });
        }
    }
    Ok(())
}

fn are_months(months: &[i8]) -> bool {
    months.iter().all(|month| (1..=12).contains(month))
}

/// Bounds rise, and only the last tier has none.
fn checked_tiers(charge: &str, tiers: &[Tier]) -> Result<(), TariffError> {
    let Some((last, steps)) = tiers.split_last() else { return Err(invalid(charge, "a period has no price")) };
    let mut below = Decimal::ZERO;
    for step in steps {
        match step.up_to {
            Some(bound) if bound > below => below = bound,
            _ => return Err(invalid(charge, "the bounds of its tiers must rise from above zero, and only the last tier has none")),
        }
        if below > Decimal::from(1_000_000_000_000_i64) || below.normalize().scale() > 6 {
            return Err(invalid(charge, "a bound of a tier has more than 6 decimal places or is above a billion MWh"));
        }
    }
    if last.up_to.is_some() {
        return Err(invalid(charge, "the last tier must have no upper bound"));
    }
    tiers.iter().try_for_each(|tier| checked_price(charge, tier.price))
}
