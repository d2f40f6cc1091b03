//! Whether a baseline may be believed: fifteen categories, a score with its parts, the inventory of what does not vary,
//! and the way of a baseline from draft to signature.
//!
//! Every check is a function of facts that are frozen and hashed elsewhere; this crate reads no clock and knows no keys.

mod categories;
mod dossier;
mod facts;
mod inventory;
mod trust;
mod unseen;
mod workflow;

pub use categories::{Category, Check, Judged, Measurement, Verdict, Waiver, WaiverError, check, verdict};
pub use dossier::{Dossier, DossierError, Examined, Observed, Past};
pub use facts::{Facts, MeterClock, baseline_facts};
pub use inventory::{AgreedFormula, Inventory, InventoryError, StaticFactor, Ticket};
pub use trust::{Part, Record, Trust, VERSION, trust};
pub use unseen::{OutOfSample, out_of_sample, out_of_sample_driven};
pub use workflow::{Stage, Step, Transition, TransitionError, Workflow};
