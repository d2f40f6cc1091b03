//! From a profile file as written to points that can be trusted: every fault is found, not only the first.

use std::collections::BTreeSet;

use units::Unit;

use crate::document::{BytesText, ConfidenceText, Document, EncodingText, GroupText, PointText, TableText, VectorText, WordOrderText};
use crate::encoding::{BitField, ByteOrder, Encoding, WordOrder};
use crate::point::{Group, Point, Scale, ScaleFactor, Table};
use crate::text::{TextBytes, TextField};
use crate::vector::{Expected, Vector};

pub(crate) fn table(text: TableText) -> Table {
    match text {
        TableText::Input => Table::Input,
        TableText::Holding => Table::Holding,
    }
}

fn word_order(text: WordOrderText) -> WordOrder {
    match text {
        WordOrderText::HighFirst => WordOrder::HighFirst,
        WordOrderText::LowFirst => WordOrder::LowFirst,
    }
}

fn byte_order(text: WordOrderText) -> ByteOrder {
    match text {
        WordOrderText::HighFirst => ByteOrder::HighFirst,
        WordOrderText::LowFirst => ByteOrder::LowFirst,
    }
}

pub(crate) fn document(document: &Document, faults: &mut Vec<String>) {
    let id_is_plain = document.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if document.id.is_empty() || document.id.len() > 63 || document.id.starts_with('-') || !id_is_plain {
        faults.push(format!("id: {:?} is not lower-case letters, digits and dashes, at most 63 of them", document.id));
    }
    if document.source.is_empty() {
        faults.push("source: name where the register map comes from".to_owned());
    }
    if !(1..=125).contains(&document.read.max_registers) {
        faults.push(format!("read.max_registers: {} is not in 1 to 125", document.read.max_registers));
    }
    if !(1..=8).contains(&document.read.align) {
        faults.push(format!("read.align: {} is not in 1 to 8", document.read.align));
    }
    if !(1..=247).contains(&document.unit_id) {
        faults.push(format!("unit_id: {} is not in 1 to 247", document.unit_id));
    }
    for rule in &document.identify {
        let limit = usize::from(document.read.max_registers);
        if rule.words.is_empty() || rule.words.len() > limit || rule.or.iter().any(|other| other.len() != rule.words.len()) {
            faults.push(format!("identify {}: takes 1 to {limit} words, and as many in each alternative", rule.address));
        }
    }
    for (key, text) in [("identification", &document.identification), ("server_id", &document.server_id)] {
        if text.as_ref().is_some_and(|text| text.trim().len() < 3) {
            faults.push(format!("{key}: a text of less than three characters names no model"));
        }
    }
    if document.points.is_empty() {
        faults.push("point: a profile without points reads nothing".to_owned());
    }
}

pub(crate) fn points(document: &Document, faults: &mut Vec<String>) -> Vec<Point> {
    let mut seen = BTreeSet::new();
    let mut points = Vec::with_capacity(document.points.len());
    for text in &document.points {
        if !seen.insert(text.id.as_str()) {
            faults.push(format!("point {}: named twice", text.id));
        }
        match point(document, text) {
            Ok(point) if point.span().1 - point.span().0 > u32::from(document.read.max_registers) => {
                faults.push(format!("point {}: wider than read.max_registers", text.id));
            }
            Ok(point) if point.span().1 > 0x1_0000 => faults.push(format!("point {}: beyond register 65535", text.id)),
            Ok(point) => points.push(point),
            Err(fault) => faults.push(format!("point {}: {fault}", text.id)),
        }
    }
    points
}

fn encoding(text: EncodingText) -> Encoding {
    match text {
        EncodingText::U16 => Encoding::U16,
        EncodingText::I16 => Encoding::I16,
        EncodingText::U32 => Encoding::U32,
        EncodingText::I32 => Encoding::I32,
        EncodingText::U64 => Encoding::U64,
        EncodingText::I64 => Encoding::I64,
        EncodingText::F32 => Encoding::F32,
        EncodingText::F64 => Encoding::F64,
        EncodingText::Acc32 => Encoding::Acc32,
        EncodingText::Acc64 => Encoding::Acc64,
        EncodingText::Bcd16 => Encoding::Bcd16,
        EncodingText::Bcd32 => Encoding::Bcd32,
        EncodingText::Bcd64 => Encoding::Bcd64,
        EncodingText::Mod10k32 => Encoding::Mod10k32,
        EncodingText::Mod10k48 => Encoding::Mod10k48,
        EncodingText::Mod10k64 => Encoding::Mod10k64,
        EncodingText::DateTimeIec => Encoding::DateTimeIec,
        EncodingText::DateTimeBytes => Encoding::DateTimeBytes,
    }
}

fn point(document: &Document, text: &PointText) -> Result<Point, String> {
    let encoding = encoding(text.encoding);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if text.id.is_empty() || !text.id.bytes().all(plain) {
        return Err("id is not lower-case letters, digits and underscores".to_owned());
    }
    let scale = Scale::parse(&text.scale).ok_or_else(|| format!("scale {:?} is not a positive decimal", text.scale))?;
    let place = |address: u16| address.checked_add(document.base).ok_or_else(|| "beyond register 65535".to_owned());
    let scale_factor = match &text.scale_factor {
        None => None,
        Some(factor) if (-10..=10).contains(&factor.typical) => {
            Some(ScaleFactor { address: place(factor.address)?, typical: factor.typical })
        }
        Some(factor) => return Err(format!("scale_factor.typical {} is not in -10 to 10", factor.typical)),
    };
    if encoding.is_float() && (scale.mantissa != 1 || scale_factor.is_some()) {
        return Err("a float's scale is a fixed power of ten".to_owned());
    }
    let mut invalid = Vec::new();
    for marker in &text.invalid {
        let bits = marker.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let fits = |bits: &u64| encoding.words() == 4 || *bits >> (16 * u32::from(encoding.words())) == 0;
        invalid.push(bits.filter(fits).ok_or_else(|| format!("invalid marker {marker:?} is not a hexadecimal number of its width"))?);
    }
    let bits = text.bits.map(|bits| BitField { first: bits.first, count: bits.count });
    if let Some(field) = bits {
        let inside = (1..=32).contains(&field.count) && u16::from(field.first) + u16::from(field.count) <= 16 * encoding.words();
        if !inside || !encoding.is_plain_integer() {
            return Err(format!(
                "bits {} to {} are not bits of a {}",
                field.first,
                field.first.saturating_add(field.count),
                encoding.name()
            ));
        }
    }
    if encoding.is_date_time() && (scale != Scale::ONE || text.unit != "s" || text.scale_factor.is_some()) {
        return Err("a date and time has unit s and no scale".to_owned());
    }
    if matches!(encoding, Encoding::Acc32 | Encoding::Acc64) && !invalid.contains(&0) {
        invalid.push(0);
    }
    Ok(Point {
        id: text.id.clone(),
        label: text.label.clone(),
        table: table(text.table.unwrap_or(document.table)),
        address: place(text.address)?,
        encoding,
        word_order: word_order(text.word_order.unwrap_or(document.word_order)),
        byte_order: byte_order(text.byte_order.or(document.byte_order).unwrap_or(WordOrderText::HighFirst)),
        bits,
        scale,
        exponent: exponent(text, encoding, scale)?,
        unit: Unit::from_symbol(&text.unit).ok_or_else(|| format!("unknown unit {:?}", text.unit))?,
        invalid,
        billing: text.billing,
        negated: false,
        scale_factor,
        group: match text.group {
            GroupText::Fast => Group::Fast,
            GroupText::Slow => Group::Slow,
        },
        doubtful: matches!(text.confidence, Some(ConfidenceText::Low)),
    })
}

/// The step of a point's readings, as a power of ten.
fn exponent(text: &PointText, encoding: Encoding, scale: Scale) -> Result<i8, String> {
    let Some(resolution) = &text.resolution else {
        let needs_one = encoding.is_float() || text.scale_factor.is_some();
        return if needs_one { Err("a float or a scale factor needs a resolution".to_owned()) } else { Ok(scale.exponent.min(0)) };
    };
    match Scale::parse(resolution) {
        Some(Scale { mantissa: 1, exponent: step @ -9..=0 }) if step <= scale.exponent || text.scale_factor.is_some() => Ok(step),
        Some(Scale { mantissa: 1, exponent: -9..=0 }) => Err(format!("resolution {resolution} is coarser than the scale")),
        _ => Err(format!("resolution {resolution:?} is not 1, 0.1, 0.01 …")),
    }
}

/// The texts that a device knows of itself.
pub(crate) fn texts(document: &Document, faults: &mut Vec<String>) -> Vec<TextField> {
    let mut texts = Vec::with_capacity(document.texts.len());
    for text in &document.texts {
        let end = u32::from(text.address) + u32::from(document.base) + u32::from(text.registers);
        match text.address.checked_add(document.base) {
            Some(address) if (1..=document.read.max_registers).contains(&text.registers) && end <= 0x1_0000 => texts.push(TextField {
                id: text.id.clone(),
                table: table(text.table.unwrap_or(document.table)),
                address,
                registers: text.registers,
                bytes: match text.bytes {
                    BytesText::Both => TextBytes::Both,
                    BytesText::Swapped => TextBytes::Swapped,
                    BytesText::Low => TextBytes::Low,
                    BytesText::High => TextBytes::High,
                },
            }),
            _ => faults.push(format!("text {}: wider than read.max_registers, or beyond register 65535", text.id)),
        }
    }
    texts
}

pub(crate) fn vectors(document: &Document, faults: &mut Vec<String>) -> Vec<Vector> {
    let mut vectors = Vec::with_capacity(document.vectors.len());
    for text in &document.vectors {
        if !document.points.iter().any(|point| point.id == text.point) {
            faults.push(format!("vector {}: no such point", text.point));
        }
        match expected(text) {
            Some(expected) => vectors.push(Vector { point: text.point.clone(), words: text.words.clone(), expected }),
            None => faults.push(format!("vector {}: say either value or absent = true", text.point)),
        }
    }
    vectors
}

fn expected(text: &VectorText) -> Option<Expected> {
    match (&text.value, text.absent) {
        (Some(value), false) => Some(Expected::Value(value.clone())),
        (None, true) => Some(Expected::Absent),
        _ => None,
    }
}
