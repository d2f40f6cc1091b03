//! The folders of a demo: a user's own building: `daily.csv`, or hourly Parquet beside a `meters.json`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use serde::Deserialize;
use units::{FacilityCalendar, Measured, Unit};

use super::DemoError;
use super::building::{Building, Dates, Interval, Weather, hours};

/// Consumption of each hour of a day, in thousandths of the day's: an ordinary weekday of an office.
const HOURS_OF_A_DAY: [i64; 24] = [28, 27, 27, 27, 28, 31, 37, 44, 51, 54, 55, 56, 55, 55, 55, 54, 53, 50, 45, 41, 37, 34, 30, 26];

/// Reads a building from a folder.
///
/// * `meter`: which meter of a `meters.json`; the first hourly one in electricity where nothing is said.
pub(crate) fn read(path: &Path, meter: Option<&str>, dates: Dates) -> Result<Building, DemoError> {
    if path.join("daily.csv").is_file() {
        return daily(&path.join("daily.csv"), dates);
    }
    if path.join("meters.json").is_file() {
        return described(path, meter, dates);
    }
    Err(DemoError::Folder { path: path.to_owned() })
}

#[derive(Debug, Deserialize)]
struct DailyRow {
    date: Date,
    energy_kwh: String,
    temp_f: String,
}

/// Civil days of energy and mean temperature. The zone is not known: days are taken as days of UTC.
fn daily(path: &Path, dates: Dates) -> Result<Building, DemoError> {
    let calendar = FacilityCalendar::named("UTC").map_err(|err| DemoError::Zone { zone: "UTC".to_owned(), err })?;
    let refused = |line: usize, reason: String| DemoError::Row { path: path.to_owned(), line, reason };
    let mut reader = csv::Reader::from_path(path).map_err(|err| refused(1, err.to_string()))?;
    let (mut intervals, mut weather, mut last) = (Vec::new(), Vec::new(), None);
    for (index, row) in reader.deserialize::<DailyRow>().enumerate() {
        let line = index + 2;
        let row = row.map_err(|err| refused(line, err.to_string()))?;
        if last.is_some_and(|last: Date| last.checked_add(1.day()).ok() != Some(row.date)) {
            return Err(refused(line, format!("{} does not follow the day before it", row.date)));
        }
        last = Some(row.date);
        let start = calendar.start_of(row.date).map_err(|err| refused(line, err.to_string()))?;
        let energy_mwh = millionths(&row.energy_kwh).map_err(|reason| refused(line, reason))?;
        let micro_fahrenheit = millionths(&row.temp_f).map_err(|reason| refused(line, reason))?;
        let mut left = energy_mwh;
        for (hour, share) in (0_i64..24).zip(HOURS_OF_A_DAY) {
            let at = start + SignedDuration::from_hours(hour);
            let energy = if hour == 23 { left } else { energy_mwh / 1_000 * share };
            left -= energy;
            intervals.push(hours(at, 1, energy));
            weather.push(Weather { at, micro_fahrenheit });
        }
    }
    let (Some(first), Some(last)) = (intervals.first().map(|row: &Interval| calendar.day_of(row.start)), last) else {
        return Err(refused(2, "there is no day in it".to_owned()));
    };
    let past = |day: Date, span: jiff::Span| day.checked_add(span).map_err(|err| refused(1, err.to_string()));
    let end = past(last, 1.day())?;
    let month_end = end.first_of_month();
    Ok(Building {
        title: format!("daily data of {}", path.display()),
        zone: "UTC".to_owned(),
        intervals,
        weather,
        baseline: dates.baseline.unwrap_or(first..past(first, 365.days())?),
        reporting: dates.reporting.unwrap_or(past(month_end, -(1.month()))?..month_end),
    })
}

/// What `meters.json` says of one meter. More is in it; this is what a demo needs.
#[derive(Debug, Deserialize)]
struct Described {
    freq: String,
    interpretation: String,
    unit: String,
    blackout_start_date: Option<Date>,
    blackout_end_date: Option<Date>,
    temperature: String,
}

fn described(folder: &Path, meter: Option<&str>, dates: Dates) -> Result<Building, DemoError> {
    let path = folder.join("meters.json");
    let refused = |reason: String| DemoError::Row { path: path.clone(), line: 1, reason };
    let text = load(&path)?;
    let meters: BTreeMap<String, Described> = serde_json::from_slice(&text).map_err(|err| refused(err.to_string()))?;
    let fits = |(name, about): &(&String, &Described)| match meter {
        Some(asked) => name.as_str() == asked,
        None => about.freq == "hourly" && about.interpretation == "electricity",
    };
    let known = || meters.iter().filter(|(_, about)| about.freq == "hourly").map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let (name, about) = meters.iter().find(fits).ok_or_else(|| refused(format!("no such meter in it; hourly ones: {}", known())))?;
    if about.freq != "hourly" || about.interpretation != "electricity" || about.unit != "kWh" {
        return Err(refused(format!("`{name}` is not hourly electricity in kWh; hourly ones: {}", known())));
    }
    let meter_file = format!("{name}.parquet");
    let weather_file = about.temperature.split_whitespace().next().unwrap_or_default();
    // Stations of the sample data: Illinois in Fahrenheit, the United Kingdom in Celsius.
    let zone = if about.temperature.contains("degC") { "Europe/London" } else { "America/Chicago" };
    let day_before = |day: Date, days: i64| day.checked_sub(days.days()).map_err(|err| refused(err.to_string()));
    let baseline = match (dates.baseline, about.blackout_start_date) {
        (Some(range), _) => range,
        (None, Some(end)) => day_before(end, 365)?..end,
        (None, None) => return Err(refused(format!("`{name}` has no blackout_start_date: say --baseline START..END"))),
    };
    let reporting = match (dates.reporting, about.blackout_end_date) {
        (Some(range), _) => range,
        (None, Some(start)) => first_month_from(start).map_err(|err| refused(err.to_string()))?,
        (None, None) => return Err(refused(format!("`{name}` has no blackout_end_date: say --reporting YYYY-MM"))),
    };
    Ok(Building {
        title: format!("meter `{name}` of {}", folder.display()),
        zone: zone.to_owned(),
        intervals: intervals(load(&folder.join(&meter_file))?.into(), &meter_file)?,
        weather: weather(load(&folder.join(weather_file))?.into(), weather_file)?,
        baseline,
        reporting,
    })
}

/// The first whole calendar month from a day on.
fn first_month_from(day: Date) -> Result<Range<Date>, jiff::Error> {
    let start = if day.day() == 1 { day } else { day.first_of_month().checked_add(1.month())? };
    Ok(start..start.checked_add(1.month())?)
}

fn load(path: &Path) -> Result<Vec<u8>, DemoError> {
    std::fs::read(path).map_err(|err| DemoError::File { path: path.to_owned(), err })
}

/// Hourly or finer consumption from Parquet with `start,value` in kWh; the last row closes the last period.
pub(crate) fn intervals(parquet: Bytes, name: &str) -> Result<Vec<Interval>, DemoError> {
    let (_, rows) = rows(parquet, name)?;
    let mut intervals = Vec::with_capacity(rows.len());
    for (index, pair) in rows.windows(2).enumerate() {
        let ((start, value), (end, _)) = (pair[0], pair[1]);
        let Some(energy_mwh) = value else {
            return Err(DemoError::Row {
                path: name.into(),
                line: index + 1,
                reason: "there is no value, and a demo needs one".to_owned(),
            });
        };
        intervals.push(Interval { start, end, energy_mwh });
    }
    Ok(intervals)
}

/// Temperatures from Parquet with `t,temp_f` or `t,temp_c`.
pub(crate) fn weather(parquet: Bytes, name: &str) -> Result<Vec<Weather>, DemoError> {
    let (unit, rows) = rows(parquet, name)?;
    // 9/5 and 32 are exact in millionths up to one rounding of a fifth of a millionth.
    let fahrenheit = |micro: i64| if unit == Some(Unit::Celsius) { micro * 9 / 5 + 32_000_000 } else { micro };
    let known = rows.into_iter().filter_map(|(at, value)| Some(Weather { at, micro_fahrenheit: fahrenheit(value?) }));
    Ok(known.collect())
}

fn rows(parquet: Bytes, name: &str) -> Result<(Option<Unit>, Vec<collector::ParsedRow>), DemoError> {
    collector::parquet_rows(parquet).map_err(|err| DemoError::Row { path: name.into(), line: 1, reason: daemon::chain(&err) })
}

/// Decimal text in millionths; digits beyond the sixth decimal are rounded off.
fn millionths(text: &str) -> Result<i64, String> {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let (kept, next) = decimals.split_at_checked(6).unwrap_or((decimals, ""));
    let exact = Measured::parse(&format!("{whole}.{kept:0<6}"), Unit::Ratio).map_err(|err| err.to_string())?;
    let up = i64::from(next.bytes().next().is_some_and(|digit| digit >= b'5'));
    Ok(if whole.starts_with('-') { exact.raw - up } else { exact.raw + up })
}

/// The marker by which a folder is known as a demo's own, and may be made anew.
const MARKER: &str = ".negawatt-demo";

/// An empty folder for the files of a demo; what an earlier demo left there is taken away.
///
/// * Errors: the folder has something in it that is not a demo's.
pub(crate) fn fresh(dir: &Path) -> Result<PathBuf, DemoError> {
    let refused = |err| DemoError::File { path: dir.to_owned(), err };
    let is_empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        if !dir.join(MARKER).is_file() {
            return Err(DemoError::Foreign { path: dir.to_owned() });
        }
        std::fs::remove_dir_all(dir).map_err(refused)?;
    }
    std::fs::create_dir_all(dir).map_err(refused)?;
    std::fs::write(dir.join(MARKER), "Made by `negawatt demo`, which may take it away again.\n").map_err(refused)?;
    Ok(dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_thousand_thousandths() {
        assert_eq!(HOURS_OF_A_DAY.iter().sum::<i64>(), 1_000);
    }

    #[test]
    fn digits_beyond_the_sixth_are_rounded() {
        assert_eq!(millionths("38.41722222"), Ok(38_417_222));
        assert_eq!(millionths("21505.4395255"), Ok(21_505_439_526));
        assert_eq!(millionths("-0.5"), Ok(-500_000));
        assert_eq!(millionths("7"), Ok(7_000_000));
        assert!(millionths("seven").is_err());
    }
}
