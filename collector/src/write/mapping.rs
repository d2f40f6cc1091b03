//! Whose reading a line is: its measurement, tags and fields become a device, a point and a unit.
//!
//! * Tenant and facility are those of the request (`org` and `bucket`); tags `tenant` and `facility` may repeat them.
//! * The device is the first of the configured tags that the line has.
//! * The point is the tag `point`, or what the configuration says of the field, or `measurement.field`, or the
//!   measurement alone when the field is called `value`; the values of configured tags are added to it.
//! * The unit is what the configuration says of the field, or the tag `unit`.
//!
//! Every other tag is refused: a tag that is dropped makes one series of two.

use std::collections::HashMap;
use std::sync::Arc;

use ids::Slug;
use units::{Quality, Unit};

use super::Reason;
use super::line::{Field, Value, cut, plain};
use super::number::{integer, scaled};
use crate::config::{Names, PointRule};
use crate::ingest::is_point_name;

/// Values without a rule of their own are kept with six decimals, as those of an import.
const EXPONENT: i8 = -6;
/// Heads of lines that are remembered; a writer of more series than this is slower.
const HEADS_MAX: usize = 50_000;
const FIELDS_MAX: usize = 4_096;

/// Where the readings of a request go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
}

/// What a line says of one point, but for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) device: Slug,
    pub(super) point: Arc<str>,
    pub(super) unit: Unit,
    pub(super) exponent: i8,
    pub(super) raw: Option<i64>,
    pub(super) quality: Quality,
}

/// What lines that begin alike have in common, worked out once.
#[derive(Debug)]
struct Head {
    measurement: String,
    device: Slug,
    point: Option<String>,
    suffix: String,
    unit: Option<Unit>,
    fields: Vec<(Box<[u8]>, Option<Target>)>,
}

/// What a field is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    point: Arc<str>,
    unit: Unit,
    exponent: i8,
}

/// Heads that have been seen in a bucket.
#[derive(Debug, Default)]
pub(super) struct Heads {
    places: HashMap<Arc<[u8]>, usize>,
    known: Vec<Known>,
    /// Where the line before was.
    last: usize,
}

#[derive(Debug)]
struct Known {
    text: Arc<[u8]>,
    head: Head,
    /// The place of what came after it the last time: a writer says the same in the same order, and so it is looked for there first.
    next: usize,
}

impl Heads {
    /// What the fields of a line say. A field that is no reading says nothing.
    ///
    /// * Errors: the first fault; then nothing of the line counts.
    pub(super) fn read(
        &mut self,
        names: &Names,
        bucket: &Bucket,
        head: &[u8],
        fields: &[Field<'_>],
        said: &mut Vec<Said>,
    ) -> Result<(), Reason> {
        let at = self.place(names, bucket, head)?;
        let Some(Known { head, .. }) = self.known.get_mut(at) else { return Err(Reason::Syntax) };
        if fields.iter().enumerate().any(|(at, field)| fields.iter().take(at).any(|other| other.key == field.key)) {
            return Err(Reason::DuplicateKey);
        }
        if head.is_native() {
            return head.native(names, fields).map(|one| said.push(one));
        }
        for field in fields {
            let Some(target) = head.target(names, field.key, fields.len())? else { continue };
            let (raw, quality) = (Some(target.raw(field.value)?), Quality::GOOD);
            let Target { point, unit, exponent } = target.clone();
            said.push(Said { device: head.device.clone(), point, unit, exponent, raw, quality });
        }
        Ok(())
    }
}

impl Heads {
    fn place(&mut self, names: &Names, bucket: &Bucket, text: &[u8]) -> Result<usize, Reason> {
        let guess = self.known.get(self.last).map_or(0, |last| last.next);
        if self.known.get(guess).is_some_and(|known| *known.text == *text) {
            self.last = guess;
            return Ok(guess);
        }
        let at = match self.places.get(text) {
            Some(at) => *at,
            None => {
                let head = Head::read(names, bucket, text)?;
                if self.known.len() >= HEADS_MAX {
                    *self = Self::default();
                }
                let (text, at): (Arc<[u8]>, _) = (text.into(), self.known.len());
                self.known.push(Known { text: text.clone(), head, next: 0 });
                self.places.insert(text, at);
                at
            }
        };
        if let Some(last) = self.known.get_mut(self.last) {
            last.next = at;
        }
        self.last = at;
        Ok(at)
    }
}

impl Head {
    fn read(names: &Names, bucket: &Bucket, head: &[u8]) -> Result<Self, Reason> {
        let mut parts = cut(head, b',');
        let measurement = plain(parts.next().unwrap_or_default())?;
        if measurement.is_empty() {
            return Err(Reason::Syntax);
        }
        let mut tags: HashMap<String, String> = HashMap::new();
        for part in parts {
            let mut halves = cut(part, b'=');
            let (Some(key), Some(value), None) = (halves.next(), halves.next(), halves.next()) else { return Err(Reason::Syntax) };
            let (key, value) = (plain(key)?, plain(value)?);
            if key.is_empty() || value.is_empty() {
                return Err(Reason::Syntax);
            }
            if tags.insert(key, value).is_some() {
                return Err(Reason::DuplicateKey);
            }
        }
        if tags.remove("tenant").is_some_and(|tenant| tenant != bucket.tenant.as_str()) {
            return Err(Reason::Tenant);
        }
        if tags.remove("facility").is_some_and(|facility| facility != bucket.facility.as_str()) {
            return Err(Reason::Facility);
        }
        let unit = tags.remove("unit").map(|symbol| Unit::from_symbol(&symbol).ok_or(Reason::Unit)).transpose()?;
        let point = tags.remove("point");
        let devices: Vec<String> = names.device_tags.iter().filter_map(|tag| tags.remove(tag)).collect();
        let device = devices.first().ok_or(Reason::Device)?;
        let device = Slug::parse(device).map_err(|_name| Reason::Name)?;
        let mut suffix = String::new();
        for value in names.point_tags.iter().filter_map(|tag| tags.remove(tag)) {
            suffix.push('.');
            suffix.push_str(&value);
        }
        if tags.keys().any(|tag| !names.ignored_tags.contains(tag)) {
            return Err(Reason::Tag);
        }
        Ok(Self { measurement, device, point, suffix, unit, fields: Vec::new() })
    }

    /// Whether it is a line as [`wire::line_protocol`] writes it: one reading, exactly as it is stored.
    fn is_native(&self) -> bool {
        self.measurement == wire::line_protocol::MEASUREMENT && self.point.is_some()
    }

    fn native(&self, names: &Names, fields: &[Field<'_>]) -> Result<Said, Reason> {
        let (mut raw, mut exponent, mut quality) = (None, None, Quality::GOOD);
        for field in fields {
            let Value::Integer(digits) = field.value else { return Err(Reason::Value) };
            let value = integer(digits, Reason::Value)?;
            match field.key {
                b"raw" => raw = Some(value),
                b"exponent" => exponent = i8::try_from(value).ok().filter(|exponent| (-18..=18).contains(exponent)),
                b"quality" => quality = u16::try_from(value).map(Quality::from_bits).map_err(|_wide| Reason::Range)?,
                b"seq" => {}
                _ => return Err(Reason::Field),
            }
        }
        let point = self.point.clone().unwrap_or_default();
        let rule = names.points.get(&(self.measurement.clone(), point.clone()));
        let unit = rule.and_then(|rule| rule.unit).or(self.unit).ok_or(Reason::Unit)?;
        if !is_point_name(&point) {
            return Err(Reason::Name);
        }
        if raw.is_none() && quality.is_usable() {
            return Err(Reason::NoField);
        }
        Ok(Said { device: self.device.clone(), point: point.into(), unit, exponent: exponent.ok_or(Reason::Range)?, raw, quality })
    }

    /// What a field is; nothing when it is no reading.
    fn target(&mut self, names: &Names, key: &[u8], fields: usize) -> Result<Option<&Target>, Reason> {
        let known = self.fields.iter().position(|(known, _)| &**known == key);
        let at = match known {
            Some(at) => at,
            None => {
                if self.fields.len() >= FIELDS_MAX {
                    self.fields.clear();
                }
                let target = self.work_out(names, &plain(key)?)?;
                self.fields.push((key.into(), target));
                self.fields.len() - 1
            }
        };
        let target = self.fields.get(at).and_then(|(_, target)| target.as_ref());
        // A tag names one point, and a line of several fields would give the name to each of them.
        if target.is_some() && self.point.is_some() && fields > 1 { Err(Reason::Point) } else { Ok(target) }
    }

    fn work_out(&self, names: &Names, field: &str) -> Result<Option<Target>, Reason> {
        let nothing = PointRule::default();
        let rule = names.points.get(&(self.measurement.clone(), field.to_owned())).unwrap_or(&nothing);
        if rule.ignored {
            return Ok(None);
        }
        let own = || if field == "value" { self.measurement.clone() } else { format!("{}.{field}", self.measurement) };
        let mut point = rule.point.clone().or_else(|| self.point.clone()).unwrap_or_else(own);
        point.push_str(&self.suffix);
        if !is_point_name(&point) {
            return Err(Reason::Name);
        }
        let unit = rule.unit.or(self.unit).ok_or(Reason::Unit)?;
        Ok(Some(Target { point: point.into(), unit, exponent: rule.exponent.unwrap_or(EXPONENT) }))
    }
}

impl Target {
    fn raw(&self, value: Value<'_>) -> Result<i64, Reason> {
        match value {
            Value::Decimal(text) => scaled(text, self.exponent),
            Value::Integer(text) => {
                integer(text, Reason::Value)?;
                scaled(text, self.exponent)
            }
            Value::Boolean => Err(Reason::Boolean),
            Value::Text => Err(Reason::Text),
        }
    }
}
