//! A meter template of evcc: `register:` blocks in YAML that is itself a template, hence read line by line.

use super::{Found, FoundPoint, id_of, scale_of};

/// A register while its lines are read.
#[derive(Debug, Default)]
struct Open {
    name: String,
    /// The last one that was written, if it is a plain number.
    address: Option<Option<u16>>,
    /// Addresses among which the template chooses.
    choices: Vec<String>,
    table: Option<&'static str>,
    decode: Option<String>,
    scale: Option<f64>,
}

pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    let mut name = String::new();
    let mut phase = 0;
    // Whether the quantity is computed from several registers.
    let mut is_sum = false;
    let mut open: Option<Open> = None;
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let top = !line.starts_with(|first: char| first.is_whitespace()) || line.starts_with("  ") && !line.starts_with("   ");
        let entry = line.trim().trim_start_matches("- ");
        let Some((key, value)) = entry.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        // Whatever stands at the edge and has something below it is a quantity, known to us or not.
        if top && value.is_empty() && key != "register" {
            close(open.take(), &mut found);
            (name, phase, is_sum) = (key.to_owned(), 0, false);
        } else if key == "source" && value == "calc" {
            is_sum = true;
            found.lose(format!("{name}: it is computed from several registers, which are carried over as parts"));
        } else if key == "register" {
            close(open.take(), &mut found);
            phase += 1;
            let plural = name.strip_suffix('s').filter(|_| ["currents", "voltages", "powers"].contains(&name.as_str()));
            let of = match plural {
                Some(one) if !is_sum => format!("{one}{phase}"),
                _ if phase == 1 && !is_sum => name.clone(),
                _ => format!("{name}_part{phase}"),
            };
            open = Some(Open { name: of, ..Open::default() });
        } else if let Some(open) = &mut open {
            match key {
                "address" => {
                    let number = match value.strip_prefix("0x") {
                        Some(digits) => u16::from_str_radix(digits, 16).ok(),
                        None => value.parse().ok(),
                    };
                    if let Some(before) = open.address.replace(number) {
                        let both =
                            [before, open.address.flatten()].map(|address| address.map_or_else(String::new, |number| number.to_string()));
                        open.choices.push(both.join(" or "));
                    }
                }
                "type" if value == "input" => open.table = Some("input"),
                "type" if value == "holding" => open.table = Some("holding"),
                "decode" | "encoding" => open.decode = Some(value.to_owned()),
                "scale" => open.scale = value.parse().ok(),
                _ => {}
            }
        }
    }
    close(open, &mut found);
    found
}

fn close(open: Option<Open>, found: &mut Found) {
    let Some(open) = open else { return };
    let name = open.name;
    for choice in &open.choices {
        found.lose(format!("{name}: register {choice}, by what it is used for: the last one is carried over"));
    }
    let (Some(address), Some(table)) = (open.address.flatten(), open.table) else {
        return found.lose(format!("{name}: its address or its type is not a plain one"));
    };
    let decode = open.decode.unwrap_or_default();
    let (plain, word_order, has_marker) = parts(&decode);
    let encoding = match plain {
        "uint16" => "u16",
        "int16" => "i16",
        "uint32" => "u32",
        "int32" => "i32",
        "uint64" => "u64",
        "int64" => "i64",
        "float32" | "ieee754" => "f32",
        "float64" => "f64",
        _ => return found.lose(format!("{name}: decode {decode:?} is not understood")),
    };
    let factor = open.scale.unwrap_or(1.0);
    if factor < 0.0 {
        found.lose(format!("{name}: its sign is turned (scale {factor}); that is a fact of the installation, not of the device"));
    }
    let Some(scale) = scale_of(factor.abs(), plain.starts_with("float")) else {
        return found.lose(format!("{name}: a scale of {factor} cannot be carried over exactly"));
    };
    let invalid = if has_marker { markers(encoding) } else { &[] };
    let (id, byte_order) = (id_of(&name), "high-first");
    found.points.push(FoundPoint { id, label: name, table, address, encoding, word_order, byte_order, scale, invalid });
}

/// The plain type, the order of its words, and whether one of its contents means "no value": `int32nan`, `uint64snan`.
fn parts(decode: &str) -> (&str, &'static str, bool) {
    let without = decode.strip_suffix("nan").or_else(|| decode.strip_suffix("nans"));
    let swapped = decode.ends_with('s');
    let plain = without.unwrap_or(decode);
    match plain.strip_suffix('s') {
        Some(plain) => (plain, "low-first", without.is_some()),
        None => (plain, if swapped { "low-first" } else { "high-first" }, without.is_some()),
    }
}

/// The contents that mean "no value": all ones, or the largest and the most negative number. A float says so by itself.
fn markers(encoding: &str) -> &'static [&'static str] {
    match encoding {
        "u16" => &["0xFFFF"],
        "u32" => &["0xFFFFFFFF"],
        "u64" => &["0xFFFFFFFFFFFFFFFF"],
        "i16" => &["0x8000", "0x7FFF"],
        "i32" => &["0x80000000", "0x7FFFFFFF"],
        _ => &[],
    }
}
