//! Readings in the InfluxDB line protocol, for every time series database that takes it.
//!
//! ```text
//! reading,device=main,facility=hall,point=v1,tenant=acme exponent=-1i,quality=0i,raw=2301i,seq=7i 1748736000000
//! ```
//!
//! * Shape: a line a point, ended by a line feed. Tags and fields are in the order of their keys. Every field is a 64-bit integer.
//! * Units: the value is `raw` × 10^`exponent`; the time is milliseconds since 1970 UTC, so write with `precision=ms`.
//! * Absence: a point without a value has no field `raw`, and its quality says why.
//! * Source: InfluxData, "Line protocol", v2: <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>.

use std::fmt::Write;

use crate::{Frame, GatewayPath, PointReading, WireError};

/// The measurement under which readings are written.
pub const MEASUREMENT: &str = "reading";

/// Why a reading cannot be written as a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A name of no characters does not exist.
    #[error("{0} is empty")]
    Empty(Part),
    /// A character for which the grammar has no spelling that every server reads alike.
    #[error("{part} {text:?} has the character {character:?}, which a line cannot carry")]
    Character {
        /// Where it stands.
        part: Part,
        /// The text as given.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A name kept for the server's own use, or the beginning of a comment.
    #[error("{part} `{text}` must not begin with `_` or `#`")]
    Reserved {
        /// Where it stands.
        part: Part,
        /// The text as given.
        text: String,
    },
    /// Nothing to store.
    #[error("a line needs at least one field")]
    NoField,
    /// Fields are signed.
    #[error("sequence number {0} is beyond 63 bits")]
    Seq(u64),
    /// A reading that no receiver would accept.
    #[error("the reading is not valid")]
    Reading(#[source] WireError),
}

/// A named part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is measured.
    Measurement,
    /// The name of a tag.
    TagKey,
    /// The text of a tag.
    TagValue,
    /// The name of a field.
    FieldKey,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Measurement => "the measurement",
            Self::TagKey => "the tag key",
            Self::TagValue => "the tag value",
            Self::FieldKey => "the field key",
        })
    }
}

/// One line while it is put together.
#[derive(Debug, Clone)]
pub struct Line {
    head: String,
    fields: String,
}

impl Line {
    /// Begins a line.
    ///
    /// * Errors: the name is empty, reserved, or has a character that a line cannot carry.
    pub fn new(measurement: &str) -> Result<Self, LineError> {
        let mut line = Self { head: String::new(), fields: String::new() };
        escape(&mut line.head, Part::Measurement, measurement)?;
        Ok(line)
    }

    /// Adds a tag. Servers like them in the order of their keys.
    ///
    /// * Errors: as [`Line::new`]; a value may begin with anything.
    pub fn tag(mut self, key: &str, value: &str) -> Result<Self, LineError> {
        self.head.push(',');
        escape(&mut self.head, Part::TagKey, key)?;
        self.head.push('=');
        escape(&mut self.head, Part::TagValue, value)?;
        Ok(self)
    }

    /// Adds a field.
    ///
    /// * Errors: as [`Line::new`].
    pub fn integer(mut self, key: &str, value: i64) -> Result<Self, LineError> {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        escape(&mut self.fields, Part::FieldKey, key)?;
        write!(self.fields, "={value}i").expect("a text takes what is written to it");
        Ok(self)
    }

    /// Adds a field with a decimal number: of 64-bit floats, servers take the nearest.
    ///
    /// * Errors: as [`Line::new`].
    pub fn decimal(mut self, key: &str, value: &units::Measured) -> Result<Self, LineError> {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        escape(&mut self.fields, Part::FieldKey, key)?;
        self.fields.push('=');
        self.fields.push_str(&value.decimal_text());
        Ok(self)
    }

    /// Ends the line, without a line feed.
    ///
    /// * Errors: there is no field.
    pub fn at(self, ts_ms: i64) -> Result<String, LineError> {
        let Self { head, fields } = self;
        if fields.is_empty() { Err(LineError::NoField) } else { Ok(format!("{head} {fields} {ts_ms}")) }
    }
}

/// All readings of a frame, in the order of the frame.
///
/// * Errors: the first reading that is not valid, or that no line can carry.
pub fn lines(path: &GatewayPath, seq: u64, frame: &Frame) -> Result<String, LineError> {
    let seq = i64::try_from(seq).map_err(|_beyond| LineError::Seq(seq))?;
    let mut text = String::new();
    for device in &frame.devices {
        for point in &device.points {
            text.push_str(&reading(path, seq, &device.device, point, frame.tick_ms)?);
            text.push('\n');
        }
    }
    Ok(text)
}

fn reading(path: &GatewayPath, seq: i64, device: &str, point: &PointReading, tick_ms: i64) -> Result<String, LineError> {
    let exponent = point.exponent().map_err(LineError::Reading)?;
    let quality = point.quality().map_err(LineError::Reading)?;
    let mut line = Line::new(MEASUREMENT)?
        .tag("device", device)?
        .tag("facility", path.facility.as_str())?
        .tag("point", &point.point)?
        .tag("tenant", path.tenant.as_str())?
        .integer("exponent", exponent.into())?
        .integer("quality", quality.bits().into())?;
    if let Some(raw) = point.raw {
        line = line.integer("raw", raw)?;
    }
    line.integer("seq", seq)?.at(tick_ms)
}

/// Commas and spaces end a measurement; in keys and tag values the equals sign has a meaning too.
///
/// A line feed has no spelling at all, and of a backslash servers make different things: neither is written.
fn escape(out: &mut String, part: Part, text: &str) -> Result<(), LineError> {
    if text.is_empty() {
        return Err(LineError::Empty(part));
    }
    if part != Part::TagValue && text.starts_with(['_', '#']) {
        return Err(LineError::Reserved { part, text: text.to_owned() });
    }
    for character in text.chars() {
        match character {
            ',' | ' ' => out.push('\\'),
            '=' if part != Part::Measurement => out.push('\\'),
            '\\' => return Err(LineError::Character { part, text: text.to_owned(), character }),
            _ if character.is_control() => return Err(LineError::Character { part, text: text.to_owned(), character }),
            _ => {}
        }
        out.push(character);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ids::Slug;
    use proptest::prelude::*;
    use units::{Quality, Reason, Unit};

    use super::*;
    use crate::DeviceReading;

    fn path() -> GatewayPath {
        let slug = |text| Slug::parse(text).unwrap();
        GatewayPath { tenant: slug("acme"), facility: slug("north-hall"), gateway: slug("gw-1") }
    }

    fn point(id: &str, raw: Option<i64>, exponent: i32, quality: Quality) -> PointReading {
        PointReading {
            point: id.to_owned(),
            raw,
            exponent,
            unit: Unit::Volt.code().into(),
            quality: quality.bits().into(),
            words: Vec::new(),
        }
    }

    fn frame(points: Vec<PointReading>) -> Frame {
        let device = DeviceReading { device: "main".to_owned(), points, ..DeviceReading::default() };
        Frame { schema: crate::SCHEMA, tick_ms: 1_748_736_000_000, devices: vec![device], ..Frame::default() }
    }

    #[test]
    fn a_frame_as_it_is_written() {
        let silent = Quality::bad(Reason::CommError).with(Reason::NoValue);
        let points = vec![
            point("v1", Some(2_301), -1, Quality::GOOD),
            point("e_imp", Some(i64::MIN), -3, Quality::GOOD),
            point("p", None, 0, silent),
        ];
        let golden = include_str!("../../../tests/golden/wire/readings-v1.lp");
        assert_eq!(lines(&path(), 7, &frame(points)).unwrap(), golden);
        assert_eq!(lines(&path(), 7, &frame(Vec::new())).unwrap(), "");
    }

    #[test]
    fn names_are_spelled_as_published() {
        let line = Line::new("a, b=c").unwrap().tag("k, e=y", "v, a=l \"é\"").unwrap().integer("f, i=d", -1).unwrap();
        assert_eq!(line.at(-5).unwrap(), r#"a\,\ b=c,k\,\ e\=y=v\,\ a\=l\ "é" f\,\ i\=d=-1i -5"#);
    }

    #[test]
    fn what_a_line_cannot_carry_is_refused() {
        let line = || Line::new("m").unwrap();
        assert_eq!(line().at(0), Err(LineError::NoField));
        assert_eq!(line().tag("k", "").unwrap_err(), LineError::Empty(Part::TagValue));
        assert_eq!(line().integer("_time", 1).unwrap_err(), LineError::Reserved { part: Part::FieldKey, text: "_time".to_owned() });
        assert_eq!(Line::new("#m").unwrap_err(), LineError::Reserved { part: Part::Measurement, text: "#m".to_owned() });
        assert!(line().tag("k", "_v").is_ok());
        for (text, character) in [("a\nb", '\n'), ("a\0", '\0'), ("a\\", '\\'), ("\\,", '\\')] {
            let refused = LineError::Character { part: Part::TagValue, text: text.to_owned(), character };
            assert_eq!(line().tag("k", text).unwrap_err(), refused);
        }
        let of = |points| lines(&path(), 1, &frame(points)).unwrap_err();
        let strange = WireError::Exponent { point: "v1".to_owned(), exponent: 40 };
        assert_eq!(of(vec![point("v1", Some(1), 40, Quality::GOOD)]), LineError::Reading(strange));
        assert_eq!(lines(&path(), u64::MAX, &frame(Vec::new())), Err(LineError::Seq(u64::MAX)));
    }

    /// Cuts a text at every `mark` that no backslash stands before, and takes the backslashes away.
    fn cut(text: &str, mark: char) -> Vec<String> {
        let (mut parts, mut current, mut escaped) = (Vec::new(), String::new(), false);
        for character in text.chars() {
            if character == mark && !escaped {
                parts.push(std::mem::take(&mut current));
            } else {
                current.push(character);
            }
            escaped = character == '\\';
        }
        parts.push(current);
        parts
    }

    fn plain(text: &str) -> String {
        text.replace('\\', "")
    }

    proptest! {
        #[test]
        fn whatever_is_written_can_be_taken_apart_again(
            names in prop::collection::vec("[a-z, =\"é]{1,8}", 4),
            value: i64,
            ts_ms: i64,
        ) {
            let [measurement, tag_key, tag_value, field_key] = names.as_slice() else { unreachable!() };
            let line = Line::new(measurement).unwrap().tag(tag_key, tag_value).unwrap().integer(field_key, value).unwrap();
            let line = line.at(ts_ms).unwrap();
            let [head, field, time] = <[String; 3]>::try_from(cut(&line, ' ')).unwrap();
            prop_assert_eq!(time, ts_ms.to_string());
            let [found, tag] = <[String; 2]>::try_from(cut(&head, ',')).unwrap();
            prop_assert_eq!(&plain(&found), measurement);
            let [key, text] = <[String; 2]>::try_from(cut(&tag, '=')).unwrap();
            prop_assert_eq!((&plain(&key), &plain(&text)), (tag_key, tag_value));
            let [key, number] = <[String; 2]>::try_from(cut(&field, '=')).unwrap();
            prop_assert_eq!((&plain(&key), number), (field_key, format!("{value}i")));
        }
    }
}
