//! Devices that say themselves where their registers are: asked, and made into profiles.
//!
//! What comes of it is the text of a profile like any other. Kept in a folder of one's own profiles it is what the gateway polls by,
//! what its hash in every reading stands for, and what evidence holds; nothing asks the device again while it is polled.

use std::time::Duration;

use devices::{CommonModel, Discovery, ModelAt, Profile, ProfileError, SUNSPEC_BASES, Step, Table, Walk, WalkError};

use super::{identify::Nameplate, reader::Reader};
use crate::modbus::{BusError, Endpoint};

/// How long a device may think about a model.
const PATIENCE: Duration = Duration::from_secs(1);
const GAP: Duration = Duration::from_millis(10);
/// Most registers of one read.
const READ_MAX: u16 = 125;

/// A device that described itself.
#[derive(Clone, Debug)]
pub struct Described {
    /// What it says of itself, and its chain of models.
    pub found: Discovery,
    /// The models that are worth reading, with their registers.
    parts: Vec<(ModelAt, Vec<u16>)>,
}

/// Why a device could not be described by itself.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It does not speak SunSpec, or not rightly.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// It does not answer.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its chain has nothing for us.
    #[error("its SunSpec models are {list}: there is nothing among them that can be read here")]
    NothingKnown {
        /// The numbers of its models.
        list: String,
    },
    /// What it says makes no profile.
    #[error("its SunSpec models are not as their numbers say")]
    Malformed(#[from] ProfileError),
}

impl Described {
    /// What it is read by: all its models, or one of them.
    ///
    /// * Errors: it has no such model, none that we know, or one that is not as its number says.
    pub fn profile(&self, model: Option<u16>) -> Result<Profile, DescribeError> {
        let wanted = |at: &ModelAt| model.is_none_or(|model| at.number == model);
        let parts: Vec<(ModelAt, &[u16])> =
            self.parts.iter().filter(|(at, _)| wanted(at)).map(|(at, words)| (*at, words.as_slice())).collect();
        // Of several meters with one number, the first.
        let parts = if model.is_some() { parts.get(..1).unwrap_or_default() } else { &parts };
        if parts.is_empty() {
            let numbers: Vec<String> = self.found.models.iter().map(|at| at.number.to_string()).collect();
            return Err(DescribeError::NothingKnown { list: if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") } });
        }
        Ok(self.found.profile(parts)?)
    }

    /// The models that a profile of all reads, for people: `model 203 at register 40070`.
    #[must_use]
    pub fn parts(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|(at, _)| format!("model {} at register {}", at.number, at.address)).collect();
        parts.join(", ")
    }

    /// The nameplate of the common model.
    #[must_use]
    pub fn nameplate(&self) -> Nameplate {
        let CommonModel { manufacturer, model, version, serial, options: _ } = self.found.common.clone();
        Nameplate {
            base: self.found.base,
            manufacturer: manufacturer.unwrap_or_default(),
            model: model.unwrap_or_default(),
            version: version.unwrap_or_default(),
            serial: serial.unwrap_or_default(),
            models: self.found.models.iter().map(|at| at.number).collect(),
        }
    }
}

/// Asks a device for its description.
///
/// * Errors: it does not answer, or does not speak SunSpec.
pub async fn describe(endpoint: &Endpoint, unit: u8) -> Result<Described, DescribeError> {
    walk(&mut Reader::new(endpoint, unit, PATIENCE, GAP)).await
}

/// Walks through the chain and reads every model that is worth it.
pub(super) async fn walk(reader: &mut Reader) -> Result<Described, DescribeError> {
    let mut walk = Walk::new();
    let (mut heard, mut lost) = (false, None);
    let found = loop {
        let (address, count) = match walk.step() {
            Step::Done(found) => break found,
            Step::Read { address, count } => (address, count),
        };
        let words = match read(reader, address, count).await {
            Ok(words) => Some(words),
            Err(err) => {
                heard |= err.is_answer();
                lost.get_or_insert(err);
                None
            }
        };
        heard |= words.is_some();
        if let Err(err) = walk.answer(words.as_deref()) {
            // That nothing at all was answered says more than that there was no marker.
            return Err(lost.filter(|_| !heard).map_or_else(|| err.into(), DescribeError::from));
        }
    };
    let mut parts = Vec::new();
    for at in found.known() {
        // The header is known from the walk, and with it a model may be longer than one read.
        let mut words = vec![at.number, at.length];
        words.extend(read(reader, at.address + 2, at.length.min(READ_MAX)).await?);
        parts.push((at, words));
    }
    Ok(Described { found, parts })
}

async fn read(reader: &mut Reader, address: u16, count: u16) -> Result<Vec<u16>, BusError> {
    let function = Table::Holding.function();
    let mut answer = reader.registers(function, address, count).await;
    if let Err(BusError::Silent { .. } | BusError::Broken { .. }) = answer {
        // Some devices say nothing to what they do not have; the next question must not wait for it.
        reader.start_over();
        // Most devices have no marker: only what is behind one is worth a second question.
        if !SUNSPEC_BASES.contains(&address) {
            answer = reader.registers(function, address, count).await;
        }
    }
    answer
}
