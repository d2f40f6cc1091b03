//! `inputs.modbus` of a Telegraf configuration: the register, the request and the metric style.
//!
//! Source: Telegraf, `plugins/inputs/modbus`: its documentation of the three styles and how it normalises types and byte orders.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{Found, FoundPoint, ImportError, id_of, scale_of};

pub(super) fn read(text: &str) -> Result<Found, ImportError> {
    let document: Table = toml::from_str(text).map_err(|err| ImportError::Syntax(Box::new(err)))?;
    let mut found = Found::default();
    let inputs = document.get("inputs").and_then(|inputs| inputs.get("modbus")).and_then(Value::as_array);
    let inputs: Vec<&Table> = inputs.into_iter().flatten().filter_map(Value::as_table).collect();
    if inputs.len() > 1 {
        found.lose(format!("{} inputs.modbus are in the file: only the first is one device's profile", inputs.len()));
    }
    if let Some(input) = inputs.first() {
        one(input, &mut found);
    }
    Ok(found)
}

fn one(input: &Table, found: &mut Found) {
    let number = |key: &str| input.get(key).and_then(Value::as_integer);
    let unit_of = |part: &Table| part.get("slave_id").and_then(Value::as_integer);
    let (requests, metrics) = (tables(input, "request"), tables(input, "metric"));
    found.unit_id = number("slave_id").or_else(|| requests.iter().chain(&metrics).find_map(|part| unit_of(part)));
    let mut others = BTreeSet::new();
    let ours = found.unit_id;
    let mut is_ours = |part: &Table| match unit_of(part) {
        Some(unit) if Some(unit) != ours => {
            others.insert(unit);
            false
        }
        _ => true,
    };
    if let Some(baud) = number("baud_rate") {
        let parity = match input.get("parity").and_then(Value::as_str) {
            Some("E") => "even",
            Some("O") => "odd",
            _ => "none",
        };
        found.serial = Some((baud, parity, number("stop_bits").unwrap_or(1)));
    }
    for (key, table) in [("holding_registers", "holding"), ("input_registers", "input")] {
        for field in tables(input, key) {
            let written = field.get("data_type").and_then(Value::as_str).unwrap_or_default();
            // In this style, and only in it, FLOAT32 is an old name for integers whose decimals are in the scale.
            let kind = if written == "FLOAT32" { "UFIXED" } else { written };
            point(field, table, kind, field.get("byte_order"), found);
        }
    }
    for request in requests.into_iter().filter(|request| is_ours(request)) {
        let table = request.get("register").and_then(Value::as_str).unwrap_or("holding").to_owned();
        for field in tables(request, "fields") {
            point(field, &table, field.get("type").and_then(Value::as_str).unwrap_or_default(), request.get("byte_order"), found);
        }
    }
    for metric in metrics.into_iter().filter(|metric| is_ours(metric)) {
        for field in tables(metric, "fields") {
            let table = field.get("register").and_then(Value::as_str).unwrap_or("holding").to_owned();
            point(field, &table, field.get("type").and_then(Value::as_str).unwrap_or_default(), metric.get("byte_order"), found);
        }
    }
    if !others.is_empty() {
        let list = others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        found.lose(format!("registers of unit {list}: one profile is one device, that of the first unit"));
    }
    for key in ["coils", "discrete_inputs"] {
        if !tables(input, key).is_empty() {
            found.lose(format!("{key} are single bits, which a profile does not have"));
        }
    }
}

fn tables<'a>(table: &'a Table, key: &str) -> Vec<&'a Table> {
    table.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table).collect()
}

fn point(field: &Table, table: &str, written: &str, order: Option<&Value>, found: &mut Found) {
    let name = field.get("name").and_then(Value::as_str).unwrap_or("unnamed");
    if field.get("omit").and_then(Value::as_bool) == Some(true) {
        return;
    }
    let table = match table {
        "holding" => "holding",
        "input" => "input",
        other => return found.lose(format!("{name}: a {other} is no register")),
    };
    let address = match field.get("address") {
        Some(Value::Integer(address)) => Some(*address),
        Some(Value::Array(addresses)) => {
            let numbers: Vec<i64> = addresses.iter().filter_map(Value::as_integer).collect();
            if numbers.windows(2).any(|pair| pair[1] != pair[0] + 1) {
                return found.lose(format!("{name}: its registers do not follow one another"));
            }
            numbers.first().copied()
        }
        _ => None,
    };
    let Some(address) = address.and_then(|address| u16::try_from(address).ok()) else {
        return found.lose(format!("{name}: no register address"));
    };
    // FIXED and UFIXED are integers whose decimals are in the scale.
    let words = field.get("address").and_then(Value::as_array).map_or(1, Vec::len);
    let encoding = match (written, words) {
        ("INT16", _) | ("FIXED", 1) => "i16",
        ("UINT16", _) | ("UFIXED", 1) => "u16",
        ("INT32", _) | ("FIXED", 2) => "i32",
        ("UINT32", _) | ("UFIXED", 2) => "u32",
        ("INT64", _) | ("FIXED", 4) => "i64",
        ("UINT64", _) | ("UFIXED", 4) => "u64",
        ("FLOAT32" | "FLOAT32-IEEE", _) => "f32",
        ("FLOAT64" | "FLOAT64-IEEE", _) => "f64",
        ("", _) => return found.lose(format!("{name}: it has no type")),
        _ => return found.lose(format!("{name}: type {written} is not understood")),
    };
    let (word_order, byte_order) = match order.and_then(Value::as_str).unwrap_or("ABCD") {
        "AB" | "ABCD" | "ABCDEFGH" => ("high-first", "high-first"),
        "CDAB" | "GHEFCDAB" => ("low-first", "high-first"),
        "BADC" | "BADCFEHG" => ("high-first", "low-first"),
        "BA" | "DCBA" | "HGFEDCBA" => ("low-first", "low-first"),
        other => return found.lose(format!("{name}: byte order {other} is not understood")),
    };
    let factor = match field.get("scale") {
        None => 1.0,
        Some(Value::Float(scale)) if *scale == 0.0 => 1.0,
        Some(Value::Float(scale)) => *scale,
        // Telegraf reads whole numbers too; those of a scale are small.
        Some(Value::Integer(scale)) => i32::try_from(*scale).map_or(f64::NAN, f64::from),
        // Some write their numbers as texts.
        Some(Value::String(scale)) => scale.parse().unwrap_or(f64::NAN),
        Some(_) => f64::NAN,
    };
    let Some(scale) = scale_of(factor, matches!(encoding, "f32" | "f64")) else {
        return found.lose(format!("{name}: a scale of {factor} cannot be carried over exactly"));
    };
    found.points.push(FoundPoint {
        id: id_of(name),
        label: name.to_owned(),
        table,
        address,
        encoding,
        word_order,
        byte_order,
        scale,
        invalid: &[],
    });
}
