//! The profile file as written: strict TOML, before validation.

use serde::Deserialize;

use crate::installation::Installation;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) manufacturer: String,
    pub(crate) products: Vec<String>,
    pub(crate) kind: KindText,
    #[serde(default)]
    pub(crate) phases: u8,
    pub(crate) source: Vec<String>,
    pub(crate) confidence: ConfidenceText,
    #[serde(default)]
    pub(crate) conflicts: Vec<String>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) table: TableText,
    pub(crate) word_order: WordOrderText,
    pub(crate) byte_order: Option<WordOrderText>,
    /// What whoever installs one must know or look at.
    #[serde(default)]
    pub(crate) warning: Vec<String>,
    /// What was done at one installation of it.
    #[serde(default)]
    pub(crate) installation: Installation,
    /// Texts that the device knows of itself: maker, model, serial number.
    #[serde(rename = "text", default)]
    pub(crate) texts: Vec<TextText>,
    /// Added to every address of a point, for maps that start where a device puts them.
    #[serde(default)]
    pub(crate) base: u16,
    pub(crate) read: ReadText,
    #[serde(default)]
    pub(crate) timing: TimingText,
    pub(crate) serial: Option<SerialText>,
    #[serde(default = "first_unit")]
    pub(crate) unit_id: u8,
    #[serde(default)]
    pub(crate) identify: Vec<IdentifyText>,
    /// What the answer to function 43/14 contains.
    pub(crate) identification: Option<String>,
    /// What the answer to function 17 contains.
    pub(crate) server_id: Option<String>,
    /// Whether it is found by its SunSpec marker.
    #[serde(default)]
    pub(crate) sunspec: bool,
    #[serde(rename = "point")]
    pub(crate) points: Vec<PointText>,
    #[serde(rename = "vector", default)]
    pub(crate) vectors: Vec<VectorText>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KindText {
    PowerMeter,
    Sensor,
    PulseCounter,
    Scale,
    Inverter,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConfidenceText {
    High,
    Medium,
    Low,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TableText {
    Input,
    Holding,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WordOrderText {
    HighFirst,
    LowFirst,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadText {
    pub(crate) max_registers: u16,
    /// Undefined registers that one read may run over.
    #[serde(default)]
    pub(crate) bridge: u16,
    /// Reads are widened in steps of this many registers.
    #[serde(default = "one")]
    pub(crate) align: u16,
    /// Registers that change their meaning inside a longer read.
    #[serde(default)]
    pub(crate) keep_out: Vec<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimingText {
    pub(crate) gap_ms: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) reply_ms: u32,
}

impl Default for TimingText {
    fn default() -> Self {
        Self { gap_ms: 10, timeout_ms: 1000, reply_ms: 40 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SerialText {
    pub(crate) baud: u32,
    pub(crate) parity: ParityText,
    pub(crate) stop_bits: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ParityText {
    None,
    Even,
    Odd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyText {
    pub(crate) address: u16,
    pub(crate) words: Vec<u16>,
    /// Other contents that name it as well.
    #[serde(default)]
    pub(crate) or: Vec<Vec<u16>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextText {
    pub(crate) id: String,
    pub(crate) address: u16,
    pub(crate) registers: u16,
    #[serde(default)]
    pub(crate) bytes: BytesText,
    pub(crate) table: Option<TableText>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BytesText {
    #[default]
    Both,
    Swapped,
    Low,
    High,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PointText {
    pub(crate) id: String,
    pub(crate) label: Option<String>,
    pub(crate) address: u16,
    #[serde(rename = "type")]
    pub(crate) encoding: EncodingText,
    pub(crate) unit: String,
    #[serde(default = "scale_one")]
    pub(crate) scale: String,
    pub(crate) resolution: Option<String>,
    #[serde(default)]
    pub(crate) invalid: Vec<String>,
    #[serde(default)]
    pub(crate) billing: bool,
    pub(crate) table: Option<TableText>,
    pub(crate) word_order: Option<WordOrderText>,
    pub(crate) byte_order: Option<WordOrderText>,
    pub(crate) bits: Option<BitsText>,
    #[serde(default)]
    pub(crate) group: GroupText,
    pub(crate) confidence: Option<ConfidenceText>,
    pub(crate) scale_factor: Option<ScaleFactorText>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodingText {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Acc32,
    Acc64,
    Bcd16,
    Bcd32,
    Bcd64,
    Mod10k32,
    Mod10k48,
    Mod10k64,
    #[serde(rename = "datetime-iec")]
    DateTimeIec,
    #[serde(rename = "datetime-bytes")]
    DateTimeBytes,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GroupText {
    #[default]
    Fast,
    Slow,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BitsText {
    pub(crate) first: u8,
    pub(crate) count: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScaleFactorText {
    pub(crate) address: u16,
    pub(crate) typical: i8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VectorText {
    pub(crate) point: String,
    pub(crate) words: Vec<u16>,
    pub(crate) value: Option<String>,
    #[serde(default)]
    pub(crate) absent: bool,
}

const fn first_unit() -> u8 {
    1
}

const fn one() -> u16 {
    1
}

fn scale_one() -> String {
    "1".to_owned()
}
