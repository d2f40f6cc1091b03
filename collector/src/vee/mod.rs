//! Validate, estimate, edit: is everything there, can it be, and what stands in the place of what is missing.
//!
//! ```text
//! gaps      what is missing, and why          validate  what cannot be so
//! estimate  what stands in its place          change    how that becomes a version, and how it is undone
//! watermark how far everything is there        pulse     what frames say besides their readings
//! journal   what has to be remembered         scene     a facility's series with all that is known of them
//! desk      what may be asked for             job       what the running collector does by itself
//! day       which day is told next              report    what is answered
//! ```
//!
//! Two layers: what was received, which nothing here changes, and versions above it, which say that they are estimated or
//! edited. [`store::Reader::scan`] gives the newest version of each time, so whoever reads the store reads both layers;
//! what was received is in [`store::Reader::history`], the versions that have a sequence number.

mod change;
mod day;
mod desk;
mod estimate;
mod gaps;
mod job;
mod journal;
mod pulse;
mod report;
mod scene;
mod validate;
mod watermark;

// When a reading is expected, and where a counter does not go on: the store's own tables ask that too.
use store::{counter, grid};

pub(crate) use change::ChangeError;
pub(crate) use desk::{Ask, Desk, DeskError, Made, Request};
pub(crate) use gaps::Cause;
pub(crate) use job::{Gauges, Job, Watched};
pub(crate) use journal::{EVENTS_MAX, Journal, JournalError};
pub(crate) use pulse::Pulses;
pub(crate) use report::{ChangeSaid, changes_text, events_text, findings, findings_text, gaps, gaps_text, made_text};
pub(crate) use scene::{Facts, Scene};
pub(crate) use watermark::watermarks;

#[cfg(test)]
mod tests;
