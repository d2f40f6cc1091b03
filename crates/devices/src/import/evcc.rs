//! A meter template of evcc: `register:` blocks in YAML that is itself a template, hence read line by line.

use super::{Found, FoundPoint, id_of, scale_of};

/// A register while its lines are read.
#[derive(Debug, Default)]
struct Open {
    name: String,
    address: Option<u16>,
    table: Option<&'static str>,
    decode: Option<String>,
    scale: Option<f64>,
}

pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    let mut name = String::new();
    let mut phase = 0;
    let mut open: Option<Open> = None;
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let top = !line.starts_with(|first: char| first.is_whitespace()) || line.starts_with("  ") && !line.starts_with("   ");
        let entry = line.trim().trim_start_matches("- ");
        let Some((key, value)) = entry.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        let is_quantity = ["power", "energy", "currents", "voltages", "powers", "soc", "returnenergy"].contains(&key);
        if is_quantity && value.is_empty() && top {
            close(open.take(), &mut found);
            (name, phase) = (key.to_owned(), 0);
        } else if key == "register" {
            close(open.take(), &mut found);
            phase += 1;
            let plural = name.strip_suffix('s').filter(|_| ["currents", "voltages", "powers"].contains(&name.as_str()));
            let of =
                plural.map_or_else(|| if phase == 1 { name.clone() } else { format!("{name}_{phase}") }, |one| format!("{one}{phase}"));
            open = Some(Open { name: of, ..Open::default() });
        } else if let Some(open) = &mut open {
            match key {
                "address" => open.address = value.parse().ok(),
                "type" if value == "input" => open.table = Some("input"),
                "type" if value == "holding" => open.table = Some("holding"),
                "decode" => open.decode = Some(value.to_owned()),
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
    let (Some(address), Some(table)) = (open.address, open.table) else {
        return found.lose(format!("{name}: its address or its type is not a plain one"));
    };
    let decode = open.decode.unwrap_or_default();
    let (plain, word_order) = match decode.strip_suffix('s') {
        Some(swapped) => (swapped, "low-first"),
        None => (decode.as_str(), "high-first"),
    };
    let encoding = match plain {
        "uint16" => "u16",
        "int16" => "i16",
        "uint32" => "u32",
        "int32" => "i32",
        "uint64" => "u64",
        "int64" => "i64",
        "float32" => "f32",
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
    found.points.push(FoundPoint { id: id_of(&name), label: name, table, address, encoding, word_order, byte_order: "high-first", scale });
}
