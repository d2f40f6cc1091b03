//! The building that a demo runs on: its history, its weather, and what it will consume in the month that is billed.

use std::ops::Range;
use std::path::Path;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use units::FacilityCalendar;

use super::DemoError;
use super::folder;

/// A building with a baseline year and a month to bill.
#[derive(Debug, Clone)]
pub(crate) struct Building {
    /// What it is and where the data come from, in a sentence.
    pub(crate) title: String,
    /// The name of its zone in the time-zone database.
    pub(crate) zone: String,
    /// What it consumed, without gaps between intervals, in order.
    pub(crate) intervals: Vec<Interval>,
    /// Outdoor temperature at instants, in order.
    pub(crate) weather: Vec<Weather>,
    /// Local days of the baseline: first, and the day after the last.
    pub(crate) baseline: Range<Date>,
    /// Local days of the reporting month: first, and the day after the last.
    pub(crate) reporting: Range<Date>,
}

/// What was consumed between two instants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// Milliwatt-hours: exact for every source with at most six decimals of a kilowatt-hour.
    pub(crate) energy_mwh: i64,
}

/// A temperature, in the unit that the source gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) at: Timestamp,
    /// Millionths of a degree Fahrenheit.
    pub(crate) micro_fahrenheit: i64,
}

/// What a user may say about the dates; the folder's own dates serve where nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dates {
    pub(crate) baseline: Option<Range<Date>>,
    pub(crate) reporting: Option<Range<Date>>,
}

impl Building {
    /// The building that is packaged with the program: a year of Illinois weather and the sample facility under it.
    pub(crate) fn packaged() -> Result<Self, DemoError> {
        let meter = include_bytes!("../../../tests/fixtures/mv/il-electricity-cdd-hdd-hourly.parquet");
        let weather = include_bytes!("../../../tests/fixtures/mv/il_temperature_hourly.parquet");
        Ok(Self {
            title: "packaged sample: an electrically heated and cooled facility under the weather of Springfield, Illinois".to_owned(),
            zone: "America/Chicago".to_owned(),
            intervals: folder::intervals(bytes::Bytes::from_static(meter), "il-electricity-cdd-hdd-hourly.parquet")?,
            weather: folder::weather(bytes::Bytes::from_static(weather), "il_temperature_hourly.parquet")?,
            baseline: date(2015, 12, 27)..date(2016, 12, 26),
            reporting: date(2017, 12, 1)..date(2018, 1, 1),
        })
    }

    /// A building from a user's folder.
    pub(crate) fn from_folder(path: &Path, meter: Option<&str>, dates: Dates) -> Result<Self, DemoError> {
        folder::read(path, meter, dates)
    }

    /// The calendar of its zone.
    pub(crate) fn calendar(&self) -> Result<FacilityCalendar, DemoError> {
        FacilityCalendar::named(&self.zone).map_err(|err| DemoError::Zone { zone: self.zone.clone(), err })
    }

    /// The instants of a range of local days.
    pub(crate) fn instants(&self, days: &Range<Date>) -> Result<Range<Timestamp>, DemoError> {
        let calendar = self.calendar()?;
        let at = |day| calendar.start_of(day).map_err(|err| DemoError::Zone { zone: self.zone.clone(), err });
        Ok(at(days.start)?..at(days.end)?)
    }

    /// The baseline year's consumption as a user would export it: `start,value` in kWh, an empty last row.
    pub(crate) fn baseline_csv(&self) -> Result<String, DemoError> {
        let instants = self.instants(&self.baseline)?;
        let rows: Vec<_> = self.intervals.iter().filter(|interval| instants.contains(&interval.start)).collect();
        let mut csv = String::from("start,value\n");
        for row in &rows {
            csv.push_str(&format!("{},{}\n", row.start, decimal(row.energy_mwh)));
        }
        if let Some(last) = rows.last() {
            csv.push_str(&format!("{},\n", last.end));
        }
        Ok(csv)
    }

    /// The weather of the baseline and the reporting month, `t,temp_f`.
    pub(crate) fn weather_csv(&self) -> Result<String, DemoError> {
        let (baseline, reporting) = (self.instants(&self.baseline)?, self.instants(&self.reporting)?);
        let mut csv = String::from("t,temp_f\n");
        for row in &self.weather {
            if baseline.contains(&row.at) || reporting.contains(&row.at) {
                csv.push_str(&format!("{},{}\n", row.at, decimal(row.micro_fahrenheit)));
            }
        }
        Ok(csv)
    }

    /// Refuses a building whose data do not reach over the days that were asked for.
    pub(crate) fn check(&self) -> Result<(), DemoError> {
        for (what, days) in [("baseline", &self.baseline), ("reporting", &self.reporting)] {
            let instants = self.instants(days)?;
            let reaches = self.intervals.first().is_some_and(|first| first.start <= instants.start)
                && self.intervals.last().is_some_and(|last| last.end >= instants.end);
            if !reaches {
                return Err(DemoError::Reach { what, start: days.start, end: days.end, title: self.title.clone() });
            }
        }
        if self.baseline.end > self.reporting.start {
            return Err(DemoError::Order { baseline_end: self.baseline.end, reporting_start: self.reporting.start });
        }
        let longest = self.reporting.start.checked_add(31.days()).map_err(|err| DemoError::Zone { zone: self.zone.clone(), err })?;
        if self.reporting.end > longest {
            return Err(DemoError::Month { start: self.reporting.start, end: self.reporting.end });
        }
        Ok(())
    }
}

/// Millionths as decimal text, without trailing zeros.
fn decimal(millionths: i64) -> String {
    units::Measured { raw: millionths, exponent: -6, unit: units::Unit::Ratio }.decimal_text()
}

/// An interval of whole hours.
pub(crate) fn hours(start: Timestamp, count: i64, energy_mwh: i64) -> Interval {
    Interval { start, end: start + SignedDuration::from_hours(count), energy_mwh }
}
