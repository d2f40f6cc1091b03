//! Non-routine events: changes of a facility that neither the weather nor the measure explains.
//!
//! A new hall, a broken chiller or a second shift moves the use for good; the model knows nothing of it and would book it
//! as savings or as their loss. [`watch`] rings when whitened residuals drift ([`Cusum`]); [`detect`] cuts a period into
//! parts of one level each, dates the change and says how large and how sure it is, gains and losses alike. What follows is
//! agreed between people: a [`Ledger`] of [`Adjustment`]s, each with its cause, its evidence and both parties' signatures,
//! capped, and beyond the cap a new baseline ([`Ledger::adjust`] gives what a statement says). Detection runs on the baseline too.

mod adjusted;
mod chow;
mod cusum;
mod detect;
mod ledger;
mod pooled;
mod segments;
mod whiten;

pub use adjusted::{Adjusted, AdjustedError};
pub use chow::{Chow, chow};
pub use cusum::{Alarm, Cusum, watch};
pub use detect::{DayResidual, Direction, Event, Noise, Trigger, detect};
pub(crate) use ledger::is_sha256;
pub use ledger::{Adjustment, AdjustmentError, CAP, Ledger, Method, Moves, Party, Signature, Standing};
pub use pooled::{EventEffect, event_effect};
pub use segments::{Segment, segments};
pub use whiten::{Whitened, whiten};
