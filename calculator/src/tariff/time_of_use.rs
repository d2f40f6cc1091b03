//! Prices that depend on the month, the weekday and the hour.

use jiff::civil::{Date, DateTime};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::schedule::{Coverage, Schedule, cell};
use super::{TariffError, checked_currency, checked_price};

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Weekday {
    /// All seven, Monday first.
    pub const ALL: [Self; 7] = [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];
    /// Monday to Friday.
    pub const WORKING: [Self; 5] = [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday];
    /// Saturday and Sunday.
    pub const WEEKEND: [Self; 2] = [Self::Saturday, Self::Sunday];

    /// The weekday of a date.
    pub fn of(date: Date) -> Self {
        match date.weekday() {
            jiff::civil::Weekday::Monday => Self::Monday,
            jiff::civil::Weekday::Tuesday => Self::Tuesday,
            jiff::civil::Weekday::Wednesday => Self::Wednesday,
            jiff::civil::Weekday::Thursday => Self::Thursday,
            jiff::civil::Weekday::Friday => Self::Friday,
            jiff::civil::Weekday::Saturday => Self::Saturday,
            jiff::civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// Hours of some weekdays in some months.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The months of the season, 1 to 12.
    pub months: Vec<i8>,
    /// The weekdays.
    pub weekdays: Vec<Weekday>,
    /// The first hour, 0 to 23.
    pub from_hour: i8,
    /// The hour in which the window is over, 1 to 24; later than `from_hour`.
    pub to_hour: i8,
}

impl Window {
    /// Every hour of these weekdays in all months.
    pub fn whole_days(weekdays: &[Weekday]) -> Self {
        Self { months: (1..=12).collect(), weekdays: weekdays.to_vec(), from_hour: 0, to_hour: 24 }
    }

    /// These hours of these weekdays in all months.
    pub fn hours(weekdays: &[Weekday], from_hour: i8, to_hour: i8) -> Self {
        Self { from_hour, to_hour, ..Self::whole_days(weekdays) }
    }

    pub(super) fn covers(&self, month: i8, weekday: Weekday, hour: i8) -> bool {
        self.from_hour <= hour && hour < self.to_hour && self.months.contains(&month) && self.weekdays.contains(&weekday)
    }

    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.months.is_empty() || !self.months.iter().all(|month| (1..=12).contains(month)) {
            return Some("months must be 1 to 12, at least one");
        }
        if self.weekdays.is_empty() {
            return Some("it has no weekdays");
        }
        if self.from_hour < 0 || self.to_hour > 24 || self.from_hour >= self.to_hour {
            return Some("hours must run from 0 to 24, and a window over midnight is two windows");
        }
        None
    }
}

/// A price and when it applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricePeriod {
    /// Its name, as it stands on the invoice: `on-peak`.
    pub name: String,
    /// Currency per kWh; a decimal string on the wire.
    pub price_per_kwh: Decimal,
    /// When it applies, in the facility's civil time.
    pub windows: Vec<Window>,
}

/// Prices by month, weekday and hour; every hour of the year has exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct TimeOfUse {
    name: String,
    currency: String,
    periods: Vec<PricePeriod>,
    holidays: Vec<Date>,
    holidays_as: Weekday,
    #[serde(skip_serializing)]
    schedule: Schedule,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    name: String,
    currency: String,
    periods: Vec<PricePeriod>,
    holidays: Vec<Date>,
    holidays_as: Weekday,
}

impl TryFrom<Unchecked> for TimeOfUse {
    type Error = TariffError;

    fn try_from(read: Unchecked) -> Result<Self, TariffError> {
        Self::new(read.name, read.currency, read.periods, read.holidays, read.holidays_as)
    }
}

impl TimeOfUse {
    /// * Shape: `holidays` are priced as if they were a `holidays_as`, usually a Sunday.
    /// * Errors: the first hour with no price or with two, a window that is none, a price out of range.
    pub fn new(
        name: impl Into<String>,
        currency: impl Into<String>,
        periods: Vec<PricePeriod>,
        mut holidays: Vec<Date>,
        holidays_as: Weekday,
    ) -> Result<Self, TariffError> {
        let (name, currency) = (name.into(), currency.into());
        checked_currency(&currency)?;
        for (index, period) in periods.iter().enumerate() {
            checked_price(&period.name, period.price_per_kwh)?;
            if periods.iter().take(index).any(|earlier| earlier.name == period.name) {
                return Err(TariffError::DuplicatePeriod { name: period.name.clone() });
            }
        }
        holidays.sort_unstable();
        holidays.dedup();
        let windows: Vec<_> = periods.iter().map(|period| (period.name.as_str(), period.windows.as_slice())).collect();
        let schedule = Schedule::new(&windows, Coverage::Whole)?;
        Ok(Self { name, currency, periods, holidays, holidays_as, schedule })
    }

    /// The days that count as another weekday, in order.
    pub(super) fn holidays(&self) -> (&[Date], Weekday) {
        (&self.holidays, self.holidays_as)
    }

    /// The tariff's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The code of its currency.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Its price periods.
    pub fn periods(&self) -> &[PricePeriod] {
        &self.periods
    }

    /// The index of the period that prices this civil time.
    pub(super) fn period_at(&self, at: DateTime) -> usize {
        // Every cell has its period: the schedule was made to cover the year.
        self.schedule.at(cell(at, &self.holidays, self.holidays_as)).unwrap_or_default()
    }
}
