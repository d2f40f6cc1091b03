//! Messages of gateways that are not ours: `negawatt.readings/1`, described in `INGEST.md`.
//!
//! A reading that cannot be used stops no other: the message is then kept as a dead letter as well, which counts the
//! readings that were left out.

use ids::{Slug, SpoolId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Number, Value};
use store::Row;
use units::{Quality, Reason, Unit};
use wire::GatewayPath;

use super::Refusal;
use super::decode::{is_point_name, unsynced};
use crate::write;

/// The `schema` of a message.
pub(crate) const SCHEMA: &str = "negawatt.readings/1";
/// Values are kept with six decimals, when a reading does not say otherwise.
const EXPONENT: i8 = -6;
const EXPONENTS: std::ops::RangeInclusive<i8> = -18..=18;

/// A message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    schema: String,
    /// `tenant/facility/gateway`, as the topic has it.
    gateway: String,
    /// Of a gateway that numbers its messages and waits for acknowledgements.
    spool_id: Option<String>,
    seq: Option<u64>,
    /// Of readings that do not say theirs.
    time: Option<Value>,
    #[serde(default = "yes")]
    clock_synced: bool,
    readings: Vec<Value>,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    device: String,
    point: String,
    unit: String,
    /// A number, its decimal text, or null.
    value: Value,
    time: Option<Value>,
    exponent: Option<i8>,
    quality: Option<u16>,
}

/// What a message says.
#[derive(Debug)]
pub(super) struct Read {
    /// Its number, when it has one.
    pub(super) number: Option<(SpoolId, u64)>,
    pub(super) rows: Vec<Row>,
    /// The first reason, and how many readings were left out.
    pub(super) left_out: Option<(Refusal, usize)>,
}

/// Whether a payload can only be JSON: no envelope begins so.
pub(super) fn is_json(payload: &[u8]) -> bool {
    payload.trim_ascii_start().first() == Some(&b'{')
}

/// Reads a message.
///
/// * Errors: nothing of it can be used; how many readings it has.
pub(super) fn read(path: &GatewayPath, payload: &[u8], latest: Timestamp) -> Result<Read, (Refusal, usize)> {
    let message: Message = serde_json::from_slice(payload).map_err(|_shape| (Refusal::Json, 1))?;
    let count = message.readings.len();
    if message.schema != SCHEMA {
        return Err((Refusal::Schema, count));
    }
    if message.gateway != path.to_string() {
        return Err((Refusal::Identity, count));
    }
    if count > super::decode::FRAME_ITEMS_MAX {
        return Err((Refusal::Size, count));
    }
    let number = match (message.spool_id, message.seq) {
        (None, None) => None,
        (Some(spool_id), Some(seq)) if seq > 0 => {
            let bytes = wire::command::from_hex(&spool_id).ok_or((Refusal::Sequence, count))?;
            Some((SpoolId::from_bytes(bytes), seq))
        }
        _ => return Err((Refusal::Sequence, count)),
    };
    let mut read = Read { number, rows: Vec::with_capacity(count), left_out: None };
    for reading in message.readings {
        match row(reading, message.time.as_ref(), latest) {
            Ok(row) => read.rows.push(Row { quality: if message.clock_synced { row.quality } else { unsynced(row.quality) }, ..row }),
            Err(refusal) => {
                let (first, left_out) = read.left_out.unwrap_or((refusal, 0));
                read.left_out = Some((first, left_out + 1));
            }
        }
    }
    Ok(read)
}

fn row(reading: Value, time: Option<&Value>, latest: Timestamp) -> Result<Row, Refusal> {
    let Reading { device, point, unit, value, time: own, exponent, quality } =
        serde_json::from_value(reading).map_err(|_shape| Refusal::Reading)?;
    let device = Slug::parse(&device).map_err(|_name| Refusal::Name)?;
    if !is_point_name(&point) {
        return Err(Refusal::Name);
    }
    let unit = Unit::from_symbol(&unit).ok_or(Refusal::Unit)?;
    let exponent = exponent.unwrap_or(EXPONENT);
    if !EXPONENTS.contains(&exponent) {
        return Err(Refusal::Exponent);
    }
    let at = when(own.as_ref().or(time).ok_or(Refusal::Time)?)?;
    if at > latest {
        return Err(Refusal::ClockWindow);
    }
    let raw = raw(&value, exponent)?;
    let quality = match (quality.map(Quality::from_bits), raw) {
        (Some(quality), Some(_)) => quality,
        (None, Some(_)) => Quality::GOOD,
        (Some(quality), None) if !quality.is_usable() => quality.with(Reason::NoValue),
        (_, None) => Quality::bad(Reason::NoValue),
    };
    Ok(Row { device, point: point.into(), unit, exponent, ts_ms: at.as_millisecond(), raw, quality, words: None })
}

/// RFC 3339 with a zone, or milliseconds since 1970.
fn when(time: &Value) -> Result<Timestamp, Refusal> {
    let at = match time {
        Value::String(text) => text.parse().ok(),
        Value::Number(millis) => millis.as_i64().and_then(|millis| Timestamp::from_millisecond(millis).ok()),
        _ => None,
    };
    at.ok_or(Refusal::Time)
}

fn raw(value: &Value, exponent: i8) -> Result<Option<i64>, Refusal> {
    let scaled = |text: &str| match write::scaled(text.as_bytes(), exponent) {
        Ok(raw) => Ok(Some(raw)),
        Err(write::Reason::Range) => Err(Refusal::Range),
        Err(_no_number) => Err(Refusal::Value),
    };
    match value {
        Value::Null => Ok(None),
        // The shortest decimal that is this float: what the sender wrote, up to fifteen digits.
        Value::Number(number) => scaled(&Number::to_string(number)),
        Value::String(text) => scaled(text),
        _ => Err(Refusal::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW_MS: i64 = 1_750_000_000_000;

    fn path() -> GatewayPath {
        let slug = |text| Slug::parse(text).unwrap();
        GatewayPath { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw-7") }
    }

    fn take(message: &Value) -> Result<Read, (Refusal, usize)> {
        let now = Timestamp::from_millisecond(NOW_MS).unwrap();
        read(&path(), message.to_string().as_bytes(), now + jiff::SignedDuration::from_mins(10))
    }

    fn message() -> Value {
        let reading = json!({"device": "main", "point": "e_imp", "unit": "kWh", "value": 1234.56});
        json!({"schema": SCHEMA, "gateway": "acme/hall/gw-7", "time": "2025-06-15T15:06:40Z", "readings": [reading.clone(), reading]})
    }

    fn changed(change: impl Fn(&mut Value)) -> Result<Read, (Refusal, usize)> {
        let mut message = message();
        change(&mut message);
        take(&message)
    }

    #[test]
    fn the_example_of_the_document_is_taken() {
        let document = include_str!("../../INGEST.md");
        let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let late = "2027-01-01T00:00:00Z".parse().unwrap();
        let read = read(&path(), example.as_bytes(), late).unwrap();
        let rows: Vec<_> = read.rows.iter().map(|row| (&*row.point, row.raw, row.exponent, row.quality.to_string())).collect();
        assert_eq!(
            rows,
            [
                ("e_imp", Some(4_821_337), -2, "good".to_owned()),
                ("temp", Some(21_500_000), -6, "good".to_owned()),
                ("co2", None, -6, "bad:comm_error+no_value".to_owned()),
            ]
        );
        assert!(read.left_out.is_none() && read.number.is_some_and(|(_, seq)| seq == 17));
    }

    #[test]
    fn what_cannot_be_used_of_a_message_leaves_the_rest() {
        let left_out = |key: &str, value: Value| {
            let read = changed(|message| message["readings"][1][key] = value.clone()).unwrap();
            assert_eq!(read.rows.len(), 1);
            let (refusal, count) = read.left_out.expect("one is left out");
            assert_eq!(count, 1);
            refusal
        };
        assert_eq!(left_out("device", json!("No Name")), Refusal::Name);
        assert_eq!(left_out("point", json!("E IMP")), Refusal::Name);
        assert_eq!(left_out("unit", json!("horse")), Refusal::Unit);
        assert_eq!(left_out("value", json!("abc")), Refusal::Value);
        assert_eq!(left_out("value", json!(true)), Refusal::Value);
        assert_eq!(left_out("value", json!(1e300)), Refusal::Range);
        assert_eq!(left_out("exponent", json!(40)), Refusal::Exponent);
        assert_eq!(left_out("time", json!("yesterday")), Refusal::Time);
        assert_eq!(left_out("time", json!("2025-06-15T15:06:40")), Refusal::Time);
        assert_eq!(left_out("time", json!(NOW_MS + 600_001)), Refusal::ClockWindow);
        assert_eq!(left_out("volts", json!(1)), Refusal::Reading);
    }

    #[test]
    fn what_cannot_be_used_at_all_is_refused_as_a_whole() {
        let refused = |change: fn(&mut Value)| changed(change).unwrap_err();
        assert_eq!(refused(|it| it["schema"] = json!("negawatt.readings/9")), (Refusal::Schema, 2));
        assert_eq!(refused(|it| it["gateway"] = json!("acme/hall/gw-8")), (Refusal::Identity, 2));
        assert_eq!(refused(|it| it["seq"] = json!(3)), (Refusal::Sequence, 2));
        let short = |it: &mut Value| (it["seq"], it["spool_id"]) = (json!(3), json!("00ff"));
        assert_eq!(changed(short).unwrap_err(), (Refusal::Sequence, 2));
        assert_eq!(refused(|it| it["extra"] = json!(3)), (Refusal::Json, 1));
        assert_eq!(take(&json!([])).unwrap_err(), (Refusal::Json, 1));
    }

    #[test]
    fn numbers_are_kept_as_they_were_written() {
        let raw = |value: Value| changed(|it| it["readings"][1]["value"] = value.clone()).unwrap().rows[1].raw;
        assert_eq!(raw(json!(0.1)), Some(100_000));
        assert_eq!(raw(json!("0.30000000000000004")), Some(300_000));
        assert_eq!(raw(json!(9_000_000_000_000_i64)), Some(9_000_000_000_000_000_000));
        assert_eq!(raw(json!(-1e-7)), Some(0));
        assert_eq!(raw(Value::Null), None);
    }
}
