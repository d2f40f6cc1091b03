//! What one model of device is: its points, its limits, and where that knowledge comes from.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::document::{ConfidenceText, Document, KindText, ParityText};
use crate::encoding::ByteOrder;
use crate::point::{Point, Table};
use crate::text::TextField;
use crate::validate;
use crate::vector::Vector;

/// Why a text is not a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("profile is not valid TOML of the expected shape")]
    Syntax(#[source] Box<toml::de::Error>),
    /// Everything that is wrong with it, not only the first.
    #[error("profile {id} has {} faults: {}", faults.len(), faults.join("; "))]
    Faults { id: String, faults: Vec<String> },
}

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PowerMeter,
    Sensor,
    /// Counts pulses of a gas, water or heat meter.
    PulseCounter,
    /// Weighs what was harvested or made.
    Scale,
    /// Feeds power in.
    Inverter,
}

impl Kind {
    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerMeter => "power-meter",
            Self::Sensor => "sensor",
            Self::PulseCounter => "pulse-counter",
            Self::Scale => "scale",
            Self::Inverter => "inverter",
        }
    }
}

/// How sure we are of a register map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Two independent sources agree, or the maker's own document.
    High,
    /// One good source.
    Medium,
    /// Unclear: verify on a bench.
    Low,
}

impl Confidence {
    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    None,
    Even,
    Odd,
}

/// How a new device of this model talks on a serial bus. Eight data bits always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial {
    pub baud: u32,
    pub parity: Parity,
    pub stop_bits: u8,
}

/// How patient one must be with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Least silence between its answer and the next request.
    pub gap_ms: u32,
    /// Longest wait for an answer.
    pub timeout_ms: u32,
    /// The wait that is usual: what a further request costs besides its bytes.
    pub reply_ms: u32,
}

/// Registers whose contents name the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identify {
    pub table: Table,
    pub address: u16,
    pub words: Vec<u16>,
    /// Contents of other variants with the same map; as many registers each.
    pub or: Vec<Vec<u16>>,
}

impl Identify {
    /// Whether registers with these contents name the model.
    #[must_use]
    pub fn fits(&self, found: &[u16]) -> bool {
        self.words == found || self.or.iter().any(|words| words == found)
    }
}

/// What one model of device is.
#[derive(Clone, Debug)]
pub struct Profile {
    id: String,
    manufacturer: String,
    products: Vec<String>,
    kind: Kind,
    phases: u8,
    sources: Vec<String>,
    confidence: Confidence,
    conflicts: Vec<String>,
    notes: Vec<String>,
    warnings: Vec<String>,
    texts: Vec<TextField>,
    identification: Option<String>,
    server_id: Option<String>,
    sunspec: bool,
    max_registers: u16,
    bridge: u16,
    align: u16,
    keep_out: Vec<u16>,
    timing: Timing,
    serial: Option<Serial>,
    unit_id: u8,
    identify: Vec<Identify>,
    points: Vec<Point>,
    vectors: Vec<Vector>,
    text: Arc<str>,
    hash: [u8; 32],
}

impl Profile {
    /// Reads a profile file and checks everything that can be checked without a device.
    ///
    /// * Errors: the TOML fault, or all faults of content at once.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let document: Document = toml::from_str(text).map_err(|err| ProfileError::Syntax(Box::new(err)))?;
        let mut faults = Vec::new();
        let mut points = validate::points(&document, &mut faults);
        if !document.installation.is_plain() {
            document.installation.apply(&mut points, &mut faults);
        }
        let texts = validate::texts(&document, &mut faults);
        let vectors = validate::vectors(&document, &mut faults);
        validate::document(&document, &mut faults);
        if !faults.is_empty() {
            return Err(ProfileError::Faults { id: document.id, faults });
        }
        let table = validate::table(document.table);
        let mut profile = Self {
            kind: match document.kind {
                KindText::PowerMeter => Kind::PowerMeter,
                KindText::Sensor => Kind::Sensor,
                KindText::PulseCounter => Kind::PulseCounter,
                KindText::Scale => Kind::Scale,
                KindText::Inverter => Kind::Inverter,
            },
            confidence: match document.confidence {
                ConfidenceText::High => Confidence::High,
                ConfidenceText::Medium => Confidence::Medium,
                ConfidenceText::Low => Confidence::Low,
            },
            serial: document.serial.map(|serial| Serial {
                baud: serial.baud,
                parity: match serial.parity {
                    ParityText::None => Parity::None,
                    ParityText::Even => Parity::Even,
                    ParityText::Odd => Parity::Odd,
                },
                stop_bits: serial.stop_bits,
            }),
            identify: document.identify.into_iter().map(|at| Identify { table, address: at.address, words: at.words, or: at.or }).collect(),
            id: document.id,
            manufacturer: document.manufacturer,
            products: document.products,
            phases: document.phases,
            sources: document.source,
            conflicts: document.conflicts,
            notes: document.notes,
            warnings: document.warning,
            texts,
            identification: document.identification,
            server_id: document.server_id,
            sunspec: document.sunspec,
            max_registers: document.read.max_registers,
            bridge: document.read.bridge,
            align: document.read.align,
            keep_out: document.read.keep_out,
            timing: Timing { gap_ms: document.timing.gap_ms, timeout_ms: document.timing.timeout_ms, reply_ms: document.timing.reply_ms },
            unit_id: document.unit_id,
            points,
            // Vectors are facts of the model: they say what its display shows, not what was installed around it.
            vectors: if document.installation.is_plain() { vectors } else { Vec::new() },
            text: Arc::from(text),
            hash: [0; 32],
        };
        profile.hash = Sha256::digest(profile.canonical().as_bytes()).into();
        Ok(profile)
    }

    /// The same map at another base address, for devices that put it where they like (SunSpec).
    ///
    /// * Errors: an address would leave the register space.
    pub fn at_base(&self, base: u16) -> Result<Self, ProfileError> {
        let line = format!("base = {base}");
        let is_base = |text: &str| text.split('=').next().is_some_and(|key| key.trim() == "base");
        let mut text: String = self.text.lines().filter(|text| !is_base(text)).fold(line, |text, line| text + "\n" + line);
        text.push('\n');
        Self::parse(&text)
    }

    /// The same profile under another id.
    ///
    /// * Errors: the id is none.
    pub fn named(&self, id: &str) -> Result<Self, ProfileError> {
        // Keys of the file itself come before those of its tables.
        let is_id = |line: &&str| line.split('=').next().is_some_and(|key| key.trim() == "id");
        let line = self.text.lines().find(is_id).unwrap_or_default();
        Self::parse(&self.text.replacen(line, &format!("id = {}", toml::Value::String(id.to_owned())), 1))
    }

    /// The name of the profile: `eastron-sdm630`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn manufacturer(&self) -> &str {
        &self.manufacturer
    }

    #[must_use]
    pub fn products(&self) -> &[String] {
        &self.products
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Phases it measures; 0 for a sensor.
    #[must_use]
    pub const fn phases(&self) -> u8 {
        self.phases
    }

    /// Where the register map comes from.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Where sources contradict one another.
    #[must_use]
    pub fn conflicts(&self) -> &[String] {
        &self.conflicts
    }

    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What whoever installs one must know or look at; a doubtful map always says so here.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The texts that the device knows of itself.
    #[must_use]
    pub fn texts(&self) -> &[TextField] {
        &self.texts
    }

    /// A piece of the device's answer to function 43/14 that only this model has.
    #[must_use]
    pub fn identification(&self) -> Option<&str> {
        self.identification.as_deref()
    }

    /// A piece of the device's answer to function 17 that only this model has.
    #[must_use]
    pub fn server_id(&self) -> Option<&str> {
        self.server_id.as_deref()
    }

    /// Whether it is found by its SunSpec marker.
    #[must_use]
    pub const fn is_sunspec(&self) -> bool {
        self.sunspec
    }

    /// Most registers the device returns in one read.
    #[must_use]
    pub const fn max_registers(&self) -> u16 {
        self.max_registers
    }

    /// Undefined registers that one read may run over on this device.
    #[must_use]
    pub const fn bridge(&self) -> u16 {
        self.bridge
    }

    /// Reads are widened in steps of this many registers.
    #[must_use]
    pub const fn align(&self) -> u16 {
        self.align
    }

    /// Registers that no read may run over.
    #[must_use]
    pub fn keep_out(&self) -> &[u16] {
        &self.keep_out
    }

    #[must_use]
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// How a new device talks on a serial bus, where it has one.
    #[must_use]
    pub const fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// The unit id of a new device.
    #[must_use]
    pub const fn unit_id(&self) -> u8 {
        self.unit_id
    }

    #[must_use]
    pub fn identify(&self) -> &[Identify] {
        &self.identify
    }

    /// In the order of the file.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    #[must_use]
    pub fn point(&self, id: &str) -> Option<&Point> {
        self.points.iter().find(|point| point.id == id)
    }

    #[must_use]
    pub fn vectors(&self) -> &[Vector] {
        &self.vectors
    }

    /// The file as it was read, for evidence bundles: parsing it again gives the same hash.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 over everything that decides what register words mean.
    ///
    /// Comments, notes, sources, timing and limits do not count: correcting a remark does not make old readings look as if another
    /// map had made them.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The hash as 64 lower-case hex digits.
    #[must_use]
    pub fn hash_hex(&self) -> String {
        hex::encode(self.hash)
    }

    /// Whether the other profile reads the same points from the same registers, so that no reading can tell the two models apart.
    #[must_use]
    pub fn has_map_of(&self, other: &Self) -> bool {
        self.canonical().lines().skip(2).eq(other.canonical().lines().skip(2))
    }

    /// The text under the hash: one line per fact, in a fixed order.
    fn canonical(&self) -> String {
        let mut text = format!("negawatt.profile/1\nid {}\n", self.id);
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by(|a, b| a.id.cmp(&b.id));
        let mut line = |point: &Point| -> std::fmt::Result {
            write!(text, "point {} {} {}", point.id, point.table.name(), point.address)?;
            write!(text, " {} {}", point.encoding.name(), point.word_order.name())?;
            write!(text, " {}e{} e{} {:?}", point.scale.mantissa, point.scale.exponent, point.exponent, point.unit.symbol())?;
            // Written only where it is said, so that profiles from before these keys keep their hash.
            if point.byte_order != ByteOrder::HighFirst {
                write!(text, " bytes {}", point.byte_order.name())?;
            }
            if point.negated {
                write!(text, " negated")?;
            }
            if let Some(bits) = point.bits {
                write!(text, " bits {}+{}", bits.first, bits.count)?;
            }
            for invalid in &point.invalid {
                write!(text, " invalid {invalid:x}")?;
            }
            if let Some(factor) = point.scale_factor {
                write!(text, " factor {}", factor.address)?;
            }
            writeln!(text, "{}", if point.billing { " billing" } else { "" })
        };
        for point in points {
            line(point).expect("writing to a string cannot fail");
        }
        text
    }
}
