//! The display says 230.1 and the program says 3.6e-19: what is wrong with the map? Pure.
//!
//! Addresses are off by one because some makers count from 1, words and bytes come in four orders, scales are powers of ten, and a
//! sign may be turned. Every combination is held against what the display shows; among those that explain it, the one that changes
//! least in the profile wins.

use devices::{Encoding, Point, WordOrder};
use serde::Serialize;

/// How far from the point's own address it is looked for.
pub(super) const REACH: u16 = 3;
/// A value that moves between the display and the question. With each change of the profile half as much is allowed: so many maps
/// can be made up that one of them is within a hundredth of any number.
const MOVES: f64 = 0.01;
/// More than this changed is no explanation, it is a coincidence.
const CHANGES_MAX: u32 = 9;
/// Hypotheses in an answer.
const RANKED_MAX: usize = 5;

/// The order of the bytes of a number, the most significant is A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ByteOrder {
    /// As Modbus sends words, most significant word first.
    Abcd,
    /// Least significant word first.
    Cdab,
    /// Bytes of each word exchanged.
    Badc,
    /// Everything turned round.
    Dcba,
}

impl ByteOrder {
    const ALL: [Self; 4] = [Self::Abcd, Self::Cdab, Self::Badc, Self::Dcba];

    const fn turns_words(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    const fn turns_bytes(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Abcd => "ABCD",
            Self::Cdab => "CDAB",
            Self::Badc => "BADC",
            Self::Dcba => "DCBA",
        }
    }
}

/// Registers that were read around a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Address of the first.
    pub first: u16,
    /// Their words.
    pub words: Vec<u16>,
}

/// One way to read the display's number out of the registers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hypothesis {
    /// Registers further than the profile says.
    pub offset: i32,
    /// Type of the number: `f32`.
    pub encoding: &'static str,
    /// Order of its bytes.
    pub order: ByteOrder,
    /// Power of ten on top of the profile's scale.
    pub power: i32,
    /// Whether the sign is turned.
    pub negated: bool,
    /// What it reads.
    pub value: f64,
    /// How much it changes in the profile; 0 is the profile itself.
    pub changes: u32,
    /// In plain words.
    pub says: String,
}

/// What explains the display, the likeliest first.
///
/// * Shape: `decimals` is how many digits the display shows behind its point.
#[must_use]
pub fn explain_display(window: &Window, point: &Point, shown: f64, decimals: u32) -> Vec<Hypothesis> {
    let half_digit = 0.5 * 10_f64.powi(-i32::try_from(decimals).unwrap_or(0)) + 1e-9;
    let mut found: Vec<(u32, f64, Hypothesis)> = Vec::new();
    // Decimal digits and dates are rare enough to be looked up in the manual.
    for encoding in Encoding::ALL.into_iter().filter(|encoding| encoding.is_plain_integer() || encoding.is_float()) {
        for index in 0..window.words.len() {
            let Some(words) = window.words.get(index..index + usize::from(encoding.words())) else { continue };
            let at = i32::from(window.first) + i32::try_from(index).unwrap_or(0);
            let offset = at - i32::from(point.address);
            for order in ByteOrder::ALL {
                if order.turns_words() && encoding.words() == 1 {
                    continue;
                }
                let Some(number) = number(words, encoding, order) else { continue };
                let scaled = number * scale_of(point);
                for power in -6..=6 {
                    for negated in [false, true] {
                        let value = scaled * 10_f64.powi(power) * if negated { -1.0 } else { 1.0 };
                        let error = (value - shown).abs();
                        let changes = cost(point, offset, encoding, order, power, negated);
                        let moves = MOVES * shown.abs() / f64::from(1_u32 << changes.min(CHANGES_MAX));
                        if error > half_digit + moves || value == 0.0 || changes > CHANGES_MAX {
                            continue;
                        }
                        let drift = u32::from(error > half_digit) + u32::from(error > half_digit + MOVES / 4.0 * shown.abs());
                        let says = describe(point, offset, encoding, order, power, negated);
                        let hypothesis = Hypothesis { offset, encoding: encoding.name(), order, power, negated, value, changes, says };
                        found.push((changes + drift, error, hypothesis));
                    }
                }
            }
        }
    }
    found.sort_by(|(a, far_a, _), (b, far_b, _)| a.cmp(b).then(far_a.total_cmp(far_b)));
    found.into_iter().map(|(_, _, hypothesis)| hypothesis).take(RANKED_MAX).collect()
}

fn scale_of(point: &Point) -> f64 {
    // A scale has at most 18 digits, and a display far fewer.
    let mantissa: f64 = point.scale.mantissa.to_string().parse().unwrap_or(1.0);
    let sign = if point.negated { -1.0 } else { 1.0 };
    sign * mantissa * 10_f64.powi(i32::from(point.scale.exponent))
}

/// The number in some registers.
fn number(words: &[u16], encoding: Encoding, order: ByteOrder) -> Option<f64> {
    let turned = |word: &u16| if order.turns_bytes() { word.swap_bytes() } else { *word };
    let mut words: Vec<u16> = words.iter().map(turned).collect();
    if order.turns_words() {
        words.reverse();
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let number = match encoding {
        Encoding::U16 => f64::from(u16::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::I16 => f64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::U32 => f64::from(u32::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::I32 => f64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::F32 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::F64 => f64::from_be_bytes(bytes.try_into().ok()?),
        Encoding::U64 => u64::from_be_bytes(bytes.try_into().ok()?).to_string().parse().ok()?,
        Encoding::I64 => i64::from_be_bytes(bytes.try_into().ok()?).to_string().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn configured_order(point: &Point) -> ByteOrder {
    match (point.word_order, point.byte_order) {
        (WordOrder::HighFirst, devices::ByteOrder::HighFirst) => ByteOrder::Abcd,
        (WordOrder::LowFirst, devices::ByteOrder::HighFirst) => ByteOrder::Cdab,
        (WordOrder::HighFirst, devices::ByteOrder::LowFirst) => ByteOrder::Badc,
        (WordOrder::LowFirst, devices::ByteOrder::LowFirst) => ByteOrder::Dcba,
    }
}

/// How much of the profile would have to change, the rare mistakes at a higher price.
fn cost(point: &Point, offset: i32, encoding: Encoding, order: ByteOrder, power: i32, negated: bool) -> u32 {
    let configured = configured_order(point);
    let words = u32::from(encoding.words() > 1 && order.turns_words() != configured.turns_words()) * 2;
    let bytes = u32::from(order.turns_bytes() != configured.turns_bytes()) * 4;
    let kind = match (point.encoding, encoding) {
        (one, other) if one == other => 0,
        (one, other) if one.words() == other.words() && one.is_float() == other.is_float() => u32::from(!negated),
        (one, other) if one.words() == other.words() => 4,
        _ => 5,
    };
    let place = match offset.unsigned_abs() {
        0 => 0,
        1 => 3,
        2 => 4,
        _ => 6,
    };
    let scale = match power.unsigned_abs() {
        0 => 0,
        1..=3 => 2,
        _ => 5,
    };
    words + bytes + kind + place + scale + u32::from(negated) * 3
}

fn describe(point: &Point, offset: i32, encoding: Encoding, order: ByteOrder, power: i32, negated: bool) -> String {
    let mut changes = Vec::new();
    if offset != 0 {
        changes.push(format!("address {} instead of {}", i32::from(point.address) + offset, point.address));
    }
    if encoding != point.encoding {
        changes.push(format!("type {} instead of {}", encoding.name(), point.encoding.name()));
    }
    if encoding.words() > 1 && order != configured_order(point) || order.turns_bytes() != configured_order(point).turns_bytes() {
        changes.push(format!("byte order {} instead of {}", order.name(), configured_order(point).name()));
    }
    if power != 0 {
        changes.push(format!("10^{power} times the scale"));
    }
    if negated {
        changes.push("the other sign".to_owned());
    }
    if changes.is_empty() { "the profile reads it right".to_owned() } else { changes.join(", ") }
}

#[cfg(test)]
mod tests;
