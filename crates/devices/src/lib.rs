//! What a meter is: which registers it has, how to ask for them, and what the answer means.
//!
//! Everything here is pure and works both ways. [`plan`] turns a [`Profile`] and a choice of points into read requests, [`decode`]
//! turns register words into an exact number with its unit, and [`encode`] is the way back, which feeds the simulated meters. No
//! bus, no clock, no file: the gateway brings the words, the auditor brings the same words years later, and both get the same number.
//!
//! Profiles are data, in `config/devices/*.toml`, and are compiled in as [`builtin`].

mod catalogue;
mod decode;
mod document;
mod encode;
mod encoding;
mod import;
mod installation;
mod plan;
mod point;
mod profile;
mod sunspec;
mod text;
mod validate;
mod vector;

pub use catalogue::{builtin, find};
pub use decode::{DecodeError, decode};
pub use encode::{EncodeError, absent, encode};
pub use encoding::{BitField, ByteOrder, Encoding, WordOrder};
pub use import::{ImportError, Imported, Origin, import};
pub use installation::Installation;
pub use plan::{BlockRequest, Line, PlanError, ReadPlan, plan};
pub use point::{Group, Point, Scale, ScaleFactor, Table};
pub use profile::{Confidence, Identify, Kind, Parity, Profile, ProfileError, Serial, Timing};
pub use sunspec::{CommonModel, Discovery, ModelAt, SUNSPEC_BASES, SUNSPEC_MARKER, SUNSPEC_MODELS_MAX, Step, Walk, WalkError};
pub use text::{TextBytes, TextField};
pub use vector::{Expected, Vector, VectorMismatch};

#[cfg(test)]
mod tests;
