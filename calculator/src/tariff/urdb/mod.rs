//! Rates of the public U.S. Utility Rate Database (OpenEI), as its JSON has them.
//!
//! The form is younger than its rates and richer than its rules, so an import says three things: the rate, what of the public
//! form is only for people, and what changes a bill and was *not* understood. Nothing is dropped without its name.
//!
//! * Source: the documentation of the service "utility_rates", version 7; the data are CC0.

mod read;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use self::read::{Fields, Step, array};
use super::charge::{
    Allocation, CoincidentCharge, DemandCharge, DemandMeter, DemandPeriod, EnergyCharge, EnergyPeriod, Export, FixedCharge, Minimum, Per,
    Ratchet, Tier, TierUnit, Version,
};
use super::rate::{Proration, Rate, RateTerms};
use super::{Averaging, TariffError, Weekday, Window};

/// A rate that was read, and what was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The rate.
    pub rate: Rate,
    /// The last day of its last version, where the public form has one.
    pub ends_on: Option<Date>,
    /// Fields that change no bill, such as descriptions and conditions.
    pub for_people: Vec<String>,
    /// What may change a bill and is not in the rate: the field and why.
    pub not_understood: Vec<NotUnderstood>,
}

/// What may change a bill and is not in the rate, or is there by an assumption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotUnderstood {
    /// The field.
    pub field: String,
    /// Why, and what was done instead.
    pub why: String,
}

/// A public rate that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrdbError {
    /// A field that is not as the public form has it.
    #[error("{field} {problem}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// No rate.
    #[error("no rate is here: give the object of one rate, or the answer of the service with its items")]
    Nothing,
    /// Rates that do not follow one another.
    #[error("{label:?} does not supersede the rate before it: give one rate, or the versions of one")]
    NotAChain {
        /// The rate.
        label: String,
    },
    /// Terms that do not hold together.
    #[error("the rate does not hold together")]
    Terms(#[source] TariffError),
}

/// Fields that people read and that change no bill once the rate is chosen.
const FOR_PEOPLE: [&str; 45] = [
    "approved",
    "basicinformationcomments",
    "closeddate",
    "country",
    "demandcomments",
    "demandunits",
    "description",
    "dgrules_comments",
    "eiaid",
    "eia",
    "effectivedate",
    "end",
    "energycomments",
    "fixedchargecomments",
    "is_default",
    "label",
    "latest_update",
    "maximumdemand",
    "minimumdemand",
    "name",
    "peakkwcapacityhistory",
    "peakkwcapacitymax",
    "peakkwcapacitymin",
    "peakkwhusagehistory",
    "peakkwhusagemax",
    "peakkwhusagemin",
    "phasewiring",
    "rateid",
    "revisions",
    "sector",
    "servicetype",
    "source",
    "sourceparent",
    "start",
    "supercedes",
    "supersedes",
    "uri",
    "utility",
    "utilityName",
    "utilityid",
    "version",
    "voltagecategory",
    "voltagemaximum",
    "voltageminimum",
    "energyattrs_comments",
];

/// Reads a rate, or the versions of one.
///
/// * Shape: the object of a rate, or the service's answer `{"items": [...]}`; of several, each must supersede the one before it.
/// * Errors: fields that are not as the public form has them, terms that do not hold together.
pub fn urdb(json: &Value, currency: &str) -> Result<Imported, UrdbError> {
    let items: Vec<&Value> = match json.get("items") {
        Some(items) => array(items, "items")?.iter().collect(),
        None => vec![json],
    };
    let (mut for_people, mut not_understood) = (Vec::new(), Vec::new());
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let object = item.as_object().filter(|object| !object.is_empty()).ok_or(UrdbError::Nothing)?;
        let mut reader = Reader { fields: Fields::of(object), not_understood: Vec::new() };
        let (version, ends_on) = reader.version()?;
        for field in reader.fields.rest() {
            if FOR_PEOPLE.contains(&field) {
                for_people.push(field.to_owned());
            } else {
                let why = "the field is not known".to_owned();
                reader.not_understood.push(NotUnderstood { field: field.to_owned(), why });
            }
        }
        not_understood.append(&mut reader.not_understood);
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let supersedes = if text("supersedes").is_empty() { text("supercedes") } else { text("supersedes") };
        read.push((version, ends_on, text("label"), supersedes, text("name")));
    }
    read.sort_by_key(|(version, ..)| version.from);
    if let Some((_, _, label, ..)) = read.windows(2).find_map(|pair| matches!(pair, [a, b] if b.3 != a.2).then(|| &pair[1])) {
        return Err(UrdbError::NotAChain { label: label.clone() });
    }
    let (_, ends_on, _, _, name) = read.last().cloned().ok_or(UrdbError::Nothing)?;
    let versions = read.into_iter().map(|(version, ..)| version).collect();
    let name = if name.is_empty() { "imported rate".to_owned() } else { name };
    let terms = RateTerms { name, currency: currency.to_owned(), proration: Proration::BillingMonth, rounding: None, versions };
    for_people.sort_unstable();
    for_people.dedup();
    Ok(Imported { rate: Rate::try_from(terms).map_err(UrdbError::Terms)?, ends_on, for_people, not_understood })
}

/// The name of a period, when it applies, and its steps.
type Scheduled = (String, Vec<Window>, Vec<Step>);

struct Reader<'a> {
    fields: Fields<'a>,
    not_understood: Vec<NotUnderstood>,
}

impl Reader<'_> {
    fn version(&mut self) -> Result<(Version, Option<Date>), UrdbError> {
        let from = self.day("startdate")?.unwrap_or(date(1, 1, 1));
        let mut version = Version::empty(from);
        self.energy(&mut version)?;
        self.fuel(&mut version)?;
        self.demand(&mut version)?;
        self.coincident(&mut version)?;
        self.amounts(&mut version)?;
        // The first day on which it holds no more.
        let ends_on = self.day("enddate")?;
        Ok((version, ends_on))
    }

    fn say(&mut self, field: &str, why: impl Into<String>) {
        self.not_understood.push(NotUnderstood { field: field.to_owned(), why: why.into() });
    }

    fn day(&mut self, name: &'static str) -> Result<Option<Date>, UrdbError> {
        let Some(seconds) = self.fields.integer(name)? else { return Ok(None) };
        let beyond = |_beyond| UrdbError::Field { field: name.to_owned(), problem: "is beyond the calendar".to_owned() };
        Timestamp::from_second(seconds).map(|at| Some(at.to_zoned(TimeZone::UTC).date())).map_err(beyond)
    }

    fn energy(&mut self, version: &mut Version) -> Result<(), UrdbError> {
        let rules = self.fields.text("dgrules")?;
        let net = self.fields.flag("usenetmetering")?.unwrap_or(false);
        let structure = self.fields.structure("energyratestructure")?.unwrap_or_default();
        let weekdays = self.fields.schedule("energyweekdayschedule", structure.len())?;
        let weekends = self.fields.schedule("energyweekendschedule", structure.len())?;
        let sells = structure.iter().flatten().any(|step| step.sell.is_some_and(|sell| !sell.is_zero()));
        version.export = match rules {
            Some("Net Metering") => Export::Net,
            Some("Net Billing Instantaneous") => Export::Sell,
            Some("Net Billing Hourly") => {
                self.say("dgrules", "net billing by the hour is billed by the interval: give hourly intervals");
                Export::Sell
            }
            Some(other) => {
                self.say("dgrules", format!("{other:?} is not known; what is given to the grid is not paid"));
                Export::Unpaid
            }
            None if net => Export::Net,
            None if sells => Export::Sell,
            None => Export::Unpaid,
        };
        if structure.is_empty() {
            return Ok(());
        }
        let tiers_by = self.tier_unit(&structure);
        let mut periods = Vec::new();
        for (name, windows, steps) in self.scheduled("energyratestructure", structure, weekdays, weekends)? {
            let sell_per_kwh = steps.first().and_then(|step| step.sell);
            if steps.iter().any(|step| step.sell != sell_per_kwh) {
                self.say("energyratestructure", format!("{name} pays another price for export in each tier; that of the first is taken"));
            }
            periods.push(EnergyPeriod { tiers: self.tiers("energyratestructure", &name, &steps)?, name, windows, sell_per_kwh });
        }
        version.energy.push(EnergyCharge { name: "energy".to_owned(), tiers_by, allocation: Allocation::Proportional, periods });
        Ok(())
    }

    fn tier_unit(&mut self, structure: &[Vec<Step>]) -> TierUnit {
        let mut units: Vec<&str> = structure.iter().flatten().filter_map(|step| step.unit.as_deref()).collect();
        units.sort_unstable();
        units.dedup();
        match units.as_slice() {
            [] | ["kWh"] => TierUnit::Kwh,
            ["kWh daily"] => TierUnit::KwhDaily,
            ["kWh/kW"] => TierUnit::KwhPerKw,
            ["kWh/kW daily"] => TierUnit::KwhPerKwDaily,
            other => {
                let why = format!("bounds of tiers in {} are taken as kWh in a month", other.join(" and "));
                self.say("energyratestructure", why);
                TierUnit::Kwh
            }
        }
    }

    /// Periods with their windows; those that no hour belongs to are left out.
    fn scheduled(
        &mut self,
        field: &'static str,
        structure: Vec<Vec<Step>>,
        weekdays: Option<Vec<Vec<usize>>>,
        weekends: Option<Vec<Vec<usize>>>,
    ) -> Result<Vec<Scheduled>, UrdbError> {
        let (weekdays, weekends) = match (weekdays, weekends) {
            (Some(weekdays), Some(weekends)) => (weekdays, weekends),
            (None, None) if structure.len() == 1 => (vec![vec![0; 24]; 12], vec![vec![0; 24]; 12]),
            (Some(one), None) | (None, Some(one)) => {
                self.say(field, "only one of the schedules of weekdays and weekends is given; it is taken for both");
                (one.clone(), one)
            }
            (None, None) => {
                return Err(UrdbError::Field { field: field.to_owned(), problem: "has several periods and no schedule".to_owned() });
            }
        };
        let mut scheduled = Vec::new();
        for (index, steps) in structure.into_iter().enumerate() {
            let mut windows = windows_of(&weekdays, index, &Weekday::WORKING);
            windows.extend(windows_of(&weekends, index, &Weekday::WEEKEND));
            if !windows.is_empty() {
                scheduled.push((format!("period {}", index + 1), windows, steps));
            }
        }
        Ok(scheduled)
    }

    fn tiers(&mut self, field: &'static str, period: &str, steps: &[Step]) -> Result<Vec<Tier>, UrdbError> {
        let Some((last, before)) = steps.split_last() else {
            return Err(UrdbError::Field { field: field.to_owned(), problem: format!("has no prices in {period}") });
        };
        for other in steps.iter().flat_map(|step| &step.other) {
            self.say(other, "the key is not known");
        }
        let price = |step: &Step| (step.rate + step.adjustment).normalize();
        let mut tiers = Vec::with_capacity(steps.len());
        for step in before {
            let no_max = || UrdbError::Field { field: field.to_owned(), problem: format!("has a tier of {period} without its max") };
            tiers.push(Tier { up_to: Some(step.max.ok_or_else(no_max)?), price: price(step) });
        }
        if let Some(max) = last.max {
            self.say(field, format!("the last tier of {period} ends at {max}; what is above it is priced as that tier"));
        }
        tiers.push(Tier { up_to: None, price: price(last) });
        Ok(tiers)
    }

    /// Twelve prices that come on top of every kWh.
    fn fuel(&mut self, version: &mut Version) -> Result<(), UrdbError> {
        let Some(months) = self.fields.months("fueladjustmentsmonthly")? else { return Ok(()) };
        let mut periods: Vec<EnergyPeriod> = Vec::new();
        for (month, price) in (1_i8..).zip(months) {
            match periods.iter_mut().find(|period| period.tiers[0].price == price) {
                Some(period) => period.windows[0].months.push(month),
                None => periods.push(EnergyPeriod {
                    name: format!("from month {month}"),
                    windows: vec![Window { months: vec![month], ..Window::whole_days(&Weekday::ALL) }],
                    tiers: vec![Tier { up_to: None, price }],
                    sell_per_kwh: None,
                }),
            }
        }
        let (tiers_by, allocation) = (TierUnit::Kwh, Allocation::Proportional);
        version.energy.push(EnergyCharge { name: "fuel adjustment".to_owned(), tiers_by, allocation, periods });
        Ok(())
    }

    fn demand(&mut self, version: &mut Version) -> Result<(), UrdbError> {
        if let Some(window) = self.fields.number("demandwindow")? {
            match u8::try_from(window) {
                Ok(window_minutes) if window_minutes > 0 && 60 % window_minutes == 0 => {
                    version.demand_meter = DemandMeter { window_minutes, averaging: Averaging::Fixed };
                }
                _ => self.say("demandwindow", format!("a window of {window} minutes does not divide an hour; 15 minutes are taken")),
            }
        }
        let ratchet = self.ratchet()?;
        let by_hour = self.fields.structure("demandratestructure")?;
        let weekdays = self.fields.schedule("demandweekdayschedule", by_hour.as_ref().map_or(usize::MAX, Vec::len))?;
        let weekends = self.fields.schedule("demandweekendschedule", by_hour.as_ref().map_or(usize::MAX, Vec::len))?;
        if let Some(structure) = by_hour
            && self.in_kilowatts("demandrateunit", "demandratestructure")?
        {
            let mut periods = Vec::new();
            for (name, windows, steps) in self.scheduled("demandratestructure", structure, weekdays, weekends)? {
                periods.push(DemandPeriod { tiers: self.tiers("demandratestructure", &name, &steps)?, name, windows });
            }
            let name = "demand by hour".to_owned();
            version.demand.push(DemandCharge { name, periods, minimum_kw: None, power_factor: None, ratchet: ratchet.clone() });
        }
        let by_month = self.fields.structure("flatdemandstructure")?;
        let months = self.fields.months("flatdemandmonths")?;
        if let Some(structure) = by_month
            && self.in_kilowatts("flatdemandunit", "flatdemandstructure")?
        {
            let months = match months {
                Some(months) => months,
                None if structure.len() == 1 => vec![Decimal::ZERO; 12],
                None => {
                    let problem = "has several periods and no flatdemandmonths".to_owned();
                    return Err(UrdbError::Field { field: "flatdemandstructure".to_owned(), problem });
                }
            };
            let mut periods = Vec::new();
            for (index, steps) in structure.iter().enumerate() {
                let of_period = |(_, number): &(i8, &Decimal)| usize::try_from(**number).is_ok_and(|number| number == index);
                let months: Vec<i8> = (1_i8..).zip(&months).filter(of_period).map(|(month, _)| month).collect();
                if !months.is_empty() {
                    let name = format!("period {}", index + 1);
                    let windows = vec![Window { months, ..Window::whole_days(&Weekday::ALL) }];
                    periods.push(DemandPeriod { tiers: self.tiers("flatdemandstructure", &name, steps)?, name, windows });
                }
            }
            let beyond = months.iter().find(|number| usize::try_from(**number).map_or(true, |number| number >= structure.len()));
            if let Some(number) = beyond {
                let problem = format!("names period {number}, of which there are {}", structure.len());
                return Err(UrdbError::Field { field: "flatdemandmonths".to_owned(), problem });
            }
            version.demand.push(DemandCharge {
                name: "demand by month".to_owned(),
                periods,
                minimum_kw: None,
                power_factor: None,
                ratchet,
            });
        }
        for field in ["demandreactivepowercharge", "demandattrs", "lookbackPercent", "lookbackMonths", "lookbackRange"] {
            let set = self.fields.take(field).is_some_and(|value| match value {
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::Array(list) => !list.is_empty(),
                _ => true,
            });
            if set {
                self.say(field, "it is not priced");
            }
        }
        Ok(())
    }

    /// The ratchet where it is the same in all months.
    fn ratchet(&mut self) -> Result<Option<Ratchet>, UrdbError> {
        let Some(months) = self.fields.months("demandratchetpercentage")? else { return Ok(None) };
        let Some(first) = months.first().copied().filter(|first| months.iter().all(|month| month == first)) else {
            self.say("demandratchetpercentage", "a ratchet that differs from month to month is not priced");
            return Ok(None);
        };
        if first.is_zero() {
            return Ok(None);
        }
        let percent = if first <= Decimal::ONE { first * Decimal::ONE_HUNDRED } else { first };
        let why = format!("{percent} % of the highest demand of the eleven bills before, for demand by hour and by month, is assumed");
        self.say("demandratchetpercentage", why);
        Ok(Some(Ratchet { percent, bills: 11, months: Vec::new() }))
    }

    fn in_kilowatts(&mut self, unit: &'static str, structure: &'static str) -> Result<bool, UrdbError> {
        match self.fields.text(unit)? {
            None | Some("kW") => Ok(true),
            Some("kVA") => {
                self.say(
                    structure,
                    "prices per kVA need a power factor, which the rate does not say: add the charge with its `power_factor`",
                );
                Ok(false)
            }
            Some(other) => {
                self.say(structure, format!("prices per {other} are not priced"));
                Ok(false)
            }
        }
    }

    fn coincident(&mut self, version: &mut Version) -> Result<(), UrdbError> {
        let structure = self.fields.structure("coincidentratestructure")?;
        let periods = structure.as_ref().map_or(usize::MAX, Vec::len);
        let schedule = self.fields.schedule("coincidentrateschedule", periods)?;
        let Some(structure) = structure else { return Ok(()) };
        if !self.in_kilowatts("coincidentrateunit", "coincidentratestructure")? {
            return Ok(());
        }
        for (index, steps) in structure.iter().enumerate() {
            let name = format!("coincident demand, period {}", index + 1);
            let tiers = self.tiers("coincidentratestructure", &name, steps)?;
            let has = |row: &&Vec<usize>| row.contains(&index);
            let months: Vec<i8> = match &schedule {
                Some(schedule) => (1_i8..).zip(schedule).filter(|(_, row)| has(row)).map(|(month, _)| month).collect(),
                None => (1..=12).collect(),
            };
            if tiers.iter().any(|tier| !tier.price.is_zero()) && !months.is_empty() {
                self.say(
                    "coincidentratestructure",
                    format!("{name} needs the moments of the grid's own peaks, which the public form does not have"),
                );
                version.coincident.push(CoincidentCharge { name, months, tiers });
            }
        }
        Ok(())
    }

    /// Fixed and least amounts.
    fn amounts(&mut self, version: &mut Version) -> Result<(), UrdbError> {
        let fixed = [("fixedchargefirstmeter", "fixedchargeunits"), ("fixedmonthlycharge", "")];
        for (field, units) in fixed {
            if let Some((amount, per)) = self.amount(field, units)? {
                version.fixed.push(FixedCharge { name: "fixed charge".to_owned(), amount, per });
            }
        }
        for (field, units) in [("mincharge", "minchargeunits"), ("minmonthlycharge", "")] {
            match self.amount(field, units)? {
                Some((amount, per)) if version.minimum.is_none() => {
                    version.minimum = Some(Minimum { name: "minimum charge".to_owned(), amount, per, of: Vec::new() });
                }
                Some(_) => self.say(field, "there is another least amount, which is taken"),
                None => {}
            }
        }
        for field in ["annualmincharge", "fixedchargeeaaddl"] {
            if self.fields.number(field)?.is_some_and(|amount| !amount.is_zero()) {
                self.say(field, "it is not priced");
            }
        }
        for field in ["fixedattrs", "energyattrs"] {
            if self.fields.take(field).is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty())) {
                self.say(field, "attributes are written for people and may hold prices; they are not priced");
            }
        }
        Ok(())
    }

    fn amount(&mut self, field: &'static str, units: &'static str) -> Result<Option<(Decimal, Per)>, UrdbError> {
        let unit = if units.is_empty() { None } else { self.fields.text(units)? };
        let Some(amount) = self.fields.number(field)?.filter(|amount| !amount.is_zero()) else { return Ok(None) };
        match unit {
            None | Some("$/month") => Ok(Some((amount, Per::Month))),
            Some("$/day") => Ok(Some((amount, Per::Day))),
            Some(other) => {
                self.say(field, format!("{amount} {other} is not priced"));
                Ok(None)
            }
        }
    }
}

/// The hours of a period on some weekdays, months with the same hours together.
fn windows_of(schedule: &[Vec<usize>], period: usize, weekdays: &[Weekday]) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for (month, row) in (1_i8..).zip(schedule) {
        let mut hour = 0;
        while let Some(begin) = row.iter().skip(hour).position(|of| *of == period).map(|skipped| hour + skipped) {
            hour = begin + row.iter().skip(begin).take_while(|of| **of == period).count();
            let (Ok(from_hour), Ok(to_hour)) = (i8::try_from(begin), i8::try_from(hour)) else { break };
            match windows.iter_mut().find(|window| window.from_hour == from_hour && window.to_hour == to_hour) {
                Some(window) => window.months.push(month),
                None => windows.push(Window { months: vec![month], ..Window::hours(weekdays, from_hour, to_hour) }),
            }
        }
    }
    windows
}

#[cfg(test)]
mod tests;
