//! The models that we know, as data, and the profile of one in a device.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Discovery, ModelAt};

const TEXTS: [&str; 4] = [
    include_str!("../../../../config/sunspec/inverter.toml"),
    include_str!("../../../../config/sunspec/inverter-float.toml"),
    include_str!("../../../../config/sunspec/meter.toml"),
    include_str!("../../../../config/sunspec/meter-float.toml"),
];

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let parse = |text: &&str| toml::from_str(text).unwrap_or_else(|err| panic!("built-in SunSpec model: {err}"));
    TEXTS.iter().map(parse).collect()
});

/// A model, or several that differ in the number of phases only.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    models: Vec<u16>,
    kind: String,
    /// Registers behind the header.
    pub(super) length: u16,
    source: Vec<String>,
    point: Vec<ModelPoint>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelPoint {
    id: String,
    label: String,
    offset: u16,
    #[serde(rename = "type")]
    encoding: String,
    unit: String,
    scale: Option<String>,
    resolution: Option<String>,
    invalid: Option<String>,
    /// Offset of the scale factor.
    factor: Option<u16>,
    #[serde(default)]
    billing: bool,
    group: Option<String>,
}

pub(super) fn find(number: u16) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.models.contains(&number))
}

pub(super) fn knows(number: u16) -> bool {
    find(number).is_some()
}

/// A model where a device has it.
///
/// * Errors: it is not known, or shorter than its number says.
pub(super) fn checked(at: ModelAt) -> Result<&'static Model, String> {
    let known = find(at.number).ok_or_else(|| format!("model {} is not known", at.number))?;
    if at.length < known.length {
        return Err(format!("the device's model {} has {} registers, the model's definition {}", at.number, at.length, known.length));
    }
    Ok(known)
}

/// Whether the model is one of floats.
pub(super) fn is_float(number: u16) -> bool {
    find(number).is_some_and(|model| model.point.iter().any(|point| point.encoding == "f32"))
}

impl Model {
    /// The profile file of a device whose first model is this one at `at`, with the points of all its models.
    pub(super) fn text(&self, found: &Discovery, at: ModelAt, id: &str, parts: &[(&Self, ModelAt, &[u16])]) -> String {
        let common = &found.common;
        let maker = common.manufacturer.as_deref().unwrap_or("unknown (SunSpec)");
        let product = common.model.as_deref().unwrap_or("unknown");
        let version = common.version.as_deref().map(|version| format!(", version {version}")).unwrap_or_default();
        let sources: Vec<&str> = parts.iter().flat_map(|(model, ..)| model.source.iter().map(String::as_str)).collect();
        // Texts are printable ASCII, hence only these two need care in TOML.
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut text = format!("id = {}\n", quoted(id));
        let mut line = |key: &str, value: &str| {
            text.push_str(key);
            text.push_str(" = ");
            text.push_str(value);
            text.push('\n');
        };
        line("manufacturer", &quoted(maker));
        line("products", &format!("[{}]", quoted(product)));
        line("kind", &quoted(&self.kind));
        line("phases", phases(at.number));
        line("source", &format!("[{}]", quoted(&format!("{}; discovered on the device{version}", sources.join("; ")))));
        line("confidence", "\"high\"");
        line("sunspec", "true");
        line("table", "\"holding\"");
        line("word_order", "\"high-first\"");
        line("base", &at.address.to_string());
        line("read", "{ max_registers = 125, bridge = 50 }");
        line("point", "[");
        for (index, (model, part, words)) in parts.iter().enumerate() {
            let alike = parts.iter().take(index + 1).filter(|(other, ..)| other.kind == model.kind).count();
            let kind = model.kind.trim_start_matches("power-");
            let prefix = match (index, alike) {
                (0, _) => String::new(),
                (_, 1) => format!("{kind}_"),
                _ => format!("{kind}{alike}_"),
            };
            let shift = part.address.saturating_sub(at.address);
            for point in model.point.iter().filter(|point| point.is_there(words)) {
                point.write(&prefix, shift, words, &mut text).expect("writing to a string cannot fail");
            }
        }
        text.push_str("]\n");
        text
    }
}

/// Phases by the model's number: single, split and three phases, and a delta for meters.
fn phases(number: u16) -> &'static str {
    match number % 10 {
        1 => "1",
        2 => "2",
        _ => "3",
    }
}

impl ModelPoint {
    /// Whether the device implements it, as far as its registers say.
    fn is_there(&self, words: &[u16]) -> bool {
        let word = |offset: u16| words.get(usize::from(offset)).copied();
        let counts = self.billing || self.encoding == "acc32";
        if words.is_empty() || counts {
            return true;
        }
        let factor_missing = self.factor.and_then(word) == Some(0x8000);
        let value = match self.encoding.as_str() {
            "f32" => word(self.offset).is_some_and(|high| high & 0x7F80 == 0x7F80),
            "u32" => (word(self.offset), word(self.offset + 1)) == (Some(0xFFFF), Some(0xFFFF)),
            "u16" => word(self.offset) == Some(0xFFFF),
            _ => word(self.offset) == Some(0x8000),
        };
        !factor_missing && !value
    }

    fn write(&self, prefix: &str, shift: u16, words: &[u16], text: &mut String) -> std::fmt::Result {
        write!(text, "  {{ id = \"{prefix}{}\", label = {:?}, address = {}", self.id, self.label, self.offset + shift)?;
        write!(text, ", type = {:?}, unit = {:?}", self.encoding, self.unit)?;
        if let Some(scale) = &self.scale {
            write!(text, ", scale = {scale:?}")?;
        }
        let factor = self.factor.and_then(|offset| words.get(usize::from(offset))).map(|word| word.cast_signed());
        let factor = factor.filter(|factor| (-10..=10).contains(factor));
        if let Some(resolution) = &self.resolution {
            write!(text, ", resolution = {:?}", finer(resolution, self.scale.as_deref(), factor))?;
        }
        if let Some(invalid) = &self.invalid {
            write!(text, ", invalid = [{invalid:?}]")?;
        }
        if let Some(offset) = self.factor {
            write!(text, ", scale_factor = {{ address = {}, typical = {} }}", offset + shift, factor.unwrap_or(0))?;
        }
        if let Some(group) = &self.group {
            write!(text, ", group = {group:?}")?;
        }
        text.push_str(if self.billing { ", billing = true },\n" } else { " },\n" });
        Ok(())
    }
}

/// The usual step, or the finer one of a device whose factor has more decimals.
fn finer(usual: &str, scale: Option<&str>, factor: Option<i16>) -> String {
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let of_factor = factor.map_or(0, |factor| usize::try_from(-factor).unwrap_or(0)) + scale.map_or(0, decimals);
    match decimals(usual).max(of_factor).min(9) {
        0 => "1".to_owned(),
        places => format!("0.{}1", "0".repeat(places - 1)),
    }
}
