//! A meter of mbmd: names and addresses in a Go map, and how they are transformed.
//!
//! Most of its meters have one transformation for all registers. Others have a helper for each, such as `snip32u`, and call it for lists
//! of measurements with a divisor; that is read as far as it is written in this way.

use std::collections::BTreeMap;

use super::{Found, FoundPoint, id_of, scale_of};

/// Its transformations and our types.
const TRANSFORMS: [(&str, &str, &str); 10] = [
    ("RTUIeee754ToFloat64Swapped", "f32", "low-first"),
    ("RTUIeee754ToFloat64", "f32", "high-first"),
    ("RTUUint32ToFloat64Swapped", "u32", "low-first"),
    ("RTUUint32ToFloat64", "u32", "high-first"),
    ("RTUInt32ToFloat64Swapped", "i32", "low-first"),
    ("RTUInt32ToFloat64", "i32", "high-first"),
    ("RTUUint16ToFloat64", "u16", "high-first"),
    ("RTUInt16ToFloat64", "i16", "high-first"),
    ("RTUUint64ToFloat64", "u64", "high-first"),
    ("RTUInt64ToFloat64", "i64", "high-first"),
];

type Transform = (&'static str, &'static str, &'static str);

pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let uses = |name: &str| code.iter().any(|line| words(line).any(|word| word == name));
    let used: Vec<&Transform> = TRANSFORMS.iter().filter(|(name, ..)| uses(name)).collect();
    let table = match (uses("ReadInputReg"), uses("ReadHoldingReg")) {
        (true, false) => "input",
        (false, true) => "holding",
        _ => {
            found.lose("whether registers are input or holding is not said once for all");
            return found;
        }
    };
    let helped = by_helpers(&code);
    if let ([_], true) = (used.as_slice(), uses("MakeScaledTransform") && helped.is_empty()) {
        found.lose("values are scaled in its code: compare every point with the display and write its scale");
    }
    if uses("NaN") {
        found.lose("contents that mean no value are in its code: write them as invalid");
    }
    for line in &code {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim(), rest.trim().trim_end_matches(','));
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let address = match value.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => value.parse().ok(),
        };
        let Some(address) = address.filter(|_| plain) else { continue };
        let (transform, divisor) = match (helped.get(name), used.as_slice()) {
            (Some(told), _) => *told,
            (None, &[only]) => (only, 1.0),
            (None, _) => {
                found.lose(format!("{name}: which of its {} transformations is meant is not said in a list", used.len()));
                continue;
            }
        };
        let &(_, encoding, word_order) = transform;
        let Some(scale) = scale_of(1.0 / divisor, encoding == "f32") else {
            found.lose(format!("{name}: a divisor of {divisor} cannot be carried over exactly"));
            continue;
        };
        let (id, label) = (id_of(name), name.to_owned());
        found.points.push(FoundPoint { id, label, table, address, encoding, word_order, byte_order: "high-first", scale, invalid: &[] });
    }
    found
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// The name in `func (p *Meter) name(`.
fn function(line: &str) -> Option<&str> {
    line.strip_prefix("func (")?.split_once(") ")?.1.split('(').next()
}

/// What the helper of each measurement makes of its registers, and the divisor it is called with.
fn by_helpers(code: &[&str]) -> BTreeMap<String, (&'static Transform, f64)> {
    let mut helpers: BTreeMap<&str, &'static Transform> = BTreeMap::new();
    let mut inside = "";
    for line in code {
        inside = function(line).unwrap_or(inside);
        if let Some(transform) = TRANSFORMS.iter().find(|(name, ..)| words(line).any(|word| word == *name)) {
            helpers.entry(inside).or_insert(transform);
        }
    }
    let mut told = BTreeMap::new();
    let mut list: Vec<&str> = Vec::new();
    let mut listing = false;
    for line in code {
        let line = match line.split_once("[]Measurement{") {
            Some((_, rest)) => {
                (list, listing) = (Vec::new(), true);
                rest
            }
            None => line,
        };
        if listing {
            let (names, ends) = line.split_once('}').map_or((line, false), |(names, _)| (names, true));
            list.extend(words(names));
            listing = !ends;
            continue;
        }
        // A call inside the loop: `p.snip32u(op, 10)`.
        let Some((_, call)) = line.split_once("p.") else { continue };
        let Some((helper, rest)) = call.split_once("(op") else { continue };
        let divisor = rest.split(')').next().and_then(|rest| rest.trim_start_matches(',').trim().parse().ok()).unwrap_or(1.0);
        if let Some(transform) = helpers.get(helper) {
            told.extend(list.drain(..).map(|name| (name.to_owned(), (*transform, divisor))));
        }
    }
    told
}
