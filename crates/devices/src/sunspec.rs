//! SunSpec: devices that say themselves where their registers are.
//!
//! A SunSpec map begins with a marker at one of three addresses, then comes the common model with the nameplate, then a chain of
//! models, each with its number and its length, until the end model. [`Walk`] asks for them one read at a time and needs no bus of
//! its own; what it brings is a [`Discovery`], and that makes a [`Profile`] for every model that we know.
//!
//! Source: SunSpec Device Information Model Specification; the models as the SunSpec Alliance publishes them.

mod model;
mod walk;

pub use self::walk::{Step, Walk, WalkError};
use crate::profile::{Profile, ProfileError};
use crate::text::TextBytes;

/// Where the marker may be, in the order in which it is looked for.
pub const SUNSPEC_BASES: [u16; 3] = [40_000, 50_000, 0];
/// The marker: "SunS".
pub const SUNSPEC_MARKER: [u16; 2] = [0x5375, 0x6E53];
/// The numbers of models with floats are those of their twins with integers, and ten.
const FLOATS_BEYOND: u16 = 10;
/// Longest id of a profile.
const ID_MAX: usize = 63;
/// More models than any device has; a chain that is longer is none.
pub const SUNSPEC_MODELS_MAX: usize = 64;

/// What a device says of itself in the common model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommonModel {
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub options: Option<String>,
    pub version: Option<String>,
    pub serial: Option<String>,
}

impl CommonModel {
    /// Reads the common model's registers, its header included.
    fn read(words: &[u16]) -> Self {
        let text = |range: std::ops::Range<usize>| TextBytes::Both.decode(words.get(range).unwrap_or_default());
        Self { manufacturer: text(2..18), model: text(18..34), options: text(34..42), version: text(42..50), serial: text(50..66) }
    }
}

/// A model in a device's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelAt {
    pub number: u16,
    /// Address of its header.
    pub address: u16,
    /// Registers behind the header.
    pub length: u16,
}

/// What a walk through a device brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Address of the marker.
    pub base: u16,
    pub common: CommonModel,
    /// The chain without the common model and the end, in its order.
    pub models: Vec<ModelAt>,
}

impl Discovery {
    /// The models that are worth reading: those that we know, in their order.
    ///
    /// A model with floats whose twin with integers is there too says the same again, and its counters lose their last digits as
    /// they grow: it is left out. So is a model that is shorter than its number says, unless there is no other.
    #[must_use]
    pub fn known(&self) -> Vec<ModelAt> {
        let known: Vec<ModelAt> = self.models.iter().filter(|at| model::knows(at.number)).copied().collect();
        let whole: Vec<ModelAt> = known.iter().filter(|at| model::checked(**at).is_ok()).copied().collect();
        let known = if whole.is_empty() { known } else { whole };
        let is_there = |number: u16| known.iter().any(|at| at.number == number);
        known.iter().filter(|at| !model::is_float(at.number) || !is_there(at.number - FLOATS_BEYOND)).copied().collect()
    }

    /// The profile of a device as it describes itself: all its models that are worth reading, as one device.
    ///
    /// * Shape: a model and its registers, header included, or none of them. What is there leaves out the points that the device does
    ///   not implement, and decides the typical scale factors and, where a factor is finer than usual, the step of the readings.
    ///   The points of a second model carry its kind before their names: `meter_e_imp` of a meter in an inverter.
    /// * Points that count or that money is computed from always stay: a new meter has counted nothing yet.
    /// * Errors: a model that we do not know, or that is shorter than its number says; no model at all.
    pub fn profile(&self, parts: &[(ModelAt, &[u16])]) -> Result<Profile, ProfileError> {
        let mut known = Vec::with_capacity(parts.len());
        for (at, words) in parts {
            known.push((model::checked(*at).map_err(|fault| faulty(at.number, fault))?, *at, *words));
        }
        let Some((first, at, _)) = known.first().copied() else { return Err(faulty(0, "there is no model to read".to_owned())) };
        let numbers: Vec<u16> = parts.iter().map(|(at, _)| at.number).collect();
        Profile::parse(&first.text(self, at, &self.id_of(&numbers, at), &known))
    }

    /// The registers by which a device says all this, the models' own left out: the way back, for simulated devices.
    ///
    /// * Shape: address and word, in the order of the addresses.
    /// * Errors: `None` where a text does not fit its registers, or the chain leaves the register space or has holes.
    #[must_use]
    pub fn registers(&self) -> Option<Vec<(u16, u16)>> {
        let common = &self.common;
        let first = self.base.checked_add(4)?;
        let length = self.models.first().map_or(Some(66), |at| at.address.checked_sub(first))?;
        let mut words = vec![SUNSPEC_MARKER[0], SUNSPEC_MARKER[1], 1, length];
        let texts = [(&common.manufacturer, 16), (&common.model, 16), (&common.options, 8), (&common.version, 8), (&common.serial, 16)];
        for (text, registers) in texts {
            words.extend(TextBytes::Both.encode(text.as_deref().unwrap_or_default(), registers)?);
        }
        words.resize(4 + usize::from(length), 0);
        let mut told: Vec<(u16, u16)> = (self.base..=u16::MAX).zip(words).collect();
        let mut next = first.checked_add(length)?;
        for at in &self.models {
            if at.address != next {
                return None;
            }
            told.extend([(at.address, at.number), (at.address.checked_add(1)?, at.length)]);
            next = at.address.checked_add(2)?.checked_add(at.length)?;
        }
        told.extend([(next, u16::MAX), (next.checked_add(1)?, 0)]);
        Some(told)
    }

    /// The id of a profile: what it is and who made it, so that devices of two makers in one facility keep apart.
    fn id_of(&self, numbers: &[u16], first: ModelAt) -> String {
        let mut id = numbers.iter().fold("sunspec".to_owned(), |id, number| format!("{id}-{number}"));
        let named = [&self.common.manufacturer, &self.common.model];
        for letter in named.into_iter().flatten().flat_map(|text| std::iter::once('-').chain(text.chars())) {
            match letter.to_ascii_lowercase() {
                plain @ ('a'..='z' | '0'..='9') => id.push(plain),
                _ if id.ends_with('-') => {}
                _ => id.push('-'),
            }
        }
        let one_of_several = numbers.len() == 1 && self.models.iter().filter(|other| other.number == first.number).count() > 1;
        let place = if one_of_several { format!("-at-{}", first.address) } else { String::new() };
        id.truncate(ID_MAX - place.len());
        id.truncate(id.trim_end_matches('-').len());
        id + &place
    }
}

fn faulty(number: u16, fault: String) -> ProfileError {
    ProfileError::Faults { id: format!("sunspec-{number}"), faults: vec![fault] }
}

#[cfg(test)]
mod tests;
