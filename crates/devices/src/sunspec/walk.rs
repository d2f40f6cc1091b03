//! The way through a device's chain of models, one read at a time.

use super::{CommonModel, Discovery, ModelAt, SUNSPEC_BASES, SUNSPEC_MARKER, SUNSPEC_MODELS_MAX};

/// The number of the model that ends the chain.
const END: u16 = 0xFFFF;
const COMMON: u16 = 1;
/// The common model has 65 or 66 registers; what is beyond belongs to nobody.
const COMMON_LENGTHS: std::ops::RangeInclusive<u16> = 64..=66;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read holding registers, and bring the answer.
    Read { address: u16, count: u16 },
    /// This is what the device has.
    Done(Discovery),
}

/// Why a device cannot be walked through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    #[error("no SunSpec marker at register 40000, 50000 or 0")]
    NoMarker,
    #[error("the map at {base} does not begin with the common model")]
    NoCommonModel { base: u16 },
    #[error("the device does not answer for its model at register {address}")]
    Silent { address: u16 },
    #[error("the chain of models leaves the register space at {address}")]
    Beyond { address: u16 },
    #[error("the chain of models has no end after {SUNSPEC_MODELS_MAX} models")]
    Endless,
}

/// A walk through a device.
///
/// Bring the answer to every read with [`answer`](Self::answer), `None` for one that was refused or did not come, until the step is
/// [`Step::Done`]. No two reads in a row have the same length, so that a late answer cannot be taken for the next one's.
#[derive(Clone, Debug)]
pub struct Walk {
    at: At,
    common: CommonModel,
    base: u16,
    models: Vec<ModelAt>,
    /// Length of the last read.
    before: u16,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// Looks for the marker, at the n-th base.
    Marker(usize),
    Header(u16),
    Common {
        address: u16,
        length: u16,
    },
    End,
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}

impl Walk {
    #[must_use]
    pub fn new() -> Self {
        Self { at: At::Marker(0), common: CommonModel::default(), base: 0, models: Vec::new(), before: 0 }
    }

    /// The next read, or what was found.
    #[must_use]
    pub fn step(&self) -> Step {
        // Two registers would do for a marker and for a header; what is behind either is the device's own in any map but an empty one.
        let count = if self.before == 2 { 3 } else { 2 };
        match self.at {
            At::Marker(place) => Step::Read { address: SUNSPEC_BASES.get(place).copied().unwrap_or_default(), count },
            At::Header(address) => Step::Read { address, count },
            At::Common { address, length } => Step::Read { address, count: length + 2 },
            At::End => Step::Done(Discovery { base: self.base, common: self.common.clone(), models: self.models.clone() }),
        }
    }

    /// Goes on with the answer to the read that [`step`](Self::step) asked for.
    ///
    /// * Errors: what makes it pointless to go on. An answer of another length counts as none.
    pub fn answer(&mut self, words: Option<&[u16]>) -> Result<(), WalkError> {
        let Step::Read { count, .. } = self.step() else { return Ok(()) };
        self.before = count;
        let words = words.filter(|words| words.len() == usize::from(count));
        match self.at {
            At::Marker(place) if words.is_some_and(|words| words.starts_with(&SUNSPEC_MARKER)) => {
                self.base = SUNSPEC_BASES.get(place).copied().unwrap_or_default();
                self.at = At::Header(self.base + 2);
            }
            At::Marker(place) if place + 1 < SUNSPEC_BASES.len() => self.at = At::Marker(place + 1),
            At::Marker(_) => return Err(WalkError::NoMarker),
            // The end model is two registers, and some devices have nothing behind it: ask for just those.
            At::Header(_) if words.is_none() && count == 3 => {}
            At::Header(address) => match words {
                Some(&[number, length, ..]) => self.header(address, number, length)?,
                _ => return Err(WalkError::Silent { address }),
            },
            At::Common { address, length } => {
                self.common = CommonModel::read(words.ok_or(WalkError::Silent { address })?);
                self.at = At::Header(behind(address, length)?);
            }
            At::End => {}
        }
        Ok(())
    }

    fn header(&mut self, address: u16, number: u16, length: u16) -> Result<(), WalkError> {
        if address == self.base + 2 {
            if number != COMMON || !COMMON_LENGTHS.contains(&length) {
                return Err(WalkError::NoCommonModel { base: self.base });
            }
            self.at = At::Common { address, length };
            return Ok(());
        }
        if number == END {
            self.at = At::End;
            return Ok(());
        }
        if self.models.len() == SUNSPEC_MODELS_MAX {
            return Err(WalkError::Endless);
        }
        self.models.push(ModelAt { number, address, length });
        self.at = At::Header(behind(address, length)?);
        Ok(())
    }
}

/// The header behind a model.
fn behind(address: u16, length: u16) -> Result<u16, WalkError> {
    let next = address.checked_add(2).and_then(|start| start.checked_add(length)).filter(|next| *next < u16::MAX - 2);
    next.ok_or(WalkError::Beyond { address })
}
