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
    /// A profile for every model of the chain that we know, in their order.
    ///
    /// * Errors: a model that is shorter than its number says.
    pub fn profiles(&self) -> Result<Vec<Profile>, ProfileError> {
        self.models.iter().filter(|at| model::knows(at.number)).map(|at| self.profile(*at, &[])).collect()
    }

    /// The profile of one model; where its registers were read, without the points that this device does not implement.
    ///
    /// * Shape: `words` are the model's registers, its header included, or empty. What is there decides the typical scale factors
    ///   and, where a factor is finer than usual, the step of the readings.
    /// * Points that count or that money is computed from always stay: a new meter has counted nothing yet.
    /// * Errors: a model that we do not know, or that is shorter than its number says.
    pub fn profile(&self, at: ModelAt, words: &[u16]) -> Result<Profile, ProfileError> {
        let fault = |fault: String| ProfileError::Faults { id: format!("sunspec-{}", at.number), faults: vec![fault] };
        let Some(known) = model::find(at.number) else { return Err(fault(format!("model {} is not known", at.number))) };
        if at.length < known.length {
            return Err(fault(format!("the device's model has {} registers, the model's definition {}", at.length, known.length)));
        }
        Profile::parse(&known.text(self, at, words))
    }
}

#[cfg(test)]
mod tests;
