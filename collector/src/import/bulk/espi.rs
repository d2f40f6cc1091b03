//! Green Button: Atom feeds of the Energy Services Provider Interface.
//!
//! A feed is a list of entries, each with a resource and links to others: a meter reading links to its reading type (the
//! unit, the power of ten, the direction), and an interval block lies below its meter reading. Times are seconds since
//! 1970 in UTC, whatever the local time parameters say.
//!
//! What comes from a stranger is bounded: no document type, no entities but the five of XML, and limits on depth, on
//! texts, on entries and on readings.
//!
//! * Source: NAESB REQ.21, as `espi.xsd` has it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use units::{Quality, Reason, Unit};

use super::SourceError;
use super::check::{Checker, Found};
use super::espi_entry::{self, Entry, IntervalReading, Resource, Said};
use super::fault::Rule;
use super::mapping::{Flow, Kind, Mapping, PointRule};
use crate::import::table::When;
use crate::write::Decimal;

/// What a feed has that the mapping does not ask for: how many readings, by what they are.
pub(super) type Unasked = BTreeMap<String, u64>;

/// Reads a feed.
///
/// * Errors: it is no such feed; two points of the mapping ask for the same readings; an interval block without a type.
pub(super) fn read(body: &[u8], mapping: &Mapping, checker: &mut Checker<'_>, unasked: &mut Unasked) -> Result<u64, SourceError> {
    let entries = espi_entry::read(body)?;
    let feed = Feed::of(&entries);
    let mut rows = 0;
    for entry in &entries {
        let Resource::IntervalBlock(readings) = &entry.resource else { continue };
        rows += readings.len() as u64;
        let (meter, kind) = feed.type_of(entry)?;
        let asking: Vec<_> = mapping.points.iter().enumerate().filter(|(_, rule)| asks(rule, &kind, &meter)).collect();
        match asking.as_slice() {
            [] => *unasked.entry(kind.said()).or_default() += readings.len() as u64,
            [(point, rule)] => {
                let factor = kind.factor(rule.unit).unwrap_or(Decimal::ONE).times(rule.factor).map_err(|_| SourceError::Factor)?;
                for reading in readings {
                    checker.take(found(reading, *point, &kind, factor))?;
                }
            }
            [(one, _), (other, _), ..] => return Err(SourceError::Ambiguous { what: kind.said(), one: *one, other: *other }),
        }
    }
    Ok(rows)
}

fn found(reading: &IntervalReading, point: usize, kind: &ReadingType, factor: Decimal) -> Found {
    let IntervalReading { row, start_s, value, quality } = *reading;
    let when = match start_s {
        Said::Nothing => Err((Rule::TimeMissing, "has no start".to_owned())),
        Said::Text => Err((Rule::TimeFormat, "has a start that is no number of seconds".to_owned())),
        Said::Number(start) => Timestamp::from_second(start)
            .map(When::At)
            .map_err(|_| (Rule::TimeFormat, format!("has a start outside of the calendar: {start}"))),
    };
    let value = match value {
        Said::Nothing => Ok(None),
        Said::Text => Err((Rule::ValueFormat, "has a value that is no whole number".to_owned())),
        Said::Number(value) => Decimal::new(value, kind.power_of_ten)
            .times(factor)
            .map(Some)
            .map_err(|_| (Rule::ValueTooLarge, format!("has a value that is larger than a reading can be: {value}"))),
    };
    Found { row, point, when, value, quality: quality.map_or(Quality::GOOD, grade) }
}

/// What the codes of `QualityOfReading` are for us.
const fn grade(code: u8) -> Quality {
    /// In doubt, without a reason that we have a name for.
    const QUESTIONABLE: Quality = Quality::from_bits(0b01 << 14);
    match code {
        // Valid, raw, validated, verified, revenue quality.
        0 | 14 | 17 | 18 | 19 => Quality::GOOD,
        7 => Quality::GOOD.with(Reason::Edited),
        // Estimated by a reference day or a line, derived, projected, mixed, normalised for weather.
        8 | 9 | 11 | 12 | 13 | 15 => Quality::uncertain(Reason::Estimated),
        _ => QUESTIONABLE,
    }
}

/// What the readings of a block are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadingType {
    pub(super) uom: Option<u16>,
    pub(super) power_of_ten: i32,
    pub(super) flow: Option<u8>,
    pub(super) accumulation: Option<u8>,
}

impl ReadingType {
    /// What turns its unit into `unit`; none where they do not measure the same.
    fn factor(&self, unit: Unit) -> Option<Decimal> {
        let tens = |power| Some(Decimal::new(1, power));
        match (self.uom?, unit) {
            (72, Unit::WattHour)
            | (73, Unit::VarHour)
            | (71, Unit::VoltAmpereHour)
            | (38, Unit::Watt)
            | (63, Unit::Var)
            | (61, Unit::VoltAmpere)
            | (29, Unit::Volt)
            | (5, Unit::Ampere)
            | (33, Unit::Hertz)
            | (106, Unit::AmpereHour)
            | (42, Unit::CubicMetre)
            | (169, Unit::Therm) => tens(0),
            (72, Unit::KilowattHour) | (73, Unit::KilovarHour) | (71, Unit::KilovoltAmpereHour) | (38, Unit::Kilowatt) => tens(-3),
            // 100,000 British thermal units are a therm; a foot is 0.3048 m.
            (132, Unit::Therm) => tens(-5),
            (119, Unit::CubicMetre) => Some(Decimal::new(28_316_846_592, -12)),
            _ => None,
        }
    }

    fn is_counter(&self) -> bool {
        // Bulk quantity, continuous cumulative, cumulative, summation.
        matches!(self.accumulation, Some(1 | 2 | 3 | 9))
    }

    fn said(&self) -> String {
        let unit = match self.uom {
            None => "no unit".to_owned(),
            Some(72) => "Wh".to_owned(),
            Some(38) => "W".to_owned(),
            Some(42) => "m3".to_owned(),
            Some(119) => "ft3".to_owned(),
            Some(132) => "Btu".to_owned(),
            Some(169) => "therm".to_owned(),
            Some(uom) => format!("unit {uom}"),
        };
        let flow = match self.flow {
            Some(19) => ", reverse",
            Some(1) => ", forward",
            _ => "",
        };
        format!("{unit}{flow}{}", if self.is_counter() { ", counter" } else { "" })
    }
}

fn asks(rule: &PointRule, kind: &ReadingType, meter: &str) -> bool {
    let flow = match rule.flow {
        None => true,
        Some(Flow::Forward) => kind.flow == Some(1),
        Some(Flow::Reverse) => kind.flow == Some(19),
    };
    let counts = (rule.kind == Kind::Counter) == kind.is_counter();
    flow && counts && kind.factor(rule.unit).is_some() && rule.usage_point.as_ref().is_none_or(|part| meter.contains(part.as_str()))
}

/// What the links of a feed say.
struct Feed<'a> {
    types: HashMap<&'a str, &'a ReadingType>,
    /// The links of each meter reading, by its address.
    meters: HashMap<&'a str, &'a [String]>,
}

impl<'a> Feed<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let (mut types, mut meters) = (HashMap::new(), HashMap::new());
        for entry in entries {
            match &entry.resource {
                Resource::ReadingType(kind) => {
                    types.insert(entry.address.as_str(), kind);
                }
                Resource::MeterReading => {
                    meters.insert(entry.address.as_str(), entry.related.as_slice());
                }
                Resource::IntervalBlock(_) | Resource::Other => {}
            }
        }
        Self { types, meters }
    }

    /// The meter reading that a block lies below, and its type.
    fn type_of(&self, block: &Entry) -> Result<(String, ReadingType), SourceError> {
        let above = block.above.strip_suffix("/IntervalBlock").unwrap_or(&block.above);
        let linked = self.meters.get(above).and_then(|links| links.iter().find_map(|link| self.types.get(link.as_str())));
        // Small exports leave the links out: then there is one type alone.
        let only = || self.types.values().next().filter(|_| self.types.len() == 1);
        let kind = linked.or_else(only).ok_or_else(|| SourceError::Untyped { block: block.address.clone() })?;
        let meter = if above.is_empty() { block.address.clone() } else { above.to_owned() };
        Ok((meter, (*kind).clone()))
    }
}
