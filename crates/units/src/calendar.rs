//! Which local day an instant belongs to.

use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Error, SignedDuration, Timestamp, ToSpan};

const DAY_SECONDS: i64 = 86_400;

/// The days of a facility, in the facility's own zone.
///
/// A day is what passes between two local midnights: 23, 24 or 25 hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacilityCalendar {
    zone: TimeZone,
}

impl FacilityCalendar {
    /// The calendar of a zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// The calendar of a zone by its name in the time-zone database, such as `America/Chicago`.
    ///
    /// * Errors: when the bundled database does not know the name.
    pub fn named(zone: &str) -> Result<Self, Error> {
        TimeZone::get(zone).map(Self::new)
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The local day of an instant.
    #[must_use]
    pub fn day_of(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// The instant at which a local day begins. Where midnight does not exist, the first instant after it.
    ///
    /// * Errors: a date beyond what time stamps reach.
    pub fn start_of(&self, day: Date) -> Result<Timestamp, Error> {
        let midnight = self.zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0));
        let skipped = matches!(midnight.offset(), AmbiguousOffset::Gap { .. });
        let at = midnight.compatible()?;
        if !skipped {
            return Ok(at);
        }
        // A midnight that was skipped comes out moved by the length of the gap, which may lie beyond the gap's end.
        let after = at.checked_add(1.nanosecond())?;
        Ok(self.zone.preceding(after).next().map_or(at, |change| change.timestamp()))
    }

    /// The instants from one local midnight to the next.
    pub fn bounds(&self, day: Date) -> Result<Range<Timestamp>, Error> {
        Ok(self.start_of(day)?..self.start_of(day.checked_add(1.day())?)?)
    }

    /// How long a local day is, in seconds: 82,800, 86,400 or 90,000 almost everywhere.
    pub fn seconds(&self, day: Date) -> Result<i64, Error> {
        let bounds = self.bounds(day)?;
        Ok(bounds.end.as_second() - bounds.start.as_second())
    }

    /// The days from the first to before the last that are shorter or longer than 24 hours, with their seconds.
    ///
    /// The changes of the clocks are gone through and not the days, of which a year has many. Days beyond what time stamps
    /// reach are none.
    #[must_use]
    pub fn changes(&self, days: &Range<Date>) -> Vec<(Date, i64)> {
        let nearby = SignedDuration::from_hours(48);
        let from = self.start_of(days.start).ok().and_then(|start| start.checked_sub(nearby).ok()).unwrap_or(Timestamp::MIN);
        let until = self.start_of(days.end).ok().and_then(|end| end.checked_add(nearby).ok()).unwrap_or(Timestamp::MAX);
        let mut found: Vec<(Date, i64)> = Vec::new();
        let mut next = days.start;
        for change in self.zone.following(from).take_while(|change| change.timestamp() <= until) {
            // What is changed is the day before the change or the one after it; a change may also skip a day.
            let after = self.day_of(change.timestamp());
            let before = change.timestamp().checked_sub(SignedDuration::from_secs(1)).map_or(after, |at| self.day_of(at));
            let first = before.min(after).yesterday().unwrap_or(Date::MIN).max(next);
            let last = before.max(after).tomorrow().unwrap_or(Date::MAX);
            for day in first.series(1.day()).take_while(|day| *day <= last && *day < days.end) {
                found.extend(self.seconds(day).ok().filter(|seconds| *seconds != DAY_SECONDS).map(|seconds| (day, seconds)));
                next = day.tomorrow().unwrap_or(Date::MAX);
            }
        }
        found
    }

    /// How many hours a local day has: 23, 24 or 25.
    pub fn hours(&self, day: Date) -> Result<i64, Error> {
        Ok((self.seconds(day)? + 1_800) / 3_600)
    }

    /// The days from the first to before the last.
    pub fn days(range: Range<Date>) -> impl Iterator<Item = Date> {
        range.start.series(1.day()).take_while(move |day| *day < range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    #[test]
    fn days_have_23_24_or_25_hours_and_leave_no_gap() {
        let calendar = FacilityCalendar::named("America/Chicago").unwrap();
        assert_eq!(calendar.hours(date(2017, 3, 12)).unwrap(), 23);
        assert_eq!(calendar.hours(date(2017, 11, 5)).unwrap(), 25);
        assert_eq!(calendar.hours(date(2017, 7, 1)).unwrap(), 24);
        let mut end = calendar.start_of(date(2017, 1, 1)).unwrap();
        for day in FacilityCalendar::days(date(2017, 1, 1)..date(2018, 1, 1)) {
            let bounds = calendar.bounds(day).unwrap();
            assert_eq!(bounds.start, end);
            assert_eq!(calendar.day_of(bounds.start), day);
            assert_eq!(calendar.day_of(bounds.end - 1.millisecond()), day);
            end = bounds.end;
        }
        assert_eq!(end, calendar.start_of(date(2018, 1, 1)).unwrap());
    }

    #[test]
    fn a_day_begins_with_its_first_instant_where_midnight_does_not_exist() {
        let first = |zone: &str, day| {
            let calendar = FacilityCalendar::named(zone).unwrap();
            calendar.zone().to_datetime(calendar.start_of(day).unwrap())
        };
        assert_eq!(first("America/Sao_Paulo", date(2017, 10, 15)), date(2017, 10, 15).at(1, 0, 0, 0));
        // The clocks went from 23:30 to 00:30.
        assert_eq!(first("America/Toronto", date(1919, 3, 31)), date(1919, 3, 31).at(0, 30, 0, 0));
        // The island crossed the date line: this day did not happen.
        assert_eq!(FacilityCalendar::named("Pacific/Apia").unwrap().hours(date(2011, 12, 30)).unwrap(), 0);
        // An island whose clocks change by half an hour: 23.5 and 24.5 hours.
        let island = FacilityCalendar::named("Australia/Lord_Howe").unwrap();
        assert_eq!([date(2016, 10, 2), date(2016, 4, 3)].map(|day| island.seconds(day).unwrap()), [84_600, 88_200]);
        assert_eq!([date(2016, 10, 2), date(2016, 4, 3)].map(|day| island.hours(day).unwrap()), [24, 25], "half an hour counts as one");
    }

    const ZONES: [&str; 9] = [
        "America/Chicago",
        "Europe/Berlin",
        "America/Toronto",
        "America/Sao_Paulo",
        "America/Havana",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ];

    proptest! {
        #[test]
        fn days_that_are_not_24_hours_are_found_by_the_changes(
            zone in prop::sample::select(&ZONES[..]),
            first in 0_i64..50_000,
            days in 0_i64..900,
        ) {
            let calendar = FacilityCalendar::named(zone).unwrap();
            let first = date(1900, 1, 1).checked_add(first.days()).unwrap();
            let range = first..first.checked_add(days.days()).unwrap();
            let measured = |day| (day, calendar.seconds(day).unwrap());
            let expected: Vec<_> = FacilityCalendar::days(range.clone()).map(measured).filter(|(_, seconds)| *seconds != 86_400).collect();
            prop_assert_eq!(calendar.changes(&range), expected);
        }

        /// Days tile time: what is before a day's first instant is of an earlier day, and the next begins where it ends.
        #[test]
        fn days_tile_time_in_every_zone(zone in prop::sample::select(&ZONES[..]), day in 0_i64..50_000) {
            let calendar = FacilityCalendar::named(zone).unwrap();
            let day = date(1900, 1, 1).checked_add(day.days()).unwrap();
            let bounds = calendar.bounds(day).unwrap();
            prop_assert!(calendar.day_of(bounds.start - 1.millisecond()) < day);
            prop_assert_eq!(bounds.end, calendar.start_of(day.tomorrow().unwrap()).unwrap());
            if bounds.is_empty() {
                prop_assert!(calendar.day_of(bounds.start) > day);
            } else {
                prop_assert_eq!(calendar.day_of(bounds.start), day);
                prop_assert_eq!(calendar.day_of(bounds.end - 1.millisecond()), day);
            }
        }
    }
}
