//! A meter of mbmd: names and addresses in a Go map, and the transformations that it uses.

use super::{Found, FoundPoint, id_of};

/// Its transformations and our types. Where a file uses more than one, which belongs to which register is in its code, not in a list.
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

pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    let code = || text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let uses = |name: &str| code().any(|line| line.split(|sign: char| !sign.is_ascii_alphanumeric()).any(|word| word == name));
    let used: Vec<_> = TRANSFORMS.iter().filter(|(name, ..)| uses(name)).collect();
    let &[&(_, encoding, word_order)] = used.as_slice() else {
        found.lose(format!("{} transformations are used, and the list does not say which register has which", used.len()));
        return found;
    };
    let table = match (uses("ReadInputReg"), uses("ReadHoldingReg")) {
        (true, false) => "input",
        (false, true) => "holding",
        _ => {
            found.lose("whether registers are input or holding is not said once for all");
            return found;
        }
    };
    if uses("MakeScaledTransform") {
        found.lose("values are scaled in its code: compare every point with the display and write its scale");
    }
    for line in code() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim(), rest.trim().trim_end_matches(','));
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let address = match value.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => value.parse().ok(),
        };
        if let Some(address) = address.filter(|_| plain) {
            let (label, scale) = (name.to_owned(), "1".to_owned());
            found.points.push(FoundPoint { id: id_of(name), label, table, address, encoding, word_order, byte_order: "high-first", scale });
        }
    }
    found
}
