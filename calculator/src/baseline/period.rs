//! A span of civil days: the baseline year, a billed month.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Whole civil days from `first` up to and without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bounds")]
pub struct Period {
    first: Date,
    end: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    first: Date,
    end: Date,
}

impl TryFrom<Bounds> for Period {
    type Error = PeriodError;

    fn try_from(bounds: Bounds) -> Result<Self, PeriodError> {
        Self::new(bounds.first, bounds.end)
    }
}

/// Two dates that are no period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// The end is not after the first day.
    #[error("a period must end after its first day: first {first}, end {end} (the end itself is not part of it)")]
    Empty {
        /// The first day.
        first: Date,
        /// The day after the last.
        end: Date,
    },
    /// The period would begin before the calendar does.
    #[error("{days} days before {end} is outside the calendar")]
    BeforeCalendar {
        /// The day after the last.
        end: Date,
        /// How many days were asked for.
        days: u16,
    },
}

impl Period {
    /// The days from `first` up to and without `end`.
    ///
    /// * Errors: [`PeriodError::Empty`] unless `end` is later than `first`.
    pub fn new(first: Date, end: Date) -> Result<Self, PeriodError> {
        if end <= first {
            return Err(PeriodError::Empty { first, end });
        }
        Ok(Self { first, end })
    }

    /// The `days` days immediately before `end`, which is itself outside.
    ///
    /// * Source: CalTRACK 2.0, 3.1.3: a daily baseline is 365 days immediately before the intervention.
    pub fn before(end: Date, days: u16) -> Result<Self, PeriodError> {
        let span = jiff::Span::new().days(i64::from(days));
        let first = end.checked_sub(span).map_err(|_| PeriodError::BeforeCalendar { end, days })?;
        Self::new(first, end)
    }

    /// The first day.
    pub const fn first(&self) -> Date {
        self.first
    }

    /// The day after the last day.
    pub const fn end(&self) -> Date {
        self.end
    }

    /// How many days; at least one.
    pub fn len(&self) -> usize {
        usize::try_from(day_number(self.end) - day_number(self.first)).unwrap_or(0)
    }

    /// Never: a period has at least one day.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Whether the day lies inside.
    pub fn contains(&self, date: Date) -> bool {
        self.first <= date && date < self.end
    }

    /// Its days in order.
    pub fn dates(&self) -> impl Iterator<Item = Date> + use<> {
        let (first, end) = (self.first, self.end);
        first.series(jiff::Span::new().days(1)).take_while(move |date| *date < end)
    }
}

/// Days since 1970-01-01, so that differences of dates are exact integers.
///
/// * Source: the proleptic Gregorian calendar, with years that begin in March, so that leap days come last.
pub(crate) fn day_number(date: Date) -> i64 {
    // Some eras later every year is positive, and small numbers divide fast.
    let (month, day) = (i32::from(date.month()), i32::from(date.day()));
    let year = i32::from(date.year()) + LATER * 400 - i32::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    i64::from(year * 365 + year / 4 - year / 100 + year / 400 + of_year) - i64::from(LATER) * ERA_DAYS - EPOCH_DAYS
}

/// The day with this number; the first of 1970 where the calendar has no such day.
pub(crate) fn day_of(number: i64) -> Date {
    const EPOCH: Date = Date::constant(1970, 1, 1);
    // As above: some eras later days are positive and small.
    let days = number + EPOCH_DAYS + i64::from(LATER) * ERA_DAYS;
    let Ok(days) = u32::try_from(days) else { return EPOCH };
    let (era, of_era) = (days / ERA, days % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = i64::from(era * 400 + year + u32::from(month <= 2)) - i64::from(LATER) * 400;
    let part = |value: u32| i8::try_from(value).unwrap_or(0);
    i16::try_from(year).ok().and_then(|year| Date::new(year, part(month), part(day)).ok()).unwrap_or(EPOCH)
}

/// Eras of 400 years after which every year of the calendar is positive.
const LATER: i32 = 30;
/// Days of an era.
const ERA: u32 = 146_097;
/// Days of 400 years.
const ERA_DAYS: i64 = ERA as i64;
/// Days from the first of March of the year 0 to the first of January 1970.
const EPOCH_DAYS: i64 = 719_468;

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_baseline_year_is_365_days_leap_day_or_not() {
        let leap = Period::before(date(2016, 12, 26), 365).unwrap();
        assert_eq!((leap.first(), leap.len()), (date(2015, 12, 27), 365));
        assert_eq!(leap.dates().count(), 365);
        assert!(leap.contains(date(2016, 12, 25)) && !leap.contains(date(2016, 12, 26)));
    }

    #[test]
    fn an_empty_period_is_refused_also_from_json() {
        let error = Period::new(date(2020, 5, 1), date(2020, 5, 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a period must end after its first day: first 2020-05-01, end 2020-05-01 (the end itself is not part of it)"
        );
        assert!(serde_json::from_str::<Period>(r#"{"first":"2020-05-02","end":"2020-05-01"}"#).is_err());
    }

    #[test]
    fn numbers_of_days_are_those_of_the_calendar() {
        assert_eq!([date(1970, 1, 1), date(1969, 12, 31), date(2000, 2, 29), date(2024, 3, 1)].map(day_number), [0, -1, 11_016, 19_783]);
        assert_eq!(day_of(i64::from(i32::MAX)), date(1970, 1, 1));
    }

    proptest! {
        #[test]
        fn every_day_has_its_number_and_is_found_by_it(day in -4_371_000_i64..2_932_000) {
            let date = date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
            prop_assert_eq!((day_number(date), day_of(day)), (day, date));
        }
    }
}
