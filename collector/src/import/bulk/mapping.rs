//! What the columns of a file are: written once by a person, checked whole, and kept with every plan.
//!
//! ```toml
//! tenant = "acme"
//! facility = "hall"
//! zone = "America/Chicago"
//!
//! [time]
//! columns = ["Date", "Time"]
//! format = "%m/%d/%Y %H:%M"
//! interval = "15m"
//!
//! [[points]]
//! column = "Usage (kWh)"
//! device = "utility-meter"
//! point = "e_int"
//! unit = "kWh"
//! ```

use std::path::Path;

use config::{DurationText, Fault, Faults};
use ids::Slug;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use units::Unit;

use crate::ingest::is_point_name;
use crate::write::Decimal;

/// Points of one mapping.
const POINTS_MAX: usize = 256;
/// Columns that make a time together.
const TIME_COLUMNS_MAX: usize = 4;

/// A valid mapping.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    pub(crate) zone: Option<TimeZone>,
    pub(crate) time: TimeRule,
    pub(crate) csv: CsvRule,
    pub(crate) empty: Empty,
    pub(crate) missing: Vec<String>,
    pub(crate) contradictions: Contradictions,
    pub(crate) points: Vec<PointRule>,
}

/// Where the time of a row is, and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct TimeRule {
    /// Joined by a blank. The usual names when there are none.
    pub(crate) columns: Vec<String>,
    pub(crate) form: TimeForm,
    pub(crate) marks: Marks,
    pub(crate) interval_ms: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// ISO 8601, with or without an offset.
    Iso,
    EpochSeconds,
    EpochMilliseconds,
    /// As `strptime` has it.
    Written(String),
}

/// Which end of an interval its time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Marks {
    #[default]
    Start,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct CsvRule {
    pub(crate) delimiter: u8,
    pub(crate) decimal_comma: bool,
    pub(crate) skip_lines: usize,
}

/// What a cell without a value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Empty {
    /// A reading without a value.
    #[default]
    Reading,
    /// Nothing at all.
    Skip,
    Fault,
}

/// What becomes of a value that is not the stored one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contradictions {
    #[default]
    Refuse,
    /// Both are kept, the imported one as the newer version.
    Keep,
}

/// What a reading of a point is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// What passed in an interval, or what was sampled.
    #[default]
    Interval,
    /// What the display shows: it never goes back.
    Counter,
}

/// Energy to the customer, or from him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flow {
    Forward,
    Reverse,
}

#[derive(Clone, Debug)]
pub(crate) struct PointRule {
    pub(crate) column: Option<String>,
    /// Rows count for this point only where a column has this text.
    pub(crate) only: Option<Only>,
    pub(crate) device: Slug,
    pub(crate) point: String,
    pub(crate) unit: Unit,
    pub(crate) factor: Decimal,
    pub(crate) least: Option<i64>,
    pub(crate) most: Option<i64>,
    pub(crate) kind: Kind,
    pub(crate) flow: Option<Flow>,
    /// Green Button: what the address of its usage point has in it.
    pub(crate) usage_point: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Only {
    pub(crate) column: String,
    pub(crate) is: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    tenant: String,
    facility: String,
    zone: Option<String>,
    #[serde(default)]
    empty: Empty,
    #[serde(default)]
    missing: Vec<String>,
    #[serde(default)]
    contradictions: Contradictions,
    #[serde(default)]
    time: RawTime,
    #[serde(default)]
    csv: RawCsv,
    #[serde(default)]
    points: Vec<RawPoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTime {
    column: Option<String>,
    columns: Vec<String>,
    format: Option<String>,
    marks: Marks,
    interval: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCsv {
    delimiter: Option<String>,
    decimal: Option<String>,
    skip_lines: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPoint {
    column: Option<String>,
    only: Option<Only>,
    device: String,
    point: String,
    unit: String,
    /// A decimal in quotation marks: no float stands between the file and the reading.
    factor: Option<String>,
    min: Option<String>,
    max: Option<String>,
    #[serde(default)]
    kind: Kind,
    flow: Option<Flow>,
    usage_point: Option<String>,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// * Errors: all faults at once.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        config::parse(file, text, &[], validate)
    }
}

fn validate(raw: Raw, faults: &mut Faults) -> Option<Mapping> {
    let before = faults.iter().count();
    let slug = |key: &str, text: &str| Slug::parse(text).map_err(|err| Fault::at(key, err));
    let tenant = faults.keep(slug("tenant", &raw.tenant));
    let facility = faults.keep(slug("facility", &raw.facility));
    let zone = match &raw.zone {
        None => Some(None),
        Some(name) => faults.keep(TimeZone::get(name).map(Some).map_err(|err| {
            Fault::at("zone", err).allowed("a name of the IANA database, like America/Chicago").help("a fixed offset is written Etc/GMT+6")
        })),
    };
    let time = time_rule(raw.time, faults);
    let csv = csv_rule(&raw.csv, faults);
    if raw.points.is_empty() || raw.points.len() > POINTS_MAX {
        faults.add(Fault::at("points", format_args!("there are {}", raw.points.len())).allowed(format_args!("1–{POINTS_MAX} of them")));
    }
    let mut points: Vec<PointRule> = Vec::new();
    for (index, point) in raw.points.into_iter().take(POINTS_MAX).enumerate() {
        let Some(point) = point_rule(index, point, faults) else { continue };
        if let Some(other) = points.iter().position(|other| (&other.device, &other.point) == (&point.device, &point.point)) {
            faults.add(Fault::at(
                format_args!("points[{index}]"),
                format_args!("{}/{} is what points[{other}] is", point.device, point.point),
            ));
        }
        points.push(point);
    }
    let Raw { empty, missing, contradictions, .. } = Raw { points: Vec::new(), time: RawTime::default(), csv: RawCsv::default(), ..raw };
    let (tenant, facility, zone, time, csv) = (tenant?, facility?, zone?, time?, csv?);
    (faults.iter().count() == before).then_some(Mapping { tenant, facility, zone, time, csv, empty, missing, contradictions, points })
}

fn time_rule(raw: RawTime, faults: &mut Faults) -> Option<TimeRule> {
    let columns = match (raw.column, raw.columns) {
        (Some(column), columns) if columns.is_empty() => vec![column],
        (Some(_), _) => {
            faults.add(Fault::at("time.columns", "stands beside time.column").help("write one of the two"));
            return None;
        }
        (None, columns) => columns,
    };
    if columns.len() > TIME_COLUMNS_MAX {
        faults.add(Fault::at("time.columns", format_args!("has {}", columns.len())).allowed(format_args!("1–{TIME_COLUMNS_MAX}")));
    }
    let form = match raw.format.as_deref() {
        None | Some("iso") => TimeForm::Iso,
        Some("epoch-s") => TimeForm::EpochSeconds,
        Some("epoch-ms") => TimeForm::EpochMilliseconds,
        Some(written) => {
            // What it would write of some moment has to be read again: a directive that is unknown shows here.
            let moment = jiff::civil::date(2024, 2, 3).at(4, 5, 6, 0).to_zoned(TimeZone::UTC).ok();
            let sound = moment.and_then(|moment| jiff::fmt::strtime::format(written, &moment).ok()).is_some_and(|text| {
                BrokenDownTime::parse(written, &text).is_ok_and(|read| read.to_datetime().is_ok() || read.to_timestamp().is_ok())
            });
            if !sound {
                let fault = Fault::at("time.format", format_args!("\"{written}\" does not say a date"));
                faults.add(fault.allowed("iso, epoch-s, epoch-ms, or directives like %Y-%m-%d %H:%M"));
            }
            TimeForm::Written(written.to_owned())
        }
    };
    let interval_ms = raw.interval.map(|interval| i64::try_from(interval.duration().as_millis()).unwrap_or(i64::MAX));
    if interval_ms.is_some_and(|interval| !(1_000..=31 * 86_400_000).contains(&interval)) {
        faults.add(Fault::at("time.interval", "is not the interval of a meter").allowed("1s–31d"));
    }
    if raw.marks == Marks::End && interval_ms.is_none() {
        faults.add(Fault::at("time.interval", "is needed where times mark the end of an interval").help("add interval = \"15m\""));
    }
    Some(TimeRule { columns, form, marks: raw.marks, interval_ms })
}

fn csv_rule(raw: &RawCsv, faults: &mut Faults) -> Option<CsvRule> {
    let delimiter = match raw.delimiter.as_deref().unwrap_or(",").as_bytes() {
        [one @ (b',' | b';' | b'\t' | b'|')] => Some(*one),
        _ => {
            faults.add(Fault::at("csv.delimiter", "is not one that is known").allowed("\",\" \";\" \"|\" or \"\\t\""));
            None
        }
    };
    let decimal_comma = match raw.decimal.as_deref().unwrap_or(".") {
        "." => Some(false),
        "," => Some(true),
        other => {
            faults.add(Fault::at("csv.decimal", format_args!("\"{other}\" is no decimal mark")).allowed("\".\" or \",\""));
            None
        }
    };
    Some(CsvRule { delimiter: delimiter?, decimal_comma: decimal_comma?, skip_lines: raw.skip_lines })
}

fn point_rule(index: usize, raw: RawPoint, faults: &mut Faults) -> Option<PointRule> {
    let key = |name: &str| format!("points[{index}].{name}");
    let device = faults.keep(Slug::parse(&raw.device).map_err(|err| Fault::at(key("device"), err)));
    if !is_point_name(&raw.point) {
        let fault = Fault::at(key("point"), format_args!("`{}` is not the name of a point", raw.point));
        faults.add(fault.allowed("1–64 lower-case letters, digits and underscores"));
    }
    let unit = Unit::from_symbol(&raw.unit);
    if unit.is_none() {
        let known: Vec<_> = Unit::ALL.iter().map(|unit| unit.symbol()).filter(|symbol| !symbol.is_empty()).collect();
        faults.add(Fault::at(key("unit"), format_args!("`{}` is not the symbol of a unit", raw.unit)).allowed(known.join(" ")));
    }
    let number = |name: &str, text: &Option<String>, faults: &mut Faults| match text {
        None => Some(None),
        Some(text) => {
            let read = Decimal::read(text.as_bytes());
            faults.keep(read.map(Some).map_err(|_| Fault::at(key(name), format_args!("\"{text}\" is no number")).allowed("like \"0.001\"")))
        }
    };
    let factor = number("factor", &raw.factor, faults)?.unwrap_or(Decimal::ONE);
    if factor.is_zero() {
        faults.add(Fault::at(key("factor"), "0 would make all readings 0"));
    }
    let bound = |name: &str, text: &Option<String>, faults: &mut Faults| {
        let number = number(name, text, faults)?;
        let scaled = number.map(|number| number.scaled(super::EXPONENT)).transpose();
        faults.keep(scaled.map_err(|_| Fault::at(key(name), "is larger than any reading can be")))
    };
    let (least, most) = (bound("min", &raw.min, faults)?, bound("max", &raw.max, faults)?);
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        faults.add(Fault::at(key("min"), "is more than max"));
    }
    let RawPoint { column, only, point, kind, flow, usage_point, .. } = raw;
    Some(PointRule { column, only, device: device?, point, unit: unit?, factor, least, most, kind, flow, usage_point })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_mapping_are_told_at_once() {
        let text = r#"
tenant   = "Acme Inc"
facility = "hall"
zone     = "America/Springfield"

[time]
columns = ["Date", "Time"]
format  = "%Q-%m"
marks   = "end"

[csv]
delimiter = "::"

[[points]]
column = "kWh"
device = "utility-meter"
point  = "E int"
unit   = "kwh"
factor = "1,5"

[[points]]
column = "kW"
device = "utility-meter"
point  = "p"
unit   = "kW"
min    = "10"
max    = "1"
"#;
        insta::assert_snapshot!(Mapping::parse(Path::new("mapping.toml"), text).unwrap_err());
    }

    #[test]
    fn the_example_says_what_is_taken_for_granted() {
        let example =
            Mapping::parse(Path::new("import-mapping.toml"), include_str!("../../../../config/examples/import-mapping.toml")).unwrap();
        assert_eq!(
            (example.empty, example.contradictions, example.time.marks),
            (Empty::default(), Contradictions::default(), Marks::default())
        );
        let csv = &example.csv;
        assert_eq!((csv.delimiter, csv.decimal_comma, csv.skip_lines, example.points[0].factor), (b',', false, 0, Decimal::new(1, 0)));
    }

    #[test]
    fn an_unknown_key_and_a_point_twice_are_faults() {
        let point = "[[points]]\ncolumn = \"a\"\ndevice = \"m\"\npoint = \"e_int\"\nunit = \"kWh\"\n";
        let twice = format!("tenant = \"a\"\nfacility = \"b\"\n{point}{point}");
        let told = Mapping::parse(Path::new("m.toml"), &twice).unwrap_err().to_string();
        assert!(told.contains("points[1]: m/e_int is what points[0] is"), "{told}");
        let unknown = format!("tenant = \"a\"\nfacility = \"b\"\ntimezone = \"UTC\"\n{point}");
        let told = Mapping::parse(Path::new("m.toml"), &unknown).unwrap_err().to_string();
        assert!(told.contains("timezone"), "{told}");
    }
}
