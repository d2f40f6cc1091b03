//! Register lists of other programs, as profiles.
//!
//! What such a list says is carried over, and what it does not say is named rather than guessed: units mostly, and which counters
//! can be billed from. The result is a profile of low confidence that warns, until somebody looked at a device.

mod evcc;
mod mbmd;
mod telegraf;

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A program whose lists are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `inputs.modbus` of a Telegraf configuration, in any of its three styles.
    Telegraf,
    /// A meter of mbmd, in Go.
    Mbmd,
    /// A meter template of evcc, in YAML.
    Evcc,
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Telegraf => "Telegraf",
            Self::Mbmd => "mbmd",
            Self::Evcc => "evcc",
        }
    }
}

/// Why nothing could be carried over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("not valid TOML")]
    Syntax(#[source] Box<toml::de::Error>),
    #[error("no register of a Modbus device is in it: {hint}")]
    Nothing { hint: &'static str },
}

/// A profile made from another program's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The profile file.
    pub text: String,
    /// What could not be carried over, a sentence each.
    pub lost: Vec<String>,
}

/// Makes a profile from another program's register list.
///
/// * Shape: `id` is the id of the new profile, `source` says where the list comes from.
/// * Errors: a file without any register that we can read.
pub fn import(origin: Origin, id: &str, source: &str, text: &str) -> Result<Imported, ImportError> {
    let mut found = match origin {
        Origin::Telegraf => telegraf::read(text)?,
        Origin::Mbmd => mbmd::read(text),
        Origin::Evcc => evcc::read(text),
    };
    if found.points.is_empty() {
        let hint = match origin {
            Origin::Telegraf => "[[inputs.modbus]] with holding_registers, input_registers, request or metric is looked for",
            Origin::Mbmd => "lines such as `VoltageL1: 0x0000,` and one transformation are looked for",
            Origin::Evcc => "`register:` with `address:` and `decode:` is looked for",
        };
        return Err(ImportError::Nothing { hint });
    }
    found.distinct_ids();
    Ok(Imported { text: found.profile(origin, id, source), lost: found.lost })
}

/// What a list says, in our words.
#[derive(Debug, Default)]
struct Found {
    points: Vec<FoundPoint>,
    /// Baud, parity and stop bits.
    serial: Option<(i64, &'static str, i64)>,
    unit_id: Option<i64>,
    lost: Vec<String>,
}

#[derive(Debug)]
struct FoundPoint {
    id: String,
    label: String,
    table: &'static str,
    address: u16,
    encoding: &'static str,
    word_order: &'static str,
    byte_order: &'static str,
    scale: String,
    /// Contents that mean "no value".
    invalid: &'static [&'static str],
}

impl Found {
    fn lose(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.lost.contains(&what) {
            self.lost.push(what);
        }
    }

    /// Two names of theirs may be one of ours.
    fn distinct_ids(&mut self) {
        let mut seen = BTreeSet::new();
        for point in &mut self.points {
            let mut id = point.id.clone();
            let mut number = 2;
            while !seen.insert(id.clone()) {
                id = format!("{}_{number}", point.id);
                number += 1;
            }
            point.id = id;
        }
    }

    fn profile(&mut self, origin: Origin, id: &str, source: &str) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!("id = {}\nmanufacturer = \"unknown\"\nproducts = [{}]\n", quoted(id), quoted(id));
        let mut unsure = Vec::new();
        let mut points = String::new();
        for point in &self.points {
            let unit = unit_of(origin, &point.id);
            if unit.is_empty() && !point.id.starts_with("pf") {
                unsure.push(point.id.clone());
            }
            let float = matches!(point.encoding, "f32" | "f64");
            let scale = if point.scale == "1" { String::new() } else { format!(", scale = {}", quoted(&point.scale)) };
            let resolution = if float { format!(", resolution = {}", quoted(&resolution(&point.scale))) } else { String::new() };
            let bytes = if point.byte_order == "low-first" { ", byte_order = \"low-first\"" } else { "" };
            let markers = point.invalid.iter().map(|marker| format!("\"{marker}\"")).collect::<Vec<_>>().join(", ");
            let invalid = if markers.is_empty() { String::new() } else { format!(", invalid = [{markers}]") };
            writeln!(
                points,
                "  {{ id = {}, label = {}, table = \"{}\", address = {}, type = \"{}\", word_order = \"{}\"{bytes}, unit = \"{unit}\"{scale}{resolution}{invalid} }},",
                quoted(&point.id),
                quoted(&point.label),
                point.table,
                point.address,
                point.encoding,
                point.word_order,
            )
            .expect("writing to a string cannot fail");
        }
        if !unsure.is_empty() {
            self.lose(format!("units are not stated for {}: write them", unsure.join(", ")));
        }
        self.lose("which counters can be billed from is not stated: write billing = true where it is so");
        self.lose("how many registers one read may have is not stated: 16 is a careful beginning");
        let kind = if self.points.iter().any(|point| point.id.starts_with('v')) { "power-meter" } else { "sensor" };
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line(&format!("kind = \"{kind}\""));
        line(&format!("source = [{}]", quoted(&format!("imported from {}: {source}", origin.name()))));
        line("confidence = \"low\"");
        line("warning = [\"Imported and never compared with a device: check every point against the display.\"]");
        line("table = \"holding\"\nword_order = \"high-first\"\nread = { max_registers = 16, bridge = 0 }");
        if let Some((baud, parity, stop_bits)) = self.serial {
            line(&format!("serial = {{ baud = {baud}, parity = \"{parity}\", stop_bits = {stop_bits} }}"));
        }
        if let Some(unit_id) = self.unit_id {
            line(&format!("unit_id = {unit_id}"));
        }
        line("point = [");
        text + &points + "]\n"
    }
}

/// Their name as an id of ours: known quantities by our word for them, others in plain letters.
fn id_of(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && plain.ends_with(|last: char| last.is_ascii_lowercase()) {
            plain.push('_');
        }
        plain.push(if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    }
    let plain = plain.trim_matches('_').to_owned();
    let ours = match plain.as_str() {
        "power" | "active_power" | "total_power" => "p",
        "frequency" => "f",
        "cosphi" | "power_factor" => "pf",
        "import" | "import_energy" | "energy" => "e_imp",
        "export" | "export_energy" | "returnenergy" => "e_exp",
        "sum" | "total_energy" => "e_sum",
        "temperature" => "temperature",
        _ => "",
    };
    if !ours.is_empty() {
        return ours.to_owned();
    }
    let per_phase = [("voltage", "v"), ("current", "i"), ("power", "p"), ("cosphi", "pf"), ("import", "e_imp"), ("export", "e_exp")];
    for (theirs, ours) in per_phase {
        let rest = plain.strip_prefix(theirs).map(|rest| rest.trim_start_matches('_').trim_start_matches('l').trim_start_matches('_'));
        if let Some(phase @ ("1" | "2" | "3")) = rest {
            return format!("{ours}{phase}");
        }
    }
    if plain.is_empty() { "point".to_owned() } else { plain }
}

/// The unit that goes without saying: nothing else is called that, or the program has one unit for it.
fn unit_of(origin: Origin, id: &str) -> &'static str {
    let of_phase = |stem: &str| id.strip_prefix(stem).is_some_and(|phase| matches!(phase, "1" | "2" | "3"));
    match id {
        "f" => "Hz",
        _ if of_phase("v") => "V",
        _ if of_phase("i") => "A",
        // What evcc and mbmd make of a register is always in watts and kilowatt-hours.
        _ if origin == Origin::Telegraf => "",
        _ if id == "p" || of_phase("p") => "W",
        "e_imp" | "e_exp" | "e_sum" => "kWh",
        _ if of_phase("e_imp") || of_phase("e_exp") => "kWh",
        _ => "",
    }
}

/// A thousandth of the unit, or finer where the scale is.
fn resolution(scale: &str) -> String {
    let decimals = scale.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    format!("0.{}1", "0".repeat(decimals.clamp(3, 9) - 1))
}

/// A factor as the decimal text of a scale, where it can be one.
fn scale_of(factor: f64, float: bool) -> Option<String> {
    let text = format!("{factor}");
    let scale = crate::Scale::parse(&text)?;
    (!float || scale.mantissa == 1).then_some(text)
}

#[cfg(test)]
mod tests;
